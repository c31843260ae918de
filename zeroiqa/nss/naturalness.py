"""Naturalness: how far a picture's statistics are from those of pristine photographs. Lower is more natural.

After NIQE (Mittal, Soundararajan, Bovik: Making a "completely blind" image quality analyzer, IEEE Signal
Processing Letters 20(3), 2013), for the embedded rater alone, whose scores rest on these numbers. This is not
NIQE; that is zeroiqa/baselines/niqe/. What departs from NIQE as published:

* The statistics are those of 24 Kodak photographs (scripts/fit_pristine.py), not of the authors' 125.
* A block's first feature is the shape of a symmetric fit, its second the variance of the coefficients. NIQE
  takes the shape and the mean width of an asymmetric fit.
* Neighbours are multiplied over the whole plane, which wraps around; NIQE wraps around inside each block.
* The half-size scale is an area average; NIQE's is bicubic with antialiasing.
* Gray is 0.299 R + 0.587 G + 0.114 B; planes have 32 bits; windows have whole weights (see `planes`).
* A block without structure is left out; NIQE keeps those of its features that are numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zeroiqa.images.opencv import cv2
from zeroiqa.nss.gaussian import scatter, squared_length
from zeroiqa.nss.planes import Plane, Table, block_means, local_contrast, normalised, supported
from zeroiqa.nss.shapes import ShapeGrid, build_shape_grid, quotient

if TYPE_CHECKING:
    from zeroiqa.types import Mask

BLOCK = 96
"""Side in pixels of a block at the first scale; half of it at the second."""
MODEL_FILE = Path(__file__).with_name("naturalness_kodak.npz")
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours (down, right) whose products are described: horizontal, vertical and the two diagonals."""


@dataclass(frozen=True, eq=False)
class PristineModel:
    """A Gaussian over the block features of pristine photographs."""

    mean: Table
    """Shape (36,)."""
    covariance: Table
    """Shape (36, 36)."""
    grid: ShapeGrid
    """The lookup that the features need; built once with the model."""

    def distance(self, features: Table) -> float | None:
        """The distance of the blocks of one image from this model; lower is more natural.

        sqrt((m1 - m2)^T ((C1 + C2) / 2)^-1 (m1 - m2)), with the mean and the covariance of either side.

        Args:
            features: shape (blocks, 36); rows that are not finite are left out.

        Returns:
            A positive number, or None if no row is left.
        """
        rows = features[np.isfinite(features).all(axis=1)]
        if len(rows) == 0:
            return None
        own = scatter(rows) / max(len(rows) - 1, 1)
        gap = self.mean - rows.mean(axis=0)
        return math.sqrt(max(squared_length(gap, (self.covariance + own) / 2), 0.0))


def load_model(path: Path = MODEL_FILE) -> PristineModel:
    """Read a model that scripts/fit_pristine.py wrote; the default is the one that is shipped."""
    with np.load(path, allow_pickle=False) as data:
        return PristineModel(mean=data["mean"], covariance=data["covariance"], grid=build_shape_grid())


def block_features(gray: Plane, grid: ShapeGrid, inside: Mask | None = None) -> tuple[Table, Table]:
    """The features of every 96 x 96 block.

    Args:
        gray: shape (height, width), whole numbers 0..255, both sides at least 96.
        grid: see `build_shape_grid`.
        inside: the pixels that count, shape (height, width); None for all.

    Returns:
        Features, shape (blocks, 36), NaN where a block has no structure at all or too little inside; and the
        blocks' mean local standard deviation, shape (blocks,), by which pristine blocks are chosen.
    """
    rows, columns = gray.shape[0] // BLOCK, gray.shape[1] // BLOCK
    whole = (slice(rows * BLOCK), slice(columns * BLOCK))
    cropped, within = gray[whole], None if inside is None else inside[whole]
    half = (cropped.shape[1] // 2, cropped.shape[0] // 2)
    halved = np.asarray(cv2.resize(cropped, half, interpolation=cv2.INTER_AREA), dtype=np.float32)
    fine, activity = _scale_features(cropped, BLOCK, grid, within)
    coarse, _ = _scale_features(halved, BLOCK // 2, grid, None if within is None else _halved(within))
    features = np.concatenate([fine, coarse], axis=1)
    if within is not None:
        features[~_countable(within).ravel()] = np.nan
    return features, activity


def is_measurable(inside: Mask) -> bool:
    """Whether any block has enough inside for its features."""
    rows, columns = inside.shape[0] // BLOCK, inside.shape[1] // BLOCK
    return bool(_countable(inside[: rows * BLOCK, : columns * BLOCK]).any())


def _halved(inside: Mask) -> Mask:
    """True where all four pixels are inside."""
    return inside[::2, ::2] & inside[1::2, ::2] & inside[::2, 1::2] & inside[1::2, 1::2]


def _countable(inside: Mask) -> npt.NDArray[np.bool_]:
    """Which blocks have enough inside at the second scale, and so at both."""
    return supported(_halved(inside), BLOCK // 2)


def _scale_features(gray: Plane, side: int, grid: ShapeGrid, inside: Mask | None) -> tuple[Table, Table]:
    """The 18 features of every block at one scale, and the blocks' mean local standard deviation."""
    mean, deviation = local_contrast(gray, inside)
    coefficients = normalised(gray, mean, deviation)
    offset, absolute, power = _moments(coefficients, side, inside)
    ratio = quotient(absolute**2, power)
    columns = [_shapes(ratio, grid), power - offset**2]
    for shift in SHIFTS:
        product = coefficients * np.roll(coefficients, shift, (0, 1))
        pairs = None if inside is None else inside & np.roll(inside, shift, (0, 1))
        columns += _product_features(product, side, grid, pairs)
    return np.stack(columns, axis=1), block_means(deviation, side, inside).ravel()


def _product_features(product: Plane, side: int, grid: ShapeGrid, inside: Mask | None) -> list[Table]:
    """Shape, mean, left and right width of each block's asymmetric generalised Gaussian."""
    _, absolute, power = _moments(product, side, inside)
    left = _half_deviation(np.minimum(product, 0), side, inside)
    right = _half_deviation(np.maximum(product, 0), side, inside)
    skew = quotient(left, right)
    ratio = quotient(absolute**2, power) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    index = grid.nearest(ratio)
    width = grid.width_factors[index]
    return [_shapes(ratio, grid), (right - left) * grid.mean_factors[index], left * width, right * width]


def _moments(plane: Plane, side: int, inside: Mask | None) -> tuple[Table, Table, Table]:
    """Mean, mean absolute value and mean square of each block, in one row each."""
    means, absolute, power = (
        block_means(values, side, inside).ravel() for values in (plane, np.abs(plane), plane * plane)
    )
    return means, absolute, power


def _half_deviation(half: Plane, side: int, inside: Mask | None) -> Table:
    """Root mean square of the non-zero values of each block; 0 where there are none."""
    power = block_means(half * half, side, inside).ravel()
    share = block_means((half != 0).astype(np.float32), side, inside).ravel()
    return np.sqrt(np.divide(power, share, out=np.zeros_like(power), where=share > 0))


def _shapes(ratio: Table, grid: ShapeGrid) -> Table:
    """The shapes that solve the moment equation; NaN where the ratio is."""
    return np.where(np.isfinite(ratio), grid.shapes[grid.nearest(ratio)], np.nan)
