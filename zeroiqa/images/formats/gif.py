"""Cut a GIF file down to its first frame: comments and the blocks of programs change no pixel."""

from __future__ import annotations

import re

from zeroiqa.errors import ImageError
from zeroiqa.images.containers import BLANK_PIXELS, Picture, damaged

_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
"""The extension that says which colour of a frame is transparent."""
_RATIO = 2800  # pixels of a byte: a code has 12 bits and stands for 4,096 pixels at the most
_ANY_BLOCK = re.compile(rb"[!,;]")
_MOST_BLOCKS, _BLOCK = 100_000, 64
"""How many blocks a file may have, and bytes each on average beyond that; programs fill them with 255."""


def read_gif(data: bytes, shown: str) -> Picture:
    """The first frame of a GIF file, and whether there are others.

    Raises:
        ImageError: there is none.
    """
    position = _after_palette(data, 13, 10)
    head, control, first, left = data[:position], b"", b"", _MOST_BLOCKS + len(data) // _BLOCK
    while (found := _ANY_BLOCK.search(data, position)) and data[found.start()] != _END:
        start = position = found.start()
        if data[start] == _EXTENSION:
            position, left = _after_blocks(data, start + 2, left, shown)
            block = data[start:position]
            if block[1:3] in (bytes((_CONTROL, size)) for size in (4, 5)) and not first:
                control = block
        else:
            if first:
                break
            pixels = _after_palette(data, start + 10, start + 9) + 1
            position, left = _after_blocks(data, pixels, left, shown)
            first = data[start:position]
    if len(first) < 11:
        raise damaged(shown, "the file ends before its first frame")
    screen, place, extent = (_pair(data, 6), _pair(first, 1), _pair(first, 5))
    width, height = (max(screen[k], place[k] + extent[k]) for k in (0, 1))  # as Pillow takes it
    return Picture(
        b"".join([head, control, first, bytes((_END,))]),
        several=found is not None and data[found.start()] == _FRAME,
        size=(width, height),
        needed=width * height // _RATIO if width * height > BLANK_PIXELS else 0,
        there=len(first),
    )


def _pair(data: bytes, position: int) -> tuple[int, int]:
    """Two numbers of 16 bits: across and down."""
    across, down = (data[k : k + 2] for k in (position, position + 2))
    return int.from_bytes(across, "little"), int.from_bytes(down, "little")


def _after_palette(data: bytes, position: int, flags: int) -> int:
    """Behind the palette at `position`, if the byte at `flags` says that there is one."""
    flag = data[flags] if flags < len(data) else 0
    return position + (3 << (flag & 7) + 1 if flag & 0x80 else 0)


def _after_blocks(data: bytes, position: int, left: int, shown: str) -> tuple[int, int]:
    """Behind a series of blocks, each with its length before it, and the empty one that ends them.

    `left` is how many blocks there may be, and how many there may still be after these.
    """
    while left and position < len(data) and data[position]:
        position, left = position + 1 + data[position], left - 1
    if not left:
        raise ImageError(f"{shown} is a GIF of too many blocks for its {len(data)} bytes; save it again.")
    return position + 1, left - 1
