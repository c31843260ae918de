"""Images are decoded within their time, here or by a child, and are the same."""

from __future__ import annotations

import threading

import numpy as np
import psutil
import pytest

from tests.imagefiles import noise, quadrants, save
from tests.test_runs_executors_local import KILLED, trapped
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.decode import DecodePolicy, decode, opened
from zeroiqa.images.decoder import Decoder
from zeroiqa.images.ref import ImageRef

POLICY = DecodePolicy()


def children():
    return [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def large() -> bytes:
    """A blank picture of 17 megapixels in some bytes."""
    found = save(np.full((4200, 4200, 3), 200, np.uint8), "WEBP", lossless=True)
    assert opened(found, POLICY).suspicion is not None
    return found


@pytest.fixture(scope="module")
def careful() -> Decoder:
    return Decoder().careful()


FILES = {
    "photo.jpg": save(quadrants(), "JPEG"),
    "turned.jpg": save(
        quadrants(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    ),
    "alpha.png": save(noise(80, 70, 4), "PNG"),
    "frames.gif": save(quadrants(), "GIF", save_all=True, append_images=[]),
    "page.tif": save(noise(70, 700, 3), "TIFF"),
    "open.jpg": save(quadrants(70, 80), "JPEG")[:-2],
    "cut.png": save(noise(80, 70, 3), "PNG")[:5000],
    "tiny.png": save(noise(8, 8, 3), "PNG"),
    "no.txt": b"no image",
    "empty.png": b"",
}


@pytest.mark.parametrize("name", FILES)
def test_a_child_gives_the_same_pixels_warnings_and_errors(tmp_path, careful, name):
    path = tmp_path / name
    path.write_bytes(FILES[name])
    found = []
    for way in (decode, Decoder().decode, careful.decode):
        try:
            image = way(ImageRef(str(path), prompt="a cat"), POLICY)
        except ImageError as error:
            found.append((type(error), str(error)))
        else:
            found.append((image.pixels.tobytes(), image.size, image.name, image.prompt, image.warnings))
    assert found[0] == found[1] == found[2]
    assert (type(found[0][0]) is bytes) == (name not in ("cut.png", "tiny.png", "no.txt", "empty.png"))


def test_only_files_that_may_take_long_are_for_the_child_which_stays(large):
    decoder, before = Decoder(), children()
    decoder.decode(ImageRef("photo.jpg", content=FILES["photo.jpg"]), POLICY)
    assert children() == before
    image = decoder.decode(ImageRef("large.webp", content=large), POLICY)
    (child,) = set(children()) - set(before)
    assert np.array_equal(image.pixels, decode(large).pixels)
    decoder.decode(ImageRef("large.webp", content=large), POLICY)
    assert set(children()) - set(before) == {child}


def test_a_file_that_takes_too_long_is_an_error_and_the_next_one_is_decoded(large):
    decoder = Decoder(1e-3)
    with pytest.raises(
        ImageError, match=r"^large.webp took longer than 0.001 s to be read and decoded \(--im"
    ):
        decoder.decode(ImageRef("large.webp", content=large), POLICY)
    assert Decoder(600.0).decode(ImageRef("large.webp", content=large), POLICY).size == (4200, 4200)


def test_a_file_that_kills_the_child_is_an_error_and_the_next_one_is_decoded(tmp_path, monkeypatch):
    (tmp_path / "killer.png").write_bytes(FILES["alpha.png"])
    monkeypatch.setenv("PYTHONPATH", trapped(tmp_path)["PYTHONPATH"])
    careful = Decoder().careful()
    with pytest.raises(ImageError) as raised:
        careful.decode(ImageRef(str(tmp_path / "killer.png")), POLICY)
    assert str(raised.value) == KILLED.format(tmp_path / "killer.png")
    assert careful.decode(ImageRef("alpha.png", content=FILES["alpha.png"]), POLICY).size == (80, 70)


def test_reading_and_decoding_share_one_budget(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(FILES["photo.jpg"])
    decoder = Decoder(600.0)
    budget = decoder.budget()
    content = decoder.read(ImageRef(str(tmp_path / "photo.jpg")), POLICY, budget)
    assert content == FILES["photo.jpg"]
    read = budget.left
    assert read < 600.0
    decoder.decode(ImageRef("photo.jpg", content=content), POLICY, budget=budget)
    assert budget.left < read
    budget.left = 0.0
    with pytest.raises(ImageError, match="took longer than 600 s"):
        decoder.decode(ImageRef("photo.jpg", content=content), POLICY, budget=budget)


def test_what_is_looked_at_comes_before_pixels_and_may_refuse(careful):
    seen = []

    def refuse(content):
        seen.append((content, threading.current_thread()))
        raise ImageError("another file")

    for decoder in (Decoder(), careful):
        with pytest.raises(ImageError, match="another file"):
            decoder.decode(ImageRef("a.png", content=b"no image"), POLICY, look=refuse)
    assert seen == [(b"no image", threading.current_thread())] * 2


def test_seconds_of_no_sense_are_refused():
    with pytest.raises(UserError, match="The seconds for one image are 0; give more than 0"):
        Decoder(0)
