"""Find the images that the arguments of a command mean: files, folders, patterns, lists, tar archives.

All of them may be in an object store (s3://, gs://) as well. Paths are strings here: a folder of 100,000
files lists in a second, and a path stays as the user wrote it.
"""
# ruff: noqa: PTH100, PTH112, PTH116, PTH120, PTH122, PTH207

from __future__ import annotations

import functools
import glob
import itertools
import logging
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TextIO

from zeroiqa import archives, path_lists
from zeroiqa.containers import is_unread_picture
from zeroiqa.errors import UserError, printable
from zeroiqa.listed_images import ListedImages, spellings
from zeroiqa.path_lists import Listed, checked_prompt
from zeroiqa.storage import Entry, RemotePath, is_remote, location
from zeroiqa.table_files import decoded

_LOG = logging.getLogger(__name__)

EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".avif", ".avifs", ".heic", ".heif", ".hif",
)  # fmt: skip
"""What makes a file in a folder an image, in lower case; files named one by one may be called anything."""

_WHAT = (
    "an image, a folder, a glob pattern, a list of paths (.txt, .csv, .xlsx ...), a .tar archive or - for "
    "standard input"
)
_REQUESTS = 16
"""To an object store at once."""


class Source(NamedTuple):
    """One image to decode."""

    path: str
    """Its path as the arguments lead to it; bytes outside UTF-8 as surrogate escapes, as Python has them."""
    bytes: int
    """The size of the file; 0 if it is no readable regular file: decoding says why."""
    prompt: str | None
    """The text that the image was generated from."""
    archive: str | None = None
    """The tar archive that it is in; its path is then that of the archive, "/" and its name."""
    offset: int | None = None
    """Where its bytes begin in the archive."""
    modified: int | None = None
    """When the file, object or archive was written, in nanoseconds since 1970 (UTC); None if not known."""


def find_images(
    arguments: Sequence[str], stdin: TextIO | None = None, *, sidecar_prompts: bool = False
) -> list[Source]:
    """The images that the arguments mean, in the order given, each once.

    An argument is

    * a file, whatever its name says (what is wrong with it becomes its error row);
    * a folder: every file below it with one of `EXTENSIONS` in any case, by the bytes of the names, a
      folder's content at the place of its name; hidden files and folders are left out, linked folders
      followed, each folder once;
    * a glob pattern (`**` for any depth) if no file is called so: the matches with one of `EXTENSIONS`,
      sorted;
    * a tar archive, not compressed: every member with one of `EXTENSIONS`, in its order, hidden ones left
      out; such an image is called ARCHIVE.tar/MEMBER. Patterns match archives, too; folders are not searched
      for them;
    * a list: .txt and .lst hold one path per line (no comments, no quotes; a NUL anywhere makes NUL the
      separator) if they do not begin with a header; they, .csv, .tsv, .xlsx, .json, .jsonl and .parquet a
      header or keys with one column of `zeroiqa.tabular.IMAGE_COLUMNS` (path, image, file_name ...) and, if
      there is one, `prompt`; where a path leads says `zeroiqa.listed_images`; a listed file that is missing
      becomes an error row;
    * "-": such lines from standard input, from the current folder;
    * any of these but the last as an address s3://BUCKET/NAME or gs://BUCKET/NAME (and file:///PATH): what is
      below a folder is sorted by the bytes of the whole names there, `*` and `**` are the only signs of a
      pattern, and a relative path in a list is looked for beside the list alone. Lists on the disk may hold
      addresses.

    Of an image that is named twice the first mention counts, with its prompt.

    Args:
        arguments: See above.
        stdin: Read for "-"; `sys.stdin` if not given.
        sidecar_prompts: Take the prompt of photo.png from photo.txt beside it (in its archive), where no list
            gives one.

    Raises:
        UserError: an argument does not exist, cannot be read or leads to no image.
    """
    if not arguments:
        raise UserError(f"No images are given; name {_WHAT}.")
    found: dict[str, Source] = {}
    for argument in arguments:
        for source in _expand(argument, stdin, sidecar_prompts):
            found.setdefault(source.path if is_remote(source.path) else os.path.abspath(source.path), source)
    if not sidecar_prompts:
        return list(found.values())
    with ThreadPoolExecutor(_REQUESTS) as threads:
        return list((threads.map if any(map(is_remote, found)) else map)(_with_sidecar, found.values()))


def _expand(argument: str, stdin: TextIO | None, sidecar_prompts: bool) -> Iterator[Source]:
    if argument == "-":
        stream = sys.stdin if stdin is None else stdin
        raw = getattr(stream, "buffer", None)
        text = stream.read() if raw is None else decoded(raw.read(), "standard input")
        return _listed(path_lists.lines(text), "", "standard input")
    if argument.lower().startswith("file://"):
        argument = str(location(argument))
    shown = printable(argument)
    if is_remote(argument):
        return _remote(argument, shown, sidecar_prompts)
    try:
        mode = os.stat(argument).st_mode if os.path.lexists(argument) else None
    except OSError:  # a broken link or a folder without permission: the decoder says which
        return iter([Source(argument, 0, None)])
    except ValueError as error:
        raise UserError(f"{shown} is not a path: {error}.") from error
    if mode is None:
        return _pattern(argument, shown, sidecar_prompts)
    if stat.S_ISDIR(mode):
        return _folder(argument, shown)
    if argument.lower().endswith((*path_lists.SUFFIXES, archives.SUFFIX, *archives.COMPRESSED)):
        if not stat.S_ISREG(mode):
            raise UserError(
                f"{shown} is not a regular file; write the list to a file, or pipe it and name - instead."
            )
        return _named(argument, shown, sidecar_prompts)
    return iter([_source(argument)])


def _named(path: str, shown: str, sidecar_prompts: bool) -> Iterator[Source]:
    """What a list or an archive means."""
    if path.lower().endswith(path_lists.SUFFIXES):
        folder = f"{location(path).parent}" if is_remote(path) else os.path.dirname(path)
        return _listed(path_lists.read_list(path), folder, shown)
    return _archives([path], sidecar_prompts)


def _archives(paths: Sequence[str], sidecar_prompts: bool) -> Iterator[Source]:
    """The images of tar archives, several of which are searched at once."""

    def search(path: str) -> list[archives.Member]:
        return archives.members(path, EXTENSIONS, prompts=sidecar_prompts)

    with ThreadPoolExecutor(_REQUESTS) as threads:
        for path, members in zip(paths, threads.map(search, paths), strict=True):
            if not members:
                raise UserError(
                    f"{printable(path)} holds no images; members with {_extensions()} are looked for."
                )
            modified = time_of(path)
            for member in members:
                name = f"{path}/{member.name}"
                yield Source(name, member.bytes, member.prompt, path, member.offset, modified)


def time_of(path: str) -> int | None:
    """When a file or object was written, in nanoseconds since 1970 (UTC); None where a store does not say."""
    place = location(path)
    return place.entry().modified if isinstance(place, RemotePath) else place.stat().st_mtime_ns


def _folder(folder: str, shown: str) -> Iterator[Source]:
    seen: set[tuple[int, int]] = set()
    others: dict[str, int] = {}
    count = 0
    for source in _walk(folder, seen, others):
        count += 1
        yield source
    if not count:
        raise _without_images(shown, others)
    unread = {suffix: number for suffix, number in others.items() if is_unread_picture(suffix)}
    if unread:
        counted = ", ".join(f"{number} {suffix}" for suffix, number in sorted(unread.items()))
        _LOG.warning(
            "Left out of %s, pictures in formats that are not read: %s; convert them first.", shown, counted
        )


def _without_images(shown: str, others: Mapping[str, int]) -> UserError:
    listed = sorted(others.items())[:8]
    there = ", ".join(f"{n} {suffix or 'without extension'}" for suffix, n in listed) or "no files"
    hint = f" Name archives themselves ({shown.rstrip('/')}/*.tar)." if archives.SUFFIX in others else ""
    return UserError(
        f"{shown} holds no images; files with {_extensions()} are looked for, and there were: {there}.{hint}"
    )


def _walk(folder: str, seen: set[tuple[int, int]], others: dict[str, int]) -> Iterator[Source]:
    """The images below a folder; counts the extensions of the other files."""
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as listing:
            entries = sorted(
                (entry for entry in listing if not entry.name.startswith(".")),
                key=lambda entry: os.fsencode(entry.name),
            )
    except OSError as error:
        raise UserError(
            f"{printable(folder)} cannot be listed: {error.strerror}; change its mode or leave it out."
        ) from error
    for entry in entries:
        if _is_folder(entry):
            yield from _walk(entry.path, seen, others)
        elif entry.name.lower().endswith(EXTENSIONS):
            yield _source(entry.path, entry)
        else:
            suffix = os.path.splitext(entry.name)[1].lower()
            others[suffix] = others.get(suffix, 0) + 1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link onto itself
        return False


def _pattern(pattern: str, shown: str, sidecar_prompts: bool) -> Iterator[Source]:
    if not glob.has_magic(pattern):
        raise UserError(f"{shown} does not exist; name {_WHAT}.")
    matches = glob.glob(pattern, recursive=True)
    real = functools.cache(os.path.realpath)
    images: dict[tuple[str, str], str] = {}
    for path in sorted(matches, key=len):  # ** runs around links that form a loop: the shortest way counts
        if path.lower().endswith((*EXTENSIONS, archives.SUFFIX)) and not os.path.isdir(path):
            folder, name = os.path.split(path)
            images.setdefault((real(folder), name), path)
    if not images:
        raise _unmatched(shown, len(matches))
    return _each(map(_source, sorted(images.values(), key=os.fsencode)), sidecar_prompts)


def _each(files: Iterable[Source], sidecar_prompts: bool) -> Iterator[Source]:
    """Matches of a pattern: images as they are, archives as what they hold."""
    for archived, group in itertools.groupby(files, lambda source: source.path.lower().endswith(".tar")):
        if archived:
            yield from _archives([source.path for source in group], sidecar_prompts)
        else:
            yield from group


def _unmatched(shown: str, matches: int) -> UserError:
    return UserError(
        f"{shown} matches no images: {matches} matches, none of them a file with {_extensions()}."
    )


def _remote(address: str, shown: str, sidecar_prompts: bool) -> Iterator[Source]:
    """What an address means: an object, a list, an archive, a folder or a pattern."""
    place = location(address)
    assert isinstance(place, RemotePath)
    if not address.endswith("/") and place.is_file():
        if place.key.lower().endswith((*path_lists.SUFFIXES, archives.SUFFIX, *archives.COMPRESSED)):
            return _named(str(place), shown, sidecar_prompts)
        return iter([_object(place.entry())])
    try:
        if "*" in place.key:
            return _remote_pattern(place, shown, sidecar_prompts)
        return _remote_folder(place, shown)
    except FileNotFoundError as error:
        raise UserError(f"{shown} does not exist; name {_WHAT}.") from error


def _remote_folder(folder: RemotePath, shown: str) -> Iterator[Source]:
    found = [entry for entry in folder.objects() if not _hidden(entry.path.key.removeprefix(folder.key))]
    images = [entry for entry in found if entry.path.key.lower().endswith(EXTENSIONS)]
    if not images:
        others = Counter(entry.path.suffix.lower() for entry in found)
        raise _without_images(shown, others)
    return map(_object, images)


def _remote_pattern(pattern: RemotePath, shown: str, sidecar_prompts: bool) -> Iterator[Source]:
    folder = pattern.key[: pattern.key.index("*")].rpartition("/")[0]
    if not folder:
        raise UserError(f"{shown} has no bucket before its first *; write {pattern.scheme}://BUCKET/....")
    parts = re.split(r"(\*\*/|\*)", pattern.key)
    signs = {"**/": r"(?:[^/.][^/]*/)*", "*": "[^/]*"}
    matching = re.compile("".join(signs.get(part) or re.escape(part) for part in parts))
    matches = [e for e in RemotePath(pattern.scheme, folder).objects() if matching.fullmatch(e.path.key)]
    wanted = [e for e in matches if e.path.key.lower().endswith((*EXTENSIONS, archives.SUFFIX))]
    if not wanted:
        raise _unmatched(shown, len(matches))
    return _each(map(_object, wanted), sidecar_prompts)


def _object(entry: Entry) -> Source:
    return Source(str(entry.path), entry.bytes, None, modified=entry.modified)


def _hidden(name: str) -> bool:
    return "/." in f"/{name}"


def _listed(rows: Iterable[Listed], folder: str, shown: str) -> Iterator[Source]:
    """Sources of listed paths, relative to the list's folder or else to the current one."""
    images = ListedImages(folder, EXTENSIONS)
    empty = True
    for path, prompt in rows:
        empty = False
        if is_remote(path):
            yield Source(path, 0, prompt)
        elif is_remote(folder) and not spellings(path)[-1].startswith("/"):
            yield Source(f"{location(folder) / path}", 0, prompt)
        else:
            yield _source(images.place(path))._replace(prompt=prompt)
    for note in images.notes(shown):
        _LOG.warning("%s", note)
    if empty:
        raise UserError(f"{shown} lists no images; write one path per line.")


def _source(path: str, entry: os.DirEntry[str] | None = None) -> Source:
    try:
        status = entry.stat() if entry else os.stat(path)
    except (OSError, ValueError):
        return Source(path, 0, None)
    if not stat.S_ISREG(status.st_mode):
        return Source(path, 0, None)
    return Source(path, status.st_size, None, modified=status.st_mtime_ns)


def _with_sidecar(source: Source) -> Source:
    if source.prompt is not None or source.archive is not None:
        return source
    place = location(source.path)
    sidecar = place.with_name(f"{place.stem}.txt")
    shown = printable(str(sidecar))
    try:
        text = decoded(sidecar.read_bytes(), shown).strip() if sidecar.is_file() else None
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror}; change its mode.") from error
    return source._replace(prompt=checked_prompt(text, shown))


def _extensions() -> str:
    return ", ".join(EXTENSIONS)
