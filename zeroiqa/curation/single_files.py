"""What is done with one file: it gets a copy or another path, complete or not at all, over nothing else."""
# ruff: noqa: PTH104, PTH108, PTH123

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from zeroiqa.curation.log import flush_folder
from zeroiqa.errors import ImageError, UserError
from zeroiqa.files.storage import location
from zeroiqa.images.read import read

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef

CHANGED = "left, which have another size than when they were scored"
UNREADABLE = "left, which cannot be read"
OTHER_DISK = "left, which are on another disk: hard links do not lead there"
STAYS = "left, which may not be removed from their folders"
_BLOCK = 1 << 20
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
"""Where there are no hard links: between disks, on exFAT, on some network shares, to files of others."""


class LeftError(Exception):
    """One image is left where it is; the text says why."""


class Content(Protocol):
    """Bytes that are read once, from their beginning."""

    def read(self, size: int, /) -> bytes:
        """The next bytes; none at the end."""
        ...


def put(content: Content, size: int | None, target: str, place: str, like: str | None) -> str:
    """Write a new file by way of a temporary one; its SHA-256.

    Args:
        content: Read to its end.
        size: How many bytes that must be; None for any number.
        target: Path of the file.
        place: Path of the temporary one, in the same folder.
        like: File whose times and mode it gets.

    Raises:
        FileExistsError: something is at the target.
    """
    digest, written = hashlib.sha256(), 0
    try:
        with open(place, "xb") as file:
            while block := _read(content):
                digest.update(block)
                file.write(block)
                written += len(block)
            if size not in (None, written):
                raise LeftError(CHANGED)
            file.flush()
            if like is not None:
                shutil.copystat(like, place)
            os.fsync(file.fileno())
        appear(place, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(place)
    return digest.hexdigest()


def move(source: str, target: str, place: str) -> str:
    """Give a file another path, by copying where it must be; "" or the SHA-256 of the copy.

    Raises:
        FileExistsError: something is at the target.
    """
    digest = ""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with opened(source) as content:
            digest = put(content, os.fstat(content.fileno()).st_size, target, place, like=source)
        flush_folder(Path(target).parent)
        if not sha256_at(source) == digest == sha256_at(target):
            os.unlink(target)
            raise LeftError(UNREADABLE) from error
    flush_folder(Path(target).parent)
    try:
        os.unlink(source)
    except OSError as error:
        os.unlink(target)
        raise LeftError(STAYS) from error
    flush_folder(Path(source).parent)
    return digest


def appear(place: str, target: str) -> None:
    """Give a complete file its name, if nothing has it; FileExistsError otherwise."""
    try:
        os.link(place, target)
    except FileExistsError:
        raise
    except OSError as error:  # no hard links here (exFAT, some network shares)
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        os.rename(place, target)


def sha256_at(path: str) -> str:
    """SHA-256 of a file."""
    with opened(path) as content:
        return sha256_of(content)


def sha256_of(content: Content) -> str:
    """SHA-256 of the rest of a stream."""
    digest = hashlib.sha256()
    while block := _read(content):
        digest.update(block)
    return digest.hexdigest()


def hard_link(source: str, target: str, _: str) -> str:
    """Give a file, or the one that a symbolic link leads to, a further path."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise LeftError(OTHER_DISK) from error
        raise
    return ""


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """A file for reading; `LeftError` where that does not work."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise LeftError(UNREADABLE) from error
    with file:
        yield file


@contextmanager
def source_of(ref: ImageRef, source: str, max_pixels: int) -> Iterator[tuple[Content, int | None]]:
    """The bytes of an image and how many they are; also those of a member or an object."""
    if ref.archive is None and "://" not in ref.place:
        with opened(source) as content:
            yield content, os.fstat(content.fileno()).st_size
        return
    try:
        if ref.column is not None:
            cell = read(ref, max_pixels)
            yield io.BytesIO(cell), len(cell)
            return
        if ref.archive is not None:
            read(ref, max_pixels)  # raises where the archive is another one
        file = cast("IO[bytes]", location(ref.place).open("rb"))
    except (ImageError, OSError) as error:
        raise LeftError(UNREADABLE) from error
    with file:
        file.seek(ref.offset or 0)
        yield (file if ref.archive is None else _Member(file, ref.bytes)), ref.bytes or None


class _Member:
    """The bytes of a member of an archive."""

    def __init__(self, file: Content, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int, /) -> bytes:
        block = self._file.read(min(size, self._left))
        self._left -= len(block)
        return block


def _read(content: Content) -> bytes:
    try:
        return bytes(content.read(_BLOCK))
    except (OSError, UserError) as error:
        raise LeftError(UNREADABLE) from error
