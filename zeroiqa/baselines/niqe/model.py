"""NIQE: how far the statistics of an image are from those of pristine photographs. Lower is better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.baselines.niqe.features import BLOCK, block_features, gray_levels
from zeroiqa.errors import ImageError
from zeroiqa.nss.gaussian import scatter, squared_length
from zeroiqa.nss.planes import Table
from zeroiqa.nss.shapes import ShapeGrid, build_shape_grid

if TYPE_CHECKING:
    from zeroiqa.types import Mask, Pixels


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The features of blocks: their mean and their covariance."""

    mean: Table
    """Shape (36,)."""
    covariance: Table
    """Shape (36, 36)."""

    def distance(self, other: Gaussian) -> float:
        """NIQE's distance: sqrt((m1 - m2)^T pinv((C1 + C2) / 2) (m1 - m2))."""
        gap = self.mean - other.mean
        return math.sqrt(max(_squared_length(gap, (self.covariance + other.covariance) / 2), 0.0))


def gaussian_of(features: Table) -> Gaussian | None:
    """What describes the blocks of one or more pictures.

    Args:
        features: Shape (blocks, 36). A feature that is NaN is left out of its mean, a block that has one is
            left out of the covariance.

    Returns:
        None where fewer than two blocks have all features: there is no covariance then.
    """
    complete = features[~np.isnan(features).any(axis=1)]
    if len(complete) < 2:
        return None
    return Gaussian(np.nanmean(features, axis=0), scatter(complete) / (len(complete) - 1))


def niqe(pixels: Pixels, pristine: Gaussian, *, inside: Mask | None = None) -> float:
    """NIQE of an image at its own size; lower is better.

    Args:
        pixels: RGB, shape (height, width, 3), uint8.
        pristine: Of blocks of pristine photographs.
        inside: The pixels that count, shape (height, width); None for all.

    Returns:
        A number of at least 0.

    Raises:
        ImageError: there is no number. Fewer than two blocks of 96 x 96 pixels are whole and have structure.
    """
    height, width = pixels.shape[:2]
    blocks = (height // BLOCK) * (width // BLOCK)
    if blocks < 2:
        raise ImageError(
            f"NIQE needs two whole blocks of {BLOCK} x {BLOCK} pixels, but {width} x {height} pixels hold "
            f"{blocks}; leave the image out or choose another baseline."
        )
    if inside is not None and inside.all():
        inside = None
    own = gaussian_of(block_features(gray_levels(pixels), _grid(), inside)[0])
    if own is None:
        raise ImageError(
            f"NIQE needs two blocks of {BLOCK} x {BLOCK} pixels that have structure, but of {blocks} at most "
            "one has; leave the image out or choose another baseline."
        )
    return pristine.distance(own)


def _squared_length(gap: Table, covariance: Table) -> float:
    """gap^T pinv(covariance) gap; where there is an inverse, by one that is the same on every processor."""
    values = np.linalg.eigvalsh(covariance)
    least = len(values) * np.finfo(np.float64).eps
    if values[0] > least * values[-1]:
        return squared_length(gap, covariance)
    return float(gap @ np.linalg.pinv(covariance, rtol=least, hermitian=True) @ gap)


@cache
def _grid() -> ShapeGrid:
    return build_shape_grid()
