"""A GIF file as the blocks of its first frame: comments and what programs add change no pixel."""

from __future__ import annotations

from zeroiqa.containers import BLANK_PIXELS, Picture, damaged

_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
"""The extension that says which colour of a frame is transparent."""
_RATIO = 2800  # pixels of a byte: a code has 12 bits and stands for 4,096 pixels at the most


def read_gif(data: bytes, shown: str) -> Picture:
    """The first frame of a GIF file, and whether there are others.

    Raises:
        ImageError: there is none.
    """
    position = _after_palette(data, 13, 10)
    head, control, first = data[:position], b"", b""
    while position < len(data) and data[position] != _END:
        start = position
        if data[start] == _EXTENSION:
            position = _after_blocks(data, start + 2)
            block = data[start:position]
            if block[1:3] in (bytes((_CONTROL, size)) for size in (4, 5)) and not first:
                control = block
        elif data[start] == _FRAME:
            if first:
                break
            position = _after_blocks(data, _after_palette(data, start + 10, start + 9) + 1)
            first = data[start:position]
        else:
            position += 1
    if len(first) < 11:
        raise damaged(shown, "the file ends before its first frame")
    width, height = (int.from_bytes(data[k : k + 2], "little") for k in (6, 8))
    return Picture(
        b"".join([head, control, first, bytes((_END,))]),
        several=position < len(data) and data[position] == _FRAME,
        size=(width, height),
        needed=width * height // _RATIO if width * height > BLANK_PIXELS else 0,
        there=len(first),
    )


def _after_palette(data: bytes, position: int, flags: int) -> int:
    """Behind the palette at `position`, if the byte at `flags` says that there is one."""
    flag = data[flags] if flags < len(data) else 0
    return position + (3 << (flag & 7) + 1 if flag & 0x80 else 0)


def _after_blocks(data: bytes, position: int) -> int:
    """Behind a series of blocks, each with its length before it, and the empty one that ends them."""
    while position < len(data) and data[position]:
        position += 1 + data[position]
    return position + 1
