"""What the embedded rater measures: sharpness of the subject, naturalness, calm, tone, noise and colour.

Everything here is a number read off one picture of canonical size; `nss.py` weighs these numbers. "Blocks"
are non-overlapping squares; incomplete ones at the right and the bottom are dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroiqa.images.opencv import cv2
from zeroiqa.nss.naturalness import PristineModel, block_features, is_measurable
from zeroiqa.nss.planes import (
    SUPPORT,
    Levels,
    Plane,
    Table,
    block_means,
    blurred,
    colour_axes,
    gray_levels,
    inner,
    known_blocks,
    laplacian,
    local_contrast,
)

if TYPE_CHECKING:
    from zeroiqa.types import Mask, Pixels

Counts: TypeAlias = npt.NDArray[np.int64]
"""Pixels of each gray level, shape (256,)."""


@dataclass(frozen=True)
class Measures:
    """The raw measures of one picture. Gray levels are 0..255, colours are CIE Lab units."""

    sharpness: float
    """Upper decile (weighted towards the centre) of the blocks' log Laplacian energy, with noise taken off
    and contrast divided out: how sharp the subject is."""
    unnatural: float
    """Natural log of the distance to the pristine model (see `naturalness`), within 0.5..4."""
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


def measure(pixels: Pixels, model: PristineModel, inside: Mask | None = None) -> Measures | None:
    """Measure one picture.

    Args:
        pixels: RGB, shape (height, width, 3), uint8, canonical size, both sides at least 96.
        model: the pristine statistics.
        inside: the pixels that count, shape (height, width); None for all.

    Returns:
        Finite numbers, whatever the picture; None where too little is inside to measure it.
    """
    inside = inner(inside)  # whose neighbours count, too
    if inside is not None and not is_measurable(inside):
        return None
    levels = gray_levels(pixels)
    gray, contrast = levels.astype(np.float32), local_contrast(levels, inside)
    noise = _flat_noise(levels, contrast[1], inside)
    sharpness, separation = _sharpness(gray, contrast[1], noise, inside)
    features, _ = block_features(levels, model.grid, inside, contrast)
    histogram = _histogram(levels, inside)
    count = int(histogram.sum())
    cast, colourfulness = _colour(pixels, inside)
    return Measures(
        sharpness=sharpness,
        unnatural=_unnaturalness(model.distance(features)),
        restless=_restlessness(gray, inside),
        separation=separation,
        median=_level_at(histogram, math.ceil(count / 2)),
        highlights=_highlights(histogram),
        noise=noise,
        contrast=_deviation(histogram),
        cast=cast,
        colourfulness=colourfulness,
        shadows=int(histogram[:9].sum()) / count,
    )


def _unnaturalness(distance: float | None) -> float:
    """Log distance to the pristine model; 4, beyond what photographs reach, where there is no structure."""
    return 4.0 if distance is None else math.log(min(max(distance, math.exp(0.5)), math.exp(4)))


def _histogram(levels: Levels, inside: Mask | None) -> Counts:
    within = None if inside is None else inside.astype(np.uint8)
    return np.asarray(cv2.calcHist([levels], [0], within, [256], [0, 256]), dtype=np.int64).ravel()


def _flat_noise(levels: Levels, deviation: Plane, inside: Mask | None) -> float:
    """Noise of the flattest blocks: their mean response to a mask blind to planes (Immerkaer 1996).

    The mask's rows are multiples of 1 -2 1, and so are its columns.
    """
    line = np.array([1, -2, 1], dtype=np.float32)
    response = np.asarray(cv2.sepFilter2D(levels, cv2.CV_16S, line, line), dtype=np.int16)
    planes = np.abs(response, out=response), deviation, levels.astype(np.uint16)
    noise, activity, brightness = (
        known_blocks(block_means(plane, 16, inside), inside, 16) for plane in planes
    )
    exposed = (brightness > 12) & (brightness < 243)
    count = len(activity)
    if exposed.any():  # clipped blocks look free of noise, so they come last
        activity, count = np.where(exposed, activity, np.inf), int(exposed.sum())
    flattest = np.argsort(activity, kind="stable")[: max(4, int(0.15 * count))]
    return float(np.median(noise[flattest])) * (math.sqrt(math.pi / 2) / 6)


def _sharpness(gray: Plane, deviation: Plane, noise: float, inside: Mask | None) -> tuple[float, float]:
    """Subject sharpness and subject/background separation.

    White noise of variance v has Laplacian energy 20 v (the kernel's squared sum) and adds 0.8 v to the
    squared local deviation; both are taken off before contrast is divided out.
    """
    response = laplacian(gray)
    energies = block_means(np.square(response, out=response), 32, inside)
    energy = known_blocks(energies, inside, 32)
    spread = known_blocks(block_means(deviation, 32, inside), inside, 32)
    weights = known_blocks(_centre_prior(energies.shape), inside, 32)
    detail = np.log1p(np.maximum(energy - 20 * noise**2, 0))
    contrast = np.log(np.sqrt(np.maximum(spread**2 - 0.8 * noise**2, 0)) + 8)
    sharpness = _weighted_quantile(detail - 1.6 * contrast, weights, 0.9)
    return sharpness, float(np.std(np.log1p(energy)))


def _centre_prior(shape: tuple[int, ...]) -> Table:
    """Weights of a grid of blocks: a Gaussian of sigma 0.5 where the picture spans -1..1 both ways.

    In whole millionths, so that no rounding of their sums decides between two blocks.
    """
    rows, columns = (np.linspace(-1, 1, size) if size > 1 else np.zeros(1) for size in shape)
    return np.rint(1e6 * np.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / (2 * 0.5**2)))


def _weighted_quantile(values: Table, weights: Table, share: float) -> float:
    """The first value, in rising order, at which the cumulated weight reaches `share` of the total."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(cumulated, share * cumulated[-1])]])


def _restlessness(gray: Plane, inside: Mask | None) -> float:
    """Fine (sigma 1 to 2) against middle (sigma 2 to 4) detail in the calmest blocks."""
    fine, middle, coarse = (blurred(gray, sigma, inside) for sigma in (1, 2, 4))
    fine -= middle
    middle -= coarse
    upper, lower = (
        known_blocks(block_means(np.square(detail, out=detail), 32, inside), inside, 32)
        for detail in (fine, middle)
    )
    return float(np.percentile(np.log(upper + 0.05) - np.log(lower + 0.05), 5))


def _level_at(histogram: Counts, rank: int) -> int:
    """The gray level of the pixel of that rank (1 = darkest)."""
    return int(np.searchsorted(np.cumsum(histogram), rank))


def _percentile(histogram: Counts, share: float) -> float:
    """The percentile of the gray levels, interpolated linearly between ranks as numpy does."""
    count = int(histogram.sum())
    position = share * (count - 1)
    below = math.floor(position)
    low, high = _level_at(histogram, below + 1), _level_at(histogram, min(below + 2, count))
    return low + (position - below) * (high - low)


def _highlights(histogram: Counts) -> float:
    """Share of the pixels within 2 % of the picture's own range below its white point."""
    white, black = _percentile(histogram, 0.9995), _percentile(histogram, 0.01)
    threshold = white - 0.02 * (white - black) - 0.5
    return float(histogram[np.arange(256) >= threshold].sum() / histogram.sum())


def _deviation(histogram: Counts) -> float:
    """Standard deviation of the gray levels."""
    levels = np.arange(256)
    count, total, squares = (int((histogram * levels**power).sum()) for power in range(3))
    return math.sqrt(count * squares - total**2) / count


def _colour(pixels: Pixels, inside: Mask | None) -> tuple[float, float]:
    """Cast and colourfulness in CIE Lab; the cast in 16 x 16 cells, whose sides differ by a pixel at most."""
    rows, columns = (np.arange(17) * side // 16 for side in pixels.shape[:2])
    sizes = counts = np.outer(np.diff(rows), np.diff(columns))
    if inside is not None:
        strips = np.add.reduceat(inside, rows[:-1], axis=0, dtype=np.int64)
        counts = np.add.reduceat(strips, columns[:-1], axis=1)
    strips, squares = _colour_sums(pixels, inside, rows)
    sums = np.add.reduceat(strips, columns[:-1], axis=2)
    counted = counts >= SUPPORT * sizes
    chroma = np.hypot(*(sums[:, counted] / counts[counted]))
    deviations = [
        _spread(total, square, counts.sum())
        for total, square in zip(sums.sum(axis=(1, 2)), squares, strict=True)
    ]
    return float(np.percentile(chroma, 10)), math.hypot(*deviations)


def _spread(total: float, squares: float, count: int) -> float:
    """Standard deviation of numbers by their sum and that of their squares."""
    return math.sqrt(max(squares / count - (total / count) ** 2, 0))


def _colour_sums(
    pixels: Pixels, inside: Mask | None, rows: npt.NDArray[np.int64]
) -> tuple[Table, npt.NDArray[np.float64]]:
    """Sums of the two colour axes, and of their squares. None is rounded.

    Returns:
        Sums down the columns from each of the rows to the next, shape (2, rows - 1, width); and shape (2,).
    """
    sums, squares = np.empty((2, len(rows) - 1, pixels.shape[1])), np.zeros(2)
    for strip, (top, bottom) in enumerate(pairwise(rows)):
        for axis, values in enumerate(colour_axes(pixels[top:bottom])):
            wide = values.astype(np.float64)
            if inside is not None:
                wide *= inside[top:bottom]
            wide.sum(axis=0, out=sums[axis, strip])
            squares[axis] += np.square(wide, out=wide).sum()  # BLAS would keep all cores busy for it
    return sums, squares
