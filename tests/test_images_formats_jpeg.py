"""JPEG files without an end, with too many scans, with pixels that are not there, with damaged metadata."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image as PilImage

from tests.imagefiles import closeness, noise, quadrants, save
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import decode
from zeroiqa.images.opencv import cv2

NO_END = "the file has no end-of-image marker; all of its image data are there"
PHOTO = cv2.GaussianBlur(noise(64, 80, 3), (0, 0), 1)
VARIANTS = {
    "baseline": {"quality": 90},
    "grey": {"quality": 90},
    "optimised": {"quality": 90, "optimize": True},
    "coarse": {"quality": 5},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_blocks": 1},
    "restarts, 4:4:4": {"quality": 90, "restart_marker_rows": 1, "subsampling": 0},
}


def jpeg(variant: str) -> bytes:
    return save(PHOTO[..., 0] if variant == "grey" else PHOTO, "JPEG", **VARIANTS[variant])


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_a_file_whose_image_data_are_whole_needs_no_end_marker(variant):
    whole = jpeg(variant)
    expected = decode(whole).pixels
    for end in (b"", b"\xff", bytes(1000), b"\xff\xff\xff", b"\xff\xe1\0\x08 junk"):
        image = decode(whole[:-2] + end)
        assert np.array_equal(image.pixels, expected)
        assert image.warnings == (NO_END,)
    for missing in (*range(4, 60), 200):
        for end in (b"", bytes(1000)):
            with pytest.raises(ImageError, match=r"the file ends .*; if it is truncated or damaged"):
                decode(whole[:-missing] + end)


def scans_of(data: bytes) -> list[int]:
    """Where the scans begin, with the tables before them; the end marker is the last."""
    starts, position = [], data.index(b"\xff\xda")
    while True:
        following = next(
            k
            for k in range(position + 2, len(data))
            if data[k] == 0xFF and data[k + 1] not in (0, *range(0xD0, 0xD8))
        )
        starts.append(following)
        if data[following + 1] == 0xD9:
            return starts
        position = data.index(b"\xff\xda", following)


def test_progressive_file_that_ends_between_two_scans_is_truncated():
    whole = jpeg("progressive")
    ends = scans_of(whole)
    assert len(ends) == 10
    assert decode(whole[: ends[-1]]).warnings == (NO_END,)
    for end in ends[:-1]:
        with pytest.raises(ImageError, match="the file ends before its last scan"):
            decode(whole[:end])


def test_number_of_scans_is_bounded():
    whole = jpeg("progressive")
    *_, before, end = scans_of(whole)
    last = whole[before:end]
    many = whole[:end] + 90 * last + whole[end:]
    assert decode(many).pixels.shape == PHOTO.shape
    with pytest.raises(ImageError, match="is a JPEG of 2010 scans; at its size at most 100 are decoded"):
        decode(whole[:end] + 2000 * last + whole[end:])
    large = bytearray(many)
    frame = large.index(b"\xff\xc2")
    large[frame + 5 : frame + 9] = struct.pack(">HH", 15000, 15000)
    with pytest.raises(ImageError, match="is a JPEG of 100 scans; at its size at most 22 are decoded"):
        decode(bytes(large))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("side", [1200, 15800])
def test_pixels_that_cannot_be_there_are_refused(variant, side):
    data = bytearray(jpeg(variant))
    frame = data.index(b"\xff\xc2" if "progressive" in variant else b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    with pytest.raises(ImageError, match=f"its header says {side} x {side} pixels, and it has"):
        decode(bytes(data))


@pytest.mark.parametrize(
    "options", [{}, {"optimize": True}, {"progressive": True}, {"quality": 1, "optimize": True}]
)
def test_blank_picture_of_any_size_is_read(options):
    for mode in ("L", "RGB"):
        blank = PilImage.new(mode, (2400, 1600), 255 if mode == "L" else (255, 255, 255))
        assert (decode(save(blank, "JPEG", **options)).pixels == 255).all()


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


DAMAGED = {
    "short JFIF": segment(0xE0, b"JFIF\0"),
    "shorter JFIF": segment(0xE0, b"JFIF"),
    "thumbnail in JFIF": segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\xff\xff"),
    "short Adobe": segment(0xEE, b"Adobe"),
    "short EXIF": segment(0xE1, b"Exif\0\0II"),
    "EXIF that leads nowhere": segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
    "profile out of order": segment(0xE2, b"ICC_PROFILE\0\7\3xx"),
    "empty profile": segment(0xE2, b"ICC_PROFILE\0"),
    "multi-picture": segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
    "FlashPix": segment(0xE2, b"FPXR\0"),
    "Photoshop": segment(0xED, b"Photoshop 3.0\x008BIM\4"),
    "XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x"),
    "empty segments": b"".join(segment(marker, b"") for marker in (*range(0xE0, 0xF0), 0xFE)),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_no_metadata_decide_whether_there_is_a_score(case, capfd):
    data = save(quadrants(), "JPEG", quality=95, subsampling=0)
    expected = decode(data).pixels
    assert closeness(expected, quadrants()) <= 4
    assert data[2:4] == b"\xff\xe0"
    rest = data[4 + int.from_bytes(data[4:6], "big") :]
    for damaged in (data[:2] + DAMAGED[case] + data[2:], data[:2] + DAMAGED[case] + rest):
        image = decode(damaged)
        assert np.array_equal(image.pixels, expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("marker", "kind"), [(0xC3, "lossless"), (0xC5, "hierarchical"), (0xCB, "lossless")])
def test_process_that_is_not_read_is_named(marker, kind):
    data = jpeg("baseline").replace(b"\xff\xc0", bytes((0xFF, marker)), 1)
    with pytest.raises(ImageError, match=f"is a {kind} JPEG, which is not read; convert") as caught:
        decode(data)
    assert "damaged" not in str(caught.value)
