"""What is measured for the reasons alone."""

from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image as PilImage

from zeroiqa.images.opencv import cv2
from zeroiqa.nss.faults import find_faults
from zeroiqa.raters.nss import picture_to_measure
from zeroiqa.types import View


def faults(pixels: np.ndarray):
    return find_faults(pixels, picture_to_measure(View(pixels, None, pixels.shape[:2])))


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    PilImage.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(PilImage.open(buffer).convert("RGB"))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return skimage.data.coffee()


@pytest.fixture(scope="module")
def large(photo) -> np.ndarray:
    return cv2.resize(photo, (2400, 1600), interpolation=cv2.INTER_CUBIC)


def flat(level: int, size: tuple[int, int] = (300, 400)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


@pytest.mark.parametrize(("level", "light"), [(0, 0), (118, 0.181), (188, 0.503), (255, 1)])
def test_light_is_that_of_the_srgb_curve(level, light):
    assert faults(flat(level)).light == pytest.approx(light, abs=0.001)


def test_clipping_is_counted_in_the_own_pixels():
    pixels = flat(100)
    pixels[:30] = 255
    pixels[-60:] = 0
    pixels[100, 100] = (255, 0, 0)  # one channel at its end is a colour
    found = faults(pixels)
    assert (found.white, found.black) == pytest.approx((0.1, 0.2), abs=0.004)


def test_clipping_of_a_large_image_is_that_of_all_its_pixels(large):
    brighter = np.clip(large.astype(int) * 2, 0, 255).astype(np.uint8)
    share = float((brighter.min(axis=2) >= 253).mean())
    assert share > 0.02
    assert faults(brighter).white == pytest.approx(share, abs=0.003)


@pytest.mark.parametrize("sigma", [5, 15])
def test_colour_noise_is_the_deviation_of_white_noise(photo, sigma):
    calm = cv2.GaussianBlur(photo, (0, 0), 3)
    noise = np.random.default_rng(0).normal(size=photo.shape) * sigma
    noisy = np.clip(np.rint(calm + noise), 0, 255).astype(np.uint8)
    assert faults(calm).colour_noise < 1
    assert faults(noisy).colour_noise == pytest.approx(sigma, rel=0.15)


def test_a_gray_photo_has_no_colour_noise_and_no_tint(photo):
    gray = np.repeat(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    found = faults(gray)
    assert (found.colour_noise, found.tint) == pytest.approx((0, 0), abs=0.02)


def test_one_colour_is_found_under_noise_and_a_ramp_is_none():
    noise = np.random.default_rng(0).normal(size=(300, 400, 3)) * 4
    assert faults(np.clip(flat(120) + noise, 0, 255).astype(np.uint8)).plain > 0.99
    ramp = np.repeat(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None], 300, axis=0)
    assert faults(np.repeat(ramp, 3, axis=2)).plain < 0.1


@pytest.mark.parametrize("quality", [10, 25])
@pytest.mark.parametrize("crop", [(0, 0), (3, 5)])
def test_the_grid_is_found_wherever_it_begins(photo, quality, crop):
    pixels = compressed(photo, quality)[crop[0] :, crop[1] :]
    assert faults(photo).grid < 1.15
    assert faults(pixels).grid > 1.6


def test_the_grid_of_a_large_image_is_found_in_windows(large):
    assert faults(large).grid < 1.15
    assert faults(compressed(large, 3)).grid > 1.6


def test_a_grid_grows_with_compression(photo):
    found = [faults(compressed(photo, quality)).grid for quality in (90, 50, 30, 18, 10, 5)]
    assert found == sorted(found)


@pytest.mark.parametrize("shape", [(16, 16), (17, 900), (900, 17), (8, 30)])
def test_small_and_narrow_images_are_measured(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert np.isfinite(list(vars(faults(pixels)).values())).all()
