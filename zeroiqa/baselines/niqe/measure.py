"""NIQE as baselines: with the parameters in a file of the user's, and with those of the Kodak photographs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.baselines.measure import Measured, known_direction, measure_pixels
from zeroiqa.baselines.niqe.files import read_parameters
from zeroiqa.baselines.niqe.model import Gaussian, niqe

if TYPE_CHECKING:
    from zeroiqa.baselines.entry import Baseline
    from zeroiqa.types import Mask, Pixels, View
    from zeroiqa.weights.options import ModelOptions

KODAK = "kodak.npz"
"""Written by scripts/fit_pristine.py."""


class NiqeOfFile:
    """NIQE with the pristine statistics that a file holds.

    Args:
        baseline: Of the catalogue.
        argument: Path of the file; see `read_parameters`.
        options: Not needed: there are no weights.

    Raises:
        UserError: the file cannot be read, or holds no parameters of NIQE.
    """

    images_per_call = 1

    def __init__(self, baseline: Baseline, argument: str, options: ModelOptions) -> None:
        self._baseline = baseline
        self._pristine, self._digest = read_parameters(Path(argument).expanduser())

    @property
    def id(self) -> str:
        """SHA-256 of the file."""
        return self._digest

    @property
    def direction(self) -> int:
        """As in the catalogue."""
        return known_direction(self._baseline)

    def measure(self, views: Sequence[View]) -> list[Measured | None]:
        """NIQE of each view; None for a region that is too small or has no structure.

        Raises:
            ImageError: a whole image is too small, or has no structure.
        """
        compute = partial(niqe, pristine=self._pristine)
        return [measure_pixels(compute, view) for view in views]


def niqe_kodak(pixels: Pixels, *, inside: Mask | None = None) -> float:
    """NIQE with the statistics of 24 Kodak photographs; see `niqe`."""
    return niqe(pixels, kodak_statistics(), inside=inside)


@cache
def kodak_statistics() -> Gaussian:
    """The statistics that are shipped."""
    with (resources.files(__package__) / KODAK).open("rb") as file, np.load(file) as data:
        return Gaussian(data["mean"], data["covariance"])
