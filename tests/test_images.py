"""Every case of the decode policy, from a file whose right pixels are known."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as PilImage
from PIL import ImageFile, ImageOps, features

from zeroiqa.errors import ImageError, UserError
from zeroiqa.images import DecodePolicy, decode, from_array, from_pil, parse_colour
from zeroiqa.opencv import cv2

RED, GREEN, BLUE, YELLOW = (220, 30, 40), (20, 180, 60), (30, 50, 200), (230, 210, 20)


def quadrants(height: int = 32, width: int = 48) -> np.ndarray:
    """Four flat colours: no two orientations look the same, and JPEG hardly changes them."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = RED, GREEN
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = BLUE, YELLOW
    return picture


def noise(*shape: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def save(picture: np.ndarray | PilImage.Image, kind: str, **options: object) -> bytes:
    picture = picture if isinstance(picture, PilImage.Image) else PilImage.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples: np.ndarray, colour: int, depth: int = 8, before: bytes = b"") -> bytes:
    """A PNG file of unfiltered rows; colour 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    rows = samples.astype(">u2" if depth == 16 else np.uint8)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, colour, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + end


def tiff(samples: np.ndarray, order: str, tags: dict[int, tuple[int, ...]]) -> bytes:
    """An uncompressed TIFF file of one strip; the tags are 16-bit or, if large, 32-bit numbers."""
    body = samples.tobytes()
    offset = 8 + len(body)
    tags = {
        256: (samples.shape[1],),
        257: (samples.shape[0],),
        259: (1,),
        273: (8,),
        279: (len(body),),
    } | tags
    directory, extra = struct.pack(order + "H", len(tags)), b""
    after = offset + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        code, kind = ("I", 4) if max(values) > 0xFFFF else ("H", 3)
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(packed) > 4:
            extra, packed = extra + packed, struct.pack(order + "I", after + len(extra))
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", offset)
    return head + body + directory + bytes(4) + extra


def eighth(samples: np.ndarray) -> np.ndarray:
    """16-bit samples in 8 bits, as the policy rounds them."""
    return np.floor(samples.astype(float) / 257 + 0.5).astype(np.uint8)


def closeness(image: np.ndarray, expected: np.ndarray) -> int:
    assert image.shape == expected.shape
    return int(np.abs(image.astype(int) - expected).max())


# ---------------------------------------------------------------------------------------------- what is decoded

LOSSLESS = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "BMP": {},
    "TIFF": {},
    "tiff_lzw": {"compression": "tiff_lzw"},
    "tiff_deflate": {"compression": "tiff_adobe_deflate"},
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_the_stored_pixels(kind):
    picture = noise(40, 70, 3)
    image = decode(save(picture, kind.split("_")[0], **LOSSLESS[kind]))
    assert np.array_equal(image.pixels, picture)
    assert image.pixels.dtype == np.uint8
    assert image.pixels.flags.owndata
    assert image.pixels.flags.c_contiguous
    assert image.pixels.flags.writeable


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_gives_the_pixels_that_opencv_gives(progressive, subsampling):
    picture = cv2.GaussianBlur(noise(90, 131, 3), (0, 0), 2)
    data = save(picture, "JPEG", quality=90, progressive=progressive, subsampling=subsampling)
    reference = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(decode(data).pixels, reference)


def test_grey_jpeg_becomes_three_equal_channels():
    data = save(np.full((64, 64), 77, np.uint8), "JPEG")
    assert np.array_equal(decode(data).pixels, np.full((64, 64, 3), 77))


def test_gif_gives_its_palette_colours():
    assert np.array_equal(decode(save(quadrants(), "GIF")).pixels, quadrants())


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_gives_nearly_the_stored_pixels():
    data = save(quadrants(64, 96), "AVIF", quality=95, subsampling="4:4:4")
    assert closeness(decode(data).pixels, quadrants(64, 96)) <= 4


def test_heic_gives_nearly_the_stored_pixels():
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(PilImage.fromarray(quadrants(64, 96))).save(buffer, quality=95, chroma=444)
    assert closeness(decode(buffer.getvalue()).pixels, quadrants(64, 96)) <= 8


@pytest.mark.parametrize("mode", ["HEIF", "AVIF"])
def test_rotation_property_is_applied_once(mode):
    exif = PilImage.Exif()
    exif[0x0112] = 6
    stored = PilImage.fromarray(np.rot90(quadrants(64, 96)))
    if mode == "AVIF":
        if not features.check("avif"):
            pytest.skip("this Pillow reads no AVIF")
        data = save(stored, "AVIF", quality=95, exif=exif)
    else:
        heif = pytest.importorskip("pillow_heif")
        file = heif.from_pillow(stored)
        file.info["exif"] = exif.tobytes()
        buffer = io.BytesIO()
        file.save(buffer, quality=95, chroma=444)
        assert b"irot" in buffer.getvalue()
        data = buffer.getvalue()
    pixels = decode(data).pixels
    assert pixels.shape == (64, 96, 3)
    assert closeness(pixels[4:28, 4:44], quadrants(64, 96)[4:28, 4:44]) <= 8


def test_format_is_told_by_the_content_and_not_by_the_name(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(save(quadrants(), "PNG"))
    assert np.array_equal(decode(path).pixels, quadrants())


def test_name_and_prompt_are_kept(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(save(quadrants(), "PNG"))
    assert decode(path, prompt="a cat").name == str(path)
    assert decode(path, prompt="a cat").prompt == "a cat"
    assert decode(path.read_bytes(), name="mine").name == "mine"


# ------------------------------------------------------------------------------------------------- orientation

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


# ------------------------------------------------------------------------------------------------ transparency

BACKGROUND = (10, 130, 250)


def over(colour: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int] = BACKGROUND) -> np.ndarray:
    share = alpha.astype(float)[..., None] / 255
    return np.floor(colour * share + np.array(background) * (1 - share) + 0.5).astype(np.uint8)


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


# ----------------------------------------------------------------------------------- 16 bits, CMYK, 1 bit, ...


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


def test_planes_of_a_16_bit_tiff_are_an_error_or_right():
    picture = noise(40, 50, 3, dtype=np.uint16)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1)).astype("<u2")
    offsets = tuple(8 + band * 4000 for band in range(3))
    tags = {
        256: (50,),
        257: (40,),
        258: (16, 16, 16),
        262: (2,),
        273: offsets,
        277: (3,),
        279: (4000,) * 3,
        284: (2,),
    }
    with pytest.raises(ImageError, match="planes"):
        decode(tiff(planes, "<", tags))


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


# -------------------------------------------------------------------------------------------- refused, warned


ENCODED = {
    "JPEG": save(cv2.GaussianBlur(noise(64, 80, 3), (0, 0), 1), "JPEG", quality=90),
    "progressive": save(cv2.GaussianBlur(noise(64, 80, 3), (0, 0), 1), "JPEG", quality=90, progressive=True),
    "PNG": save(noise(64, 80, 3), "PNG"),
    "WEBP": save(noise(64, 80, 3), "WEBP", quality=90),
    "GIF": save(noise(64, 80, 3), "GIF"),
    "BMP": save(noise(64, 80, 3), "BMP"),
    "TIFF": save(noise(64, 80, 3), "TIFF"),
} | ({"AVIF": save(noise(64, 80, 3), "AVIF")} if features.check("avif") else {})


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.75, 0.95])
@pytest.mark.parametrize("kind", ENCODED)
def test_truncated_file_is_an_error(kind, share, capfd):
    data = ENCODED[kind]
    with pytest.raises(ImageError, match=r"copy or download it again|begins with"):
        decode(data[: int(len(data) * share)], name="photo")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG"])
@pytest.mark.parametrize("missing", [1, 2, 3])
def test_missing_end_marker_is_a_truncation(kind, missing):
    with pytest.raises(ImageError, match="the file ends"):
        decode(ENCODED[kind][:-missing])


@pytest.mark.parametrize("kind", ENCODED)
def test_damaged_file_gives_an_image_or_an_image_error(kind, capfd):
    """Compressed TIFF is left out: libtiff prints a line about damage."""
    random = np.random.default_rng(7)
    policy = DecodePolicy(max_pixels=1_000_000)
    outcomes = set()
    for _ in range(200):
        data = bytearray(ENCODED[kind])
        reach = 64 if random.random() < 0.3 else len(data)
        for position in random.integers(0, reach, random.integers(1, 12)):
            data[position] = random.integers(256)
        if random.random() < 0.2:
            data = data[: random.integers(1, len(data))]
        try:
            outcomes.add(decode(bytes(data), policy).pixels.ndim)
        except ImageError as error:
            outcomes.add("error")
            assert "\n" not in str(error)
    assert "error" in outcomes
    assert capfd.readouterr().err == ""


def bomb(kind: str) -> bytes:
    """A small file whose header says 30000 x 30000, or as much as the format allows."""
    data = bytearray(ENCODED[kind])
    if kind == "PNG":
        return data[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)) + data[33:]
    if kind == "JPEG":
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", 30000, 30000)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", 30000, 30000)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", 30000, 30000)
    elif kind == "WEBP":
        alpha = bytearray(save(noise(64, 80, 4), "WEBP"))
        assert alpha[12:16] == b"VP8X"
        alpha[24:30] = (16382).to_bytes(3, "little") * 2
        return bytes(alpha)
    else:
        return tiff(
            noise(64, 80, 3), "<", {256: (30000,), 257: (30000,), 258: (8, 8, 8), 262: (2,), 277: (3,)}
        )
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_decompression_bomb_is_refused_by_its_header(kind):
    with pytest.raises(ImageError, match=r"is (30000 x 30000|16383 x 16383) pixels; at most 250000000"):
        decode(bytes(bomb(kind)))


def test_small_image_in_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(ENCODED["PNG"])
        file.truncate(100 << 20)
    with pytest.raises(ImageError, match="too many for 1000000 pixels"):
        decode(path, DecodePolicy(max_pixels=1_000_000))


@pytest.mark.parametrize("kind", ENCODED)
def test_limit_of_pillow_plays_no_part(kind, monkeypatch):
    before = decode(ENCODED[kind]).pixels
    monkeypatch.setattr(PilImage, "MAX_IMAGE_PIXELS", 4000)  # Pillow would warn, an error in these tests
    assert np.array_equal(decode(ENCODED[kind]).pixels, before)
    if kind != "WEBP":  # the largest possible WebP, 16383 x 16383, stays below twice Pillow's limit
        monkeypatch.setattr(PilImage, "MAX_IMAGE_PIXELS", 100)
        assert np.array_equal(decode(ENCODED[kind]).pixels, before)


def test_nothing_global_is_changed():
    before = PilImage.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)
    for data in ENCODED.values():
        decode(data)
    assert before == (PilImage.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"hello, I am text\n", r"is not an image that can be read: it begins with b'hello, I am text'"),
        (b"<?xml version='1.0'?>\n<svg width='5'/>", "an SVG drawing, which is not read; convert"),
        (b"<svg xmlns='x'/>", "an SVG drawing"),
        (b"%PDF-1.7 ....", "a PDF document"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
        (b"II*\0\x10\0\0\0CR\2\0", "a camera raw file"),
        (b"P6 3 3 255\n", "a portable bitmap"),
        (b"", "begins with b''"),
        (b"\xff\xd8\xff", "end-of-image"),
    ],
)
def test_what_is_no_image_is_named(data, what):
    with pytest.raises(ImageError, match=what):
        decode(data, name="photo.jpg")


def test_text_named_jpg_is_an_error(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_text("this is text")
    with pytest.raises(
        ImageError, match=r"photo\.jpg is not an image that can be read: it begins with b'this is text'"
    ):
        decode(path)


def test_camera_raw_file_is_told_by_its_name_and_by_its_tags(tmp_path):
    path = tmp_path / "photo.NEF"
    path.write_bytes(ENCODED["TIFF"])
    with pytest.raises(ImageError, match="camera raw"):
        decode(path)
    dng = tiff(noise(32, 40, 3), "<", {258: (8, 8, 8), 262: (2,), 277: (3,), 50706: (1,)})
    with pytest.raises(ImageError, match="DNG"):
        decode(dng)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (15, 200), (200, 15)])
def test_side_under_the_minimum_is_an_error(height, width):
    picture = np.zeros((height, width, 3), np.uint8)
    message = f"is {width} x {height} pixels; at least 16 on the shorter side are needed to judge quality"
    for make in (lambda: decode(save(picture, "PNG")), lambda: from_array(picture)):
        with pytest.raises(ImageError, match=message):
            make()


def test_extreme_aspect_under_the_minimum_is_an_error_and_above_it_a_warning():
    with pytest.raises(ImageError, match="10 x 4000 pixels"):
        decode(save(np.zeros((4000, 10, 3), np.uint8), "PNG"))
    assert any("long" in warning for warning in from_array(np.zeros((70, 4000, 3), np.uint8)).warnings)
    assert from_array(np.zeros((64, 512, 3), np.uint8)).warnings == ()


def test_side_under_64_is_a_warning():
    assert any("small" in warning for warning in from_array(np.zeros((63, 64), np.uint8)).warnings)
    assert from_array(np.zeros((64, 64), np.uint8)).warnings == ()


# ----------------------------------------------------------------------------------------------- files as such


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.jpg does not exist"):
        decode(tmp_path / "nowhere.jpg")


def test_empty_file_is_named(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(ImageError, match=r"empty\.jpg is empty \(0 bytes\)"):
        decode(path)


def test_folder_is_named(tmp_path):
    with pytest.raises(ImageError, match="is a folder"):
        decode(tmp_path)


def test_broken_link_is_named_with_its_target(tmp_path):
    path = tmp_path / "link.jpg"
    path.symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match=r"link\.jpg is a broken symbolic link: .*gone\.jpg does not exist"):
        decode(path)


def test_link_onto_itself_is_an_error(tmp_path):
    path = tmp_path / "loop.jpg"
    path.symlink_to(path)
    with pytest.raises(ImageError, match="cannot be read"):
        decode(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_pipe_is_an_error_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        decode(tmp_path / "pipe.jpg")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there are no device files here")
def test_device_is_an_error():
    with pytest.raises(ImageError, match="not a regular file"):
        decode("/dev/zero")


def test_path_with_a_zero_byte_is_an_error():
    with pytest.raises(ImageError, match="null"):
        decode("a\0b.jpg")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="there are no file modes here")
def test_file_without_permission_is_named(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(ENCODED["PNG"])
    path.chmod(0)
    code = f"""
import os, sys
from zeroiqa.errors import ImageError
from zeroiqa.images import decode
if os.geteuid() == 0:
    os.chdir({str(tmp_path)!r})
    os.seteuid(65534)
try:
    decode("secret.png")
except ImageError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.stdout == "secret.png cannot be read: permission denied; change its mode or owner.\n", (
        done.stderr
    )


@pytest.mark.parametrize(
    "name",
    [
        "with space.png",
        "ünï-图片-😀.png",
        "quo'te\".png",
        "new\nline.png",
        "tab\t\x1b[31m.png",
        "%41*?[x].png",
    ],
)
def test_odd_name_is_read_and_shown_on_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(ENCODED["PNG"])
    assert decode(path).name == str(path)
    path.write_bytes(b"no image")
    with pytest.raises(ImageError) as caught:
        decode(path)
    assert str(caught.value).isprintable()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode here")
def test_name_outside_utf_8_is_read_and_escaped(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Path(path).write_bytes(ENCODED["PNG"])
    assert decode(path).name.endswith(r"caf\udce9.png")
    assert decode(path).name.encode()
    Path(path).write_bytes(b"no image")
    with pytest.raises(ImageError) as caught:
        decode(path)
    assert str(caught.value).encode()


def test_heic_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    with pytest.raises(ImageError, match=r"pip install 'zeroiqa\[heic\]'"):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", name="photo.heic")


# --------------------------------------------------------------------------------------- arrays and PIL images


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(16, 20), st.integers(16, 20), st.integers(1, 4))),
    st.tuples(*[st.integers(0, 255)] * 3),
)
def test_arrays_follow_the_same_policy_as_files(array, background):
    policy = DecodePolicy(background)
    file = png(array, {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2]])
    assert np.array_equal(from_array(array, policy).pixels, decode(file, policy).pixels)
    if array.shape[2] != 1:
        mode = {2: "LA", 3: "RGB", 4: "RGBA"}[array.shape[2]]
        assert np.array_equal(
            from_pil(PilImage.fromarray(array, mode), policy).pixels, decode(file, policy).pixels
        )


@given(hnp.arrays(np.uint16, (16, 17, 3)))
def test_16_bit_arrays_are_rounded(array):
    assert np.array_equal(from_array(array).pixels, eighth(array))
    assert np.array_equal(from_array(array.astype(">u2")).pixels, eighth(array))


def test_bool_array_is_black_and_white():
    array = noise(20, 20) > 99
    assert np.array_equal(from_array(array).pixels[..., 1], array * np.uint8(255))


def test_result_shares_no_memory_with_the_array():
    array = noise(20, 30, 3)
    before = array.copy()
    image, turned = from_array(array), from_array(array[::-1, ::-1])
    array[:] = 0
    assert np.array_equal(image.pixels, before)
    assert np.array_equal(turned.pixels, before[::-1, ::-1])


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.zeros((20, 20, 3), np.float32), "float32 samples, whose range is not known; convert"),
        (np.zeros((20, 20), np.int64), "int64"),
        (np.zeros((20,), np.uint8), "shape"),
        (np.zeros((20, 20, 5), np.uint8), "shape"),
        (np.zeros((2, 20, 20, 3), np.uint8), "shape"),
        (np.zeros((0, 20, 3), np.uint8), "0 pixels; at least 16"),
        ("text", "shape"),
    ],
)
def test_other_arrays_are_refused(array, what):
    with pytest.raises(ImageError, match=what):
        from_array(array)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "La", "CMYK", "YCbCr", "HSV", "I;16"]
)
def test_every_mode_of_pillow_has_its_colour(mode):
    value = 65535 if mode == "I;16" else None
    white = PilImage.new("I;16", (20, 30), value) if value else PilImage.new("L", (20, 30), 255)
    if mode in ("RGBa", "La"):
        white = white.convert("RGBA" if mode == "RGBa" else "LA")
    if mode not in ("L", "I;16"):
        white = white.convert("RGB").convert(mode) if mode == "HSV" else white.convert(mode)
    assert np.array_equal(from_pil(white, DecodePolicy((0, 0, 0))).pixels, np.full((30, 20, 3), 255))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_modes_of_unknown_range_are_refused(mode):
    with pytest.raises(ImageError, match="range is not known"):
        from_pil(PilImage.new(mode, (20, 20)))


# ------------------------------------------------------------------------------------------ policy, repetition


def test_id_of_a_policy_names_every_field():
    assert DecodePolicy().id == "decode1(background=255-255-255,max_pixels=250000000,min_side=16)"
    ids = {
        DecodePolicy(**change).id
        for change in ({}, {"background": (0, 0, 0)}, {"max_pixels": 9}, {"min_side": 9})
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    "fields", [{"background": (0, 0, 256)}, {"background": (0, 0)}, {"max_pixels": 0}, {"min_side": 0}]
)
def test_policy_outside_its_range_is_refused(fields):
    with pytest.raises(UserError):
        DecodePolicy(**fields)


def test_colours_are_parsed():
    assert parse_colour("#0a82fA") == (10, 130, 250)
    for text in ("white", "#fff", "#ffffff ", "ffffff"):
        with pytest.raises(UserError, match="#rrggbb"):
            parse_colour(text)


def test_decoding_is_the_same_in_threads():
    expected = {kind: decode(data).pixels for kind, data in ENCODED.items()}
    kinds = list(ENCODED) * 6
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda kind: decode(ENCODED[kind]), kinds))
    assert all(
        np.array_equal(image.pixels, expected[kind]) for kind, image in zip(kinds, images, strict=True)
    )


# ------------------------------------------------------------------------------------------------------ OpenCV


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "libGL.so.1 is missing; install",
        ),
        (
            "libgthread-2.0.so.0: cannot open shared object file: No such file or directory",
            "libgthread-2.0.so.0 is",
        ),
        ("numpy.core.multiarray failed to import", "OpenCV cannot be imported (numpy.core"),
    ],
)
def test_opencv_without_its_libraries_says_what_to_install(tmp_path, raised, sentence):
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text(f"raise ImportError({raised!r})\n")
    code = """
from zeroiqa.errors import UserError
try:
    import zeroiqa.opencv
except UserError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert sentence in done.stdout
    assert "opencv-python-headless" in done.stdout
    assert done.stdout.count("\n") == 1
