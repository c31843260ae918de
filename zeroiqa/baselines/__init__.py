"""Classical measures computed without a network, to compare scores with.

Each measure is a row of `BASELINES`; its module is imported when the measure is first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from zeroiqa.errors import UserError

if TYPE_CHECKING:
    from zeroiqa.types import Pixels


@dataclass(frozen=True)
class Baseline:
    """One measure: what it is called, which way it points and where it is computed."""

    name: str
    """The name used in tables and on the command line."""
    direction: Literal[1, -1]
    """+1: higher means better; -1: lower means better."""
    compute: str
    """"module:function"; the function maps RGB pixels to a finite float."""
    source: str
    """The publication."""

    def load(self) -> Callable[[Pixels], float]:
        """Import and return the function that computes the measure."""
        module, _, function = self.compute.partition(":")
        return cast("Callable[[Pixels], float]", getattr(importlib.import_module(module), function))


BASELINES: tuple[Baseline, ...] = (
    Baseline(
        "niqe",
        -1,
        "zeroiqa.baselines.niqe:niqe",
        'Mittal, Soundararajan, Bovik: Making a "completely blind" image quality analyzer, SPL 20(3), 2013',
    ),
    Baseline(
        "piqe",
        -1,
        "zeroiqa.baselines.piqe:piqe",
        "Venkatanath et al.: Blind image quality evaluation using perception based features, NCC 2015",
    ),
    Baseline(
        "log-laplacian",
        +1,
        "zeroiqa.baselines.laplacian:log_laplacian",
        "Pech-Pacheco et al.: Diatom autofocusing in brightfield microscopy, ICPR 2000",
    ),
)


def find_baseline(name: str) -> Baseline:
    """The baseline of that name.

    Raises:
        UserError: there is no such baseline.
    """
    for baseline in BASELINES:
        if baseline.name == name:
            return baseline
    known = ", ".join(baseline.name for baseline in BASELINES)
    raise UserError(f"There is no baseline {name!r}; the names are {known}.")
