"""BMP files of 16 and 32 bits with every kind of header and mask, against the pixels that the test packed."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.imagefiles import BACKGROUND, closeness, noise, over
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import DecodePolicy, decode

MASKS = {
    "BGRA": (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    "RGBA": (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    "ABGR": (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    "GRAB": (0xFF00, 0xFF, 0xFF000000, 0xFF0000),
    "10 bits": (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000),
    "555": (0x7C00, 0x3E0, 0x1F, 0x8000),
    "565": (0xF800, 0x7E0, 0x1F, 0),
    "4444": (0xF00, 0xF0, 0xF, 0xF000),
}


def levels(mask: int) -> int:
    return mask // (mask & -mask) if mask else 0


def bmp(rgba: np.ndarray, masks: tuple[int, ...], header: int, *, top_down: bool = False) -> bytes:
    """A file of the given size of header; the samples are in units of their masks."""
    bits = 16 if max(masks) < 1 << 16 else 32
    values = sum(rgba[..., k].astype(np.uint64) * (mask & -mask) for k, mask in enumerate(masks) if mask)
    rows = values if top_down else values[::-1]
    height, width = values.shape
    body = b"".join(row.astype(f"<u{bits // 8}").tobytes() + bytes(-width * bits // 8 % 4) for row in rows)
    named = struct.pack("<4I", *masks)[: 12 if header == 52 else 16]
    compression = 6 if header == 40 else 3
    info = struct.pack(
        "<IiiHHIIiiII",
        header,
        width,
        -height if top_down else height,
        1,
        bits,
        compression,
        len(body),
        0,
        0,
        0,
        0,
    )
    info += named + bytes(max(0, header - 40 - len(named)))
    start = 14 + len(info)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + body


@pytest.mark.parametrize("header", [40, 52, 56, 108, 124])
@pytest.mark.parametrize("name", MASKS)
def test_channels_are_any_bits_of_a_pixel(name, header):
    masks = MASKS[name]
    if header == 52:
        masks = (*masks[:3], 0)
    most = np.array([max(1, levels(mask)) for mask in masks])
    samples = (noise(33, 41, 4, dtype=np.uint16) * (most + 1) >> 16) * [mask > 0 for mask in masks]
    eight = np.floor(samples * 255 / most + 0.5).astype(np.uint8)
    has_alpha = masks[3] > 0
    expected = over(eight[..., :3], eight[..., 3]) if has_alpha else eight[..., :3]
    for top_down in (False, True):
        image = decode(bmp(samples, masks, header, top_down=top_down), DecodePolicy(BACKGROUND))
        assert np.array_equal(image.pixels, expected)
    samples[..., 3] = 0  # programs that know of no alpha
    image = decode(bmp(samples, masks, header), DecodePolicy(BACKGROUND))
    assert np.array_equal(image.pixels, eight[..., :3])
    assert not any("alpha" in warning for warning in image.warnings)


def test_pixels_without_masks_have_no_alpha():
    for bits, masks in ((32, MASKS["BGRA"]), (16, MASKS["555"])):
        most = np.array([levels(mask) for mask in masks])
        samples = noise(33, 41, 4, dtype=np.uint16) * (most + 1) >> 16
        data = bytearray(bmp(samples, masks, 124))
        data[30:34] = bytes(4)  # no fields: what the header says about masks does not count
        expected = np.floor(samples[..., :3] * 255 / most[:3] + 0.5)
        assert closeness(decode(bytes(data), DecodePolicy(BACKGROUND)).pixels, expected) == 0, bits


def test_damage_and_what_is_not_read_are_told_apart():
    whole = bmp(noise(33, 41, 4), MASKS["BGRA"], 124)
    for data in (whole[:-1], whole[:200], whole[:30]):
        with pytest.raises(ImageError, match="the file ends inside its (pixels|header); if it is truncated"):
            decode(data)
    for at, value, what in (
        (30, 4, "JPEG inside"),
        (30, 5, "PNG inside"),
        (28, 2, "2 bits"),
        (28, 64, "64 bits"),
    ):
        data = bytearray(whole)
        data[at] = value
        with pytest.raises(ImageError, match=f"is a BMP image with {what}, which is not read") as caught:
            decode(bytes(data))
        assert "damaged" not in str(caught.value)
