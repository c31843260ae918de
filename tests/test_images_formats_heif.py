"""Pictures that are made of pictures, and frames that are never shown."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.attackfiles import ATTACKS
from tests.damaged_images import SEEDS
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import opened
from zeroiqa.images.formats.heif import work


def box(kind: bytes, *bodies: bytes, head: bytes = b"") -> bytes:
    body = head + b"".join(bodies)
    return struct.pack(">I", 8 + len(body)) + kind + body


def heif(
    made_of: dict[int, list[int]], *, side: int = 1000, coded: int = 1, frames: int = 1, extents: int = 1
) -> bytes:
    """Items 1 to `coded` are pictures of `side` x `side`; the others are made of those that are named."""
    unit = struct.pack(">I", 3) + b"\x26\x01\x80"  # the first slice of a picture
    data = unit * frames
    pictures = range(1, coded + 1)
    infos = [
        box(b"infe", struct.pack(">HH", k, 0), b"hvc1\0" if k in pictures else b"grid\0", head=b"\2\0\0\0")
        for k in (*pictures, *made_of)
    ]
    parts = [
        box(b"dimg", struct.pack(f">HH{len(each)}H", k, len(each), *each)) for k, each in made_of.items()
    ]
    properties = box(
        b"iprp",
        box(b"ipco", box(b"ispe", struct.pack(">III", 0, side, side))),
        box(b"ipma", struct.pack(">II", 0, coded), *(struct.pack(">HBB", k, 1, 1) for k in pictures)),
    )
    places = b"".join(
        struct.pack(">HHH", k, 0, extents) + struct.pack(">II", 24, len(data)) * extents for k in pictures
    )
    boxes = (
        box(b"iinf", struct.pack(">H", len(infos)), *infos, head=bytes(4)),
        box(b"iref", *parts, head=bytes(4)),
        properties,
        box(b"iloc", b"\x44\0", struct.pack(">H", coded), places, head=bytes(4)),
    )
    return box(b"ftyp", b"heic" + bytes(4)) + box(b"mdat", data) + box(b"meta", *boxes, head=bytes(4))


def test_pictures_are_counted_as_often_as_they_are_decoded():
    assert work(heif({})) == 1_000_000
    assert work(heif({}, frames=3)) == 3_000_000
    assert work(heif({9: [1, 2, 3, 4]}, coded=4)) == 4_000_000
    assert work(heif({9: [1] * 48, 10: [9, 9]})) == 96_000_000
    assert work(heif({10: [9, 9], 9: [1] * 48})) == 96_000_000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (heif({9: [1] * 65_000}), "its pictures make 65000000000 to be decoded"),
        (heif({k: [k - 1] * 1000 for k in range(2, 9)}), "its pictures make 10{27} to be decoded"),
        (heif({9: [10], 10: [9, 1]}), "its pictures are made of pictures more than 8 times over"),
        (heif({9: [1]}, frames=200_000), "its pictures have more than 100000 parts"),
        (heif({}, extents=90, frames=9), "its pictures lie upon each other"),
        (heif({}, coded=9, frames=90), "its pictures lie upon each other"),
        (heif({}) + box(b"meta", box(b"free") * 200_000, head=bytes(4)), "it has more than 100000 boxes"),
    ],
)
def test_more_work_than_a_picture_is_refused(data, said):
    with pytest.raises(ImageError, match=said):
        opened(data)


def test_damaged_boxes_are_left_to_the_decoder():
    whole = heif({9: [1, 1]})
    at = whole.index(b"iloc")
    data = whole[: at + 10] + b"\xff\xff" + whole[at + 12 :]
    assert work(data) is None
    found = opened(data)
    assert found.suspicion == "it is an image whose parts cannot be told"


def test_any_damage_gives_a_number_or_none_or_a_sentence():
    whole = heif({9: [1] * 4, 10: [9]}, coded=2)
    random = np.random.default_rng(3)
    for _ in range(300):
        data = bytearray(whole)
        for position in random.integers(0, len(data), random.integers(1, 6)):
            data[position] = random.integers(256)
        try:
            found = work(bytes(data))
            assert found is None or found >= 0
        except ValueError as error:
            assert str(error).startswith(("its pictures", "it has more"))


def test_photos_are_their_own_pixels():
    for name in ("AVIF", "HEIC"):
        if name in SEEDS:
            assert work(SEEDS[name]) == 64 * 80
    assert work(ATTACKS["avif frames"](2_000_000) or heif({}, frames=2)) > 64 * 96
