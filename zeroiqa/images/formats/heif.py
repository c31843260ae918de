"""Count how many pixels the items of a HEIC or AVIF file make a decoder compute.

A grid may name one tile 65,000 times, an overlay one overlay of overlays, and the data of one picture may
hold thousands of frames that are never shown. Boxes as in ISO/IEC 14496-12 and 23008-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_MOST_BOXES = 100_000
"""Boxes, and extents of data. A photo of 48 megapixels has some 200 tiles, each with three of these."""
_MOST_UNITS = 100_000
"""Headers, tiles and layers of all coded pictures."""
_DEEPEST = 8
"""Pictures within pictures; a photo is a grid of tiles."""
_CODED = (b"av01", b"hvc1")
_FRAME_UNITS = (3, 6)
"""AV1: a frame header alone, or with its tiles."""


class _Numbers:
    """Reads a part of a file, number by number."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data, self.at, self.end = data, start, end

    def next(self, size: int) -> int:
        if self.at + size > self.end:
            raise EOFError("one of its boxes is too short")
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "big")


@dataclass
class _Items:
    """What the boxes of a file say about its items, by their numbers."""

    data: bytes
    kinds: dict[int, bytes] = field(default_factory=dict)
    made_of: dict[int, list[int]] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Begin and length of its data in the file."""
    properties: list[tuple[bytes, int, int]] = field(default_factory=list)
    """Kind, begin and end."""
    owned: dict[int, list[int]] = field(default_factory=dict)
    """Item -> indices of its properties, from 1 on."""
    boxes: int = 0
    units: int = 0

    def walk(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Kind, begin and end of the bodies of the boxes in a part of the file."""
        while start + 8 <= end:
            self._count_box()
            length, kind, head = int.from_bytes(self.data[start : start + 4], "big"), start + 4, 8
            if length == 1:
                length, head = int.from_bytes(self.data[start + 8 : start + 16], "big"), 16
            after = min(end, start + length) if length else end
            if after < start + head:
                raise EOFError("one of its boxes is too short")
            yield self.data[kind : kind + 4], start + head, after
            start = after

    def _count_box(self) -> None:
        self.boxes += 1
        if self.boxes > _MOST_BOXES:
            raise ValueError(f"it has more than {_MOST_BOXES} boxes")

    def _count_unit(self) -> None:
        self.units += 1
        if self.units > _MOST_UNITS:
            raise ValueError(f"its pictures have more than {_MOST_UNITS} parts")

    def read(self, start: int, end: int, inside: bytes = b"meta") -> None:
        """What is right below the box of metadata, and in two boxes of it."""
        for kind, begin, after in self.walk(start, end):
            numbers = _Numbers(self.data, begin, after)
            if kind == b"ipco":
                self.properties += self.walk(begin, after)
            elif kind == b"iprp" and inside == b"meta":
                self.read(begin, after, kind)
            elif kind == b"iinf" and inside == b"meta":
                self.read(begin + (8 if numbers.next(4) >> 24 else 6), after, kind)
            elif kind == b"infe" and (version := numbers.next(4) >> 24) >= 2:
                number = numbers.next(2 if version == 2 else 4)
                numbers.next(2)
                self.kinds[number] = self.data[numbers.at : numbers.at + 4]
            elif kind == b"iref":
                self._references(begin + 4, after, 4 if numbers.next(4) >> 24 else 2)
            elif kind == b"iloc":
                self._locations(numbers)
            elif kind == b"ipma":
                self._owners(numbers)

    def _references(self, start: int, end: int, size: int) -> None:
        for kind, begin, after in self.walk(start, end):
            if kind == b"dimg":
                numbers = _Numbers(self.data, begin, after)
                owner = numbers.next(size)
                parts = [numbers.next(size) for _ in range(numbers.next(2))]
                self.made_of.setdefault(owner, []).extend(parts)

    def _locations(self, numbers: _Numbers) -> None:
        version, sizes = numbers.next(4) >> 24, numbers.next(2)
        place, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        for _ in range(numbers.next(4 if version == 2 else 2)):
            item = numbers.next(4 if version == 2 else 2)
            method = numbers.next(2) & 15 if version else 0
            numbers.next(2)
            offset = numbers.next(base)
            for _ in range(numbers.next(2)):
                self._count_box()
                numbers.next(index if version else 0)
                start, count = numbers.next(place) + offset, numbers.next(length)
                if not method:
                    self.extents.setdefault(item, []).append((start, count or len(self.data) - start))

    def _owners(self, numbers: _Numbers) -> None:
        head = numbers.next(4)
        for _ in range(numbers.next(4)):
            item = numbers.next(4 if head >> 24 else 2)
            wide = head & 1
            found = [numbers.next(1 + wide) & (0x7FFF if wide else 0x7F) for _ in range(numbers.next(1))]
            self.owned.setdefault(item, []).extend(found)

    def own(self, item: int, kind: bytes) -> bytes:
        """The first property of that kind that an item has; empty if it has none."""
        for index in self.owned.get(item, ()):
            if 0 < index <= len(self.properties) and self.properties[index - 1][0] == kind:
                return self.data[self.properties[index - 1][1] : self.properties[index - 1][2]]
        return b""

    def pixels(self, item: int) -> int:
        extent = self.own(item, b"ispe")
        return int.from_bytes(extent[4:8], "big") * int.from_bytes(extent[8:12], "big")

    def frames(self, item: int) -> int:
        """Of a coded picture: 1, or more if some are not shown."""
        data = b"".join(self.data[at : at + count] for at, count in self.extents.get(item, ()))
        if self.kinds[item] == b"av01":
            return self._av1_frames(data)
        return self._hevc_frames(data, 1 + (self.own(item, b"hvcC")[21:22] or b"\3")[0] % 4)

    def _av1_frames(self, data: bytes) -> int:
        """Frames in a series of open bitstream units (AV1, 5.3)."""
        at = frames = 0
        while at < len(data):
            self._count_unit()
            head, size, shift = data[at], 0, 0
            at += 1 + (head >> 2 & 1)
            while head & 2 and at < len(data) and shift < 56:
                size |= (data[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if data[at - 1] < 128:
                    break
            frames += head >> 3 & 15 in _FRAME_UNITS
            at = at + size if head & 2 else len(data)
        return frames

    def _hevc_frames(self, data: bytes, width: int) -> int:
        """Pictures in a series of units (HEVC, 7.3.1), each with its length before it."""
        at = frames = 0
        while at + width + 3 <= len(data):
            self._count_unit()
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
            frames += data[at] >> 1 & 63 < 32 and data[at + 2] >> 7  # the first slice of a picture
            at += size
        return frames


def work(data: bytes) -> int | None:
    """How many pixels are decoded for the most laborious picture of a file, each as often as it is.

    None if its boxes are damaged, so that this cannot be told.

    Raises:
        ValueError: it has more boxes, parts or layers than any picture.
    """
    items = _Items(data)
    try:
        for kind, start, end in items.walk(0, len(data)):
            if kind == b"meta":
                items.read(start + 4, end)
    except EOFError:
        return None
    coded: dict[int, int] = {}
    looked = 0
    for item, kind in items.kinds.items():
        if kind in _CODED:
            looked += sum(count for _, count in items.extents.get(item, ()))
            if looked > 2 * len(data):
                raise ValueError("its pictures lie upon each other")
            coded[item] = items.pixels(item) * max(1, items.frames(item))
    known = dict(coded)
    for _ in range(_DEEPEST):  # from the parts to the whole
        before = dict(known)
        for item, parts in items.made_of.items():
            known[item] = coded.get(item, 0) + sum(known.get(part, 0) for part in parts)
        if known == before:
            return max(known.values(), default=0)
    raise ValueError(f"its pictures are made of pictures more than {_DEEPEST} times over")
