"""Views with a mask under the raters that measure pixels: what is outside of the mask has no share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.data

from zeroiqa.baselines import pixel_baselines
from zeroiqa.images.opencv import cv2
from zeroiqa.raters import build_rater
from zeroiqa.raters.nss import mask_to_measure, picture_to_measure
from zeroiqa.segmenters.regions import regions_from_masks
from zeroiqa.standards import load_standard
from zeroiqa.types import Image, Rating, View
from zeroiqa.views import cut_views

SEVEN = load_standard("quality-word-7")
RATERS = ("nss", *(f"baseline:{baseline.name}" for baseline in pixel_baselines()))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.astronaut()


def ellipse(size: tuple[int, int], x: int, y: int, width: int, height: int) -> np.ndarray:
    rows, columns = np.ogrid[: size[0], : size[1]]
    return ((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 <= 0.25


def views(pixels: np.ndarray, mask: np.ndarray) -> tuple[View, View]:
    """The region's box as it is and with its mask."""
    image = Image(pixels, "photo")
    regions = regions_from_masks([mask], image.size, min_area=0, complement=False, keep_masks=True)
    return cut_views(image, regions, "bbox")[1], cut_views(image, regions, "mask")[1]


def number(rater: str, view: View) -> float | None:
    [[rating]] = build_rater(rater).rate([view], [SEVEN])
    return None if rating is None else value_of(rating)


def value_of(rating: Rating) -> float:
    if rating.value is not None:
        return rating.value
    return sum(level * math.exp(logprob) for level, logprob in enumerate(rating.logprobs, start=1))


@pytest.mark.parametrize("sigma", (0, 1, 3))
@pytest.mark.parametrize("place", ((256, 256, 300, 400), (380, 400, 200, 200), (100, 330, 160, 220)))
def test_a_region_has_about_the_same_level_by_its_box_and_by_its_mask(photo, place, sigma):
    pixels = cv2.GaussianBlur(photo, (0, 0), sigma) if sigma else photo
    box, masked = views(pixels, ellipse(photo.shape[:2], *place))
    assert number("nss", masked) == pytest.approx(number("nss", box), abs=0.7)


@pytest.mark.parametrize("rater", RATERS)
def test_the_mask_of_a_blurred_region_brings_no_detail(photo, rater):
    mask = ellipse(photo.shape[:2], 256, 256, 300, 400)
    sharp = [number(rater, view) for view in views(photo, mask)]
    blurred = [number(rater, view) for view in views(cv2.GaussianBlur(photo, (0, 0), 3), mask)]
    effect = sharp[0] - blurred[0]
    assert sharp[1] - blurred[1] == pytest.approx(effect, abs=0.25 * abs(effect))


@pytest.mark.parametrize("rater", RATERS)
@pytest.mark.parametrize("size", ((512, 512), (300, 320), (900, 1200)))
def test_what_fills_the_surroundings_changes_nothing(photo, rater, size):
    pixels = cv2.resize(photo, size[::-1], interpolation=cv2.INTER_AREA)
    _, masked = views(pixels, ellipse(size, size[1] // 2, size[0] // 2, size[1] // 2, size[0] // 2))
    rng = np.random.default_rng(0)
    for fill in (255, rng.integers(0, 256, masked.pixels.shape)):
        filled = np.where(masked.mask[..., None], masked.pixels, fill).astype(np.uint8)
        other = View(filled, masked.region, masked.image_size, None, masked.mask)
        assert number(rater, other) == number(rater, masked)


@pytest.mark.parametrize("rater", RATERS)
def test_a_mask_that_hides_nothing_changes_nothing(photo, rater):
    box, masked = views(photo, np.ones(photo.shape[:2], bool))
    assert number(rater, masked) == pytest.approx(number(rater, box), abs=1e-5)


@pytest.mark.parametrize("rater", RATERS)
def test_a_mask_that_leaves_too_little_gives_no_number(photo, rater):
    mask = np.eye(512, dtype=bool)
    assert number(rater, views(photo, mask)[1]) is None


@pytest.mark.parametrize("rater", RATERS)
def test_a_region_without_structure_gets_the_number_of_its_box(rater):
    pixels = np.full((512, 512, 3), 90, np.uint8)
    box, masked = views(pixels, ellipse((512, 512), 256, 256, 300, 400))
    with np.errstate(all="raise"):
        assert number(rater, masked) == pytest.approx(number(rater, box), abs=1e-6)


@pytest.mark.parametrize("size", ((300, 320), (900, 1200)))
def test_a_pixel_of_another_size_counts_if_only_pixels_of_the_mask_have_a_share_in_it(size):
    white = np.full((*size, 3), 255, np.uint8)
    _, masked = views(white, ellipse(size, size[1] // 2, size[0] // 2, 250, 250))
    inside = mask_to_measure(masked)
    assert (picture_to_measure(masked)[inside] == 255).all()
    assert inside.mean() == pytest.approx(masked.mask.mean(), abs=0.05)
