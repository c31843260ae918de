"""The arithmetic of the decode policy, on files whose right pixels are known."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PilImage
from PIL import ImageOps, features

from tests.imagefiles import (
    BACKGROUND,
    BLUE,
    GREEN,
    RED,
    YELLOW,
    chunk,
    closeness,
    eighth,
    noise,
    over,
    png,
    quadrants,
    save,
    tiff,
)
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import DecodePolicy, decode, from_pil
from zeroiqa.images.opencv import cv2

# ------------------------------------------------------------------------------------------------ orientation


STORED = {  # EXIF orientation -> how an upright picture lies in the file
    1: lambda picture: picture,
    2: np.fliplr,
    3: lambda picture: np.rot90(picture, 2),
    4: np.flipud,
    5: lambda picture: picture.swapaxes(0, 1),
    6: lambda picture: np.rot90(picture, 1),
    7: lambda picture: np.rot90(picture, 2).swapaxes(0, 1),
    8: lambda picture: np.rot90(picture, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 4),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
    ],
)
def test_exif_orientation_is_applied(kind, options, tolerance, orientation):
    exif = PilImage.Exif()
    exif[0x0112] = orientation
    data = save(np.ascontiguousarray(STORED[orientation](quadrants())), kind, exif=exif, **options)
    assert closeness(decode(data).pixels, quadrants()) <= tolerance
    transposed = ImageOps.exif_transpose(PilImage.open(io.BytesIO(data))).convert("RGB")
    assert closeness(decode(data).pixels, np.asarray(transposed)) == 0


def test_exif_behind_the_pixels_of_a_png_is_applied():
    exif = PilImage.Exif()
    exif[0x0112] = 3
    data = save(np.ascontiguousarray(np.rot90(quadrants(), 2)), "PNG")
    late = data[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + data[-12:]
    assert np.array_equal(decode(late).pixels, quadrants())


def test_first_exif_block_of_a_jpeg_counts():
    first, second = PilImage.Exif(), PilImage.Exif()
    first[0x0112], second[0x0112] = 3, 6
    data = save(np.ascontiguousarray(np.rot90(quadrants(), 2)), "JPEG", quality=95, subsampling=0)
    blocks = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(exif.tobytes()) + 2) + exif.tobytes() for exif in (first, second)
    )
    assert closeness(decode(data[:2] + blocks + data[2:]).pixels, quadrants()) <= 4


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_outside_the_standard_is_ignored(orientation):
    exif = PilImage.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(decode(save(quadrants(), "PNG", exif=exif)).pixels, quadrants())


@given(st.binary(max_size=200))
def test_damaged_exif_does_not_keep_a_jpeg_from_being_read(garbage):
    data = save(quadrants(), "JPEG", quality=95)
    segment = b"Exif\0\0" + garbage
    damaged = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    pixels = decode(damaged).pixels
    assert sorted(pixels.shape) == [3, 32, 48]


def test_orientation_of_a_pil_image_is_applied():
    exif = PilImage.Exif()
    exif[0x0112] = 6
    for kind in ("PNG", "TIFF"):
        data = save(np.ascontiguousarray(np.rot90(quadrants())), kind, exif=exif)
        assert np.array_equal(from_pil(PilImage.open(io.BytesIO(data))).pixels, quadrants())
        transposed = ImageOps.exif_transpose(PilImage.open(io.BytesIO(data)))
        assert np.array_equal(from_pil(transposed).pixels, quadrants())


# ----------------------------------------------------------------------------------------------- transparency


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})]
)
def test_rgba_is_composited_on_the_background(kind, options):
    picture = noise(32, 40, 4)
    data = save(picture, kind, **options)
    assert (
        closeness(decode(data, DecodePolicy(BACKGROUND)).pixels, over(picture[..., :3], picture[..., 3])) == 0
    )
    white = over(picture[..., :3], picture[..., 3], (255, 255, 255))
    assert np.array_equal(decode(data).pixels, white)


def test_grey_with_alpha_is_composited_on_the_background():
    picture = noise(32, 40, 2)
    grey = np.repeat(picture[..., :1], 3, -1)
    assert np.array_equal(
        decode(png(picture, 4), DecodePolicy(BACKGROUND)).pixels, over(grey, picture[..., 1])
    )


def test_opaque_alpha_changes_nothing():
    picture = np.concatenate([noise(32, 40, 3), np.full((32, 40, 1), 255, np.uint8)], -1)
    assert np.array_equal(decode(save(picture, "PNG"), DecodePolicy(BACKGROUND)).pixels, picture[..., :3])


def test_palette_with_transparency_is_composited():
    palette = np.array([RED, GREEN, BLUE, YELLOW], np.uint8)
    alpha = np.array([255, 0, 128, 200], np.uint8)
    index = noise(32, 40) % 4
    before = chunk(b"PLTE", palette.tobytes()) + chunk(b"tRNS", alpha.tobytes())
    expected = over(palette[index], alpha[index])
    assert np.array_equal(decode(png(index, 3, before=before), DecodePolicy(BACKGROUND)).pixels, expected)


def test_transparent_colour_of_a_gif_shows_the_background():
    picture = PilImage.fromarray(quadrants()).quantize(4)
    red = picture.getpixel((0, 0))
    expected = quadrants()
    expected[:16, :24] = BACKGROUND
    assert np.array_equal(
        decode(save(picture, "GIF", transparency=red), DecodePolicy(BACKGROUND)).pixels, expected
    )


@pytest.mark.parametrize(("depth", "scale"), [(8, 1), (16, 257)])
def test_transparent_colour_of_an_rgb_png_shows_the_background(depth, scale):
    key = struct.pack(">HHH", *(value * scale for value in RED))
    expected = quadrants()
    expected[:16, :24] = BACKGROUND
    data = png(quadrants().astype(np.uint16) * scale, 2, depth, chunk(b"tRNS", key))
    assert np.array_equal(decode(data, DecodePolicy(BACKGROUND)).pixels, expected)


@pytest.mark.parametrize(("depth", "scale"), [(8, 1), (16, 257)])
def test_transparent_value_of_a_grey_png_shows_the_background(depth, scale):
    grey = np.full((32, 40), 50, np.uint16)
    grey[:8] = 99
    expected = np.full((32, 40, 3), 50, np.uint8)
    expected[:8] = BACKGROUND
    data = png(grey * scale, 0, depth, chunk(b"tRNS", struct.pack(">H", 99 * scale)))
    assert np.array_equal(decode(data, DecodePolicy(BACKGROUND)).pixels, expected)


# ---------------------------------------------------------------------------------- 16 bits, CMYK, 1 bit, ...


def test_16_bit_grey_png_is_scaled_and_not_clipped():
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(decode(png(grey, 0, 16)).pixels, np.repeat(eighth(grey)[..., None], 3, -1))


@pytest.mark.parametrize("interlaced", [False, True])
def test_16_bit_rgb_png_is_rounded_by_both_bytes(interlaced):
    picture = noise(50, 60, 3, dtype=np.uint16)
    data = png(picture, 2, 16)
    if not interlaced:  # OpenCV's encoder filters the rows
        assert np.array_equal(decode(data).pixels, eighth(picture))
        data = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
        assert np.array_equal(decode(data).pixels, eighth(picture))
        return
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    body = b"".join(
        b"\0" + row.astype(">u2").tobytes() for y, x, dy, dx in passes for row in picture[y::dy, x::dx]
    )
    header = struct.pack(">IIBBBBB", 60, 50, 16, 2, 0, 0, 1)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b"")
    assert np.array_equal(decode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).pixels, eighth(picture))


def test_16_bit_alpha_is_composited_after_rounding():
    rgba = noise(32, 40, 4, dtype=np.uint16)
    expected = over(eighth(rgba[..., :3]), eighth(rgba[..., 3]))
    assert np.array_equal(decode(png(rgba, 6, 16), DecodePolicy(BACKGROUND)).pixels, expected)
    grey = noise(32, 40, 2, dtype=np.uint16)
    expected = over(np.repeat(eighth(grey[..., :1]), 3, -1), eighth(grey[..., 1]))
    assert np.array_equal(decode(png(grey, 4, 16), DecodePolicy(BACKGROUND)).pixels, expected)


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_16_bit_tiff_is_rounded_by_both_bytes(bands, compression):
    picture = noise(40, 50, bands, dtype=np.uint16)
    stored = picture if bands == 1 else picture[..., [2, 1, 0, 3][:bands]]
    data = cv2.imencode(".tiff", stored, [cv2.IMWRITE_TIFF_COMPRESSION, compression])[1].tobytes()
    expected = eighth(picture[..., :3])
    if bands == 4:
        expected = over(expected, eighth(picture[..., 3]))
    assert np.array_equal(
        decode(data, DecodePolicy(BACKGROUND)).pixels, np.broadcast_to(expected, (40, 50, 3))
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff_of_both_byte_orders(order):
    picture = noise(40, 50, 3, dtype=np.uint16)
    rgb = tiff(picture.astype(f"{order}u2"), order, {258: (16, 16, 16), 262: (2,), 277: (3,)})
    assert np.array_equal(decode(rgb).pixels, eighth(picture))
    grey = tiff(picture[..., 0].astype(f"{order}u2"), order, {258: (16,), 262: (1,), 277: (1,)})
    assert np.array_equal(decode(grey).pixels, np.repeat(eighth(picture[..., :1]), 3, -1))


def test_orientation_of_a_16_bit_tiff_is_applied():
    picture = quadrants().astype(np.uint16) * 257
    stored = np.ascontiguousarray(np.rot90(picture)).astype("<u2")
    data = tiff(stored, "<", {258: (16, 16, 16), 262: (2,), 274: (6,), 277: (3,)})
    assert np.array_equal(decode(data).pixels, quadrants())


@pytest.mark.parametrize(
    ("dtype", "tags", "what"),
    [
        ("<f4", {258: (32,), 339: (3,)}, "floating-point"),
        ("<u4", {258: (32,), 339: (1,)}, "32-bit"),
        ("<i2", {258: (16,), 339: (2,)}, "signed"),
    ],
)
def test_samples_of_unknown_range_are_an_error(dtype, tags, what):
    data = tiff(np.ones((32, 40), dtype), "<", {262: (1,), 277: (1,), **tags})
    with pytest.raises(ImageError, match=f"{what}.*convert it to 8 or 16 bits"):
        decode(data)


def test_12_bit_tiff_is_an_error():
    data = tiff(np.zeros((32, 60), np.uint8), "<", {256: (40,), 258: (12,), 262: (1,), 277: (1,)})
    with pytest.raises(ImageError, match="12-bit"):
        decode(data)


def cmyk_picture() -> tuple[np.ndarray, np.ndarray]:
    ink = np.zeros((32, 48, 4), np.uint8)
    ink[:16, :24], ink[:16, 24:] = (0, 200, 180, 20), (180, 0, 190, 40)
    ink[16:, :24], ink[16:, 24:] = (200, 160, 0, 10), (0, 20, 220, 0)
    rgb = (255.0 - ink[..., :3]) * (255.0 - ink[..., 3:]) / 255
    return ink, np.floor(rgb + 0.5).astype(np.uint8)


def test_adobe_cmyk_jpeg_has_its_colours():
    ink, rgb = cmyk_picture()
    data = save(PilImage.fromarray(ink, "CMYK"), "JPEG", quality=98, subsampling=0)
    assert b"Adobe" in data  # its values are stored inverted
    assert closeness(decode(data).pixels, rgb) <= 5
    reference = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert closeness(decode(data).pixels, reference) <= 3


def test_cmyk_jpeg_without_adobe_marker_is_taken_as_inverted_too():
    ink, rgb = cmyk_picture()
    data = save(PilImage.fromarray(ink, "CMYK"), "JPEG", quality=98, subsampling=0)
    start = data.index(b"\xff\xee")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    assert closeness(decode(data[:start] + data[start + 2 + length :]).pixels, rgb) <= 5


def test_cmyk_tiff_has_its_colours():
    ink, rgb = cmyk_picture()
    assert closeness(decode(save(PilImage.fromarray(ink, "CMYK"), "TIFF")).pixels, rgb) <= 1


def test_1_bit_png_is_black_and_white():
    bits = noise(32, 40) > 127
    data = save(PilImage.fromarray(bits), "PNG")
    assert np.array_equal(decode(data).pixels, np.repeat(bits[..., None] * np.uint8(255), 3, -1))


@pytest.mark.parametrize(("mode", "grey"), [("YCbCr", (128, 128, 128)), ("LAB", (137, 0, 0))])
def test_other_colour_spaces_of_tiff_become_rgb(mode, grey):
    picture = PilImage.fromarray(np.full((32, 40, 3), grey, np.uint8), mode)
    assert closeness(decode(save(picture, "TIFF")).pixels, np.full((32, 40, 3), 128)) <= 2


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_first_frame_of_an_animation_is_used_with_a_warning(kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    frames = [PilImage.fromarray(np.full((64, 64, 3), value, np.uint8)) for value in (200, 100, 20)]
    options = {"lossless": True} if kind == "WEBP" else {}
    image = decode(save(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert closeness(image.pixels, np.full((64, 64, 3), 200)) <= 1
    assert any("first one was used" in warning for warning in image.warnings)


def test_pictures_behind_the_first_of_a_multi_picture_jpeg_are_ignored():
    first, second = (save(np.full((64, 64, 3), value, np.uint8), "JPEG") for value in (200, 20))
    assert closeness(decode(first + second + b"video").pixels, np.full((64, 64, 3), 200)) <= 1
    several = save(
        PilImage.fromarray(quadrants(64, 64)),
        "MPO",
        save_all=True,
        append_images=[PilImage.new("RGB", (64, 64))],
    )
    assert decode(several).warnings == ()


def test_frame_at_which_a_pil_image_stands_is_taken():
    frames = [PilImage.fromarray(np.full((64, 64, 3), value, np.uint8)) for value in (200, 100)]
    animation = PilImage.open(io.BytesIO(save(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    animation.seek(1)
    assert from_pil(animation).pixels[5, 5].tolist() == [100, 100, 100]
