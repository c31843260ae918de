"""Find the images that the arguments of a command mean: files, folders, glob patterns, lists of paths.

Paths are strings here: a folder of 100,000 files lists in a second, and a path stays as the user wrote it.
"""
# ruff: noqa: PTH100, PTH112, PTH116, PTH118, PTH120, PTH122, PTH207

from __future__ import annotations

import csv
import functools
import glob
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from zeroiqa.errors import UserError, printable

EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".avif", ".avifs", ".heic", ".heif", ".hif",
)  # fmt: skip
"""What makes a file in a folder an image, in lower case; files named one by one may be called anything."""

_LISTS = (".txt", ".lst", ".csv", ".tsv")
_WHAT = "an image, a folder, a glob pattern, a list of paths (.txt, .csv) or - for standard input"
_PATH_COLUMNS = ("path", "image", "file", "filename", "name")


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
    * a list: .txt and .lst hold one path per line (every character counts: no comments, no quotes; a NUL
      anywhere makes NUL the separator), .csv and .tsv a header with a column path, image, file, filename or
      name and, if there is one, `prompt`; a path is looked for beside the list, then in the current folder; a
      listed file that is missing becomes an error row;
    * "-": such lines from standard input, from the current folder.

    Of an image that is named twice the first mention counts, with its prompt.

    Args:
        arguments: See above.
        stdin: Read for "-"; `sys.stdin` if not given.
        sidecar_prompts: Take the prompt of photo.png from photo.txt beside it, where no list gives one.

    Raises:
        UserError: an argument does not exist, cannot be read or leads to no image.
    """
    if not arguments:
        raise UserError(f"No images are given; name {_WHAT}.")
    found: dict[str, Source] = {}
    for argument in arguments:
        for source in _expand(argument, stdin):
            found.setdefault(os.path.abspath(source.path), source)
    return [_with_sidecar(source) for source in found.values()] if sidecar_prompts else list(found.values())


def _expand(argument: str, stdin: TextIO | None) -> Iterator[Source]:
    shown = printable(argument)
    if argument == "-":
        stream = sys.stdin if stdin is None else stdin
        raw = getattr(stream, "buffer", None)
        text = stream.read() if raw is None else _text(raw.read(), "standard input")
        return _listed(_lines(text), "", "standard input")
    try:
        mode = os.stat(argument).st_mode if os.path.lexists(argument) else None
    except OSError:  # a broken link or a folder without permission: the decoder says which
        return iter([Source(argument, 0, None)])
    except ValueError as error:
        raise UserError(f"{shown} is not a path: {error}.") from error
    if mode is None:
        return _pattern(argument, shown)
    if stat.S_ISDIR(mode):
        return _folder(argument, shown)
    if argument.lower().endswith(_LISTS):
        if not stat.S_ISREG(mode):
            raise UserError(
                f"{shown} is not a regular file; write the list to a file, or pipe it and name - instead."
            )
        return _list(argument, shown)
    return iter([_source(argument)])


def _folder(folder: str, shown: str) -> Iterator[Source]:
    seen: set[tuple[int, int]] = set()
    others: dict[str, int] = {}
    count = 0
    for source in _walk(folder, seen, others):
        count += 1
        yield source
    if not count:
        there = (
            ", ".join(f"{n} {suffix or 'without extension'}" for suffix, n in sorted(others.items())[:8])
            or "no files"
        )
        raise UserError(
            f"{shown} holds no images; files with {_extensions()} are looked for, and there were: {there}."
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


def _pattern(pattern: str, shown: str) -> Iterator[Source]:
    if not glob.has_magic(pattern):
        raise UserError(f"{shown} does not exist; name {_WHAT}.")
    matches = glob.glob(pattern, recursive=True)
    real = functools.cache(os.path.realpath)
    images: dict[tuple[str, str], str] = {}
    for path in sorted(matches, key=len):  # ** runs around links that form a loop: the shortest way counts
        if path.lower().endswith(EXTENSIONS) and not os.path.isdir(path):
            folder, name = os.path.split(path)
            images.setdefault((real(folder), name), path)
    if not images:
        raise UserError(
            f"{shown} matches no images: {len(matches)} matches, none of them a file with {_extensions()}."
        )
    return map(_source, sorted(images.values(), key=os.fsencode))


def _list(path: str, shown: str) -> Iterator[Source]:
    try:
        text = _text(Path(path).read_bytes(), shown)
    except OSError as error:
        raise UserError(
            f"{shown} cannot be read: {error.strerror}; change its mode or name another list."
        ) from error
    rows = _table(text, path, shown) if path.lower().endswith((".csv", ".tsv")) else _lines(text)
    return _listed(rows, os.path.dirname(path), shown)


def _text(data: bytes, shown: str) -> str:
    """UTF-8 (other bytes stay what they are in a path) or, as Windows writes it, UTF-16 with its mark."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise UserError(f"{shown} is neither UTF-8 nor UTF-16 text; save it as UTF-8.") from error
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def _lines(text: str) -> Iterator[tuple[str, str | None]]:
    if "\0" in text:
        return ((path, None) for path in text.split("\0") if path)
    return ((path, None) for line in text.split("\n") if (path := line.removesuffix("\r")))


def _table(text: str, path: str, shown: str) -> Iterator[tuple[str, str | None]]:
    header = text.partition("\n")[0]
    delimiter = "\t" if path.lower().endswith(".tsv") else ";" if ";" in header and "," not in header else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip().lower() for name in next(rows, [])]
    column = next((names.index(name) for name in _PATH_COLUMNS if name in names), None)
    if column is None:
        raise UserError(
            f"{shown} has no column of paths; its first line is {header.strip()[:80]!r}; "
            f"one of {', '.join(_PATH_COLUMNS)} is needed there."
        )
    try:
        for row in rows:
            if len(row) > column and row[column]:
                yield row[column], _prompt(dict(zip(names, row, strict=False)).get("prompt"), shown)
    except csv.Error as error:
        raise UserError(
            f"{shown} is damaged near line {rows.line_num}: {error}; is a quote missing?"
        ) from error


def _listed(rows: Iterable[tuple[str, str | None]], folder: str, shown: str) -> Iterator[Source]:
    """Sources of listed paths, relative to the list's folder or else to the current one."""
    empty = True
    for path, prompt in rows:
        empty = False
        beside = os.path.join(folder, path)
        yield _source(path if not os.path.lexists(beside) and os.path.lexists(path) else beside)._replace(
            prompt=prompt
        )
    if empty:
        raise UserError(f"{shown} lists no images; write one path per line.")


def _source(path: str, entry: os.DirEntry[str] | None = None) -> Source:
    try:
        status = entry.stat() if entry else os.stat(path)
    except (OSError, ValueError):
        return Source(path, 0, None)
    return Source(path, status.st_size if stat.S_ISREG(status.st_mode) else 0, None)


def _with_sidecar(source: Source) -> Source:
    if source.prompt is not None:
        return source
    sidecar = Path(source.path).with_suffix(".txt")
    shown = printable(str(sidecar))
    try:
        text = _text(sidecar.read_bytes(), shown).strip() if sidecar.is_file() else None
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror}; change its mode.") from error
    return source._replace(prompt=_prompt(text, shown))


def _prompt(text: str | None, shown: str) -> str | None:
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{shown} holds a prompt that is not UTF-8 text; save the file as UTF-8.") from error
    return text or None


def _extensions() -> str:
    return ", ".join(EXTENSIONS)
