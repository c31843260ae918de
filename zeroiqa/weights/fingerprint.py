"""Which weights some files hold: the SHA-256 of every byte, read once and then remembered.

Two models that differ in one number differ in their fingerprint, whatever the format and however large they
are. A name or a place changes nothing, and neither does a time: a copy is the same model.

Large files take seconds (about 1 GB a second and core), so their hashes are kept in the user's cache and hold
while size, inode and both times of the file (of its content, of its inode) stay as they are; the latter
nobody can set back. A file that was written in the last two seconds is never remembered: within one tick of
the clock it could change again. A cache that cannot be written costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import read_json, stumbles
from zeroiqa.guards.limits import cores

_CHUNK = 64 << 20
"""Bytes that one thread hashes; a file's hash is that of its chunks' hashes."""
_READ = 1 << 20
_REMEMBERED = 256 << 20
"""Bytes of a file from which on its hash is remembered."""
_FRESH = 2_000_000_000
"""Nanoseconds that a file must have been left alone; the coarsest clocks of file systems tick as slowly."""
_THREADS = 8
"""At most; no more than there are cores."""


def fingerprint(folder: Path, files: Iterable[Path], described: bytes = b"") -> str:
    """The SHA-256 (hex) of some files of a folder, by their names in it, size and content.

    Args:
        folder: What the names are relative to.
        files: In any order; each counts once.
        described: What counts besides.

    Raises:
        UserError: a file cannot be read, or changes meanwhile.
    """
    digest = hashlib.sha256(described)
    for path in sorted(set(files)):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{file_hash(path)}\0".encode())
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """The hash (hex) of a file's size and whole content, from the cache where it is known to hold.

    Raises:
        UserError: it cannot be read, or changes meanwhile.
    """
    try:
        before = _state(path)
        fresh = max(before[1:3]) > time.time_ns() - _FRESH
        note = None if before[0] < _REMEMBERED or fresh else _note(path)
        known = note and _recall(note, before)
        if known:
            return known
        found = _hash(path, before[0])
        if _state(path) != before:
            raise UserError(f"{printable(str(path))} changes while it is read; wait until it is complete.")
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"{printable(str(path))} cannot be read ({reason}); fetch it again, or change its mode."
        ) from error
    if note:
        write_note(note, {"state": before, "hash": found})
    return found


def user_cache(kind: str) -> Path:
    """The folder of the user's cache for one kind of file; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "zeroiqa" / kind


def write_note(path: Path, record: Mapping[str, Any]) -> bool:
    """Write a file of the user's cache as JSON, whole or not at all, whoever else writes it at this moment.

    Returns:
        Whether that worked; a cache that cannot be written must not stop a run.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, prefix=".", encoding="utf-8", delete=False) as file:
            temporary = Path(file.name)
            json.dump(record, file)
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        return False
    return True


def _state(path: Path) -> list[int]:
    """What cannot stay the same when a file is written to: size, times of content and of inode, inode."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _hash(path: Path, size: int) -> str:
    digest = hashlib.sha256(f"{size}\0".encode())
    starts = range(0, size, _CHUNK)
    if len(starts) < 2:
        digest.update(_hash_chunk(path, 0))
        return digest.hexdigest()
    with ThreadPoolExecutor(min(_THREADS, cores())) as threads:
        for part in threads.map(lambda start: _hash_chunk(path, start), starts):
            digest.update(part)
    return digest.hexdigest()


def _hash_chunk(path: Path, start: int) -> bytes:
    digest, left = hashlib.sha256(), _CHUNK
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while left and (data := file.read(min(left, _READ))):
            digest.update(data)
            left -= len(data)
    return digest.digest()


def _note(path: Path) -> Path:
    """Where the hash of a file is remembered; links to one file share it."""
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return user_cache("fingerprints") / f"{name}.json"


def _recall(note: Path, state: list[int]) -> str | None:
    with suppress(*stumbles()):
        record = read_json(note)
        if isinstance(record, dict) and record.get("state") == state:
            return str(record["hash"]) if record.get("hash") else None
    return None
