"""Every byte of a file counts, a copy is the same, and what is remembered holds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from zeroiqa.errors import UserError
from zeroiqa.weights import fingerprint
from zeroiqa.weights.fingerprint import file_hash, user_cache

SIZE = 10_000_000


def changed(path: Path, place: int) -> None:
    """Another byte at a place, and the times as they were."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(place)
        old = file.read(1)
        file.seek(place)
        file.write(bytes([old[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are remembered, too, and those that have just been written."""
    monkeypatch.setattr(fingerprint, "_REMEMBERED", 1)
    monkeypatch.setattr(fingerprint, "_FRESH", 0)


@pytest.mark.parametrize("chunk", [1 << 20, 64 << 20])
def test_one_byte_anywhere_changes_the_hash_and_a_copy_does_not(
    weights: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the samples of 4 KiB that were once taken, too."""
    monkeypatch.setattr(fingerprint, "_CHUNK", chunk)
    found = {file_hash(weights)}
    copy = Path(shutil.copyfile(weights, weights.with_name("copy.bin")))
    assert file_hash(copy) in found
    for number, place in enumerate((300_000, 5_000_001, SIZE - 5_000), start=2):
        changed(weights, place)
        found.add(file_hash(weights))
        assert len(found) == number
    with weights.open("ab") as file:
        file.write(b"\0")
    assert file_hash(weights) not in found


@pytest.mark.usefixtures("patient")
def test_a_hash_is_remembered_until_the_file_changes(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = file_hash(weights)
    (note,) = user_cache("fingerprints").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "_hash", lambda *_: pytest.fail("it is read again"))
        assert file_hash(weights) == first
        (tmp_path / "link").symlink_to(weights)
        assert file_hash(tmp_path / "link") == first
    changed(weights, 300_000)  # the times of its content are set back; that of its inode cannot be
    assert file_hash(weights) != first
    for damaged in (b"", b"{", b"[]", b'{"state": [], "hash": ""}'):
        note.write_bytes(damaged)
        assert file_hash(weights) != first


def test_a_file_that_has_just_been_written_is_not_remembered(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "_REMEMBERED", 1)
    file_hash(weights)
    assert not user_cache("fingerprints").exists()


@pytest.mark.usefixtures("patient")
def test_a_cache_that_cannot_be_written_stops_nothing(weights: Path) -> None:
    user_cache("").mkdir(parents=True, exist_ok=True)
    user_cache("fingerprints").write_text("in the way")
    assert file_hash(weights) == file_hash(weights)


def test_a_file_that_cannot_be_read_or_changes_meanwhile_is_one_sentence(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"none\.bin cannot be read \(No such file or directory\)"):
        file_hash(weights.with_name("none.bin"))
    monkeypatch.setattr(fingerprint, "_hash", lambda path, _: changed(path, 7) or "hash")
    with pytest.raises(UserError, match=r"weights\.bin changes while it is read"):
        file_hash(weights)
