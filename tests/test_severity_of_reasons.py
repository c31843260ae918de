"""Each distortion moves its own reason the right way, and its own tag falls where it is severe."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import features

from tests.severity import DISTORTIONS
from zeroiqa.images.decode import decode
from zeroiqa.raters.nss import NssRater
from zeroiqa.reasons import reasons_of, tags_of
from zeroiqa.standards import load_standard
from zeroiqa.types import View

WORSE = {
    "gaussian blur": ("sharpness", -1, "blurred"),
    "lens blur": ("sharpness", -1, "blurred"),
    "down-upscale": ("sharpness", -1, "blurred"),
    "motion blur": ("sharpness", -1, "blurred"),
    "jpeg 2000": ("sharpness", -1, "blurred"),
    "white noise": ("noise", 1, "noisy"),
    "correlated noise": ("noise", 1, "noisy"),
    "impulse noise": ("noise", 1, "noisy"),
    "under-exposure": ("exposure", -1, "dark"),
    "low light": ("exposure", -1, "dark"),
    "over-exposure": ("highlights", 1, "overexposed"),
    "low contrast": ("contrast", -1, "low contrast"),
    "haze": ("contrast", -1, "low contrast"),
    "colour cast": ("cast", 1, "colour cast"),
    "jpeg": ("compression", 1, "blocky"),
}
"""Kind -> its reason, the sign of what is worse, and its tag."""
LEAST_TAGGED = {
    "motion blur": 0.4,
    "jpeg 2000": 0.5,
    "under-exposure": 0.75,
    "low light": 0.6,
    "low contrast": 0.9,
    "haze": 0.75,
    "colour cast": 0.6,
}
"""Share of the Kodak photographs that have the tag at level 5, where it is not all: blur along one direction
leaves the edges across it, bright photographs take longer to be dark, and a cast can repair another."""
TAGGED = {"02.png": ("colour cast",), "20.png": ("overexposed",)}
"""Pristine photographs with a tag: a red door that fills the frame, so that nothing in it is neutral, and an
aeroplane before a sky of which a sixth is clipped to white."""


def reasons(pixels: np.ndarray) -> dict[str, float]:
    view = View(pixels, None, pixels.shape[:2])
    [[rating]] = NssRater().rate([view], [load_standard("quality-word-7")])
    return reasons_of(rating.measures)


def distorted(pixels: np.ndarray, kind: str, level: int) -> np.ndarray:
    if kind == "jpeg 2000" and not features.check("jpg_2000"):
        pytest.skip("Pillow was built without JPEG 2000")
    return DISTORTIONS[kind](pixels, level, np.random.default_rng(0))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.stereo_motorcycle()[0]


@pytest.fixture(scope="module")
def pristine(photo: np.ndarray) -> dict[str, float]:
    return reasons(photo)


def test_the_pristine_photo_has_no_tag(pristine):
    assert tags_of(pristine) == ()


@pytest.mark.parametrize("kind", WORSE)
def test_a_distortion_moves_its_reason_and_gets_its_tag(kind, photo, pristine):
    reason, worse, tag = WORSE[kind]
    found = [pristine, *(reasons(distorted(photo, kind, level)) for level in (2, 3, 5))]
    values = [worse * each[reason] for each in found]
    assert all(mild < severe for mild, severe in pairwise(values)), values
    assert tag in tags_of(found[-1]) or kind in (
        "motion blur",
        "colour cast",
    )  # not in every photo, see below


def test_one_colour_is_uniform_and_nothing_else():
    noise = np.random.default_rng(0).normal(size=(300, 400, 3)) * 2
    plain = np.array([150, 110, 90]) + noise
    assert tags_of(reasons(np.rint(plain).astype(np.uint8))) == ("uniform",)


@pytest.mark.parametrize("kind", WORSE)
def test_severe_distortions_of_pristine_photographs_get_their_tag(kind, dev_data):
    names = sorted(Path(dev_data, "kodak24").glob("*.png"))[::2]
    tag = WORSE[kind][2]
    tagged = [tag in tags_of(reasons(distorted(decode(name).pixels, kind, 5))) for name in names]
    assert sum(tagged) / len(tagged) >= LEAST_TAGGED.get(kind, 1)


def test_pristine_photographs_have_no_tag_but_two(dev_data):
    names = sorted(Path(dev_data, "kodak24").glob("*.png"))
    found = {name.name: tags_of(reasons(decode(name).pixels)) for name in names}
    assert {name: tags for name, tags in found.items() if tags} == TAGGED
