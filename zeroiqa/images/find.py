"""Find the images that arguments name: files, folders, patterns, lists, tables and tar archives.

All of them may be in an object store (s3://, gs://) as well. Paths are strings here: a folder of 100,000
files lists in a second, and a path stays as the user wrote it.
"""
# ruff: noqa: PTH100, PTH112, PTH116

from __future__ import annotations

import glob
import itertools
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TextIO

from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Entry, RemotePath, is_remote, location
from zeroiqa.files.tables.image_column import ImageColumn
from zeroiqa.images import archives, lists, table_rows
from zeroiqa.images.folders import ALL, Walk, split_pattern
from zeroiqa.images.listed_paths import ListedImages
from zeroiqa.images.listed_rows import folder_of, place_of
from zeroiqa.images.lists import Listed, prompt_in
from zeroiqa.images.members import NamedMembers
from zeroiqa.images.passed_over import PassedOver
from zeroiqa.images.ref import ImageRef
from zeroiqa.images.remote_folders import REQUESTS, beginning, matching_objects, objects_below
from zeroiqa.images.selection import Selection
from zeroiqa.images.sieve import EXTENSIONS, Sieve
from zeroiqa.images.standard_input import read_standard_input
from zeroiqa.suggestions import did_you_mean_path

_LOG = logging.getLogger(__name__)

_WHAT = (
    "an image, a folder, a glob pattern, a list of paths (.txt, .csv, .xlsx ...), a table with images "
    "(.parquet), a .tar archive or - for standard input"
)
_ANY = Selection()


def find_images(
    arguments: Sequence[str],
    stdin: TextIO | None = None,
    *,
    sidecar_prompts: bool = False,
    selection: Selection = _ANY,
    image_column: str | None = None,
    tables: list[str] | None = None,
) -> list[ImageRef]:
    """The images that the arguments mean, in the order given, each once.

    An argument is

    * a file, whatever its name says (what is wrong with it becomes its error row);
    * a folder: every file below it with one of `EXTENSIONS` in any case, or without a suffix if it begins
      like an image; by the bytes of the names, a folder's content at the place of its name. Linked folders
      are followed, each folder is visited once. Left out are hidden files and folders, those of systems
      (`sieve.SYSTEM_FOLDERS`: recycle bins, thumbnails) and runs of ours;
    * a glob pattern (`**` for any depth) if no file is called so: the matches that a folder would yield,
      sorted, each by its shortest path;
    * a tar archive, not compressed: the members that a folder would yield, in its order; such an image is
      called ARCHIVE.tar/MEMBER, and this names it alone, here and in lists. Patterns match archives, too;
      folders are not searched for them;
    * a Parquet table with the files themselves in a column, as bytes or as the hub's struct of bytes and
      path: its rows, each called TABLE.parquet/ROW. Of a folder without images, all its Parquet tables are
      taken; a pattern that ends with .parquet matches them;
    * a list: .txt and .lst hold one path per line (no comments, no quotes; a NUL anywhere makes NUL the
      separator) if they do not begin with a header; they, .csv, .tsv, .xlsx, .json, .jsonl and .parquet a
      header or keys with one column of `zeroiqa.files.tables.read.IMAGE_COLUMNS` (path, image, file_name ...)
      and, if there is one, `prompt`; where a path leads says `zeroiqa.images.listed_paths`; a listed file
      that is missing becomes an error row;
    * "-": such lines from standard input, from the current folder; or one image, see `standard_input`;
    * any of these but the last as an address s3://BUCKET/NAME or gs://BUCKET/NAME (and file:///PATH): what is
      below a folder is sorted by the bytes of the whole names there, `*` and `**` are the only signs of a
      pattern, and a relative path in a list is looked for beside the list alone. Lists on the disk may hold
      addresses.

    Of an image that is named twice the first mention counts, with its prompt. What was passed over is counted
    in one warning.

    Args:
        arguments: See above.
        stdin: Read for "-"; `sys.stdin` if not given.
        sidecar_prompts: Take the prompt of photo.png from photo.txt beside it (in its archive), where no list
            gives one.
        selection: What of all this is wanted, files named one by one and in lists included.
        image_column: The column of lists and tables that is the image, where several could be.
        tables: Gets the paths of the lists and tables that were read.

    Raises:
        UserError: an argument does not exist, cannot be read or leads to no image.
    """
    if not arguments:
        raise UserError(f"No images are given; name {_WHAT}.")
    found: dict[str, ImageRef] = {}
    passed, members = PassedOver(), NamedMembers(prompts=sidecar_prompts, image_column=image_column)
    for argument in arguments:
        sieve = Sieve(selection, prompts=sidecar_prompts)
        for ref in _expand(argument, stdin, sieve, members):
            found.setdefault(ref.path if is_remote(ref.path) else os.path.abspath(ref.path), ref)
        passed.add(sieve.passed)
    if tables is not None:
        tables += members.tables
    if not found:
        raise UserError(f"No image is left; passed over: {passed}.")
    if others := str(passed):
        _LOG.warning("Passed over: %s.", others)
    if not sidecar_prompts:
        return list(found.values())
    with ThreadPoolExecutor(REQUESTS) as threads:
        return list((threads.map if any(map(is_remote, found)) else map)(_with_sidecar, found.values()))


def images_at(named: Iterable[tuple[str, str | None]]) -> list[ImageRef]:
    """The images at some paths, members of archives included, each with its prompt; missing ones, too.

    Raises:
        UserError: an archive is compressed, damaged or cut off, or cannot be read.
    """
    members = NamedMembers()
    return [
        (members.find(path) or _file(path))._replace(prompt=prompt, modified=None) for path, prompt in named
    ]


def _expand(argument: str, stdin: TextIO | None, sieve: Sieve, members: NamedMembers) -> Iterator[ImageRef]:
    if argument == "-":
        read = read_standard_input(stdin)
        if isinstance(read, str):
            return iter([_file(read)])
        return _listed(read, "", "standard input", sieve, members)
    if argument.lower().startswith("file://"):
        argument = str(location(argument))
    shown = printable(argument)
    if is_remote(argument):
        return _remote(argument, shown, sieve, members)
    try:
        mode = os.stat(argument).st_mode if os.path.lexists(argument) else None
    except OSError:  # a broken link or a folder without permission: the decoder says which
        return _named_itself(ImageRef(argument), sieve)
    except ValueError as error:
        raise UserError(f"{shown} is not a path: {error}.") from error
    if mode is None and members.archive_of(argument) is not None:
        return _member(argument, shown, sieve, members)
    if mode is None:
        return _pattern(argument, shown, sieve, members)
    if stat.S_ISDIR(mode):
        return _folder(argument, shown, sieve, members)
    if argument.lower().endswith((*lists.SUFFIXES, archives.SUFFIX, *archives.COMPRESSED)):
        if not stat.S_ISREG(mode):
            raise UserError(
                f"{shown} is not a regular file; write the list to a file, or pipe it and name - instead."
            )
        return _list_or_archive(argument, shown, sieve, members)
    return _named_itself(_file(argument), sieve)


def _named_itself(ref: ImageRef, sieve: Sieve) -> Iterator[ImageRef]:
    """An image whose own path is given, by the user or in a list."""
    if sieve.wants(_as_written(ref.path)):
        yield ref


def _member(path: str, shown: str, sieve: Sieve, members: NamedMembers) -> Iterator[ImageRef]:
    """A member of an archive that is named itself."""
    ref = members.find(path)
    if ref is None:
        archive = printable(str(members.archive_of(path)))
        raise UserError(f"{shown} does not exist; {archive} has no such member.")
    return _named_itself(ref, sieve)


def _as_written(path: str) -> str:
    """A path as a selection has it; of an object, what follows the bucket."""
    if is_remote(path):
        return path.partition("://")[2].partition("/")[2]
    return os.path.normpath(path).replace(os.sep, "/")


def _list_or_archive(path: str, shown: str, sieve: Sieve, members: NamedMembers) -> Iterator[ImageRef]:
    if path.lower().endswith(lists.SUFFIXES):
        members.tables.append(path)
        column = members.image_column
        if path.lower().endswith(table_rows.SUFFIX):
            found = table_rows.column_of(path, column)
            if found.kind != "paths":
                return _rows(path, found, sieve)
            column = found.name
        return _listed(lists.read_list(path, column), folder_of(path), shown, sieve, members)
    return _archives([path], sieve, [""])


def _rows(path: str, column: ImageColumn, sieve: Sieve) -> Iterator[ImageRef]:
    """The images in the rows of a table."""
    if column.beside:
        _LOG.warning(
            "The images are the files in the column %s; the paths in %s are passed over (--image-column "
            "takes them).",
            printable(column.name),
            printable(", ".join(column.beside)),
        )
    for ref in table_rows.rows_of(path, column.name):
        yield from _named_itself(ref, sieve)


def _tables(paths: Sequence[str], sieve: Sieve, members: NamedMembers) -> Iterator[ImageRef]:
    """What tables hold that lie where no images do."""
    sieve.takes(table_rows.SUFFIX)
    for path in paths:
        yield from _list_or_archive(path, printable(path), sieve, members)


def _archives(paths: Sequence[str], sieve: Sieve, within: Sequence[str]) -> Iterator[ImageRef]:
    """The images of tar archives, several of which are searched at once.

    Args:
        paths: Of the archives.
        sieve: What is wanted; counts what is passed over.
        within: Each one's own path as the sieve has it; "" where the archive itself was named.
    """

    def search(path: str, place: str) -> tuple[list[ImageRef], Sieve]:
        own = Sieve(sieve.selection, prompts=sieve.prompts)
        return archives.members(path, own, place), own

    with ThreadPoolExecutor(REQUESTS) as threads:
        for path, (members, own) in zip(paths, threads.map(search, paths, within), strict=True):
            if not members and not own.passed.is_by_choice:
                raise UserError(
                    f"{printable(path)} holds no images; members with {_extensions()} are looked for."
                )
            sieve.passed_elsewhere(own.passed)
            modified = archives.time_of(path)
            for member in members:
                yield member._replace(modified=modified)


def _folder(folder: str, shown: str, sieve: Sieve, members: NamedMembers) -> Iterator[ImageRef]:
    found = [_file(path, entry) for path, entry in Walk(folder, ALL, sieve).files()]
    if not found and sieve.passed.others[table_rows.SUFFIX]:
        quiet = Sieve(sieve.selection, prompts=False)
        walk = Walk(folder, ALL, quiet, also=(table_rows.SUFFIX,))
        return _tables(sorted((path for path, _ in walk.files()), key=_in_order), sieve, members)
    _check_found(found, shown, sieve)
    return iter(sorted(found, key=lambda ref: _in_order(ref.path)))


def _in_order(path: str) -> list[bytes]:
    """By the bytes of the names, a folder's content at the place of its name."""
    return os.fsencode(path).split(os.fsencode(os.sep))


def _check_found(found: Sequence[ImageRef], shown: str, sieve: Sieve) -> None:
    passed = sieve.passed
    if found or passed.is_by_choice:
        return
    there = "; ".join(filter(None, (passed.kinds() or "no files", passed.besides())))
    hint = f" Name archives themselves ({shown.rstrip('/')}/*.tar)." if passed.others[archives.SUFFIX] else ""
    raise UserError(
        f"{shown} holds no images; files with {_extensions()} are looked for, and there were: {there}.{hint}"
    )


def _pattern(pattern: str, shown: str, sieve: Sieve, members: NamedMembers) -> Iterator[ImageRef]:
    if not glob.has_magic(pattern):
        raise UserError(f"{shown} does not exist; name {_WHAT}.{did_you_mean_path(pattern)}")
    top, parts = split_pattern(pattern)
    walk = Walk(top, parts, sieve, also=_packed(pattern))
    found = [_file(path, entry) for path, entry in walk.files()] if os.path.isdir(top or os.curdir) else []
    _check_matches(found, shown, sieve)
    found.sort(key=lambda ref: os.fsencode(ref.path))
    return _each(found, sieve, walk.below, members)


def _packed(pattern: str) -> tuple[str, ...]:
    """Suffixes of what a pattern matches besides images: tables only where it says so."""
    suffix = table_rows.SUFFIX
    return (archives.SUFFIX, suffix) if pattern.lower().endswith(suffix) else (archives.SUFFIX,)


def _check_matches(found: Sequence[ImageRef], shown: str, sieve: Sieve) -> None:
    if not found and not sieve.passed.is_by_choice:
        raise UserError(
            f"{shown} matches no images: {sieve.found} matches, none of them a file with {_extensions()}."
        )


def _each(
    files: Sequence[ImageRef], sieve: Sieve, below: Callable[[str], str], members: NamedMembers
) -> Iterator[ImageRef]:
    """Matches of a pattern: images as they are, archives and tables as what they hold."""
    kinds = (archives.SUFFIX, table_rows.SUFFIX)

    def kind_of(ref: ImageRef) -> str:
        return next((suffix for suffix in kinds if ref.path.lower().endswith(suffix)), "")

    for kind, group in itertools.groupby(files, kind_of):
        if kind == table_rows.SUFFIX:
            for ref in group:
                yield from _list_or_archive(ref.path, printable(ref.path), sieve, members)
        elif kind:
            paths = [ref.path for ref in group]
            yield from _archives(paths, sieve, list(map(below, paths)))
        else:
            yield from group


def _remote(address: str, shown: str, sieve: Sieve, members: NamedMembers) -> Iterator[ImageRef]:
    """What an address means: an object, a list, an archive, a folder or a pattern."""
    place = location(address)
    assert isinstance(place, RemotePath)
    if not address.endswith("/") and place.is_file():
        if place.key.lower().endswith((*lists.SUFFIXES, archives.SUFFIX, *archives.COMPRESSED)):
            return _list_or_archive(str(place), shown, sieve, members)
        return _named_itself(_object(place.entry()), sieve)
    if members.archive_of(address) is not None:
        return _member(address, shown, sieve, members)
    try:
        if "*" in place.key:
            found = list(map(_object, matching_objects(place, shown, sieve, _packed(place.key))))
            _check_matches(found, shown, sieve)
            top = f"{beginning(place)}/"
            return _each(found, sieve, lambda path: path.removeprefix(top), members)
        found = list(map(_object, objects_below(place, sieve)))
        if not found and sieve.passed.others[table_rows.SUFFIX]:
            quiet = Sieve(sieve.selection, prompts=False)
            tables = objects_below(place, quiet, (table_rows.SUFFIX,))
            return _tables([str(entry.path) for entry in tables], sieve, members)
        _check_found(found, shown, sieve)
        return iter(found)
    except FileNotFoundError as error:
        raise UserError(f"{shown} does not exist; name {_WHAT}.") from error


def _object(entry: Entry) -> ImageRef:
    return ImageRef(str(entry.path), entry.bytes, modified=entry.modified)


def _listed(
    rows: Iterable[Listed], folder: str, shown: str, sieve: Sieve, members: NamedMembers
) -> Iterator[ImageRef]:
    """The images of listed paths, relative to the list's folder or else to the current one."""
    images = ListedImages(folder, EXTENSIONS, members)
    empty = True
    for path, prompt in rows:
        empty = False
        if not sieve.wants(_as_written(path)):
            continue
        place = place_of(path, folder, images)
        ref = members.find(place) or (ImageRef(place) if is_remote(place) else _file(place))
        yield ref._replace(prompt=prompt or ref.prompt)
    for note in images.notes(shown):
        _LOG.warning("%s", note)
    if empty:
        raise UserError(f"{shown} lists no images; write one path per line.")


def _file(path: str, entry: os.DirEntry[str] | None = None) -> ImageRef:
    try:
        status = entry.stat() if entry else os.stat(path)
    except (OSError, ValueError):
        return ImageRef(path)
    if not stat.S_ISREG(status.st_mode):
        return ImageRef(path)
    return ImageRef(path, status.st_size, modified=status.st_mtime_ns)


def _with_sidecar(ref: ImageRef) -> ImageRef:
    if ref.prompt is not None or ref.archive is not None:
        return ref
    place = location(ref.path)
    sidecar = place.with_name(f"{place.stem}.txt")
    shown = printable(str(sidecar))
    try:
        if not sidecar.is_file():
            return ref
        size = sidecar.size() if isinstance(sidecar, RemotePath) else sidecar.stat().st_size
        if size > archives.MOST_PROMPT:
            raise archives.too_long(shown, size)
        content = sidecar.read_bytes()
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror}; change its mode.") from error
    return ref._replace(prompt=prompt_in(content, shown))


def _extensions() -> str:
    return ", ".join(EXTENSIONS)
