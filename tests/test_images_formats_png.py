"""PNG files whose ancillary or critical chunks are damaged, short or large, and transparent keys."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

from tests.imagefiles import BACKGROUND, ENCODED, chunk, noise, png, quadrants
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import DecodePolicy, decode

WHOLE = png(quadrants(), 2)
SEVERAL = "the file holds several frames or pages; the first one was used"


def broken(kind: bytes, body: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return chunk(kind, body)[:-1] + bytes((chunk(kind, body)[-1] ^ 1,))


ANCILLARY = {
    "text of 2 MB": chunk(b"iTXt", b"workflow\0\0\0\0\0" + b"x" * 2_000_000),
    "compressed text of 80 MB": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 1)),
    "compressed international text": chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(2_000_000))),
    "damaged compressed text": chunk(b"zTXt", b"a\0\0xyz"),
    "100 texts": 100 * chunk(b"tEXt", b"a\0" + b"x" * 10_000),
    "wrong checksum of a text": broken(b"tEXt", b"a\0b"),
    "wrong checksum of a private chunk": broken(b"prVt", b"a"),
    "wrong length of a text": struct.pack(">I", 9) + chunk(b"tEXt", b"a\0bcdefghijklmn")[4:],
    "length beyond the end": struct.pack(">I", 1 << 30) + chunk(b"tEXt", b"a\0b")[4:],
    "unknown profile": chunk(b"iCCP", b"icc\0\7xxx"),
    "short profile": chunk(b"iCCP", b"icc"),
    "large profile": chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(5_000_000))),
    "damaged EXIF": chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    "no frames": chunk(b"acTL", bytes(8)),
    "short animation": chunk(b"acTL", b"\0"),
    "two animations": 2 * chunk(b"acTL", struct.pack(">II", 2, 0)),
    "damaged frame": chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", bytes(26)),
    "short frame": chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", b"\0"),
    "short background": chunk(b"bKGD", b""),
    "transparent colour that is too short": chunk(b"tRNS", b"\0\1"),
    "wrong checksum of the transparent colour": broken(b"tRNS", struct.pack(">HHH", 220, 30, 40)),
} | {
    f"short {kind.decode()}": chunk(kind, b"")
    for kind in (b"sRGB", b"gAMA", b"cHRM", b"pHYs", b"tIME", b"sBIT")
}


@pytest.mark.parametrize("case", ANCILLARY)
def test_no_ancillary_chunk_decides_whether_there_is_a_score(case, capfd):
    for data in (png(quadrants(), 2, before=ANCILLARY[case]), WHOLE[:-12] + ANCILLARY[case] + WHOLE[-12:]):
        image = decode(data)
        assert np.array_equal(image.pixels, quadrants())
        assert all("small" in warning for warning in image.warnings)
    assert capfd.readouterr() == ("", "")


def test_nothing_of_python_or_of_libraries_reaches_standard_error(tmp_path):
    """In a process of its own: the suite turns warnings into errors, which would be caught."""
    paths = []
    for number, case in enumerate(ANCILLARY):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(png(quadrants(), 2, before=ANCILLARY[case]))
    code = (
        "import sys; from zeroiqa.images.decode import decode; "
        "print(len([decode(path) for path in sys.argv[1:]]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "always"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, env=environment
    )
    assert (done.stdout, done.stderr) == (f"{len(ANCILLARY)}\n", "")


def test_further_frames_are_named():
    frame = struct.pack(">IIIIIHHBB", 0, 48, 32, 0, 0, 1, 10, 0, 0)
    control = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", frame)
    second = chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(bytes(32 * 145)))
    data = png(quadrants(), 2, before=control)
    assert SEVERAL not in decode(data).warnings
    image = decode(data[:-12] + chunk(b"fcTL", b"\0\0\0\1" + frame[4:]) + second + data[-12:])
    assert SEVERAL in image.warnings
    assert np.array_equal(image.pixels, quadrants())


def test_damage_of_a_critical_chunk_is_an_error():
    for position in (WHOLE.index(b"IHDR") + 6, WHOLE.index(b"IDAT") + 20, WHOLE.index(b"IEND") + 5):
        damaged = bytearray(WHOLE)
        damaged[position] ^= 4
        with pytest.raises(ImageError, match="truncated or damaged"):
            decode(bytes(damaged))
    palette = chunk(b"PLTE", bytes(12))
    index = noise(32, 40) % 4
    assert decode(png(index, 3, before=palette)).pixels.max() == 0
    for before in (palette[:-1] + b"x", b""):
        with pytest.raises(ImageError, match="truncated or damaged"):
            decode(png(index, 3, before=before))


def test_critical_chunk_that_is_not_known_is_named():
    for kind, what in ((b"CgBI", "Apple's variant of PNG"), (b"JDAT", "has a critical chunk JDAT")):
        with pytest.raises(ImageError, match=what):
            decode(png(quadrants(), 2, before=chunk(kind, b"\0\0\0\0")))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("value", [0, 1])
def test_transparent_grey_of_every_depth_shows_the_background(depth, value):
    grey = noise(32, 40, dtype=np.uint16) >> (16 - depth)
    grey[3:9] = value
    scale = 65535 // ((1 << depth) - 1)
    rows = np.unpackbits(grey.astype(">u2").view(np.uint8).reshape(32, 40, 2), axis=-1)[..., 16 - depth :]
    packed = np.packbits(rows.reshape(32, -1), axis=1)
    header = struct.pack(">IIBBBBB", 40, 32, depth, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))
    for above in (0, 1 << depth if depth < 16 else 0):  # bits beyond the depth mean nothing
        key = chunk(b"tRNS", struct.pack(">H", value | above))
        parts = chunk(b"IHDR", header), key, chunk(b"IDAT", body), chunk(b"IEND", b"")
        expected = np.repeat((grey * float(scale) / 257 + 0.5).astype(np.uint8)[..., None], 3, -1)
        expected[grey == value] = BACKGROUND
        decoded = decode(b"\x89PNG\r\n\x1a\n" + b"".join(parts), DecodePolicy(BACKGROUND))
        assert np.array_equal(decoded.pixels, expected)


def test_pixels_that_cannot_be_there_are_refused():
    for side in (2000, 15800):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        data = WHOLE[:8] + header + WHOLE[33:]
        with pytest.raises(ImageError, match=f"its header says {side} x {side} pixels, and it has"):
            decode(data)
    blank = png(np.full((4000, 4000), 255, np.uint8), 0)
    assert len(blank) < 30_000
    assert (decode(blank).pixels == 255).all()


@pytest.mark.parametrize("chunks", [2, 50])
def test_data_in_several_chunks_with_others_between_them(chunks):
    start = ENCODED["PNG"].index(b"IDAT") - 4
    length = int.from_bytes(ENCODED["PNG"][start : start + 4], "big")
    body = ENCODED["PNG"][start + 8 : start + 8 + length]
    size = -(-length // chunks)
    split = b"".join(
        chunk(b"IDAT", body[k : k + size]) + broken(b"teXt", b"x") for k in range(0, length, size)
    )
    data = ENCODED["PNG"][:start] + split + chunk(b"IEND", b"")
    assert np.array_equal(decode(data).pixels, decode(ENCODED["PNG"]).pixels)
