"""The embedded rater orders distorted versions of pristine photographs by severity.

A gate is the least share of pairs of levels, two or more apart, in which the milder level has the higher
quality. Colour cast has none: a cast can repair another; nor has smoothing: people like calm backgrounds, and
the rater follows them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import features

from tests.severity import DISTORTIONS, ladder, ordered_share
from zeroiqa.images.decode import decode
from zeroiqa.nss.measures import measure
from zeroiqa.nss.naturalness import PristineModel, load_model
from zeroiqa.raters.nss import picture_to_measure, quality
from zeroiqa.types import View

GATES = {
    "gaussian blur": 0.97,
    "lens blur": 0.97,
    "motion blur": 0.97,
    "down-upscale": 0.97,
    "jpeg 2000": 0.97,
    "jpeg": 0.95,
    "low contrast": 0.97,
    "under-exposure": 0.95,
    "low light": 0.95,
    "white noise": 0.97,
    "correlated noise": 0.95,
    "impulse noise": 0.95,
    "haze": 0.95,
    "desaturation": 0.95,
    "over-exposure": 0.8,
}
"""Set from these photographs' own numbers: one or two pairs of fifty below what was measured."""
PHOTOS: dict[str, Callable[[], np.ndarray]] = {
    "astronaut": skimage.data.astronaut,
    "coffee": skimage.data.coffee,
    "chelsea": skimage.data.chelsea,
    "rocket": skimage.data.rocket,
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
}


@pytest.fixture(scope="module")
def model() -> PristineModel:
    return load_model()


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [load() for load in PHOTOS.values()]


@pytest.fixture(scope="module")
def pristine(photos: list[np.ndarray], model: PristineModel) -> list[float]:
    """The photographs' own qualities, where every ladder begins."""
    return [rate(photo, model) for photo in photos]


def share(photos: list[np.ndarray], kind: str, model: PristineModel, pristine: list[float]) -> float:
    if kind == "jpeg 2000" and not features.check("jpg_2000"):
        pytest.skip("Pillow was built without JPEG 2000")
    ladders = [
        [first, *(rate(pixels, model) for pixels in ladder(photo, kind)[1:])]
        for first, photo in zip(pristine, photos, strict=True)
    ]
    return ordered_share(ladders)


def rate(pixels: np.ndarray, model: PristineModel) -> float:
    return quality(measure(picture_to_measure(View(pixels, None, pixels.shape[:2])), model))


@pytest.mark.parametrize("kind", GATES)
def test_severer_distortion_gets_a_lower_quality(kind, photos, model, pristine):
    assert share(photos, kind, model, pristine) >= GATES[kind]


@pytest.mark.parametrize("kind", GATES)
def test_severer_distortion_gets_a_lower_quality_on_pristine_photographs(kind, dev_data, model):
    names = sorted(Path(dev_data, "kodak24").glob("*.png"))[::3]
    photographs = [decode(name).pixels for name in names]
    pristine = [rate(photograph, model) for photograph in photographs]
    assert share(photographs, kind, model, pristine) >= GATES[kind]


def test_every_kind_of_distortion_is_gated_but_the_two_known_limits():
    assert set(DISTORTIONS) - set(GATES) == {"colour cast", "smoothing"}


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_levels_move_ever_farther_from_the_pristine_photo(kind, photos):
    if kind == "jpeg 2000" and not features.check("jpg_2000"):
        pytest.skip("Pillow was built without JPEG 2000")
    levels = ladder(photos[0], kind)
    errors = [float(np.abs(level.astype(float) - photos[0]).mean()) for level in levels]
    assert errors == sorted(errors)
    assert len(set(errors)) == len(errors)
