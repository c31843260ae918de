"""Which files are suspicious: those whose headers say more work than a photo is; and no photo."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import features

from tests.attackfiles import ATTACKS
from tests.damaged_images import SEEDS
from zeroiqa.images.decode import opened
from zeroiqa.images.suspicion import Facts, suspicion

MILLION = 1_000_000


@pytest.mark.parametrize(
    "facts",
    [
        Facts(12 * MILLION, 4 * MILLION),
        Facts(48 * MILLION, 20 * MILLION, passes=12),
        Facts(61 * MILLION, 180 * MILLION, parts=4000),
        Facts(100 * MILLION, 60 * MILLION),
        Facts(12 * MILLION, 400),  # white, as lossless WebP
        Facts(20 * MILLION, 40_000),  # white, as PNG
    ],
)
def test_photos_and_white_paper_are_not_suspicious(facts):
    assert suspicion(facts) is None


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (Facts(250 * MILLION, 90 * MILLION), "it has 250 megapixels"),
        (Facts(50 * MILLION, 300 << 20), "it has 300 MiB of image data"),
        (Facts(24 * MILLION, 9 * MILLION, passes=90), "its 24 megapixels are coded in 90 passes"),
        (Facts(MILLION, MILLION, parts=200_000), "it is cut into 200000 parts"),
        (Facts(30 * MILLION, 313), "it has 30 megapixels in 313 bytes"),
        (Facts(MILLION, MILLION, slow="a sequence of images"), "it is a sequence of images"),
    ],
)
def test_what_may_take_long_is_said(facts, said):
    assert suspicion(facts) == said


@pytest.mark.parametrize("name", SEEDS)
def test_opened_files_of_every_format_are_not_suspicious_and_decode_after_a_journey(name):
    found = opened(SEEDS[name], name=name)
    assert found.suspicion is None
    image = pickle.loads(pickle.dumps(found)).decode()
    assert image.name == name
    assert np.array_equal(image.pixels, found.decode().pixels)


@pytest.mark.parametrize(
    ("name", "n", "said"),
    [
        ("tiff tiles of one pixel", 200_000, "it is cut into 199809 parts"),
        ("tiff claim fax", 1, "it has 250 megapixels"),
        ("bmp run lengths of one pixel", 2_200_000, "it is a large bitmap of run lengths"),
    ],
)
def test_attacks_that_are_decoded_are_suspicious(name, n, said):
    assert opened(ATTACKS[name](n)).suspicion == said


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_frames_that_are_not_shown_count_as_pixels():
    assert opened(ATTACKS["avif frames"](12_000_000)).suspicion == "it is made of 74 megapixels"
