"""What is computed by bands and in few passes is what the formulas say, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import skimage.data

from tests import plain_nss as plain
from zeroiqa.nss import faults, measures
from zeroiqa.nss.measures import measure
from zeroiqa.nss.naturalness import block_features, load_model
from zeroiqa.nss.planes import block_means, blurred, gray_levels, gray_plane, inner, local_contrast

MODEL = load_model()
NOISE = np.random.default_rng(0).integers(0, 256, (1700, 600, 3)).astype(np.uint8)


def half_flat() -> np.ndarray:
    picture = NOISE[:300, :400] // 8 + 100
    picture[150:] = (12, 90, 200)
    return picture.astype(np.uint8)


PICTURES: dict[str, Callable[[], np.ndarray]] = {
    "random": lambda: NOISE[:288, :320],
    "at its least": lambda: NOISE[:96, :96],
    "odd sides": lambda: NOISE[:211, :97],
    "black": lambda: np.zeros((288, 288, 3), np.uint8),
    "white": lambda: np.full((200, 288, 3), 255, np.uint8),
    "one colour": lambda: np.full((288, 300, 3), (200, 40, 90), np.uint8),
    "only extremes": lambda: NOISE[:256, :288] // 128 * 255,
    "half flat": half_flat,
    "large": lambda: NOISE,
    "photo": skimage.data.astronaut,
    "long photo": lambda: np.tile(skimage.data.coffee(), (1, 3, 1)),
}
MASKS: dict[str, Callable[[int, int], np.ndarray | None]] = {
    "none": lambda height, width: None,
    "corner": lambda height, width: np.add.outer(np.arange(height), np.arange(width)) < (height + width) // 2,
    "holes": lambda height, width: np.random.default_rng(1).random((height, width)) > 0.002,
}


@pytest.fixture(params=PICTURES, scope="module")
def picture(request: pytest.FixtureRequest) -> np.ndarray:
    return np.ascontiguousarray(PICTURES[request.param]())


@pytest.fixture(params=MASKS, scope="module")
def inside(request: pytest.FixtureRequest, picture: np.ndarray) -> np.ndarray | None:
    return MASKS[request.param](*picture.shape[:2])


def bits(values: object) -> bytes:
    return np.asarray(values, dtype=np.float64).tobytes()


def test_the_measures_are_those_of_the_formulas_to_the_bit(picture, inside):
    found = measure(picture, MODEL, inside)
    within, gray = inner(inside), gray_plane(picture)
    assert found is not None
    noise = plain.flat_noise(gray, within)
    histogram = plain.histogram(gray, within)
    assert bits(found.noise) == bits(noise)
    assert bits(found.separation) == bits(plain.separation(gray, within))
    assert bits(found.restless) == bits(plain.restlessness(gray, within))
    assert bits([found.cast, found.colourfulness]) == bits(plain.colour(picture, within))
    assert found.shadows == int(histogram[:9].sum()) / histogram.sum()
    assert measures._histogram(gray_levels(picture), within).tolist() == histogram.tolist()


def test_the_features_are_those_of_the_formulas_to_the_bit(picture, inside):
    gray = gray_plane(picture)
    features, _ = block_features(gray, MODEL.grid, inside)
    assert bits(features) == bits(plain.features(gray, MODEL.grid, inside))
    of_all = local_contrast(gray_levels(picture), inside)
    assert bits(block_features(gray_levels(picture), MODEL.grid, inside, of_all)[0]) == bits(features)


def test_planes_are_those_of_the_formulas_to_the_bit(picture, inside):
    gray = gray_plane(picture)
    for found, expected in zip(local_contrast(gray, inside), plain.local_contrast(gray, inside), strict=True):
        assert found.dtype == expected.dtype
        assert bits(found) == bits(expected)
    for sigma in (1, 2, 4):
        assert bits(blurred(gray, sigma, inside)) == bits(plain.blurred(gray, sigma, inside))
    for side in (16, 32, 96):
        assert bits(block_means(gray, side, inside)) == bits(plain.block_means(gray, side, inside))


def test_what_the_reasons_take_is_as_written_down(picture):
    levels = gray_levels(picture)
    for axis, turned in ((2, levels), (1, levels.T)):
        found = faults._steps(levels[None].astype(np.int16), axis)
        assert found.tolist() == plain.steps(turned).tolist()
    step = math.ceil(math.sqrt(levels.size / faults.SAMPLE))
    sample = faults._sample(picture)
    assert sample.tolist() == picture[step // 2 :: step, step // 2 :: step].tolist()
    assert (
        faults._light(sample) == int(faults._LINEAR[gray_levels(sample)].sum()) / sample[..., 0].size / 2**20
    )
