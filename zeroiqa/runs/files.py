"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from zeroiqa.errors import UserError
from zeroiqa.storage import Location, RemotePath, explaining

TEMPORARY = ".zeroiqa-"
"""What the names of unfinished files begin with."""
_IN_MEMORY = 64 << 20  # bytes of a file that goes to an object store; beyond, it waits on the local disk
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def created(path: Location) -> Iterator[BinaryIO]:
    """Write a file that appears under its name once the block has ended well, complete and on the disk.

    A file of that name that is there already stays: whoever was first has written the same content.
    If the block raises, nothing is left behind. In an object store, one conditional request does it.

    Raises:
        UserError: the disk is full, the folder may not be written to, or the like.
    """
    if isinstance(path, RemotePath):
        with _uploaded(path, exclusive=True) as content:
            yield content
        return
    with _temporary(path) as (temporary, file):
        yield file
        _flush(file)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError:  # no hard links here (exFAT, some network shares)
            if path.exists():
                return
            temporary.replace(path)
        _flush_folder(path.parent)


@contextmanager
def replaced(path: Location) -> Iterator[BinaryIO]:
    """Like `created`, but the new content takes the place of an older file."""
    if isinstance(path, RemotePath):
        with _uploaded(path, exclusive=False) as content:
            yield content
        return
    with _temporary(path) as (temporary, file):
        yield file
        _flush(file)
        temporary.replace(path)
        _flush_folder(path.parent)


@contextmanager
def table_writer(file: BinaryIO, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Write a Parquet table, group of rows by group of rows; nothing is worth keeping if the block raises."""
    writer = pq.ParquetWriter(file, schema, write_page_checksum=True)
    try:
        yield writer
        writer.close()
    except BaseException:
        writer.is_open = False  # or it would write to the closed file when it is collected, and complain
        raise


@contextmanager
def table(path: Location) -> Iterator[pq.ParquetFile]:
    """A Parquet table for reading; pages that have a checksum are checked.

    Raises:
        OSError: there is none, or it is damaged.
        pyarrow.ArrowInvalid: it is damaged.
        UserError: the object store refuses.
    """
    if isinstance(path, Path):
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
        return
    with (
        explaining(path),
        path.open() as content,
        pq.ParquetFile(content, page_checksum_verification=True) as file,
    ):
        yield file


def complete(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with the columns of a schema; those that an older version did not write are null."""
    for field in schema:
        if field.name not in rows.schema.names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(schema.names)


@contextmanager
def writing(path: Location) -> Iterator[None]:
    """Turn what the system says about writing `path` into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(
                f"The disk is full, {path} could not be written; what is finished is kept: "
                "free some space and run the same command again."
            ) from error
        if error.errno in _FORBIDDEN:
            raise UserError(
                f"{path} may not be written ({error.strerror}); "
                "change the permissions or choose another folder with -o."
            ) from error
        raise UserError(f"{path} could not be written ({error.strerror or error}).") from error


def remove_leftovers(folder: Location) -> None:
    """Remove the temporary files that killed processes of this machine left in a folder."""
    if isinstance(folder, RemotePath):
        return  # nothing half-written is ever sent there
    for path in folder.glob(f"{TEMPORARY}*"):
        owner = re.fullmatch(re.escape(_prefix()) + r"(\d+)-.*", path.name)
        if owner and not _alive(int(owner[1])):
            with suppress(OSError):  # a folder that may only be read
                path.unlink()


@contextmanager
def _uploaded(path: RemotePath, *, exclusive: bool) -> Iterator[BinaryIO]:
    with writing(path), SpooledTemporaryFile(_IN_MEMORY) as file:
        yield cast("BinaryIO", file)
        path.upload(file, exclusive=exclusive)


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    temporary = path.with_name(f"{_prefix()}{os.getpid()}-{path.name}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                yield temporary, file
        finally:
            temporary.unlink(missing_ok=True)


def _prefix() -> str:
    return f"{TEMPORARY}{re.sub(r'[^A-Za-z0-9.]', '_', platform.node())}-"


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # a folder cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _alive(process: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)  # dead, but not yet buried
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OverflowError):
        return True
