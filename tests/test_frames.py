"""GIF, WebP, AVIF and HEIC files whose metadata are damaged, whose headers lie, or whose alpha hides all."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import features

from tests.imagefiles import BACKGROUND, ENCODED, chunk, noise, png, quadrants, save, tiff_picture
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import DecodePolicy, decode, from_array, from_pil

SEVERAL = "the file holds several frames or pages; the first one was used"
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")

# ------------------------------------------------------------------------------------------------------- GIF

GIF = save(quadrants(), "GIF")
FRAME = GIF.index(b",", 13 + 3 * (2 << (GIF[10] & 7)))

EXTENSIONS = {
    "comment": b"!\xfe\x05h\xffllo\0",
    "long comment": b"!\xfe" + (b"\xff" + b"x" * 255) * 5000 + b"\0",
    "empty control": b"!\xf9\0",
    "short control": b"!\xf9\1\0\0",
    "short loop": b"!\xff\x0bNETSCAPE2.0\1\1\0",
    "empty application": b"!\xff\0",
    "text": b"!\x01\x02ab\0",
    "unknown": b"!\x77\x02ab\0",
}


@pytest.mark.parametrize("case", EXTENSIONS)
def test_no_extension_of_a_gif_decides_whether_there_is_a_score(case):
    for data in (GIF[:FRAME] + EXTENSIONS[case] + GIF[FRAME:], GIF[:-1] + EXTENSIONS[case][:-1]):
        assert np.array_equal(decode(data).pixels, quadrants())


def test_further_frames_of_a_gif_are_named_however_damaged():
    image = decode(GIF[:-1] + b",damaged")
    assert np.array_equal(image.pixels, quadrants())
    assert SEVERAL in image.warnings


def test_canvas_of_a_gif_without_a_picture_to_fill_it_is_refused():
    data = bytearray(GIF)
    data[6:10] = struct.pack("<HH", 15000, 15000)
    with pytest.raises(ImageError, match="its header says 15000 x 15000 pixels, and it has"):
        decode(bytes(data))


# ------------------------------------------------------------------------------------------------------ WebP


def riff(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WEBP" + b"".join(chunks)


def part(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


WEBP = save(quadrants(64, 96), "WEBP", lossless=True)[12:]
EXTENDED = b"\x2c\0\0\0" + (95).to_bytes(3, "little") + (63).to_bytes(3, "little")  # profile, EXIF and XMP

WEBP_METADATA = {
    "damaged EXIF": part(b"EXIF", b"II*\0\xff\xff\xff\xff"),
    "empty EXIF": part(b"EXIF", b""),
    "damaged XMP": part(b"XMP ", b"\xff\xfe<"),
    "unknown chunk": part(b"abcd", b"xyz"),
    "EXIF cut off": b"EXIF" + struct.pack("<I", 9999) + b"II",
    "flags of chunks that are not there": b"",
}


@pytest.mark.parametrize("case", WEBP_METADATA)
def test_no_metadata_of_a_webp_decide_whether_there_is_a_score(case):
    data = riff(part(b"VP8X", EXTENDED), part(b"ICCP", b"damaged"), WEBP, WEBP_METADATA[case])
    assert np.array_equal(decode(data).pixels, quadrants(64, 96))


def test_orientation_and_further_frames_of_a_webp():
    exif = PilImage.Exif()
    exif[0x0112] = 3
    turned = save(np.ascontiguousarray(quadrants(64, 96)[::-1, ::-1]), "WEBP", lossless=True)[12:]
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    for body in (block, b"Exif\0\0" + block):
        data = riff(part(b"VP8X", EXTENDED), turned, part(b"EXIF", body))
        assert np.array_equal(decode(data).pixels, quadrants(64, 96))
    frames = [PilImage.fromarray(quadrants(64, 96)), PilImage.new("RGB", (96, 64))]
    data = save(frames[0], "WEBP", lossless=True, save_all=True, append_images=frames[1:])
    image = decode(data)
    assert np.array_equal(image.pixels, quadrants(64, 96))
    assert image.warnings == (SEVERAL,)


def test_blank_picture_of_any_size_is_read():
    blank = PilImage.new("RGB", (2400, 1600), (255, 255, 255))
    for kind, options in (("WEBP", {"lossless": True}), ("WEBP", {}), ("GIF", {})):
        assert (decode(save(blank, kind, **options)).pixels == 255).all()


# ---------------------------------------------------------------------------------------------- AVIF and HEIC


def heif(kind: str, exif: bytes = b"") -> bytes:
    picture = PilImage.fromarray(quadrants(64, 96))
    if kind == "AVIF":
        if not features.check("avif"):
            pytest.skip("this Pillow reads no AVIF")
        return save(picture, "AVIF", quality=95, subsampling="4:4:4", exif=exif)
    file = pytest.importorskip("pillow_heif").from_pillow(picture)
    if exif:
        file.info["exif"] = exif
    buffer = io.BytesIO()
    file.save(buffer, quality=95, chroma=444)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["AVIF", "HEIC"])
def test_no_exif_of_avif_or_heic_decides_whether_there_is_a_score(kind, capfd):
    exif = PilImage.Exif()
    exif[0x010E] = "description of the picture"
    data = heif(kind, exif.tobytes())
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    assert block in data
    expected = decode(data).pixels
    assert np.array_equal(decode(heif(kind)).pixels, expected)
    for damage in (b"\xff" * len(block), bytes(len(block)), block[:4] + b"\xff" * (len(block) - 4)):
        image = decode(data.replace(block, damage))
        assert np.array_equal(image.pixels, expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("side", [500, 15800])
@needs_avif
def test_avif_that_says_more_pixels_than_are_coded_is_refused(side):
    data = heif("AVIF")
    extent = data.index(b"ispe") + 8
    lying = data[:extent] + struct.pack(">II", side, side) + data[extent + 8 :]
    with pytest.raises(ImageError, match=f"its header says {side * side} pixels, and 6144 are coded"):
        decode(lying)


def test_heic_that_says_more_pixels_than_are_coded_is_refused_or_read_as_coded():
    data = heif("HEIC")
    extent = data.index(b"ispe") + 8
    for side in (500, 15800):
        lying = data[:extent] + struct.pack(">II", side, side) + data[extent + 8 :]
        try:
            assert decode(lying).pixels.shape == (64, 96, 3)
        except ImageError as error:
            assert "cannot be decoded" in str(error)


# ---------------------------------------------------------------------------------- blank through its alpha

BLANK = "the image is blank through its alpha: every pixel is transparent, and the background was scored"


def hidden(bands: int, dtype: type = np.uint8) -> np.ndarray:
    picture = noise(64, 80, bands, dtype=dtype)
    picture[..., -1] = 0
    return picture


TRANSPARENT = {
    "PNG": save(hidden(4), "PNG"),
    "PNG of 16 bits": png(hidden(4, np.uint16), 6, 16),
    "grey PNG": png(hidden(2), 4),
    "palette": png(noise(64, 80) % 4, 3, before=chunk(b"PLTE", bytes(range(12))) + chunk(b"tRNS", bytes(4))),
    "one colour of a palette": png(
        noise(64, 80) * 0, 3, before=chunk(b"PLTE", b"abc") + chunk(b"tRNS", b"\0")
    ),
    "key": png(noise(64, 80) * 0 + 7, 0, before=chunk(b"tRNS", b"\0\7")),
    "WebP": save(hidden(4), "WEBP", lossless=True, exact=True),
    "TIFF": tiff_picture(hidden(4), 2, tags={338: (2,)}),
    "grey TIFF of 16 bits": tiff_picture(hidden(2, np.uint16), 1, 16, tags={338: (2,)}),
    "multiplied TIFF": tiff_picture(hidden(4) * np.uint8(0), 2, tags={338: (1,)}),
    "GIF": save(PilImage.new("P", (80, 64), 0), "GIF", transparency=0),
} | ({"AVIF": save(hidden(4), "AVIF")} if features.check("avif") else {})


@pytest.mark.parametrize("case", TRANSPARENT)
def test_image_that_is_blank_through_its_alpha_is_scored_with_a_warning(case):
    image = decode(TRANSPARENT[case], DecodePolicy(BACKGROUND))
    assert image.warnings == (BLANK,)
    assert np.array_equal(image.pixels, np.broadcast_to(np.array(BACKGROUND, np.uint8), (64, 80, 3)))


def test_arrays_and_pictures_that_are_blank_through_their_alpha_have_the_warning():
    for bands in (2, 4):
        assert from_array(hidden(bands)).warnings == (BLANK,)
        assert from_array(hidden(bands, np.uint16)).warnings == (BLANK,)
    assert from_pil(PilImage.fromarray(hidden(4))).warnings == (BLANK,)
    seen = hidden(4)
    seen[5, 5, 3] = 1
    assert from_array(seen).warnings == decode(save(seen, "PNG")).warnings == ()
    assert decode(ENCODED["PNG"]).warnings == ()
