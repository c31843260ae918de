"""The features of NIQE's blocks as published, in double precision.

Mittal, Soundararajan, Bovik: Making a "completely blind" image quality analyzer, IEEE Signal Processing
Letters 20(3), 2013. What the paper leaves open is as in the authors' release (utlive/niqe, MATLAB): how gray
is made, where planes are cropped, what is done at their edges and with blocks that have no structure.

The coefficients of a flat area are rounding errors of the window's sum, about 1e-14, and whether they are
exactly 0 moves its features. So the window is summed as a whole, not along rows and then along columns, which
moves NIQE of photographs with flat areas by some hundredths.

Masks are ours. The pixels outside of one have no share in any number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from zeroiqa.images.opencv import cv2
from zeroiqa.nss.planes import Table, supported
from zeroiqa.nss.shapes import ShapeGrid, quotient

if TYPE_CHECKING:
    from zeroiqa.types import Mask, Pixels

Number = TypeVar("Number", np.float64, np.bool_)
BLOCK = 96
"""Side in pixels of a block at the first scale; half of it at the second."""
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours (down, right) whose products are described: horizontal, vertical and the two diagonals."""
GRAY = (0.298936021293776, 0.587043074451121, 0.114020904255103)
"""Shares of red, green and blue by MATLAB's rgb2gray, whose documentation prints four digits of them."""
_BELL = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
WINDOW = np.outer(_BELL, _BELL) / np.outer(_BELL, _BELL).sum()
"""7 x 7 pixels, Gaussian, of standard deviation 7/6."""
ROUNDING = 1e-9
"""Gray levels: what is less is the rounding of a quotient of two windows."""
HALVING = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
"""MATLAB's imresize to one half: the cubic kernel of a = -0.5, twice as wide against aliasing."""


def gray_levels(pixels: Pixels) -> Table:
    """Gray levels as MATLAB's rgb2gray gives them: whole numbers 0..255, halves rounded up.

    Args:
        pixels: RGB, shape (height, width, 3), uint8.

    Returns:
        Shape (height, width).
    """
    levels = np.full(pixels.shape[:2], 0.5)
    for channel, share in enumerate(GRAY):
        levels += share * pixels[..., channel]
    np.floor(levels, out=levels)
    return levels


def block_features(gray: Table, grid: ShapeGrid, inside: Mask | None = None) -> tuple[Table, Table]:
    """The 36 features of every block of 96 x 96 pixels; what is beyond whole blocks is dropped first.

    Args:
        gray: shape (height, width), both sides at least 96.
        grid: see `build_shape_grid`.
        inside: the pixels that count, shape (height, width); None for all.

    Returns:
        Features, shape (blocks, 36): at either scale shape and mean width of the coefficients, then for each
        shift shape, mean, left and right width of the products. Without negative or positive values the shape
        is the least of the grid, and what needs them is NaN; all is where too little of a block is inside.
        And the blocks' mean local deviation, shape (blocks,), by which pristine blocks are chosen.
    """
    whole = tuple(slice(side // BLOCK * BLOCK) for side in gray.shape)
    fine, within = gray[whole], None if inside is None else inside[whole]
    coarse, half = half_size(fine), None if within is None else _half_mask(within)
    features, activity = _scale_features(fine, BLOCK, grid, within)
    features = np.concatenate([features, _scale_features(coarse, BLOCK // 2, grid, half)[0]], axis=1)
    if half is not None:
        features[~supported(half, BLOCK // 2).ravel()] = np.nan
    return features, activity


def half_size(plane: Table) -> Table:
    """The plane at half its size, not clipped; its edges are continued by reflection.

    Every sum is one of multiples of 1/65536, so that none is rounded.

    Args:
        plane: whole numbers 0..255, shape (height, width), both even.
    """
    halved = cv2.sepFilter2D(plane, cv2.CV_64F, HALVING, HALVING, None, (3, 3), 0, cv2.BORDER_REFLECT)
    return np.asarray(halved[::2, ::2], dtype=np.float64)


def _half_mask(inside: Mask) -> Mask:
    """The pixels of half the size in which nothing outside has a share."""
    reach = np.ones((len(HALVING), len(HALVING)), np.uint8)
    return np.asarray(cv2.erode(inside.astype(np.uint8), reach, anchor=(3, 3))[::2, ::2], dtype=bool)


def _scale_features(plane: Table, side: int, grid: ShapeGrid, inside: Mask | None) -> tuple[Table, Table]:
    """The 18 features of every block at one scale, and the blocks' mean local deviation."""
    mean, deviation = _local_contrast(plane, inside)
    coefficients = (plane - mean) / (deviation + 1)
    if inside is not None:
        coefficients *= inside
    found = []
    for top in range(0, len(plane), side):  # a row of blocks at a time, for the memory of large pictures
        row = slice(top, top + side)
        within = None if inside is None else _blocks(inside[row])
        found.append(_features(_blocks(coefficients[row]), grid, within))
    rows, columns = (length // side for length in plane.shape)
    activity = deviation.reshape(rows, side, columns, side).mean(axis=(1, 3))
    return np.concatenate(found), activity.ravel()


def _local_contrast(plane: Table, inside: Mask | None) -> tuple[Table, Table]:
    """Local mean and standard deviation; what is returned outside means nothing."""
    if inside is None:
        mean, power = _windowed(plane), _windowed(plane * plane)
    else:
        share = np.where(inside, _windowed(inside.astype(np.float64)), 1)
        mean, power = _windowed(plane * inside) / share, _windowed(plane * plane * inside) / share
        mean = np.where(np.abs(plane - mean) < ROUNDING, plane, mean)  # of a flat region no structure
    return mean, np.sqrt(np.abs(power - mean * mean))


def _windowed(plane: Table) -> Table:
    return np.asarray(ndimage.correlate(plane, WINDOW, mode="nearest"), dtype=np.float64)


def _blocks(row: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The blocks of a row of blocks, shape (blocks, side, side)."""
    side = len(row)
    return row.reshape(side, -1, side).swapaxes(0, 1)


def _features(blocks: Table, grid: ShapeGrid, inside: Mask | None) -> Table:
    """The 18 features of blocks, shape (blocks, 18); their pixels outside are 0."""
    index, left, right = _asymmetric_fit(blocks, grid, inside)
    columns = [grid.shapes[index], (left + right) / 2 * grid.width_factors[index]]
    for shift in SHIFTS:
        products = blocks * np.roll(blocks, shift, (1, 2))
        pairs = None if inside is None else inside & np.roll(inside, shift, (1, 2))
        index, left, right = _asymmetric_fit(products, grid, pairs)
        columns += [grid.shapes[index], (right - left) * grid.mean_factors[index]]
        columns += [left * grid.width_factors[index], right * grid.width_factors[index]]
    return np.stack(columns, axis=1)


def _asymmetric_fit(blocks: Table, grid: ShapeGrid, inside: Mask | None) -> tuple[Table, Table, Table]:
    """Index of each block's shape, and the deviations of its negative and of its positive values."""
    values = blocks.reshape(len(blocks), -1)
    count = np.full(len(values), values.shape[1]) if inside is None else inside.sum(axis=(1, 2))
    below, above = np.minimum(values, 0), np.maximum(values, 0)
    powers = [(half * half).sum(axis=1) for half in (below, above)]
    left, right = (
        np.sqrt(quotient(power, np.count_nonzero(half, axis=1)))  # NaN where there are none
        for power, half in zip(powers, (below, above), strict=True)
    )
    skew = quotient(left, right)
    absolute = quotient(above.sum(axis=1) - below.sum(axis=1), count)
    ratio = quotient(absolute**2, quotient(sum(powers), count))
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    return np.where(np.isnan(ratio), 0, grid.nearest(ratio)), left, right
