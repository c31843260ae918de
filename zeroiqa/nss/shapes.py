"""Shapes of generalised Gaussian distributions, found from their moments by a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zeroiqa.nss.planes import Table


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
        return np.asarray(np.searchsorted(self._middles, ratios))

    @cached_property
    def _middles(self) -> Table:
        return (self.ratios[1:] + self.ratios[:-1]) / 2


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


def quotient(numerator: Table, denominator: Table) -> Table:
    """The quotient; NaN, without a warning, where the denominator is not above 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
