"""What is refused before or while it is decoded: truncated, damaged, too large, no image."""

from __future__ import annotations

import struct
import warnings

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageFile

from tests.imagefiles import (
    ENCODED,
    chunk,
    noise,
    save,
    tiff,
)
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import DecodePolicy, decode, from_array


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.75, 0.95])
@pytest.mark.parametrize("kind", ENCODED)
def test_truncated_file_is_an_error(kind, share, capfd):
    data = ENCODED[kind]
    with pytest.raises(ImageError, match=r"copy or download it again|begins with"):
        decode(data[: int(len(data) * share)], name="photo")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("missing", [1, 2, 3, 12])
def test_missing_end_chunk_is_a_truncation(missing):
    with pytest.raises(ImageError, match="the file ends"):
        decode(ENCODED["PNG"][:-missing])


@pytest.mark.parametrize("kind", ENCODED)
def test_damaged_file_gives_an_image_or_an_image_error(kind, capfd):
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


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_damaged_compressed_tiff_gives_an_image_or_an_image_error(compression, capfd):
    whole = save(noise(64, 80, 3), "TIFF", compression=compression)
    random = np.random.default_rng(8)
    errors = 0
    for _ in range(60):
        data = bytearray(whole)
        for position in random.integers(0, len(data), random.integers(1, 12)):
            data[position] = random.integers(256)
        try:
            decode(bytes(data), DecodePolicy(max_pixels=1_000_000))
        except ImageError:
            errors += 1
    assert errors
    with pytest.raises(ImageError):
        decode(whole[: len(whole) // 2])
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
    monkeypatch.setattr(PilImage, "MAX_IMAGE_PIXELS", 100)  # and refuse
    if kind == "WEBP":
        with pytest.raises(ImageError, match="has more pixels than Pillow reads of it; convert it to PNG"):
            decode(ENCODED[kind])
    else:
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
        (b"II*\0\x10\0\0\0IIII", "a camera raw file"),
        (b"FOVb\0\0\0\0", "a camera raw file"),
        (b"II*\0\x10\0\0\0CR\2\0", "a camera raw file"),
        (b"P6 3 3 255\n", "a portable bitmap"),
        (b"", "begins with b''"),
        (b"\xff\xd8\xff", "the file ends before its image data"),
        (b"\0\0\1\0\1\0    ", "an icon or a cursor"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x20\0\x20\1\1\x11\0", "JPEG-LS"),
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
