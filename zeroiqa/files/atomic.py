"""Write files that are there whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location, RemotePath, explaining

TEMPORARY = ".zeroiqa-"
"""What the names of unfinished files begin with."""
WRITER = "ZEROIQA_WRITER"
"""The variable of a process's environment that marks the names of its unfinished files, if it is set."""
BEAT_SECONDS = 5.0
"""How often a process renews the time of the files that it is writing."""
STALE_SECONDS = 60.0
"""How old that time is where nobody writes any more: twelve beats are missing."""
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
    with _unfinished(path) as (temporary, file):
        yield file
        _appear(temporary, file, path, exclusive=True)


@contextmanager
def replaced(path: Location) -> Iterator[BinaryIO]:
    """Like `created`, but the new content takes the place of an older file.

    A device, a pipe or what /dev/stdout names is written into: nothing may take the place of it. A link stays
    one; the file that it leads to is replaced.
    """
    if isinstance(path, RemotePath):
        with _uploaded(path, exclusive=False) as content:
            yield content
        return
    if is_stream(path):
        with _poured(path) as content:
            yield content
        return
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    with _unfinished(path) as (temporary, file):
        yield file
        _appear(temporary, file, path, exclusive=False)


def is_stream(path: Path) -> bool:
    """Whether this is a device, a pipe or an open file of a process, such as /dev/null or /dev/stdout."""
    try:
        kind = path.stat().st_mode
    except OSError:
        return False
    if not stat.S_ISREG(kind):
        return not stat.S_ISDIR(kind)
    places = [path]
    while places[-1].is_symlink():
        places.append(places[-1].parent / places[-1].readlink())
    return any(os.path.realpath(place.parent).startswith("/proc/") for place in places)


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


def remove_leftovers(folder: Location, *, finished: bool = False) -> None:
    """Remove the temporary files in a folder and below that nobody writes any more.

    Who has begun a file renews its time as long as it lives, wherever that is: numbers of processes and names
    of hosts tell nothing, since containers share them. A process that has only slept finds its file gone and
    writes it again.

    Args:
        folder: Of a run.
        finished: All that it shall hold is there, so that whatever is unfinished is wanted no more.
    """
    if isinstance(folder, RemotePath):
        return  # nothing half-written is ever sent there
    left = list(folder.rglob(f"{TEMPORARY}*"))
    with suppress(OSError):  # a folder that may only be read
        now = _clock(folder) if left and not finished else 0.0
        for path in left:
            with suppress(FileNotFoundError):
                if finished or now - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()


def remove_files_of(folder: Location, writer: str) -> None:
    """Remove what a process that has ended left unfinished.

    Args:
        folder: Of a run.
        writer: Its `WRITER`, random and its own.
    """
    with suppress(OSError):
        for path in () if isinstance(folder, RemotePath) else folder.rglob(f"{TEMPORARY}*-{writer}-*"):
            path.unlink(missing_ok=True)


@contextmanager
def _uploaded(path: RemotePath, *, exclusive: bool) -> Iterator[BinaryIO]:
    with writing(path), SpooledTemporaryFile(_IN_MEMORY) as file:
        yield cast("BinaryIO", file)
        path.upload(file, exclusive=exclusive)


@contextmanager
def _poured(path: Path) -> Iterator[BinaryIO]:
    with writing(path), SpooledTemporaryFile(_IN_MEMORY) as file:
        yield cast("BinaryIO", file)
        file.seek(0)
        with path.open("ab") as stream:  # what a shell has begun to write, with >>, stays
            shutil.copyfileobj(file, stream)


@contextmanager
def _unfinished(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new temporary file in the folder of `path`; it is gone when the block ends."""
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"{path.parent} is a file, not a folder; choose another name with -o.") from error
        with _temporary(path.parent) as (temporary, file), _beating(temporary):
            yield temporary, file


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    host = re.sub(r"[^A-Za-z0-9.]", "_", platform.node())[:64]  # for people; what counts is random
    writer = os.environ.get(WRITER) or "main"
    temporary = folder / f"{TEMPORARY}{host}-{os.getpid()}-{writer}-{secrets.token_hex(8)}"
    try:
        with temporary.open("x+b") as file:
            yield temporary, cast("BinaryIO", file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _beating(temporary: Path) -> Iterator[None]:
    """Renew the time of a file until the block ends, so that nobody takes it for a leftover."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(OSError):
                os.utime(temporary)

    thread = threading.Thread(target=beat, name="zeroiqa-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _appear(temporary: Path, file: BinaryIO, path: Path, *, exclusive: bool) -> None:
    """Give a temporary file that is complete its name, and see that both are on the disk."""
    _flush(file)
    try:
        if exclusive:
            _link(temporary, path)
        else:
            temporary.replace(path)
    except FileNotFoundError:  # this process slept so long that another one took the file for a leftover
        if exclusive and path.exists():
            return
        with _temporary(path.parent) as (again, copy):
            file.seek(0)
            shutil.copyfileobj(file, copy)
            _appear(again, copy, path, exclusive=exclusive)
        return
    _flush_folder(path.parent)


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:  # no hard links here (exFAT, some network shares)
        if not path.exists():
            temporary.replace(path)


def _clock(folder: Path) -> float:
    """Now, by the clock that gives the files of a folder their times; a file server has its own."""
    with _temporary(folder) as (probe, _):
        return probe.stat().st_mtime


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
