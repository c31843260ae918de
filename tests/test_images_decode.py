"""What is decoded, and every way in which a file can be no image."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as PilImage
from PIL import features

from tests.imagefiles import (
    ENCODED,
    closeness,
    eighth,
    noise,
    png,
    quadrants,
    save,
)
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.decode import DecodePolicy, decode, from_array, from_pil, parse_colour
from zeroiqa.images.opencv import cv2

# -------------------------------------------------------------------------------------------- what is decoded


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


# ---------------------------------------------------------------------------------------------- files as such


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
from zeroiqa.images.decode import decode
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


# -------------------------------------------------------------------------------------- arrays and PIL images


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


# ----------------------------------------------------------------------------------------- policy, repetition


def test_id_of_a_policy_names_every_field():
    assert DecodePolicy().id == "decode2(background=255-255-255,max_pixels=250000000,min_side=16)"
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
