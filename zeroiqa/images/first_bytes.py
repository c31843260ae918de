"""Decide from the first bytes of a file how many of its bytes are read.

A file may have any size, and any name: nothing is read whole before its first bytes have said that it is an
image. A small one is then read at once. Of a large one the size of its picture is looked for first, at the
few places where it can be.
"""

from __future__ import annotations

from typing import IO, cast

from zeroiqa.errors import ImageError
from zeroiqa.images import containers
from zeroiqa.images.formats import heif_picture, tiff_directories
from zeroiqa.images.formats.jpeg import frame_size
from zeroiqa.images.formats.webp import picture_size

AT_ONCE = 16 << 20
"""Files up to this are not worth a closer look."""
HEAD = 1 << 16
"""Bytes that are looked at first; and around each later place."""
_PIXEL, _METADATA = 8, 64 << 20
"""Bytes of a pixel at most, which are those of 16-bit RGBA that is not compressed, and of all else."""
_MOST_BOXES = 64


class Peek:
    """An open file as if it were its bytes: only what is sliced is read, and a little more.

    Args:
        file: The file.
        size: Of the part that is looked at.
        start: Where that begins.
        least: How much is read at once, if there is as much; of a store, each request takes long.
    """

    def __init__(self, file: IO[bytes], size: int, start: int = 0, least: int = HEAD) -> None:
        self._file, self._size, self._start, self._least = file, size, start, least
        self._window, self._at = b"", 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: slice) -> bytes:
        start, stop, _ = key.indices(self._size)
        if start < self._at or stop > self._at + len(self._window):
            self._file.seek(self._start + start)
            wanted = min(max(stop - start, self._least), self._size - start)
            self._window, self._at = bytes(self._file.read(wanted)), start
        return self._window[start - self._at : max(start, stop) - self._at]


def most_bytes(content: Peek, max_pixels: int, shown: str, name: str) -> int:
    """How many bytes of a file are read, from its beginning: what follows them is no part of its picture.

    Args:
        content: The file.
        max_pixels: How many its picture may have.
        shown: The file's name for messages.
        name: As it is; camera raw files are told by it.

    Raises:
        ImageError: it is no image that can be read, or is larger than its pixels explain.
    """
    size = len(content)
    kind = containers.check_format(content[:HEAD], shown, name)
    if size > max_pixels * _PIXEL + _METADATA:
        raise ImageError(f"{shown} has {size} bytes, too many for {max_pixels} pixels.")
    if size <= AT_ONCE:
        return size
    width, height = _size(kind, content, shown)
    if width <= 0 or height <= 0:
        raise containers.damaged(shown, f"nothing in its {size} bytes says where one looks how large it is")
    containers.check_pixels(width, height, max_pixels, shown)
    most = width * height * _PIXEL + _METADATA
    if size > most and kind in ("TIFF", "AVIF", "HEIC"):  # their parts may lie anywhere
        pages = tiff_directories.pixels_of_all(cast("bytes", content)) if kind == "TIFF" else width * height
        most = pages * _PIXEL + _METADATA
        if size > most:
            raise ImageError(f"{shown} has {size} bytes, too many for its {pages} pixels; save it again.")
    if size > most and kind == "PNG" and b"acTL" in content[:HEAD]:
        raise ImageError(
            f"{shown} is an animation of {size} bytes; at most {most} are read at its size; save one frame."
        )
    return min(size, most)


def _size(kind: str, content: Peek, shown: str) -> tuple[int, int]:
    """Width and height that a file speaks of before its pixels; 0 where they are not."""
    head = content[:64]
    if kind == "JPEG":
        return frame_size(cast("bytes", content))
    if kind == "PNG":
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if kind == "GIF":
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if kind == "BMP":
        wide = 2 if head[14:18] == b"\x0c\0\0\0" else 4
        across, down = head[18 : 18 + wide], head[18 + wide : 18 + 2 * wide]
        return int.from_bytes(across, "little"), abs(int.from_bytes(down, "little", signed=wide == 4))
    if kind == "WEBP":
        return picture_size(head[12:]) or (0, 0)
    if kind == "TIFF":
        return tiff_directories.find_picture(cast("bytes", content), shown).size
    return heif_picture.largest_extent(_meta(content))


def _meta(content: Peek) -> bytes:
    """The box of a HEIC or AVIF file that says what is in it."""
    position = 0
    for _ in range(_MOST_BOXES):
        head = content[position : position + 16]
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if head[4:8] in (b"meta", b"moov"):
            return content[position : position + min(length or _METADATA, _METADATA)]
        if length < 8:
            break
        position += length
    return b""
