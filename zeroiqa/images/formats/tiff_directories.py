"""Read the directories of TIFF files and EXIF blocks, and choose the picture that is the photo."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from zeroiqa.errors import ImageError
from zeroiqa.images.containers import damaged
from zeroiqa.images.suspicion import Facts

NEW_SUBFILE, SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
FILL_ORDER, STRIPS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 266, 273, 274, 277, 278, 279
PLANES, PREDICTOR, PALETTE, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 284, 317, 320, 322, 323, 324, 325
SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING = 330, 338, 339, 530

_MOST_ENTRIES = 65_536
"""Of all directories that are read of one file; a page has some 20, 200 at the most."""
_MOST_DIRECTORIES = 256
_MOST_VALUES = 1 << 22
"""Of one tag: more strips or tiles than any picture has."""
_REDUCED_OR_MASK = 0b101  # bits of NewSubfileType
_RAW_TAGS = {33421: "CFA", 33422: "CFA", 50706: "DNG"}
_RAW_PHOTOMETRIC = {32803: "CFA", 34892: "linear raw"}
_WIDTHS = {"H": 2, "I": 4, "Q": 8}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Type of a value -> its size."""


@dataclass(frozen=True)
class Directory:
    """One picture of a file: where the values of its tags are."""

    data: bytes
    """The file; `find_picture` only slices and measures it, so that a `first_bytes.Peek` will do."""
    order: str
    """ "<" or ">", as in `struct`."""
    big: bool
    """Whether offsets have 64 bits (BigTIFF)."""
    next: int
    """Where the next directory of the chain begins; 0 if this is the last."""
    whole: bool
    """Whether all of its entries are inside the file."""
    entries: dict[int, tuple[int, int, int]] = field(repr=False)
    """Tag -> type, number and position of its values."""

    def values(self, tag: int, most: int = _MOST_VALUES) -> tuple[int, ...]:
        """The whole numbers under a tag, or the first of them; () if it is missing or holds something else.

        Raises:
            ValueError: they lie outside of the file.
        """
        kind, number, position = self.entries.get(tag, (0, 0, 0))
        if kind not in _CODES or not number:
            return ()
        number = min(number, most)
        after = position + number * BYTES[kind]
        if after > len(self.data):
            raise ValueError(f"its tag {tag} points beyond the end of the file")
        return struct.unpack(f"{self.order}{number}{_CODES[kind]}", self.data[position:after])

    def value(self, tag: int, default: int = 0) -> int:
        """The first number under a tag."""
        return next(iter(self.values(tag, 1)), default)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels; 0 where they are not said."""
        return self.value(WIDTH), self.value(HEIGHT)

    @property
    def reduced(self) -> bool:
        """Whether it says that it is a thumbnail or a mask of another picture."""
        return bool(self.value(NEW_SUBFILE) & _REDUCED_OR_MASK) or self.value(SUBFILE) == 2


class _DirectoryReader:
    """Reads each directory once, and no more entries than any real file has."""

    def __init__(self, data: bytes) -> None:
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None or len(data) < 8:
            raise ValueError("its TIFF header is damaged")
        self.data, self.order, self.big = data, order, data[2:4] in (b"+\0", b"\0+")
        self.left, self.seen = _MOST_ENTRIES, set[int]()
        self.word, self.first = ("Q", 8) if self.big else ("I", 4)

    def number(self, code: str, offset: int) -> int:
        return int(struct.unpack(self.order + code, self.data[offset : offset + _WIDTHS[code]])[0])

    def directory(self, offset: int) -> Directory | None:
        """None if it was read before or would be one too many."""
        if offset in self.seen or len(self.seen) >= _MOST_DIRECTORIES or not offset:
            return None
        self.seen.add(offset)
        try:
            count = self.number("Q" if self.big else "H", offset)
        except struct.error as error:
            raise ValueError("a directory of tags lies outside of the file") from error
        self.left -= count
        if self.left < 0:
            raise ValueError(f"its directories have more than {_MOST_ENTRIES} tags")
        start, head, inline = offset + (8 if self.big else 2), f"{self.order}HH{self.word}", self.first
        size = struct.calcsize(head) + inline
        inside = min(count, (len(self.data) - start) // size)
        block = self.data[start : start + inside * size]
        entries: dict[int, tuple[int, int, int]] = {}
        for each in range(0, len(block), size):
            tag, kind, number = struct.unpack_from(head, block, each)
            position = start + each + size - inline
            if BYTES.get(kind, 0) * number > inline:
                position = self.number(self.word, position)
            entries.setdefault(tag, (kind, number, position))
        after = start + count * size
        following = self.number(self.word, after) if after + inline <= len(self.data) else 0
        return Directory(self.data, self.order, self.big, following, inside == count, entries)


def _pictures(reader: _DirectoryReader) -> Iterator[Directory]:
    """The directories of a file in order, each followed by those right below it."""
    page = reader.directory(reader.number(reader.word, reader.first))
    while page is not None:
        yield page
        for offset in page.values(SUB_DIRECTORIES, _MOST_DIRECTORIES):
            if (below := reader.directory(offset)) is not None:
                yield below
        page = reader.directory(page.next)


class Page(NamedTuple):
    """The picture of a TIFF file."""

    directory: Directory
    orientation: int
    """As in EXIF, 1 to 8."""
    several: bool
    """Whether there are others."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.directory.size

    @property
    def facts(self) -> Facts:
        """What a decoder has to do."""
        width, height = self.size
        parts = max(self.directory.entries.get(tag, (0, 1))[1] for tag in (STRIPS, TILES))
        return Facts(width * height, len(self.directory.data), parts=parts)


def find_picture(data: bytes, shown: str) -> Page:
    """The first picture of a TIFF file that is no thumbnail.

    Where all say that they are thumbnails, it is the largest.

    Raises:
        ImageError: there is none, a directory before it is damaged, or it is a camera raw file in TIFF's
            clothes.
    """
    found: Directory | None = None
    thumbnails: list[Directory] = []
    first: Directory | None = None
    several = False
    try:
        for each in _pictures(_DirectoryReader(data)):
            first = first or each
            _refuse_raw(each, shown)
            if all(each.size):
                if each.reduced:
                    thumbnails.append(each)
                else:
                    several = found is not None
                    found = found or each
    except ValueError as error:
        if found is None:
            raise damaged(shown, error) from error
    picture = found or max(thumbnails, key=lambda each: each.size[0] * each.size[1], default=None)
    if picture is None or first is None:
        raise damaged(shown, "none of its directories describes a picture")
    if not picture.whole:
        raise damaged(shown, "the file ends inside a directory of tags")
    turned = picture if ORIENTATION in picture.entries else first
    orientation = turned.value(ORIENTATION)
    return Page(picture, orientation if 1 <= orientation <= 8 else 1, several)


def pixels_of_all(data: bytes) -> int:
    """How many pixels all pictures of a file have together, as far as they are looked at."""
    try:
        return sum(each.size[0] * each.size[1] for each in _pictures(_DirectoryReader(data)))
    except ValueError:
        return 0


def _refuse_raw(directory: Directory, shown: str) -> None:
    kind = _RAW_PHOTOMETRIC.get(directory.value(PHOTOMETRIC)) or next(
        (name for tag, name in _RAW_TAGS.items() if tag in directory.entries), None
    )
    if kind:
        raise ImageError(
            f"{shown} is a camera raw file ({kind}), which is not read; convert it to PNG or JPEG first."
        )


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block asks for; 1 if it says nothing or nothing sensible."""
    try:
        reader = _DirectoryReader(exif.removeprefix(b"Exif\0\0"))
        directory = reader.directory(reader.number(reader.word, reader.first))
        orientation = directory.value(ORIENTATION, 1) if directory else 1
    except (ValueError, struct.error):
        return 1
    return orientation if 1 <= orientation <= 8 else 1
