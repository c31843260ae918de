"""TIFF pictures of every layout that is read, against the samples from which the test encoded them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PilImage

from tests.imagefiles import (
    BACKGROUND,
    TIFF_COMPRESSIONS,
    closeness,
    eighth,
    noise,
    over,
    save,
    tiff,
    tiff_picture,
)
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import DecodePolicy, decode

HEIGHT, WIDTH = 37, 45  # no multiples of 8 or of a tile

LAYOUTS = {  # how the same samples can lie in a file
    "strip": {},
    "big-endian": {"order": ">"},
    "strips": {"strip": 10},
    "tiles": {"tile": 16},
    "tiles, big-endian": {"tile": 16, "order": ">"},
    "planes": {"planes": True},
    "planes in strips": {"planes": True, "strip": 8, "order": ">"},
    "planes in tiles": {"planes": True, "tile": 32},
}


def stored(bands: int, bits: int, seed: int = 0) -> np.ndarray:
    return noise(HEIGHT, WIDTH, bands, dtype=np.uint16, seed=seed) >> (16 - bits)


def eight(samples: np.ndarray, bits: int) -> np.ndarray:
    """Samples of any depth in 8 bits."""
    return eighth(samples) if bits == 16 else (samples * (255 // ((1 << bits) - 1))).astype(np.uint8)


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey.reshape(HEIGHT, WIDTH, 1), 3, -1)


@pytest.mark.parametrize("compression", TIFF_COMPRESSIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_grey_rgb_and_alpha_of_every_depth_and_layout(layout, compression):
    how = {**LAYOUTS[layout], "compression": compression}
    policy = DecodePolicy(BACKGROUND)
    for bits in (1, 2, 4, 8, 16):
        grey = stored(1, bits)
        expected = as_rgb(eight(grey, bits))
        assert np.array_equal(decode(tiff_picture(grey, 1, bits, **how)).pixels, expected), bits
        assert np.array_equal(decode(tiff_picture(grey, 0, bits, **how)).pixels, 255 - expected), bits
    for bits in (8, 16):
        rgba = stored(4, bits)
        data = tiff_picture(rgba[..., :3], 2, bits, **how)
        assert np.array_equal(decode(data).pixels, eight(rgba[..., :3], bits))
        expected = over(eight(rgba[..., :3], bits), eight(rgba[..., 3], bits))
        for tags in ({338: (2,)}, {}):  # writers leave out what the fourth band is
            data = tiff_picture(rgba, 2, bits, tags=tags, **how)
            assert np.array_equal(decode(data, policy).pixels, expected)
        grey = rgba[..., :2]
        expected = over(as_rgb(eight(grey[..., 0], bits)), eight(grey[..., 1], bits))
        data = tiff_picture(grey, 1, bits, tags={338: (2,)}, **how)
        assert np.array_equal(decode(data, policy).pixels, expected)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_differences_are_summed_up_within_each_row_of_a_strip_or_tile(layout, bits):
    rgb = stored(3, bits)
    for compression in (5, 8):
        data = tiff_picture(rgb, 2, bits, compression=compression, differences=True, **LAYOUTS[layout])
        assert np.array_equal(decode(data).pixels, eight(rgb, bits))


def test_bands_that_are_no_colours_are_left_out():
    for bits, planes in ((8, False), (16, False), (16, True)):
        six = stored(6, bits)
        data = tiff_picture(six, 2, bits, planes=planes, compression=8, tags={338: (0, 0, 0)})
        assert np.array_equal(decode(data).pixels, eight(six[..., :3], bits))
        data = tiff_picture(six[..., :5], 2, bits, planes=planes, tags={338: (0, 2)})
        expected = over(eight(six[..., :3], bits), eight(six[..., 4], bits))
        assert np.array_equal(decode(data, DecodePolicy(BACKGROUND)).pixels, expected)
        data = tiff_picture(six[..., :2], 1, bits, planes=planes, tags={338: (0,)})
        assert np.array_equal(decode(data).pixels, as_rgb(eight(six[..., 0], bits)))


@pytest.mark.parametrize("bits", [8, 16])
def test_colours_multiplied_by_their_alpha_are_composited_as_they_are(bits):
    most = (1 << bits) - 1
    alpha = stored(1, bits).astype(float)
    colour = np.floor(stored(3, bits, seed=1) * (alpha / most))
    data = tiff_picture(np.concatenate([colour, alpha], -1).astype(np.uint16), 2, bits, tags={338: (1,)})
    expected = np.floor((colour + (most - alpha) * np.array(BACKGROUND) / 255) / most * 255 + 0.5)
    assert closeness(decode(data, DecodePolicy(BACKGROUND)).pixels, expected.astype(np.uint8)) <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_every_depth(bits):
    colours = noise(1 << bits, 3, seed=2)
    index = stored(1, bits)
    table = tuple(int(value) << 8 for value in colours.T.ravel())
    for how in LAYOUTS.values():
        data = tiff_picture(index, 3, bits, tags={320: table}, **how)
        assert np.array_equal(decode(data).pixels, colours[index[..., 0]])
    with pytest.raises(ImageError, match="palette"):
        decode(tiff_picture(index, 3, bits, tags={320: table[:-3]}))


@pytest.mark.parametrize("bits", [8, 16])
def test_inks(bits):
    ink = stored(4, bits)
    eighths = eight(ink, bits).astype(float)
    expected = np.floor((255 - eighths[..., :3]) * (255 - eighths[..., 3:]) / 255 + 0.5).astype(np.uint8)
    for how in LAYOUTS.values():
        assert closeness(decode(tiff_picture(ink, 5, bits, **how)).pixels, expected) <= 1


def test_bits_in_the_other_order_are_turned_round():
    turned = np.array([int(f"{k:08b}"[::-1], 2) for k in range(256)], np.uint8)
    grey = stored(1, 8).astype(np.uint8)
    assert np.array_equal(decode(tiff_picture(turned[grey], 1, tags={266: (2,)})).pixels, as_rgb(grey))
    packed = turned[np.frombuffer(TIFF_COMPRESSIONS[8](grey.tobytes()), np.uint8)]
    tags = {256: (WIDTH,), 257: (HEIGHT,), 258: (8,), 259: (8,), 262: (1,), 266: (2,), 277: (1,)}
    assert np.array_equal(decode(tiff(packed[None], "<", tags)).pixels, as_rgb(grey))
    bits = np.unpackbits(grey[..., 0], axis=1)[..., None] * np.uint8(255)
    data = tiff_picture(turned[grey], 1, tags={256: (8 * WIDTH,), 258: (1,), 266: (2,)})
    assert np.array_equal(decode(data).pixels, np.repeat(bits, 3, -1))


def test_big_offsets():
    """BigTIFF, by Pillow's writer."""
    picture = PilImage.fromarray(noise(HEIGHT, WIDTH, 3))
    for compression in (None, "tiff_lzw", "jpeg"):
        big, small = (
            decode(save(picture, "TIFF", compression=compression, big_tiff=big)).pixels
            for big in (True, False)
        )
        assert np.array_equal(big, small)


COMPRESSIONS_OF_LIBTIFF = {
    "1": ("group3", "group4", "tiff_ccitt"),
    "L": ("jpeg", "lzma", "zstd"),
    "RGB": ("jpeg", "lzma", "zstd"),
    "CMYK": ("lzma", "zstd"),
}


@pytest.mark.parametrize("mode", COMPRESSIONS_OF_LIBTIFF)
def test_compressions_of_libtiff(mode):
    picture = PilImage.fromarray(np.kron(noise(8, 8, 3), np.ones((8, 8, 1), np.uint8))).convert(mode)
    for compression in COMPRESSIONS_OF_LIBTIFF[mode]:
        lossy = compression == "jpeg"
        data = save(picture, "TIFF", compression=compression, **({"quality": 98} if lossy else {}))
        tolerance = 24 if lossy else 1 if mode == "CMYK" else 0
        assert closeness(decode(data).pixels, np.asarray(picture.convert("RGB"))) <= tolerance, compression


UNREAD = {
    "5 bands": (tiff_picture(stored(5, 8), 1, tags={338: (0,) * 4}), "has 5 bands that are not"),
    "3 bands": (tiff_picture(stored(3, 8), 1), "has 3 bands that are not said to be colours"),
    "20 bands": (tiff_picture(stored(20, 8), 2), "has 20 bands"),
    "float32": (tiff(np.ones((32, 40), "<f4"), "<", {258: (32,), 262: (1,), 339: (3,)}), "holds floating"),
    "float16": (tiff(np.ones((32, 40), "<f2"), "<", {258: (16,), 262: (1,), 339: (3,)}), "holds floating"),
    "int8": (tiff_picture(stored(1, 8), 1, tags={339: (2,)}), "holds signed integer"),
    "uint32": (tiff(np.ones((32, 40), "<u4"), "<", {258: (32,), 262: (1,)}), "holds 32-bit samples"),
    "complex": (tiff(np.ones((32, 40), "<c8"), "<", {258: (64,), 262: (1,), 339: (6,)}), "holds complex"),
    "10 bits": (tiff_picture(stored(3, 8), 2, tags={258: (10, 10, 10)}), "holds 10-bit samples"),
    "5-6-5": (tiff_picture(stored(3, 8), 2, tags={258: (5, 6, 5)}), "holds 5-6-5-bit samples"),
    "LogLuv": (tiff_picture(stored(3, 8), 32845), "whose pixels are LogLuv"),
    "ICC Lab": (tiff_picture(stored(3, 8), 9), "whose pixels are ICC L"),
    "16-bit Lab": (tiff_picture(stored(3, 16), 8, 16), "of 3 bands and 16 bits in a layout that is not read"),
    "YCbCr": (tiff_picture(stored(3, 8), 6, tags={530: (2, 2)}), "YCbCr with fewer colours than pixels"),
} | {
    name: (tiff_picture(stored(3, 8), 2, tags={259: (code,)}), f"compressed as {name}, which is not read")
    for name, code in (("JPEG 2000", 34712), ("JPEG XL", 50002), ("LERC", 34887), ("JBIG", 34661))
}  # fmt: skip


@pytest.mark.parametrize("case", UNREAD)
def test_what_is_not_read_is_named_and_not_called_damaged(case, capfd):
    data, what = UNREAD[case]
    with pytest.raises(ImageError, match=what) as caught:
        decode(data, name="photo.tif")
    assert "damaged" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_webp_in_tiff_is_read_or_named(capfd):
    data = tiff_picture(stored(3, 8), 2, tags={259: (50001,)})
    with pytest.raises(ImageError, match="compressed as WebP, which is not read|cannot be decoded"):
        decode(data)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("compression", TIFF_COMPRESSIONS)
def test_samples_outside_of_the_file_are_a_truncation(compression, capfd):
    whole = tiff_picture(stored(3, 8), 2, compression=compression)
    beyond = {273: (len(whole) - 9,), 279: (len(whole),)}
    for tag in (273, 279)[: 1 if compression == 1 else 2]:  # stored pixels need no tag to be counted
        data = tiff_picture(stored(3, 8), 2, compression=compression, tags={tag: beyond[tag]})
        with pytest.raises(ImageError, match="the file ends inside its samples; if it is truncated"):
            decode(data)
    with pytest.raises(ImageError, match="it has 4 strips or tiles and needs 5"):
        decode(tiff_picture(stored(3, 8), 2, compression=compression, strip=10, tags={278: (8,)}))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("compression", [5, 8, 32773])
def test_damaged_data_are_an_error_and_nothing_is_printed(compression, capfd):
    whole = tiff_picture(stored(3, 8), 2, compression=compression)
    count = len(TIFF_COMPRESSIONS[compression](stored(3, 8).astype(np.uint8).tobytes()))
    cut = tiff_picture(stored(3, 8), 2, compression=compression, tags={279: (count // 2,)})
    wrong = whole[:8] + b"\xff" * 600 + whole[608:]
    for data in (cut,) if compression == 32773 else (cut, wrong):  # PackBits knows no wrong bytes
        with pytest.raises(ImageError, match="truncated or damaged"):
            decode(data)
    assert capfd.readouterr() == ("", "")


def test_more_pixels_than_the_data_can_become_are_refused():
    for compression, ratio in ((5, 2600), (8, 1032), (32773, 64)):
        few = TIFF_COMPRESSIONS[compression](bytes(100))
        rows = ratio * len(few) // 1000 + 17
        tags = {256: (1000,), 257: (rows,), 258: (8,), 259: (compression,), 262: (1,), 277: (1,)}
        data = tiff(np.frombuffer(few, np.uint8)[None], "<", tags | {278: (rows,), 279: (len(few),)})
        with pytest.raises(ImageError, match=f"says 1000 x {rows} pixels, and it has {len(few)} bytes"):
            decode(data)
