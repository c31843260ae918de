"""Ladders of distortions for tests: five levels of each kind, from barely visible to severe.

The levels are those of the development experiments; what these leave open (impulse noise, JPEG 2000, low
light, the grain of correlated noise) is chosen here. Every builder takes RGB uint8 pixels, a level 1..5 and a
generator that only the random kinds use, and returns RGB uint8 pixels of the same shape.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from PIL import Image as PilImage

from zeroiqa.images.opencv import cv2

LEVELS = 5
Distortion = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def ladder(pixels: np.ndarray, kind: str, seed: int = 0) -> list[np.ndarray]:
    """The pristine pixels and five distorted versions; one seed draws the same noise for every level."""
    distort = DISTORTIONS[kind]
    return [pixels] + [distort(pixels, level, np.random.default_rng(seed)) for level in range(1, LEVELS + 1)]


def ordered_share(ladders: Sequence[Sequence[float]], apart: int = 2) -> float:
    """Share of the pairs of levels, at least `apart` apart, whose milder one has the higher quality."""
    right = [
        qualities[mild] > qualities[severe]
        for qualities in ladders
        for mild, severe in combinations(range(len(qualities)), 2)
        if severe - mild >= apart
    ]
    return sum(right) / len(right)


def to_pixels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def gaussian_blur(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(pixels, (0, 0), (0.6, 1, 1.6, 2.5, 4)[level - 1])


def lens_blur(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    radius = (1, 2, 3, 5, 8)[level - 1]
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (x**2 + y**2 <= radius**2).astype(np.float32)
    return cv2.filter2D(pixels, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)


def motion_blur(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    length = (3, 6, 10, 16, 24)[level - 1]
    return cv2.filter2D(
        pixels, -1, np.full((1, length), 1 / length, np.float32), borderType=cv2.BORDER_REFLECT
    )


def white_noise(pixels: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    return to_pixels(pixels + rng.normal(size=pixels.shape) * (4, 9, 16, 26, 40)[level - 1])


def correlated_noise(pixels: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    grain = cv2.GaussianBlur(rng.normal(size=pixels.shape), (0, 0), 1.0)
    return to_pixels(pixels + grain / grain.std() * (4, 9, 16, 26, 40)[level - 1])


def impulse_noise(pixels: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    hit = rng.random(pixels.shape[:2]) < (0.003, 0.01, 0.03, 0.08, 0.2)[level - 1]
    pepper = rng.random(pixels.shape[:2]) < 0.5
    distorted = pixels.copy()
    distorted[hit & pepper] = 0
    distorted[hit & ~pepper] = 255
    return distorted


def jpeg(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    return recoded(pixels, "JPEG", quality=(50, 30, 18, 10, 5)[level - 1])


def jpeg_2000(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    ratio = (24, 48, 80, 130, 220)[level - 1]
    return recoded(pixels, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True)


def recoded(pixels: np.ndarray, kind: str, **options: object) -> np.ndarray:
    buffer = io.BytesIO()
    PilImage.fromarray(pixels).save(buffer, kind, **options)
    return np.asarray(PilImage.open(buffer).convert("RGB"))


def down_up(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    factor = (1.5, 2, 3, 4.5, 7)[level - 1]
    small = cv2.resize(pixels, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def low_contrast(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    mean = pixels.mean()
    return to_pixels(mean + (pixels - mean) * (0.8, 0.62, 0.46, 0.32, 0.2)[level - 1])


def haze(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    transmission = (0.85, 0.7, 0.55, 0.4, 0.27)[level - 1]
    return to_pixels(pixels * transmission + 225 * (1 - transmission))


def over_exposure(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    gain, offset = ((1.2, 5), (1.45, 10), (1.8, 18), (2.3, 28), (3.2, 40))[level - 1]
    return to_pixels(pixels * gain + offset)


def under_exposure(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    gamma, gain = ((1.3, 0.95), (1.7, 0.85), (2.2, 0.75), (3.0, 0.62), (4.5, 0.5))[level - 1]
    return to_pixels(255 * gain * (pixels / 255) ** gamma)


def low_light(pixels: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    grain = cv2.GaussianBlur(rng.normal(size=pixels.shape), (0, 0), 0.8)
    sigma, gain, quality = (
        (3, 0.8, 80),
        (6, 0.62, 65),
        (10, 0.48, 50),
        (15, 0.36, 35),
        (22, 0.26, 22),
    )[level - 1]
    dark = 255 * gain * (pixels / 255) ** 1.4
    return recoded(to_pixels(dark + grain / grain.std() * sigma), "JPEG", quality=quality)


def desaturation(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float64)
    return to_pixels(gray + (pixels - gray) * (0.7, 0.5, 0.3, 0.15, 0)[level - 1])


def colour_cast(pixels: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    amount = (6, 12, 20, 30, 42)[level - 1]
    lab += np.array([0, amount * np.cos(angle), amount * np.sin(angle)], np.float32)
    return to_pixels(255 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def smoothing(pixels: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    return cv2.bilateralFilter(pixels, 9, (15, 30, 50, 80, 120)[level - 1], (2, 3, 4, 6, 8)[level - 1])


DISTORTIONS: dict[str, Distortion] = {
    "gaussian blur": gaussian_blur,
    "lens blur": lens_blur,
    "motion blur": motion_blur,
    "white noise": white_noise,
    "correlated noise": correlated_noise,
    "impulse noise": impulse_noise,
    "jpeg": jpeg,
    "jpeg 2000": jpeg_2000,
    "down-upscale": down_up,
    "low contrast": low_contrast,
    "haze": haze,
    "over-exposure": over_exposure,
    "under-exposure": under_exposure,
    "low light": low_light,
    "desaturation": desaturation,
    "colour cast": colour_cast,
    "smoothing": smoothing,
}
