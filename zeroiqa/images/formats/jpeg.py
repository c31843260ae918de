"""Cut a JPEG file down to its first picture without metadata, and check that its image data are complete."""

from __future__ import annotations

import re
from typing import NamedTuple

from zeroiqa.errors import ImageError
from zeroiqa.images.containers import Picture, damaged

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# APP1 to 13, APP15, comment; JFIF (APP0) and Adobe (APP14) say how the colours are stored
_METADATA = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
_JFIF, _ADOBE = 0xE0, 0xEE
_BARE = (0x01, 0xD8)
"""Markers without a segment, besides restarts, which are only in image data."""
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xCA)
_UNREAD = {0xC3: "lossless", 0xCB: "lossless", 0xF7: "lossless (JPEG-LS)"} | dict.fromkeys(
    (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"
)
_BITS_OF_A_BLOCK = {0xC0: 2, 0xC1: 2, 0xC2: 1}
"""The fewest: a Huffman code takes a bit, and each block has one for DC and, unless later scans have it, one
for AC. Arithmetic coding has no such bound."""

_MARKERS = 10_000
"""A profile and other metadata in parts of 64 kB are some hundred, and so are the tables of many scans."""
_SCANS = 100
"""Cameras write 1, progressive encoders 6 to 20."""
_SCAN_WORK = 5_000_000_000
"""Pixels times scans: each scan goes over all blocks, about 1e9 pixels in 3 seconds."""

_END = b"\xff\xd9"
_TAILS = tuple(
    b"".join(
        first + bytes(k * step % 255 for k in range(32)) + bytes((0xFF, 0xD0 + n % 8)) for n in range(16)
    )
    for first, step in ((b"\xaa", 91), (b"\x55", 158), (b"\xfe", 37))
)
"""Bits that could follow image data without an end: other ones from the first on, and restarts among them."""


class _Component(NamedTuple):
    id: int
    across: int
    down: int


class _Frame(NamedTuple):
    """The header of a frame."""

    marker: int
    width: int
    height: int
    components: tuple[_Component, ...]


def read_jpeg(data: bytes, shown: str) -> Picture:
    """Walk the markers of a JPEG file up to its end-of-image marker.

    Whatever follows it (the other pictures of a multi-picture file, a motion photo's video) is left out.
    Without that marker the image has `variants`.

    Raises:
        ImageError: image data or a part before them are missing, there are too many scans, or the process is
            not read.
    """
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    scans: list[bytes] = []
    view, position, end, exif, scan, left = memoryview(data), 2, len(data), b"", 0, _MARKERS
    frame: _Frame | None = None
    while (found := _MARKER.search(data, position)) and found[0] != _END:
        marker, start, position, left = found[0][1], found.start(), found.end(), left - 1
        if not left:
            raise ImageError(f"{shown} is a JPEG of more than {_MARKERS} markers; save it again.")
        if marker in _BARE:
            continue
        body = data[position + 2 : position + int.from_bytes(data[position : position + 2], "big")]
        position += int.from_bytes(data[position : position + 2], "big")
        if position > len(data):
            found, end = None, start
            break
        if marker in _UNREAD:
            kind = _UNREAD[marker]
            raise ImageError(f"{shown} is a {kind} JPEG, which is not read; convert it to PNG first.")
        if marker in _FRAME:
            frame = frame or _frame(marker, body, shown)
        if marker == 0xE1 and not exif and body.startswith(b"Exif\0\0"):
            exif = body[6:]
        if marker == 0xDA:
            scan = scan or start
            scans.append(body)
        elif not scan and marker not in _METADATA:
            kept.append(_colours(marker, body) if marker in (_JFIF, _ADOBE) else view[start:position])
    if not (scan and frame):
        raise damaged(shown, "it holds no picture" if found else "the file ends before its image data")
    _check_scans(frame, len(scans), 1 if found else 1 + len(_TAILS), shown)
    if not found and not _all_sent(frame, scans):
        raise damaged(shown, "the file ends before its last scan")
    stream = data[scan : found.end()] if found else _without_padding(data[scan:end]) + _END
    head = b"".join(kept)
    return Picture(
        head + stream,
        exif,
        size=(frame.width, frame.height),
        needed=_blocks(frame) * _BITS_OF_A_BLOCK.get(frame.marker, 0) // 8,
        there=len(stream),
        passes=len(scans),
        variants=() if found else tuple(b"".join([head, stream[:-2], tail, _END]) for tail in _TAILS),
    )


def frame_size(data: bytes) -> tuple[int, int]:
    """Width and height by the frame header of a large file; 0 if markers do not lead to it one by one."""
    position = 2
    for _ in range(_MARKERS):
        segment = data[position : position + 9]
        if len(segment) < 9 or segment[0] != 0xFF or segment[1] in (0x00, 0xD9, 0xDA):
            break
        if segment[1] in _FRAME:
            return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")
        if segment[1] == 0xFF:  # may stand before a marker any number of times
            position += 1
        else:
            position += 2 + (0 if segment[1] in _BARE else int.from_bytes(segment[2:4], "big"))
    return 0, 0


def _frame(marker: int, body: bytes, shown: str) -> _Frame:
    count = body[5] if len(body) > 5 else 0
    if not count or len(body) < 6 + 3 * count:
        raise damaged(shown, "its frame header is too short")
    if body[0] != 8:
        raise ImageError(f"{shown} is a {body[0]}-bit JPEG; convert it to 8-bit JPEG or 16-bit PNG first.")
    if count not in (1, 3, 4):
        raise ImageError(
            f"{shown} is a JPEG of {count} components, which is not read; give grey, RGB or CMYK."
        )
    components = tuple(
        _Component(body[k], body[k + 1] >> 4 or 1, body[k + 1] & 15 or 1) for k in range(6, 6 + 3 * count, 3)
    )
    return _Frame(marker, int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"), components)


def _colours(marker: int, body: bytes) -> bytes:
    """What a JFIF or Adobe segment says about colours, and nothing else; empty if it is damaged."""
    if marker == _JFIF and body.startswith(b"JFIF\0"):
        return b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    if marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= 12:
        return b"\xff\xee\0\x0e" + body[:12]
    return b""


def _blocks(frame: _Frame) -> int:
    """How many blocks of 8 x 8 samples the frame has, those left out that only fill it up."""
    across, down = (max(component[k] for component in frame.components) for k in (1, 2))
    return sum(
        -(-frame.width * each.across // (8 * across)) * -(-frame.height * each.down // (8 * down))
        for each in frame.components
    )


def _check_scans(frame: _Frame, scans: int, times: int, shown: str) -> None:
    """Refuse what would take minutes: a scan is a few bytes in the file and a pass over all pixels."""
    most = max(1, min(_SCANS, _SCAN_WORK // max(1, frame.width * frame.height * times)))
    if scans > most:
        raise ImageError(
            f"{shown} is a JPEG of {scans} scans; at its size at most {most} are decoded; save it again."
        )


def _all_sent(frame: _Frame, scans: list[bytes]) -> bool:
    """Whether the scans that have begun bring every component and, if progressive, every bit."""
    missing = {(each.id, k) for each in frame.components for k in range(64)}
    for scan in scans:
        count = scan[0] if scan else 0
        if len(scan) < 4 + 2 * count:
            return False
        first, last, low = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 15
        whole = frame.marker not in _PROGRESSIVE
        sent = range(64) if whole else range(first, last + 1) if low == 0 else ()
        missing -= {(scan[1 + 2 * k], coefficient) for k in range(count) for coefficient in sent}
    return not missing


def _without_padding(scan: bytes) -> bytes:
    """Image data without half a marker and without the zeros of a file that was never filled."""
    bare = scan.rstrip(b"\0")
    return (bare if len(scan) - len(bare) > 3 else scan).rstrip(b"\xff")
