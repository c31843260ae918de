"""Files made to take long or much memory end in an image or in one sentence, and it is the right one."""

from __future__ import annotations

import pytest
from PIL import Image as PilImage
from PIL import features

from tests.attackfiles import ATTACKS, SIDE
from tests.damaged_images import SEEDS, resized
from tests.imagefiles import save
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import DecodePolicy, decode, opened

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


@pytest.mark.parametrize("name", [name for name in ATTACKS if "fax" not in name and "avif" not in name])
def test_small_attacks_give_an_image_or_one_sentence(name, capfd):
    try:
        assert decode(ATTACKS[name](1500), name="photo").pixels.size
    except ImageError as error:
        assert str(error).endswith(".")
        assert "\n" not in str(error)
        assert str(error).startswith("photo ")
    assert capfd.readouterr() == ("", "")


REFUSED = {
    "jpeg empty metadata": (20_000, "is a JPEG of more than 10000 markers; save it again"),
    "jpeg empty tables": (20_000, "is a JPEG of more than 10000 markers"),
    "jpeg frames": (20_000, "is a JPEG of more than 10000 markers"),
    "jpeg bare markers in scan": (20_000, "is a JPEG of more than 10000 markers"),
    "jpeg tables between scans": (20_000, "is a JPEG of more than 10000 markers"),
    "jpeg scans": (300, "is a JPEG of 310 scans; at its size at most 100 are decoded"),
    "png empty text": (270_000, "is a PNG of more than 262144 chunks; save it again"),
    "png candidates after damage": (20_000, "too many of its chunks are damaged"),
    "gif empty extensions": (120_000, "is a GIF of too many blocks for its 360217 bytes; save it again"),
    "gif tiny blocks": (120_000, "is a GIF of too many blocks for its 240220 bytes"),
    "gif tiny blocks of data": (120_000, "is a GIF of too many blocks for its 240217 bytes"),
    "gif claim of frame": (1, "its header says 15800 x 15800 pixels, and it has"),
    "webp empty chunks": (70_000, "is a WebP of more than 65536 chunks; save it again"),
    "webp extended headers": (70_000, "is a WebP of more than 65536 chunks"),
    "tiff claim false counts": (1, "its strips or tiles have 2147483648 bytes, and the file has 481"),
    "tiff strips of one place": (9000, "its strips or tiles have 81675000 bytes, and the file has 45197"),
    "bmp claim run lengths": (1, f"its header says {SIDE} x {SIDE} pixels, and it has"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_counts_and_claims_that_no_picture_has_are_refused(name):
    n, sentence = REFUSED[name]
    with pytest.raises(ImageError, match=sentence):
        decode(ATTACKS[name](n))


@needs_avif
def test_av1_headers_are_counted():
    with pytest.raises(ImageError, match="is an AVIF image of more than 4096 parts"):
        opened(ATTACKS["avif headers"](20_000))


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.parametrize("side", [4000, SIDE])
def test_size_that_a_header_claims_is_not_believed(name, side):
    """At 4,000 pixels a side a blank picture of some formats could be as small."""
    try:
        pixels = decode(resized(SEEDS[name], side, side), DecodePolicy(background=(1, 2, 3))).pixels
    except ImageError as error:
        assert any(said in str(error) for said in ("cannot be decoded", "has more pixels than Pillow reads"))
    else:
        assert side == 4000 or pixels.shape == (64, 80, 3)  # by what is coded


UNIFORM = {
    "grey PNG": ("L", "PNG", {}),
    "black and white PNG": ("1", "PNG", {}),
    "progressive JPEG": ("L", "JPEG", {"progressive": True, "quality": 1}),
    "WebP": ("RGB", "WEBP", {"quality": 1, "method": 0}),
    "lossless WebP": ("RGB", "WEBP", {"lossless": True, "method": 0}),
    "AVIF": ("L", "AVIF", {"speed": 10}),
    "GIF": ("L", "GIF", {}),
    "fax": ("1", "TIFF", {"compression": "group4"}),
    "LZW": ("L", "TIFF", {"compression": "tiff_lzw"}),
    "Deflate": ("L", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "PackBits": ("L", "TIFF", {"compression": "packbits"}),
}


@pytest.mark.parametrize("name", UNIFORM)
def test_white_paper_is_read_in_every_format(name):
    mode, kind, options = UNIFORM[name]
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    white = PilImage.new(mode, (3000, 2000), (255, 255, 255) if mode == "RGB" else 255)
    found = opened(save(white, kind, **options))
    assert found.suspicion is None
    assert found.decode().pixels.min() >= 250
