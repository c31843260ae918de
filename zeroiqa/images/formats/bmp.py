"""Decode BMP files of 16 and 32 bits, whose channels are any bits of a pixel, and check other BMP files."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zeroiqa.errors import ImageError
from zeroiqa.images.containers import BLANK_PIXELS, Picture, damaged
from zeroiqa.images.suspicion import Facts

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

_CORE = 12  # bytes of the oldest header, which has neither compression nor 16 bits
_RGB, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6
_RUN = 255
_SLOW = 4 << 20  # bytes of run lengths; Pillow reads a million a second
_UNREAD = {4: "JPEG inside", 5: "PNG inside"}
_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
"""Red, green, blue and alpha where the file does not say."""


class Bitmap(NamedTuple):
    """The header of a BMP file of 16 or 32 bits."""

    width: int
    height: int
    top_down: bool
    bits: int
    masks: tuple[int, int, int, int]
    offset: int
    data: bytes
    """The file."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def facts(self) -> Facts:
        """What is to do to get the pixels."""
        return Facts(self.width * self.height, len(self.data))


def read_bmp(data: bytes, shown: str) -> Bitmap | Picture:
    """The header of a file with 16 or 32 bits per pixel; the others are Pillow's.

    Raises:
        ImageError: it is damaged, or the file's compression or depth is not read.
    """
    if len(data) < 54:
        raise damaged(shown, "the file ends inside its header")
    offset, size, width, height = struct.unpack_from("<IIii", data, 10)
    bits, compression = struct.unpack_from("<HI", data, 28)
    if size == _CORE:
        (width, height, _, bits), compression = struct.unpack_from("<4H", data, 18), _RGB
    if compression not in (_RGB, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS) or bits not in (1, 4, 8, 16, 24, 32):
        kind = _UNREAD.get(compression) or (
            f"{bits} bits" if bits not in (1, 4, 8, 16, 24, 32) else f"the compression {compression}"
        )
        raise ImageError(f"{shown} is a BMP image with {kind}, which is not read; convert it to PNG first.")
    if size == _CORE or bits not in _MASKS or compression in (_RLE8, _RLE4):
        return _of_pillow(data, width, abs(height), 0 if compression in (_RLE8, _RLE4) else bits, offset)
    masks = _MASKS[bits]
    if compression != _RGB and len(data) >= 70:
        named = 4 if size >= 56 or compression == _ALPHA_FIELDS else 3
        stated = struct.unpack_from(f"<{named}I", data, 54)
        masks = (*stated[:3], stated[3] if named == 4 else 0) if any(stated) else masks
    if width <= 0 or not height:
        raise damaged(shown, "the size in its header is damaged")
    return Bitmap(width, abs(height), height < 0, bits, masks, offset, data)


def _of_pillow(data: bytes, width: int, height: int, bits: int, offset: int) -> Picture:
    """What Pillow decodes; 0 bits are run lengths, 2 bytes for 1 to 255 pixels."""
    pixels = width * height
    if bits:
        needed, slow = _row(width, bits) * height, ""
    else:
        data = data[: offset + 2 * max(0, pixels) + 4 * height]
        needed = 2 * pixels // _RUN if pixels > BLANK_PIXELS else 0
        slow = "a large bitmap of run lengths" if len(data) > _SLOW else ""
    size = (width, height) if width > 0 else None
    return Picture(data, size=size, needed=needed, there=max(0, len(data) - offset), slow=slow)


def samples(bitmap: Bitmap, shown: str) -> Array:
    """Shape (height, width, 3 or 4), uint8: with alpha only where some pixel has any.

    Programs that know nothing of alpha leave its byte 0, whatever the header says.

    Raises:
        ImageError: the file ends before its pixels do.
    """
    data, row = bitmap.data, _row(bitmap.width, bitmap.bits)
    if bitmap.offset + row * bitmap.height > len(data):
        raise damaged(shown, "the file ends inside its pixels")
    rows = np.frombuffer(data, np.uint8, row * bitmap.height, bitmap.offset).reshape(bitmap.height, row)
    rows = rows if bitmap.top_down else rows[::-1]
    pixels = rows[:, : bitmap.width * bitmap.bits // 8].reshape(bitmap.height, bitmap.width, bitmap.bits // 8)
    alpha = _channel(pixels, bitmap.masks[3])
    array = np.empty((bitmap.height, bitmap.width, 4 if alpha.any() else 3), np.uint8)
    for k, mask in enumerate(bitmap.masks[: array.shape[2]]):
        array[..., k] = _channel(pixels, mask)
    return array


def _row(width: int, bits: int) -> int:
    """Bytes of a row of pixels."""
    return (width * bits + 31) // 32 * 4


def _channel(pixels: Array, mask: int) -> Array:
    """The bits under a mask, scaled to 8; of pixels in bytes, shape (height, width, 2 or 4)."""
    shift = (mask & -mask).bit_length() - 1
    most = mask >> max(0, shift)
    if not mask:
        return np.zeros(pixels.shape[:2], np.uint8)
    if most == 255 and shift % 8 == 0:
        return pixels[..., shift // 8]
    values = np.ascontiguousarray(pixels).view(f"<u{pixels.shape[2]}")[..., 0]
    levels = (values >> shift & most).astype(np.uint64)
    return ((levels * 255 + most // 2) // most).astype(np.uint8)
