"""Decompress the strips or tiles of a TIFF file to rows of bytes, by Pillow where it can."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import struct
from bisect import bisect
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage
from PIL import TiffImagePlugin, _imaging

from zeroiqa.errors import ImageError
from zeroiqa.images import pixels
from zeroiqa.images.containers import Picture, check_claim, damaged
from zeroiqa.images.formats import tiff_directories as tags

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from zeroiqa.images.formats.tiff_directories import Directory

    Array = npt.NDArray[Any]

NONE, OLD_JPEG = 1, 6
_SHARED = 16
"""How often a byte may be part of a strip or tile; blank tiles of some writers are the same one."""
_OF_BYTES = {NONE: 1, 5: 2600, 8: 1032, 32773: 64, 32946: 1032, 34925: 7100, 50000: 32768}
"""Compressions of bytes (LZW, Deflate, PackBits, LZMA, Zstandard) -> how many a byte can become at most."""
_OF_PIXELS = {2: 0, 3: 0, 4: 0, OLD_JPEG: 512, 7: 512, 32771: 0, 50001: 0}
"""Compressions of fax, JPEG and WebP -> how many pixels a byte can become at most, 0 if that is not bounded.

Of JPEG, a block of 64 has a bit at least; of fax, a whole row can be one (ITU-T T.6); WebP may be lossless.
"""
_OPTIONAL = {34925: "lzma", 50000: "zstd", 50001: "webp"}
"""Those that not every libtiff has -> Pillow's name."""
_NAMES = {
    9: "JBIG", 10: "JBIG", 22610: "JPEG XR", 32766: "NeXT", 32809: "ThunderScan", 32895: "IT8",
    32909: "PixarLog", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG",
    34676: "SGI LogLuv", 34677: "SGI LogLuv", 34712: "JPEG 2000", 34713: "Nikon NEF", 34887: "LERC",
    34925: "LZMA", 34926: "Zstandard", 34927: "WebP", 34933: "PNG", 34934: "JPEG XR", 50000: "Zstandard",
    50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_SINGLE = (256, 257, 259, 262, 266, 277, 278, 284, 292, 293, 317, 322, 323, 512, 513, 514, 515, 531)
_SEVERAL = (258, 273, 279, 320, 324, 325, 338, 339, 519, 520, 521, 530)
_WHOLE = (1, 3, 4, 13, 16)
_NOT_WHOLE = {347: (1, 7), 529: (5,), 532: (5,)}
"""The tags that decide pixels, of one whole number, of several, and of other types."""

# libtiff writes what it thinks of a file to standard error. This silences Pillow's copy of it, where its
# functions can be reached (not where they are built into Pillow itself, as on Windows).
with contextlib.suppress(OSError, AttributeError):
    _libtiff = ctypes.CDLL(_imaging.__file__)
    _libtiff.TIFFSetErrorHandler(None)
    _libtiff.TIFFSetWarningHandler(None)


class Tiling(NamedTuple):
    """The strips or tiles of a picture, or of one of its planes."""

    tiled: bool
    width: int
    """Of a tile in pixels; that of the picture if there are strips."""
    height: int
    row: int
    """Bytes of a row of the picture."""
    part: int
    """Bytes of a row of a strip or tile."""
    rows: int
    """Of the picture."""
    offsets: tuple[int, ...]
    counts: tuple[int, ...]


def check(compression: int, shown: str) -> None:
    """Raise `ImageError` with the name of a compression that is not read here."""
    known = compression in _OF_BYTES or compression in _OF_PIXELS
    if not known or (compression in _OPTIONAL and not _configured(_OPTIONAL[compression])):
        name = _NAMES.get(compression, f"by the unknown method {compression}")
        raise ImageError(
            f"{shown} is a TIFF image compressed as {name}, which is not read; convert it to PNG first."
        )


def of_bytes(compression: int) -> bool:
    """Whether it knows nothing of pixels, so that rows of bytes can be had."""
    return compression in _OF_BYTES


@functools.cache
def _configured(name: str) -> bool:
    try:
        PilImage.new("L", (16, 16)).save(BytesIO(), "TIFF", compression=name)
    except Exception:
        return False
    return True


def grid(picture: Directory, bits: int, plane: int) -> Tiling:
    """Where the parts of a picture are.

    Args:
        picture: Its directory.
        bits: Of one pixel.
        plane: The plane to look at, 0 if there is only one.

    Raises:
        ValueError: they are too few, or lie outside of the file.
    """
    width, height = picture.size
    tiled = tags.TILE_WIDTH in picture.entries
    if tiled:
        across, down = picture.value(tags.TILE_WIDTH), picture.value(tags.TILE_HEIGHT)
    else:
        across, down = width, min(picture.value(tags.ROWS_PER_STRIP) or height, height)
    if not across or not down or (tiled and across * bits % 8):
        raise ValueError("the size of its tiles is damaged")
    count = -(-width // across) * -(-height // down)
    offsets = picture.values(tags.TILES if tiled else tags.STRIPS)[plane * count :][:count]
    counts = picture.values(tags.TILE_BYTES if tiled else tags.STRIP_BYTES)[plane * count :][:count]
    if len(offsets) < count:
        raise ValueError(f"it has {len(offsets)} strips or tiles and needs {count}")
    if len(counts) < count:  # old writers leave them out
        ends = sorted({*offsets, len(picture.data)})
        counts = tuple(ends[min(bisect(ends, offset), len(ends) - 1)] - offset for offset in offsets)
    return Tiling(
        tiled, across, down, (width * bits + 7) // 8, (across * bits + 7) // 8, height, offsets, counts
    )


def rows(picture: Directory, grid: Tiling, compression: int, shown: str) -> Array:
    """Shape (height, bytes of a row): the bytes of all strips or tiles, at their places.

    Raises:
        ImageError: the file ends before, or the compressed data are damaged.
    """
    if compression == NONE:
        return _stored(picture.data, grid, shown)
    if any(map(lambda offset, count: offset + count > len(picture.data), grid.offsets, grid.counts)):
        raise damaged(shown, "the file ends inside its samples")
    there = _distinct(grid.counts, picture)
    claim = Picture(b"", needed=grid.row * grid.rows // _OF_BYTES[compression], there=there)
    check_claim(claim, *picture.size, shown)
    numbers: dict[int, Sequence[int]] = {
        tags.WIDTH: [grid.row], tags.HEIGHT: [grid.rows], tags.BITS: [8], tags.COMPRESSION: [compression],
        tags.PHOTOMETRIC: [1], tags.FILL_ORDER: [picture.value(tags.FILL_ORDER, 1)], tags.SAMPLES: [1],
    }  # fmt: skip
    if grid.tiled:
        numbers |= {tags.TILE_WIDTH: [grid.part], tags.TILE_HEIGHT: [grid.height]}
        numbers |= {tags.TILES: grid.offsets, tags.TILE_BYTES: grid.counts}
    else:
        numbers |= {
            tags.ROWS_PER_STRIP: [grid.height],
            tags.STRIPS: grid.offsets,
            tags.STRIP_BYTES: grid.counts,
        }
    kind, code = (16, "Q") if picture.big else (4, "I")
    entries = {
        tag: (kind, len(values), struct.pack(f"{picture.order}{len(values)}{code}", *values))
        for tag, values in numbers.items()
    }
    return pixels.array_of(_loaded(_with_directory(picture, entries)))


def _distinct(counts: Sequence[int], picture: Directory) -> int:
    """How many bytes of pixels there are; all of the file where it is not said.

    Raises:
        ValueError: strips or tiles lie upon each other, so that a few bytes are decompressed again and again.
    """
    there, most = sum(counts), _SHARED * len(picture.data)
    if there > most:
        raise ValueError(f"its strips or tiles have {there} bytes, and the file has {len(picture.data)}")
    return min(there, len(picture.data)) or len(picture.data)


def _stored(data: bytes, grid: Tiling, shown: str) -> Array:
    """Rows of bytes that are not compressed."""
    whole = np.frombuffer(data, np.uint8)
    array = np.empty((grid.rows, grid.row), np.uint8)
    across = -(-grid.row // grid.part)
    for k, offset in enumerate(grid.offsets):
        top, left = k // across * grid.height, k % across * grid.part
        place = array[top : top + grid.height, left : left + grid.part]
        count = (grid.height if grid.tiled else len(place)) * grid.part
        if offset + count > len(data):
            raise damaged(shown, "the file ends inside its samples")
        place[...] = whole[offset : offset + count].reshape(-1, grid.part)[: len(place), : place.shape[1]]
    return array


def opened(picture: Directory, shown: str) -> PilImage.Image:
    """The picture as Pillow sees it, loaded, without any tag that does not decide pixels.

    Raises:
        ImageError: Pillow has no such layout.
    """
    stored = picture.value(tags.COMPRESSION, NONE) == NONE
    if stored and picture.values(tags.SUBSAMPLING, 2) not in ((), (1, 1)):
        raise ImageError(
            f"{shown} is a TIFF image of YCbCr with fewer colours than pixels; convert it to PNG first."
        )
    entries = {}
    for tag, (kind, number, position) in picture.entries.items():
        if tag in (*_SINGLE, *_SEVERAL, *_NOT_WHOLE):
            number = 1 if tag in _SINGLE else number
            packed = picture.data[position : position + tags.BYTES.get(kind, 0) * number]
            if kind not in _NOT_WHOLE.get(tag, _WHOLE) or len(packed) < tags.BYTES[kind] * number:
                raise ValueError(f"its tag {tag} is damaged")
            entries[tag] = kind, number, packed
    there = _distinct(picture.values(tags.STRIP_BYTES) or picture.values(tags.TILE_BYTES), picture)
    ratio = (_OF_BYTES | _OF_PIXELS)[picture.value(tags.COMPRESSION, NONE)]
    needed = picture.size[0] * picture.size[1] // ratio if ratio else 0
    check_claim(Picture(b"", needed=needed, there=there), *picture.size, shown)
    try:
        return _loaded(_with_directory(picture, entries))
    except SyntaxError as error:
        bits, bands = picture.value(tags.BITS, 1), picture.value(tags.SAMPLES, 1)
        raise ImageError(
            f"{shown} is a TIFF image of {bands} bands and {bits} bits in a layout that is not read; "
            "convert it to PNG first."
        ) from error


def _loaded(data: bytes) -> ImageFile:
    picture = TiffImagePlugin.TiffImageFile(BytesIO(data))
    # Pillow would warn about its size, or refuse it, if it took the memory itself
    picture.im = PilImage.new(picture.mode, picture.size).im
    try:
        picture.load()
    except OSError as error:
        raise ValueError("its compressed samples are damaged or end too early") from error
    return picture


def _with_directory(picture: Directory, entries: dict[int, tuple[int, int, bytes]]) -> bytes:
    """The file with a new directory behind it, which is the only one that its header leads to."""
    order, (word, inline) = picture.order, ("Q", 8) if picture.big else ("I", 4)
    data, padding = memoryview(picture.data), bytes(-len(picture.data) % 8)
    at = len(data) + len(padding)
    head = f"{order}HH{word}"
    after = at + (8 if picture.big else 2) + len(entries) * (struct.calcsize(head) + inline) + inline
    directory, values = struct.pack(order + ("Q" if picture.big else "H"), len(entries)), b""
    for tag, (kind, number, packed) in sorted(entries.items()):
        if len(packed) > inline:
            offset, values = after + len(values), values + packed + bytes(-len(packed) % 8)
            packed = struct.pack(order + word, offset)
        directory += struct.pack(head, tag, kind, number) + packed.ljust(inline, b"\0")
    start = struct.pack(order + word, at)
    behind = data[inline + len(start) :], padding, directory, bytes(inline), values
    return b"".join([data[:inline], start, *behind])
