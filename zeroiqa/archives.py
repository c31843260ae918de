"""The images in a tar archive, as WebDataset writes them: found once, then each is read by itself."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple, cast

from zeroiqa.damage import reason, stumbles
from zeroiqa.errors import UserError, printable
from zeroiqa.storage import location

SUFFIX = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tar.lz4")
"""Endings of archives that would have to be unpacked from their beginning for every image."""

_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_BUFFER = 1 << 20  # bytes of one request: headers are small and often near each other


class Member(NamedTuple):
    """One image in an archive."""

    name: str
    offset: int
    """Where its bytes begin in the archive."""
    bytes: int
    """How many they are."""
    prompt: str | None
    """The text beside it."""


def members(path: str, extensions: tuple[str, ...], *, prompts: bool = False) -> list[Member]:
    """The images of an archive in its order; hidden ones (`._x`, `__MACOSX`) are left out.

    Args:
        path: Of the archive, or its address in an object store.
        extensions: What makes a member an image, in lower case.
        prompts: Take the prompt of KEY.jpg from KEY.txt.

    Raises:
        UserError: it is compressed, damaged, cut off or no archive, or a prompt is not UTF-8 text.
    """
    shown = printable(path)
    if path.lower().endswith(COMPRESSED):
        raise _compressed(shown)
    found: dict[str, Member] = {}
    texts: dict[str, str] = {}
    with _opened(path, shown) as file:
        for each in _files(file, shown):
            if each.name.lower().endswith(extensions):
                found[each.name] = Member(each.name, each.offset_data, each.size, None)
            elif prompts and each.name.lower().endswith(".txt"):
                file.seek(each.offset_data)
                texts[each.name[:-4]] = _text(file.read(each.size), f"{shown}/{printable(each.name)}")
    return [
        member._replace(prompt=next((texts[key] for key in _keys(member.name) if key in texts), None) or None)
        for member in found.values()
    ]


def _files(file: IO[bytes], shown: str) -> Iterator[tarfile.TarInfo]:
    """The regular files of an archive that are not hidden."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (each := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # or all of them would stay in memory
                if each.size < 0:  # the next header would be this one again
                    raise tarfile.ReadError(f"a member of {each.size} bytes before byte {archive.offset}")
                hidden = any(part.startswith(".") or part == "__MACOSX" for part in _parts(each.name))
                if each.isreg() and not each.issparse() and not hidden:
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


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in (".", "..")]


def _keys(name: str) -> tuple[str, str]:
    """What the text beside an image may be called: by its last suffix, or by all of them (WebDataset)."""
    folder, slash, file = name.rpartition("/")
    return name.rpartition(".")[0], f"{folder}{slash}{file.partition('.')[0]}"


def _text(data: bytes, shown: str) -> str:
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise UserError(f"{shown} holds a prompt that is not UTF-8 text; save the file as UTF-8.") from error


@contextmanager
def _opened(path: str, shown: str) -> Iterator[IO[bytes]]:
    place = location(path)
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
