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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroiqa.images.opencv import cv2
from zeroiqa.nss.gaussian import scatter, squared_length
from zeroiqa.nss.planes import (
    Contrast,
    Levels,
    Plane,
    Table,
    bands,
    block_means,
    contrast_of_part,
    local_contrast,
    means_of_bands,
    normalised,
    supported,
)
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


def block_features(
    gray: Plane | Levels, grid: ShapeGrid, inside: Mask | None = None, contrast: Contrast | None = None
) -> tuple[Table, Table]:
    """The features of every 96 x 96 block.

    Args:
        gray: shape (height, width), whole numbers 0..255, both sides at least 96.
        grid: see `build_shape_grid`.
        inside: the pixels that count, shape (height, width); None for all.
        contrast: the local contrast of `gray` if it is known.

    Returns:
        Features, shape (blocks, 36), NaN where a block has no structure at all or too little inside; and the
        blocks' mean local standard deviation, shape (blocks,), by which pristine blocks are chosen.
    """
    rows, columns = gray.shape[0] // BLOCK, gray.shape[1] // BLOCK
    whole = (slice(rows * BLOCK), slice(columns * BLOCK))
    cropped, within = gray[whole], None if inside is None else inside[whole]
    half = (cropped.shape[1] // 2, cropped.shape[0] // 2)
    halved = np.asarray(
        cv2.resize(cropped.astype(np.float32), half, interpolation=cv2.INTER_AREA), dtype=np.float32
    )
    halved_within = None if within is None else _halved(within)
    of_part = contrast_of_part(cropped, contrast or local_contrast(gray, inside), within)
    fine = _scale_features(cropped, of_part, BLOCK, grid, within)
    coarse = _scale_features(halved, local_contrast(halved, halved_within), BLOCK // 2, grid, halved_within)
    activity = block_means(of_part[1], BLOCK, within).ravel()
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


def _scale_features(
    gray: Plane | Levels, contrast: Contrast, side: int, grid: ShapeGrid, inside: Mask | None
) -> Table:
    """The 18 features of every block at one scale."""
    coefficients = normalised(gray, contrast)
    if inside is not None:
        coefficients *= inside
    ratio, variance = _symmetric_features(coefficients, side, inside)
    columns = [_shapes(ratio, grid), variance]
    wrapped = np.pad(coefficients, 1, mode="wrap")
    for shift in SHIFTS:
        pairs = None if inside is None else inside & np.roll(inside, shift, (0, 1))
        columns += _product_features(wrapped, shift, side, grid, pairs)
    return np.stack(columns, axis=1)


def _symmetric_features(coefficients: Plane, side: int, inside: Mask | None) -> tuple[Table, Table]:
    """The ratio of moments of each block's coefficients, and their variance."""
    height, width = coefficients.shape
    powers = (_powers(coefficients[band]) for band in bands(height, width, side))
    offset, absolute, power = (means.ravel() for means in means_of_bands(powers, side, inside))
    return quotient(absolute**2, power), power - offset**2


def _powers(values: Plane) -> Iterator[Plane]:
    """The values, their absolute values and their squares, one after the other."""
    yield values
    yield np.abs(values)
    yield np.square(values)


def _product_features(
    wrapped: Plane, shift: tuple[int, int], side: int, grid: ShapeGrid, inside: Mask | None
) -> list[Table]:
    """Shape, mean, left and right width of each block's asymmetric generalised Gaussian.

    Args:
        wrapped: the coefficients, with one more row and column on each side.
        shift: of the neighbour (down, right).
        side: of a block.
        grid: see `build_shape_grid`.
        inside: the pixels that count together with that neighbour.
    """
    products = (_halves(product) for product in _products(wrapped, shift, side))
    found = [means.ravel() for means in means_of_bands(products, side, inside)]
    absolute, power, right_power, left_power, right_share, left_share = found
    left, right = _half_deviation(left_power, left_share), _half_deviation(right_power, right_share)
    skew = quotient(left, right)
    ratio = quotient(absolute**2, power) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    width = grid.width_factors[grid.nearest(ratio)]
    mean = (right - left) * grid.mean_factors[grid.nearest(ratio)]
    return [_shapes(ratio, grid), mean, left * width, right * width]


def _products(wrapped: Plane, shift: tuple[int, int], side: int) -> Iterator[Plane]:
    """The products of the coefficients with one neighbour, band by band."""
    height, width = wrapped.shape[0] - 2, wrapped.shape[1] - 2
    down, right = shift
    own = wrapped[1:-1, 1:-1]
    neighbours = wrapped[1 - down : 1 - down + height, 1 - right : 1 - right + width]
    return (own[band] * neighbours[band] for band in bands(height, width, side))


def _halves(product: Plane) -> Iterator[npt.NDArray[Any]]:
    """Absolute values, squares, squares of what is above 0 and of what is below, and where that is."""
    squares = np.abs(product)
    yield squares
    yield np.square(product, out=squares)
    upper = np.maximum(product, np.zeros_like(product))
    yield np.square(upper, out=upper)
    yield np.subtract(squares, upper, out=squares)
    yield np.greater(product, 0).view(np.uint8)
    yield np.less(product, 0).view(np.uint8)


def _half_deviation(power: Table, share: Table) -> Table:
    """Root mean square of the values of one sign in each block; 0 where there are none."""
    return np.sqrt(np.divide(power, share, out=np.zeros_like(power), where=share > 0))


def _shapes(ratio: Table, grid: ShapeGrid) -> Table:
    """The shapes that solve the moment equation; NaN where the ratio is."""
    return np.where(np.isfinite(ratio), grid.shapes[grid.nearest(ratio)], np.nan)
