"""What the embedded rater measures: sharpness of the subject, naturalness, calm, tone, noise and colour.

Everything here is a number read off one picture of canonical size; `nss.py` weighs these numbers. "Blocks"
are non-overlapping squares; incomplete ones at the right and the bottom are dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.baselines.niqe import PristineModel, block_features
from zeroiqa.baselines.planes import Plane, Table, block_means, blurred, gray_plane, laplacian, local_contrast
from zeroiqa.opencv import cv2

if TYPE_CHECKING:
    from zeroiqa.types import Pixels


@dataclass(frozen=True)
class Measures:
    """The raw measures of one picture. Gray levels are 0..255, colours are CIE Lab units."""

    sharpness: float
    """Upper decile (weighted towards the centre) of the blocks' log Laplacian energy, with noise taken off
    and contrast divided out: how sharp the subject is."""
    unnatural: float
    """Natural log of NIQE's distance to the pristine model, within 0.5..4."""
    restless: float
    """Fifth percentile of the blocks' log ratio of fine to middle detail: how busy the calmest areas are."""
    separation: float
    """Standard deviation over the blocks of log Laplacian energy: a sharp subject, a soft background."""
    median: int
    """Median gray level."""
    highlights: float
    """Share of pixels at the picture's own white point (relative, so that haze cannot hide clipping)."""
    noise: float
    """Standard deviation of the noise in flat areas, in gray levels."""
    contrast: float
    """Standard deviation of the gray levels."""
    cast: float
    """Chroma that even the least coloured tenth of the picture has: a colour cast."""
    colourfulness: float
    """Joint standard deviation of the two colour axes."""
    shadows: float
    """Share of pixels with a gray level of 8 or less."""


def measure(pixels: Pixels, model: PristineModel) -> Measures:
    """Measure one picture.

    Args:
        pixels: RGB, shape (height, width, 3), uint8, canonical size, both sides at least 96.
        model: the pristine statistics.

    Returns:
        Finite numbers, whatever the picture.
    """
    gray = gray_plane(pixels)
    _, deviation = local_contrast(gray)
    noise = _flat_noise(gray, deviation)
    sharpness, separation = _sharpness(gray, deviation, noise)
    histogram = np.asarray(cv2.calcHist([gray], [0], None, [256], [0, 256]), dtype=np.float64).ravel()
    cast, colourfulness = _colour(pixels)
    return Measures(
        sharpness=sharpness,
        unnatural=_unnaturalness(gray, model),
        restless=_restlessness(gray),
        separation=separation,
        median=_level_at(histogram, math.ceil(gray.size / 2)),
        highlights=_highlights(histogram),
        noise=noise,
        contrast=_deviation(histogram),
        cast=cast,
        colourfulness=colourfulness,
        shadows=float(histogram[:9].sum()) / gray.size,
    )


def _unnaturalness(gray: Plane, model: PristineModel) -> float:
    """Log distance to the pristine model; 4, beyond what photographs reach, where there is no structure."""
    distance = model.distance(block_features(gray, model.grid)[0])
    return 4.0 if distance is None else math.log(min(max(distance, math.exp(0.5)), math.exp(4)))


def _flat_noise(gray: Plane, deviation: Plane) -> float:
    """Noise of the flattest blocks: their mean response to a mask blind to planes (Immerkaer 1996)."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    response = np.abs(np.asarray(cv2.filter2D(gray, cv2.CV_32F, kernel), dtype=np.float32))
    noise = block_means(response, 16).ravel() * (math.sqrt(math.pi / 2) / 6)
    activity = block_means(deviation, 16).ravel()
    brightness = block_means(gray, 16).ravel()
    exposed = (brightness > 12) & (brightness < 243)
    count = len(activity)
    if exposed.any():  # clipped blocks look free of noise, so they come last
        activity, count = np.where(exposed, activity, np.inf), int(exposed.sum())
    flattest = np.argsort(activity, kind="stable")[: max(4, int(0.15 * count))]
    return float(np.median(noise[flattest]))


def _sharpness(gray: Plane, deviation: Plane, noise: float) -> tuple[float, float]:
    """Subject sharpness and subject/background separation.

    White noise of variance v has Laplacian energy 20 v (the kernel's squared sum) and adds 0.8 v to the
    squared local deviation; both are taken off before contrast is divided out.
    """
    energy = block_means(laplacian(gray) ** 2, 32)
    spread = block_means(deviation, 32)
    detail = np.log1p(np.maximum(energy - 20 * noise**2, 0))
    contrast = np.log(np.sqrt(np.maximum(spread**2 - 0.8 * noise**2, 0)) + 8)
    sharpness = _weighted_quantile(detail - 1.6 * contrast, _centre_prior(energy.shape), 0.9)
    return sharpness, float(np.std(np.log1p(energy)))


def _centre_prior(shape: tuple[int, ...]) -> Table:
    """Weights of a grid of blocks: a Gaussian of sigma 0.5 where the picture spans -1..1 both ways."""
    rows, columns = (np.linspace(-1, 1, size) if size > 1 else np.zeros(1) for size in shape)
    return np.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / (2 * 0.5**2))


def _weighted_quantile(values: Table, weights: Table, share: float) -> float:
    """The first value, in rising order, at which the cumulated weight reaches `share` of the total."""
    order = np.argsort(values, axis=None, kind="stable")
    cumulated = np.cumsum(weights.ravel()[order])
    return float(values.ravel()[order[np.searchsorted(cumulated, share * cumulated[-1])]])


def _restlessness(gray: Plane) -> float:
    """Fine (sigma 1 to 2) against middle (sigma 2 to 4) detail in the calmest blocks."""
    # float32 kernels reach 4 sigma to each side, which cv2 also chooses where no size is given
    fine, middle, coarse = (blurred(gray, 8 * sigma + 1, sigma) for sigma in (1, 2, 4))
    upper, lower = block_means((fine - middle) ** 2, 32), block_means((middle - coarse) ** 2, 32)
    return float(np.percentile(np.log(upper + 0.05) - np.log(lower + 0.05), 5))


def _level_at(histogram: Table, rank: float) -> int:
    """The gray level of the pixel of that rank (1 = darkest)."""
    return int(np.searchsorted(np.cumsum(histogram), rank))


def _percentile(histogram: Table, share: float) -> float:
    """The percentile of the gray levels, interpolated linearly between ranks as numpy does."""
    position = share * (float(histogram.sum()) - 1)
    below = math.floor(position)
    low, high = _level_at(histogram, below + 1), _level_at(histogram, min(below + 2, histogram.sum()))
    return low + (position - below) * (high - low)


def _highlights(histogram: Table) -> float:
    """Share of the pixels within 2 % of the picture's own range below its white point."""
    white, black = _percentile(histogram, 0.9995), _percentile(histogram, 0.01)
    threshold = white - 0.02 * (white - black) - 0.5
    return float(histogram[np.arange(256) >= threshold].sum() / histogram.sum())


def _deviation(histogram: Table) -> float:
    """Standard deviation of the gray levels."""
    levels = np.arange(256.0)
    mean = float(histogram @ levels) / float(histogram.sum())
    return math.sqrt(float(histogram @ (levels - mean) ** 2) / float(histogram.sum()))


def _colour(pixels: Pixels) -> tuple[float, float]:
    """Cast and colourfulness in CIE Lab."""
    lab = cv2.cvtColor(pixels.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    deviations = np.asarray(cv2.meanStdDev(lab)[1]).ravel()
    cells = np.asarray(cv2.resize(lab, (16, 16), interpolation=cv2.INTER_AREA), dtype=np.float64)
    chroma = np.hypot(cells[..., 1], cells[..., 2])
    return float(np.percentile(chroma, 10)), math.hypot(deviations[1], deviations[2])
