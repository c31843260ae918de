"""The best agreement that K discrete levels can reach (LLM-IQA, Table 1): people's own scores, quantised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.metrics.measures import plcc, srcc

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

Variant: TypeAlias = Literal["official", "eq1", "text", "bins"]


def quantise(mos: Values, k: int, variant: Variant = "official") -> Values:
    """Scores as levels; u is the score scaled to [0, 1] by the smallest and the largest one.

    The paper contradicts itself (section 3.1), so there are several readings. "official": round(K s / range)
    of the score s as it is, as the authors' code has it; it gives all printed values of Table 1. "eq1":
    round(K u), equation 1 to the letter, which gives K + 1 levels. "text": round((K - 1) u), the levels
    0 .. K - 1 of the text. "bins": K equal bins. Halves are rounded to even.

    Args:
        mos: Scores, shape (n,); not all the same.
        k: Number of levels, from 2 on.
        variant: Which reading.

    Raises:
        UserError: all scores are the same, or k is under 2.
    """
    low, high = float(np.min(mos)), float(np.max(mos))
    if not high > low or k < 2:
        raise UserError(f"Scores from {low} to {high} cannot be put into {k} levels; both must differ.")
    if variant == "official":
        return np.round(k * mos / (high - low))
    u = (mos - low) / (high - low)
    if variant == "eq1":
        return np.round(k * u)
    if variant == "text":
        return np.round((k - 1) * u)
    return np.minimum(np.floor(k * u), k - 1)


def upper_bound(mos: Values, k: int, variant: Variant = "official") -> float:
    """(SRCC + PLCC) / 2 between scores and their levels, as in Table 1.

    Raises:
        UserError: as `quantise`.
    """
    levels = quantise(mos, k, variant)
    rank, linear = srcc(mos, levels), plcc(mos, levels)
    assert rank is not None and linear is not None, "the smallest and the largest score have different levels"
    return (rank + linear) / 2
