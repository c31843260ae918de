"""Read the bytes of an image from a file, an object of a store, a tar archive's member or a table's row."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from zeroiqa.errors import ChangedError, ImageError, UnreachableError, UserError, printable
from zeroiqa.files.storage import AccessDeniedError, RemotePath, is_remote, location
from zeroiqa.images import archives, table_rows
from zeroiqa.images.first_bytes import AT_ONCE, HEAD, Peek, most_bytes
from zeroiqa.images.ref import ImageRef

_HEADER = tarfile.BLOCKSIZE
_NAME_BYTES = 100  # of a name in a header; longer ones, and often those beyond ASCII, are written before it


def read(ref: ImageRef, max_pixels: int) -> bytes:
    """The bytes of an image, without ever waiting for a pipe or a device.

    Args:
        ref: Where it is.
        max_pixels: How many its image may have; what is more than they can need is not read.

    Raises:
        UnreachableError: it is not there, or cannot be read.
        ChangedError: it is not what was planned.
        ImageError: it is empty, no image or too large, or no file.
        UserError: an object store refuses everything or cannot be reached.
    """
    if ref.content is not None:
        return ref.content
    shown = printable(ref.path)
    if ref.column is not None:
        return _row(ref, max_pixels, shown)
    with _opened(ref, shown) as (file, size, modified):
        if ref.archive is not None:
            data = _member(file, ref, max_pixels, shown)
            _check_time(ref, modified, shown)
            return data
        if not size:
            raise ImageError(f"{shown} is empty (0 bytes); copy or download it again.")
        if ref.bytes not in (0, size):
            raise ChangedError(
                f"{shown} has changed: it has {size} bytes and had {ref.bytes} when the run was planned; "
                "give the same command again, which takes the file of now."
            )
        _check_time(ref, modified, shown)
        content = Peek(file, size, least=AT_ONCE if is_remote(ref.place) else HEAD)
        return content[: most_bytes(content, max_pixels, shown, ref.path)]


def pieces(ref: ImageRef) -> Iterator[bytes]:
    """Every byte of an image's file, object or member as it is now, whatever it holds, piece by piece.

    Raises:
        UnreachableError: it is not there, or cannot be read.
        ChangedError: it is a member, and not where it was planned.
        ImageError: it is no file.
        UserError: an object store refuses everything or cannot be reached.
    """
    shown = printable(ref.path)
    if ref.content is not None:
        yield ref.content
        return
    if ref.column is not None:
        yield _row(ref._replace(modified=None), None, shown)
        return
    with _opened(ref._replace(modified=None), shown) as (file, size, _):
        if ref.archive is not None:
            assert ref.offset is not None
            file.seek(ref.offset - _HEADER)
            _check_header(ref, file.read(_HEADER), shown)
        left = size if ref.archive is None else ref.bytes
        while left and (piece := file.read(min(left, AT_ONCE))):
            yield piece
            left -= len(piece)
    if left:
        raise ChangedError(f"{shown} is shorter than it says; copy or download it again.")


def _row(ref: ImageRef, max_pixels: int | None, shown: str) -> bytes:
    """What a row of a table holds, or the file that it names beside the table."""
    found = table_rows.cell(ref)
    _check_time(ref, None if ref.modified is None else archives.time_of(ref.place), shown)
    if found.content is None:
        beside = ImageRef(str(location(ref.place).parent / str(found.path)))
        return b"".join(pieces(beside)) if max_pixels is None else read(beside, max_pixels)
    if not found.content:
        raise ImageError(f"{shown} is empty (0 bytes); write the table again.")
    return found.content


def look(ref: ImageRef) -> tuple[int, int | None]:
    """The size in bytes of the file, object or archive that an image is in, and when it was written.

    Raises:
        ImageError: it is not there, or its first byte cannot be read.
        UserError: an object store refuses everything or cannot be reached.
    """
    shown = printable(ref.name)
    with _opened(ref._replace(modified=0), shown) as (file, size, modified):  # 0: have the time looked up
        file.read(1)
        return size, modified


def _check_time(ref: ImageRef, modified: int | None, shown: str) -> None:
    if ref.modified is None or modified == ref.modified:
        return
    what = "the file" if ref.archive is None else "its archive" if ref.column is None else "its table"
    raise ChangedError(
        f"{shown} may have changed: {what} has another modification time than when the run was planned; "
        "give the same command again, which takes the file of now."
    )


def _member(file: IO[bytes], ref: ImageRef, max_pixels: int, shown: str) -> bytes:
    """Header and content in one read; the header says whether the archive is still the planned one."""
    assert ref.offset is not None
    file.seek(ref.offset - _HEADER)
    data = bytes(file.read(_HEADER + min(ref.bytes, AT_ONCE)))
    _check_header(ref, data[:_HEADER], shown)
    if len(data) != _HEADER + min(ref.bytes, AT_ONCE):
        raise _moved_in_archive(ref, shown)
    if not ref.bytes:
        raise ImageError(f"{shown} is empty (0 bytes); pack the archive again.")
    if ref.bytes <= AT_ONCE:
        return data[_HEADER:]
    content = Peek(file, ref.bytes, ref.offset)
    return content[: most_bytes(content, max_pixels, shown, ref.path)]


def _check_header(ref: ImageRef, data: bytes, shown: str) -> None:
    """Refuse a member before which stands another header than that of the planned one."""
    name = str(ref.member)
    try:
        header = tarfile.TarInfo.frombuf(data, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        raise _moved_in_archive(ref, shown) from None
    named = len(name) >= _NAME_BYTES or not name.isascii() or header.name == name
    if header.size != ref.bytes or not named:
        raise _moved_in_archive(ref, shown)


def _moved_in_archive(ref: ImageRef, shown: str) -> ChangedError:
    return ChangedError(
        f"{shown} is not where it was in the archive when the run was planned: "
        f"{printable(str(ref.archive))} has changed; give the same command again, which takes the "
        "archive of now."
    )


@contextmanager
def _opened(ref: ImageRef, shown: str) -> Iterator[tuple[IO[bytes], int, int | None]]:
    """The file or object, its size in bytes and, if it had one when it was found, its time."""
    try:
        place = location(ref.place)
    except UserError as error:
        raise ImageError(str(error)) from error
    if isinstance(place, RemotePath):
        with _remote_errors(place, shown), place.open() as remote:
            modified = None if ref.modified is None else place.entry().modified
            yield cast("IO[bytes]", remote), remote.size(), modified
        return
    with _local_errors(place, shown), open(place, "rb", opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{shown} is not a regular file; give an image file.")
        yield file, status.st_size, status.st_mtime_ns


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def _local_errors(path: Path, shown: str) -> Iterator[None]:
    try:
        yield
    except IsADirectoryError as error:
        raise ImageError(f"{shown} is a folder; give an image file.") from error
    except FileNotFoundError as error:
        if path.is_symlink():
            target = printable(str(path.readlink()))
            raise UnreachableError(f"{shown} is a broken symbolic link: {target} does not exist.") from error
        raise UnreachableError(f"{shown} does not exist.") from error
    except NotADirectoryError as error:  # it leads through a file, an archive say
        raise UnreachableError(f"{shown} does not exist.") from error
    except PermissionError as error:
        raise UnreachableError(
            f"{shown} cannot be read: permission denied; change its mode or owner."
        ) from error
    except OSError as error:
        raise UnreachableError(f"{shown} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise ImageError(f"{shown} cannot be read: {error}.") from error


@contextmanager
def _remote_errors(path: RemotePath, shown: str) -> Iterator[None]:
    """What is wrong with one object is an `ImageError`; what is wrong with all of them stops the run."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnreachableError(f"{shown} does not exist.") from error
    except AccessDeniedError as error:
        path.top.exists()  # raises where the whole bucket is refused: expired credentials, say
        raise UnreachableError(f"{shown} cannot be read: access denied; change its permissions.") from error
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UnreachableError(f"{shown} cannot be read: {' '.join(str(error).split())}.") from error
