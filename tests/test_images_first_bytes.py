"""How much of a file is read: by its first bytes, and by the size of the picture that they speak of."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.imagefiles import ENCODED, chunk, joined, noise, png, quadrants, save, tiff
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import decode
from zeroiqa.images.first_bytes import Peek, most_bytes
from zeroiqa.images.read import read
from zeroiqa.images.ref import ImageRef

HUGE = 2_000_000_000
MEBIBYTE = 1 << 20


class Counted(io.FileIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(-1 if size is None else size)
        self.count += len(data or b"")
        return data or b""


def sparse(path: Path, head: bytes, size: int = HUGE, tail: bytes = b"") -> Path:
    with path.open("wb") as file:
        file.write(head)
        file.seek(size - len(tail))
        file.write(tail or b"\0")
        file.truncate(size)
    return path


def looked_at(path: Path, max_pixels: int = 250_000_000) -> tuple[int, int]:
    """How many bytes would be read, and how many were to find that out."""
    with Counted(path) as file:
        most = most_bytes(Peek(file, path.stat().st_size), max_pixels, path.name, path.name)
        return most, file.count


NO_PICTURES = {
    "text": b"This is no image.\n",
    "zeros": b"",
    "JPEG": b"\xff\xd8\xff\xe0",
    "JPEG of empty segments": b"\xff\xd8" + b"\xff\xe1\0\2" * 20_000,
    "JPEG of fill bytes": b"\xff\xd8" + b"\xff" * 100_000,
    "PNG": b"\x89PNG\r\n\x1a\n",
    "GIF": b"GIF89a",
    "BMP": b"BM" + bytes(8),
    "TIFF": b"II*\0\x08\0\0\0",
    "BigTIFF": b"II+\0\x08\0\0\0",
    "WebP": b"RIFF\xff\xff\xff\x7fWEBPVP8 ",
    "AVIF": b"\0\0\0\x1cftypavif",
    "HEIC": b"\0\0\0\x1cftypheic",
    "small TIFF": tiff(quadrants(), "<", {258: (8, 8, 8), 262: (2,), 277: (3,)}),
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_sparse_file_that_is_no_image_or_a_small_one_is_not_read(name, tmp_path):
    path = sparse(tmp_path / "sparse.jpg", NO_PICTURES[name])
    with (
        Counted(path) as file,
        pytest.raises(ImageError, match=r"is not an image|cannot be decoded|too many for its \d+ pixels"),
    ):
        most_bytes(Peek(file, HUGE), 250_000_000, path.name, path.name)
    assert file.count < 3 * MEBIBYTE
    with pytest.raises(ImageError):
        decode(path)


def test_small_file_that_is_no_image_is_not_read_either(tmp_path):
    path = sparse(tmp_path / "words.jpg", b"This is no image.\n", MEBIBYTE)
    with Counted(path) as file, pytest.raises(ImageError, match="is not an image that can be read"):
        most_bytes(Peek(file, MEBIBYTE), 250_000_000, path.name, path.name)
    assert file.count == 1 << 16


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_what_follows_a_picture_is_not_read(kind, tmp_path):
    data = ENCODED[kind]
    path = sparse(tmp_path / "picture", data, 300 * MEBIBYTE)
    most, looked = looked_at(path)
    assert most == 64 * 80 * 8 + 64 * MEBIBYTE
    assert looked < MEBIBYTE
    assert np.array_equal(decode(path).pixels, decode(data).pixels)


def test_size_of_a_jpeg_is_found_behind_its_metadata(tmp_path):
    data = ENCODED["JPEG"]
    metadata = b"\xff\xe2\xff\xff" + bytes(0xFFFD)
    path = tmp_path / "profile.jpg"
    path.write_bytes(data[:2] + metadata * 400 + b"\xff\xff" + data[2:])
    most, _ = looked_at(path)
    assert most == path.stat().st_size > 25 * MEBIBYTE
    assert np.array_equal(decode(path).pixels, decode(data).pixels)


def test_more_pixels_than_are_decoded_are_refused_before_they_are_read(tmp_path):
    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    path = sparse(tmp_path / "large.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))
    with Counted(path) as file, pytest.raises(ImageError, match="is 30000 x 30000 pixels; at most"):
        most_bytes(Peek(file, HUGE), 250_000_000, path.name, path.name)
    assert file.count < MEBIBYTE


def test_pages_explain_the_size_of_a_tiff(tmp_path):
    tags = {256: (2000,), 257: (1500,), 258: (8, 8, 8), 262: (2,), 277: (3,)}
    page = tiff(quadrants(), "<", tags)
    assert (
        looked_at(sparse(tmp_path / "3.tif", joined(page, page, page), 100 * MEBIBYTE))[0] == 100 * MEBIBYTE
    )
    with pytest.raises(
        ImageError, match="has 104857600 bytes, too many for its 3000000 pixels; save it again"
    ):
        looked_at(sparse(tmp_path / "1.tif", page, 100 * MEBIBYTE))


def test_animation_that_is_larger_than_a_picture_of_its_size_is_refused(tmp_path):
    data = png(quadrants(), 2, before=chunk(b"acTL", struct.pack(">II", 9, 0)))
    path = sparse(tmp_path / "animation.png", data, 100 * MEBIBYTE)
    with pytest.raises(ImageError, match="is an animation of 104857600 bytes; at most 67121152 are read"):
        decode(path)


def test_large_animated_webp_is_read_as_far_as_its_first_frames(tmp_path):
    data = ENCODED["WEBP"]
    size = 100 * MEBIBYTE
    animation = b"VP8X\x0a\0\0\0\2\0\0\0" + (79).to_bytes(3, "little") + (63).to_bytes(3, "little")
    frame = bytes(6) + (79).to_bytes(3, "little") + (63).to_bytes(3, "little") + bytes(4) + data[12:]
    first = b"ANMF" + struct.pack("<I", len(frame)) + frame
    head = animation + b"ANIM\6\0\0\0" + bytes(6) + first
    second = b"ANMF" + struct.pack("<I", size - 12 - len(head) - 8)
    path = sparse(
        tmp_path / "large.webp", b"RIFF" + struct.pack("<I", size - 8) + b"WEBP" + head + second, size
    )
    image = decode(path)
    assert np.array_equal(image.pixels, decode(data).pixels)
    assert any("several frames" in warning for warning in image.warnings)


def test_members_of_an_archive_have_the_same_bounds(tmp_path):
    path, size = tmp_path / "large.tar", 100 * MEBIBYTE
    header = tarfile.TarInfo("a.jpg")
    header.size = size
    sparse(path, header.tobuf() + ENCODED["JPEG"], 512 + size)
    stored = ImageRef(f"{path}/a.jpg", bytes=size, archive=str(path), offset=512)
    assert len(read(stored, 250_000_000)) == 64 * 80 * 8 + 64 * MEBIBYTE
    assert np.array_equal(decode(stored).pixels, decode(ENCODED["JPEG"]).pixels)
    sparse(path, header.tobuf(), 512 + size)
    with pytest.raises(ImageError, match="is not an image that can be read"):
        read(stored, 250_000_000)


def test_slices_of_an_open_file_are_those_of_its_bytes(tmp_path):
    data = noise(300_000).tobytes()
    path = tmp_path / "bytes"
    path.write_bytes(b"x" * 7 + data)
    with path.open("rb") as file:
        peek = Peek(file, len(data), 7)
        for start, stop in (
            (0, 8),
            (65_530, 65_600),
            (299_990, 300_010),
            (10, 5),
            (400_000, 400_004),
            (0, 300_000),
        ):
            assert peek[start:stop] == data[start:stop]
        assert len(peek) == len(data)
    with Counted(path) as counted:  # one request for an object of a store
        peek = Peek(counted, len(data) + 7, least=MEBIBYTE)
        assert peek[:8] == b"xxxxxxx" + data[:1]
        assert peek[: len(peek)] == path.read_bytes()
        assert counted.count == len(peek)


def test_orientation_and_pixels_of_a_file_of_ordinary_size_are_untouched(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(save(quadrants(), "JPEG", quality=95))
    assert read(ImageRef(str(path)), 250_000_000) == path.read_bytes()
