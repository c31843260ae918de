"""HEIC and AVIF without their EXIF item, and refused where decoding them costs more than their size shows."""

from __future__ import annotations

import re
from itertools import islice

from zeroiqa.errors import ImageError
from zeroiqa.images.containers import BLANK_PIXELS, Picture, damaged
from zeroiqa.images.formats import heif

_EXIF_ITEM = re.compile(rb"(infe[\x02\x03]\0\0.(?:..|....)\0\0)Exif", re.DOTALL)
_AV1_HEADER = re.compile(rb"\x12\0\x0a[\x06-\x7f](.{16})", re.DOTALL)
_EXTENT = re.compile(rb"ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
_MOST_WORK = 1_000_000_000
"""Pixels that are decoded of a HEIC or AVIF file: four times the largest picture."""
_MOOV = 4096
"""Within so many bytes, a sequence of images says that it is one."""
_MOST_HEADERS = 4096
"""Of AV1 pictures in a file: a grid of tiles of 256 x 256 pixels."""


def read_heif(data: bytes, shown: str) -> Picture:
    """A HEIC or AVIF file without its EXIF item, which says nothing about pixels: both rotate by properties.

    Raises:
        ImageError: an AVIF file says that it is larger than the pictures that are coded in it, or pictures
            are to be decoded again and again.
    """
    across, down = largest_extent(data)
    extent = across * down
    headers = [each[1] for each in islice(_AV1_HEADER.finditer(data), _MOST_HEADERS + 1)]
    if len(headers) > _MOST_HEADERS:
        raise ImageError(f"{shown} is an AVIF image of more than {_MOST_HEADERS} parts; save it again.")
    coded = [_av1_pixels(f"{_number(header):0128b}") for header in headers]
    if all(coded) and 0 < sum(coded) < extent:  # parts of a grid are smaller than it, together they are not
        raise damaged(shown, f"its header says {extent} pixels, and {sum(coded)} are coded")
    return Picture(
        _EXIF_ITEM.sub(rb"\1none", data), there=len(data), extent=extent, slow=_slow(data, extent, shown)
    )


def _slow(data: bytes, extent: int, shown: str) -> str:
    """What a HEIC or AVIF file is if its decoder has more to do than its size shows."""
    try:
        work = heif.work(data)
    except ValueError as error:
        raise damaged(shown, error) from error
    if work is not None and work > _MOST_WORK:
        raise damaged(shown, f"of {extent} pixels, its pictures make {work} to be decoded")
    if work is None:
        return "an image whose parts cannot be told"
    if b"moov" in data[:_MOOV]:
        return "a sequence of images"
    return f"made of {work / 1e6:.0f} megapixels" if work > max(BLANK_PIXELS, 2 * extent) else ""


def largest_extent(data: bytes) -> tuple[int, int]:
    """Width and height of the largest picture that is spoken of; 0 if there is none."""
    sizes = ((_number(each[1]), _number(each[2])) for each in _EXTENT.finditer(data))
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


def _av1_pixels(bits: str) -> int:
    """How many pixels the header of an AV1 sequence says (AV1, 5.5.1); 0 if it holds the times of a video."""
    position = 10
    if bits[4] != "1":
        if bits[5] == "1":
            return 0
        position = 12
        for _ in range(_binary(bits[7:12]) + 1):
            position += 17 + (_binary(bits[position + 12 : position + 17]) > 7)
            position += 0 if bits[6] != "1" else 5 if bits[position : position + 1] == "1" else 1
    across, down = (_binary(bits[position + k : position + k + 4]) + 1 for k in (0, 4))
    width, height = bits[position + 8 :][:across], bits[position + 8 + across :][:down]
    return (_binary(width) + 1) * (_binary(height) + 1) if len(height) == down else 0


def _binary(bits: str) -> int:
    return int(bits or "0", 2)


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")
