"""Cut a WebP file down to its first frame: profile and metadata change no pixel, damaged or not."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from zeroiqa.errors import ImageError
from zeroiqa.images.containers import BLANK_PIXELS, Picture, damaged

_FRAME = (b"ALPH", b"VP8 ", b"VP8L")
_LOSSY_RATIO = 1000
"""Pixels of a byte: the modes of 16 x 16 pixels take 3 bits (RFC 6386, 11.2); lossless has no bound."""
_MOST_CHUNKS = 1 << 16
"""Besides frames, a file has some ten."""
_ALPHA_OR_ANIMATION = 0x12
"""The flags of the extended header that speak of pixels."""


def read_webp(data: bytes, shown: str) -> Picture:
    """The first frame of a WebP file, and the EXIF block.

    Raises:
        ImageError: there is no whole frame.
    """
    parts: list[bytes | memoryview] = []
    size: tuple[int, int] | None = None
    exif, frames = b"", 0
    for kind, whole, chunk in _chunks(data, shown):
        body = chunk[8:]
        if kind == b"EXIF" and not exif:
            exif = bytes(body)
        if kind not in (*_FRAME, b"VP8X", b"ANIM", b"ANMF"):
            continue
        if not whole and frames:  # and the first one is: no more was read, or there is no more
            frames += 1
            break
        if not whole:
            raise damaged(shown, "the file ends inside its image data")
        size = size or picture_size(chunk)
        frames += kind in (b"ANMF", b"VP8 ", b"VP8L")
        if kind == b"VP8X" and len(body) >= 10:
            parts.append(struct.pack("<4sIB", kind, len(body), body[0] & _ALPHA_OR_ANIMATION))
            parts.append(chunk[9:])
        elif frames <= 1:
            parts += [chunk, bytes(len(chunk) % 2)]
    if size is None or not frames:
        raise damaged(shown, "its WebP header is damaged")
    kept = b"".join(parts)
    riff = struct.pack("<4sI4s", b"RIFF", len(kept) + 4, b"WEBP")
    kinds = {bytes(part[:4]) for part in parts}
    pixels = size[0] * size[1]
    full = b"VP8 " in kinds or (b"ANMF" in kinds and pixels > BLANK_PIXELS)  # a canvas may be nearly empty
    needed = pixels // _LOSSY_RATIO if full else 0
    return Picture(riff + kept, exif, frames > 1, size, needed, len(kept))


def _chunks(data: bytes, shown: str) -> Iterator[tuple[bytes, bool, memoryview]]:
    """Type of each chunk, whether it is whole, and its bytes, header and padding included."""
    view, position, left = memoryview(data), 12, _MOST_CHUNKS
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while position + 8 <= end:
        length = int.from_bytes(view[position + 4 : position + 8], "little")
        after = position + 8 + length + length % 2
        left -= 1
        if not left:
            raise ImageError(f"{shown} is a WebP of more than {_MOST_CHUNKS} chunks; save it again.")
        yield bytes(view[position : position + 4]), position + 8 + length <= len(data), view[position:after]
        position = after


def picture_size(chunk: bytes | memoryview) -> tuple[int, int] | None:
    """Width and height that the first chunk of pixels or the extended header says."""
    kind, body = bytes(chunk[:4]), chunk[8:]
    if kind == b"VP8X" and len(body) >= 10:
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(body) >= 10:
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None
