"""A list of paths or one image on standard input."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from zeroiqa.errors import UserError
from zeroiqa.images import standard_input
from zeroiqa.images.decode import decode
from zeroiqa.images.find import find_images


def piped(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="ascii")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF"])
def test_an_image_is_kept_under_the_name_of_its_content(here, kind):
    file = io.BytesIO()
    Image.effect_noise((100, 80), 50).save(file, kind)
    (source,) = find_images(["-"], piped(file.getvalue()))
    path = Path(source.path)
    assert path.parent == standard_input.KEPT
    assert path.read_bytes() == file.getvalue()
    assert decode(source.path).pixels.shape == (80, 100, 3)
    assert find_images(["-"], piped(file.getvalue())) == [source]  # with its time, so that its run goes on
    assert list(path.parent.iterdir()) == [path]


def test_a_list_whose_first_path_looks_like_a_format_is_a_list(here):
    for name in ("GIF89a.jpg", "BMW.jpg", "P5 x.jpg"):
        Path(name).write_bytes(b"1")
    found = find_images(["-"], piped(b"GIF89a.jpg\nBMW.jpg\nP5 x.jpg\n"))
    assert [source.path for source in found] == ["GIF89a.jpg", "BMW.jpg", "P5 x.jpg"]


@pytest.mark.parametrize(
    "data", [b"PK\3\4" + b"\0" * 600, b"\x1f\x8b\x08", b"%PDF-1.7\n", b"a.jpg" + b"\0" * 252 + b"ustar\x0000"]
)
def test_what_is_neither_is_refused(here, data):
    with pytest.raises(UserError, match="neither a list of paths nor an image"):
        find_images(["-"], piped(data))


def test_it_is_bounded_and_may_be_closed(here, monkeypatch):
    monkeypatch.setattr(standard_input, "_LARGEST_LIST", 1000)
    monkeypatch.setattr(standard_input, "_LARGEST_IMAGE", 1000)
    for data in (b"y\n" * 1000, b"\xff\xd8\xff\xe0\0\x10JFIF" + b"\0" * 2000):
        with pytest.raises(UserError, match="Standard input is longer than"):
            find_images(["-"], piped(data))
    assert not [path for path in Path().rglob("*") if path.is_file()]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="Standard input is closed"):
        find_images(["-"])
