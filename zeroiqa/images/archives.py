"""Search tar archives for their images, as WebDataset packs them."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import reason, stumbles
from zeroiqa.files.storage import RemotePath, location
from zeroiqa.images.lists import prompt_in
from zeroiqa.images.ref import ImageRef
from zeroiqa.images.sieve import HEAD, Sieve, keys_of

SUFFIX = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.lz4")
"""Endings of archives that would have to be unpacked from their beginning for every image."""

_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_BUFFER = 1 << 20  # bytes of one request: headers are small and often near each other
_MOST_HEADER = 1 << 20  # bytes of names, times and attributes before a member; a name has 4,096 at the most
MOST_PROMPT = 1 << 20
"""Bytes of the text beside an image."""


def members(path: str, sieve: Sieve, within: str = "") -> list[ImageRef]:
    """The images of an archive in its order.

    Args:
        path: Of the archive, or its address in an object store.
        sieve: Tells what is an image, whether the text KEY.txt is the prompt of KEY.jpg, and counts the rest.
        within: What precedes the names of members where the sieve sees them: the archive as a folder.

    Raises:
        UserError: it is compressed, damaged, cut off or no archive, or a prompt is not UTF-8 text.
    """
    shown = printable(path)
    found: dict[str, ImageRef] = {}
    texts: dict[str, str | None] = {}
    with _opened(path, shown) as file:
        for each in _files(file, shown):
            below = "/".join((*filter(None, [within]), *parts_of(each.name)))

            def head(each: tarfile.TarInfo = each) -> bytes:
                file.seek(each.offset_data)
                return file.read(min(HEAD, each.size))

            if not sieve.reaches(below):
                continue
            if sieve.keeps(below, head):
                found[each.name] = _ref(path, each)
            elif sieve.prompts and each.name.lower().endswith(".txt"):
                text = f"{shown}/{printable(each.name)}"
                if each.size > MOST_PROMPT:
                    raise too_long(text, each.size)
                file.seek(each.offset_data)
                texts[each.name[:-4]] = prompt_in(file.read(each.size), text)
    return [
        ref._replace(prompt=next((texts[key] for key in keys_of(name) if key in texts), None))
        for name, ref in found.items()
    ]


def all_members(path: str) -> list[ImageRef]:
    """Every regular file of an archive, whatever it is called.

    Raises:
        UserError: the archive is compressed, damaged, cut off or none, or cannot be read.
    """
    shown = printable(path)
    with _opened(path, shown) as file:
        return [_ref(path, each) for each in _files(file, shown)]


def prompt_of(text: ImageRef) -> str | None:
    """The prompt that a text in an archive holds; None if it is empty.

    Raises:
        UserError: it is too long or not Unicode, or the archive cannot be read.
    """
    shown = printable(text.path)
    if text.bytes > MOST_PROMPT:
        raise too_long(shown, text.bytes)
    with _opened(str(text.archive), shown) as file:
        file.seek(text.offset or 0)
        return prompt_in(file.read(text.bytes), shown)


def time_of(path: str) -> int | None:
    """When a file or object was written, in nanoseconds since 1970 (UTC); None where a store does not say."""
    place = location(path)
    return place.entry().modified if isinstance(place, RemotePath) else place.stat().st_mtime_ns


def _ref(path: str, member: tarfile.TarInfo) -> ImageRef:
    return ImageRef(f"{path}/{member.name}", member.size, archive=path, offset=member.offset_data)


def too_long(shown: str, size: int) -> UserError:
    """For a text beside an image, of more bytes than a prompt has."""
    return UserError(f"{shown} has {size} bytes and would be a prompt; leave it out.")


class _Headers:
    """An archive as `tarfile` reads it: a header that claims to be longer than any is not read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MOST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes before byte {self._file.tell()}")
        return self._file.read(size)


def _files(file: IO[bytes], shown: str) -> Iterator[tarfile.TarInfo]:
    """The regular files of an archive."""
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Headers(file)), mode="r:") as archive:
            while (each := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # or all of them would stay in memory
                if each.size < 0:  # the next header would be this one again
                    raise tarfile.ReadError(f"a member of {each.size} bytes before byte {archive.offset}")
                if each.isreg() and not each.issparse():
                    yield each
            end = archive.offset
        file.seek(end)
        block = file.read(tarfile.BLOCKSIZE)
        if len(block) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"it has no end mark after {end} bytes")
        if block.strip(b"\0"):
            raise tarfile.ReadError(f"there is no header at byte {end}")
    except stumbles() as error:
        raise UserError(
            f"{shown} is damaged or cut off, or is no tar archive ({reason(error)}); copy it again."
        ) from error


def parts_of(name: str) -> list[str]:
    """The folders and the file of a member's name, without what leads nowhere."""
    return [part for part in name.split("/") if part not in (".", "..")]


@contextmanager
def _opened(path: str, shown: str) -> Iterator[IO[bytes]]:
    place = location(path)
    if path.lower().endswith(COMPRESSED):
        raise _compressed(shown)
    try:
        if isinstance(place, Path):
            with place.open("rb") as file:
                _check(file, shown)
                yield file
            return
        with place.open() as remote, BufferedReader(cast("BufferedReader", remote), _BUFFER) as buffered:
            _check(buffered, shown)
            yield buffered
    except OSError as error:
        raise UserError(
            f"{shown} cannot be read: {error.strerror or error}; change its mode or leave it out."
        ) from error


def _check(file: IO[bytes], shown: str) -> None:
    if file.read(6).startswith(_MAGIC):
        raise _compressed(shown)
    file.seek(0)


def _compressed(shown: str) -> UserError:
    return UserError(f"{shown} is compressed, so its images cannot be read one by one; unpack it to .tar.")
