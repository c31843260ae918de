"""NIQE: how far the natural-scene statistics are from those of pristine photographs. Lower is better.

Mittal, Soundararajan, Bovik: Making a "completely blind" image quality analyzer, IEEE Signal Processing
Letters 20(3), 2013. The pristine statistics are ours (24 Kodak photographs, scripts/fit_pristine.py), so
values differ from those of the authors' model, which was fitted to other photographs. Two more things differ
from the authors' code: the first map's second feature is the variance of the coefficients, and the half-size
scale is an area average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zeroiqa.images.opencv import cv2
from zeroiqa.nss.planes import (
    Plane,
    Table,
    block_means,
    gray_plane,
    local_contrast,
    mirrored,
    mirrored_mask,
    normalised,
    supported,
)

if TYPE_CHECKING:
    from zeroiqa.types import Mask, Pixels

BLOCK = 96
"""Side in pixels of a block at the first scale; half of it at the second."""
MODEL_FILE = Path(__file__).with_name("niqe_kodak.npz")
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours (down, right) whose products are described: horizontal, vertical and the two diagonals."""


@dataclass(frozen=True, eq=False)
class ShapeGrid:
    """Solves the moment equation of the generalised Gaussian distribution by looking it up.

    For the shape a the ratio E|x|^2 / E x^2 is G(2/a)^2 / (G(1/a) G(3/a)), rising with a (Sharifi,
    Leon-Garcia 1995).
    """

    shapes: Table
    """0.2, 0.201, ... 10."""
    ratios: Table
    """The ratio of moments of each shape, rising."""
    mean_factors: Table
    """G(2/a) / sqrt(G(1/a) G(3/a)): turns a difference of standard deviations into the feature eta."""
    width_factors: Table
    """sqrt(G(1/a) / G(3/a)): turns a standard deviation into the width b."""

    def nearest(self, ratios: Table) -> npt.NDArray[np.intp]:
        """Index of the grid's shape whose ratio is nearest to each of `ratios`."""
        middles = (self.ratios[1:] + self.ratios[:-1]) / 2
        return np.asarray(np.searchsorted(middles, ratios))


def build_shape_grid() -> ShapeGrid:
    """The grid of NIQE: shapes 0.2 to 10 in steps of 0.001."""
    shapes = np.arange(200, 10_001) / 1000
    gamma1, gamma2, gamma3 = (np.array([math.lgamma(n / a) for a in shapes.tolist()]) for n in (1, 2, 3))
    return ShapeGrid(
        shapes=shapes,
        ratios=np.exp(2 * gamma2 - gamma1 - gamma3),
        mean_factors=np.exp(gamma2 - (gamma1 + gamma3) / 2),
        width_factors=np.exp((gamma1 - gamma3) / 2),
    )


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
        """NIQE's distance of the blocks of one image from this model; lower is more natural.

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
        return math.sqrt(max(_squared_length(gap, (self.covariance + own) / 2), 0.0))


def load_model(path: Path = MODEL_FILE) -> PristineModel:
    """Read a model that scripts/fit_pristine.py wrote; the default is the one that is shipped."""
    with np.load(path, allow_pickle=False) as data:
        return PristineModel(mean=data["mean"], covariance=data["covariance"], grid=build_shape_grid())


def scatter(rows: Table) -> Table:
    """Sum of the outer products of the rows with themselves, their mean taken off.

    Not by a library of linear algebra, whose roundings depend on the processor.

    Args:
        rows: shape (n, features).

    Returns:
        Shape (features, features).
    """
    centred = rows - rows.mean(axis=0)
    products: Table = centred[:, :, None] * centred[:, None, :]
    return np.asarray(products.sum(axis=0), dtype=np.float64)


def _squared_length(gap: Table, covariance: Table) -> float:
    """gap^T covariance^-1 gap, by elimination; see `scatter` for why not by a library."""
    rows, total = np.column_stack([covariance, gap]), 0.0
    for step in range(len(gap)):
        pivot = rows[step]
        total += float(pivot[-1] ** 2 / pivot[step])
        rows[step + 1 :] -= rows[step + 1 :, step, None] * (pivot / pivot[step])
    return total


def block_features(gray: Plane, grid: ShapeGrid, inside: Mask | None = None) -> tuple[Table, Table]:
    """NIQE's features of every 96 x 96 block.

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
    """Whether any block has enough inside for NIQE's features."""
    rows, columns = inside.shape[0] // BLOCK, inside.shape[1] // BLOCK
    return bool(_countable(inside[: rows * BLOCK, : columns * BLOCK]).any())


def niqe(pixels: Pixels, model: PristineModel | None = None, *, inside: Mask | None = None) -> float | None:
    """NIQE of an image at its own size; lower is better.

    Args:
        pixels: RGB, shape (height, width, 3), uint8. A side below 96 pixels is mirrored up to 96.
        model: The pristine statistics; None reads the shipped ones, which costs some milliseconds.
        inside: The pixels that count, shape (height, width); None for all.

    Returns:
        The distance; for an image without any structure e^4 = 54.6, beyond what photographs reach. None where
        no block has enough pixels inside.
    """
    model = model or load_model()
    gray, inside = gray_plane(mirrored(pixels, BLOCK)), mirrored_mask(inside, BLOCK)
    if inside is not None and not is_measurable(inside):
        return None
    distance = model.distance(block_features(gray, model.grid, inside)[0])
    return math.exp(4) if distance is None else distance


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
    ratio = _divide(absolute**2, power)
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
    skew = _divide(left, right)
    ratio = _divide(absolute**2, power) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
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


def _divide(numerator: Table, denominator: Table) -> Table:
    """The quotient; NaN, without a warning, where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def _shapes(ratio: Table, grid: ShapeGrid) -> Table:
    """The shapes that solve the moment equation; NaN where the ratio is."""
    return np.where(np.isfinite(ratio), grid.shapes[grid.nearest(ratio)], np.nan)
