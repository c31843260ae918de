"""Cut a PNG file down to its critical chunks: no other chunk decides whether an image has a score.

Pillow reads text, gamma, physical size, profiles and animation control, and refuses an image for any of them
that is damaged, short or large. None of them changes a pixel.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from zeroiqa.errors import ImageError
from zeroiqa.images.containers import Picture, damaged

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK_TYPE = re.compile(rb"[A-Za-z]{4}")
_KEPT_TYPE = re.compile(rb"PLTE|tRNS|IDAT|IEND|eXIf")
_GREY, _RGB, _PALETTE = 0, 2, 3
_BANDS = {_GREY: 1, _RGB: 3, _PALETTE: 1, 4: 2, 6: 4}
_DEFLATE_RATIO = 1032  # a match of 258 bytes takes two bits at least
_MOST_CHUNKS = 1 << 18
"""2 GB in parts of 8 kB, as libpng writes them."""
_MOST_CHECKED = 4
"""How often a byte may be part of what is checked; once, if nothing is damaged."""


def read_png(data: bytes, shown: str) -> Picture:
    """The image of a PNG file (of an animated one, its first) without what does not change its pixels.

    Raises:
        ImageError: a critical chunk is missing or damaged, or is one that is not read.
    """
    header, palette, transparency, pixels, exif, several = b"", b"", b"", [memoryview(b"")], b"", False
    for kind, chunk in _chunks(data, shown):
        if kind == b"IHDR" and not header:
            header = bytes(chunk)
        elif kind == b"PLTE" and not palette:
            palette = bytes(chunk)
        elif kind == b"tRNS" and not transparency:
            transparency = bytes(chunk[8:-4])
        elif kind == b"IDAT":
            pixels.append(chunk)
        elif kind == b"eXIf" and not exif:
            exif = bytes(chunk[8:-4])
        several = several or kind == b"fdAT"
    if len(header) != 25 or not any(pixels):
        raise damaged(shown, "it holds no picture")
    width, height, depth, colour = struct.unpack(">IIBB", header[8:18])
    if colour == _PALETTE and not palette:
        raise damaged(shown, "its palette is missing")
    before = (palette if colour == _PALETTE else b"") + _transparency(transparency, colour, depth)
    row = 1 + (width * _BANDS.get(colour, 1) * depth + 7) // 8
    there = sum(map(len, pixels))
    return Picture(
        b"".join([_SIGNATURE, header, before, *pixels, _chunk(b"IEND", b"")]),
        exif,
        several,
        (width, height),
        needed=height * row // _DEFLATE_RATIO,
        there=there,
        parts=len(pixels),
    )


class _Checked:
    """The bytes of a file, and how many may still be checked; a chunk can claim to be as long as it likes."""

    def __init__(self, data: bytes, shown: str) -> None:
        self.data, self.view, self.shown = data, memoryview(data), shown
        self.left = _MOST_CHECKED * len(data)

    def end(self, position: int) -> int:
        """Where a chunk ends; 0 if it ends outside of the file or its checksum is wrong."""
        end = position + 12 + int.from_bytes(self.view[position : position + 4], "big")
        if end > len(self.view):
            return 0
        self.left -= end - position
        if self.left < 0:
            raise damaged(self.shown, "too many of its chunks are damaged")
        stated = int.from_bytes(self.view[end - 4 : end], "big")
        return end if zlib.crc32(self.view[position + 4 : end - 4]) == stated else 0


def _chunks(data: bytes, shown: str) -> Iterator[tuple[bytes, memoryview]]:
    """Type and all bytes of each chunk that is whole, up to the end chunk; no damaged ancillary ones.

    Where the length of an ancillary chunk is damaged, too, the next chunk that is whole is looked for.
    """
    checked, view, position, kind, left = _Checked(data, shown), memoryview(data), 8, b"", _MOST_CHUNKS
    while kind != b"IEND":
        kind, left = data[position + 4 : position + 8], left - 1
        if len(kind) < 4:
            raise damaged(shown, "the file ends before the end chunk")
        if not left:
            raise ImageError(f"{shown} is a PNG of more than {_MOST_CHUNKS} chunks; save it again.")
        end = checked.end(position)
        if end and (kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND") or kind[0] & 0x20):
            yield kind, view[position:end]
            position = end
        elif kind == b"CgBI":
            raise ImageError(
                f"{shown} is Apple's variant of PNG for iOS, which is not read; convert it to PNG first."
            )
        elif _CHUNK_TYPE.fullmatch(kind) and not kind[0] & 0x20:
            name = kind.decode()
            if end:
                raise ImageError(
                    f"{shown} has a critical chunk {name}, which is not known; save it as PNG again."
                )
            ends = position + 12 + int.from_bytes(view[position : position + 4], "big") > len(data)
            raise damaged(
                shown, f"the file ends inside its {name} chunk" if ends else f"its {name} chunk is damaged"
            )
        else:
            position = _after_damage(checked, position)


def _after_damage(checked: _Checked, position: int) -> int:
    """Where the chunk after a damaged one begins."""
    data = checked.data
    end = position + 12 + int.from_bytes(data[position : position + 4], "big")
    if _CHUNK_TYPE.fullmatch(data, end + 4, end + 8):
        return end
    for found in _KEPT_TYPE.finditer(data, position + 8):
        if checked.end(found.start() - 4):
            return found.start() - 4
    raise damaged(checked.shown, "the file ends before the end chunk")


def _transparency(body: bytes, colour: int, depth: int) -> bytes:
    """The chunk of transparency, its key scaled to the depth that Pillow gives; nothing if it is short."""
    if colour == _PALETTE:
        return _chunk(b"tRNS", body[:256]) if body else b""
    bands = _BANDS.get(colour, 0)
    if colour not in (_GREY, _RGB) or len(body) < 2 * bands:
        return b""
    largest = (1 << depth) - 1
    scale = 255 // largest if 1 < depth < 8 else 1  # of a single bit, Pillow scales the key itself
    key = [(value & largest) * scale for value in struct.unpack(f">{bands}H", body[: 2 * bands])]
    return _chunk(b"tRNS", struct.pack(f">{bands}H", *key))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
