"""How the numbers of a table are shown: decimals, p values, and marks of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zeroiqa.files.tables.render import Mark

DECIMALS = 3
"""How many a measured number is shown with; a published one keeps its own."""
_EQUAL = 12  # decimals: the same value computed in two ways is a tie


def number(value: float | None, decimals: int | None = None, printed: int | None = None) -> str:
    """A number as tables show it; a dash for one that does not exist.

    Args:
        value: The number.
        decimals: How many to show; None for the usual ones.
        printed: How many a published number was printed with: it has no more than these.
    """
    if value is None or math.isnan(value):
        return "-"
    if decimals is None:
        decimals = DECIMALS if printed is None else printed
    elif printed is not None:
        decimals = min(decimals, printed)
    return f"{value:.{decimals}f}"


def p_value(p: float | None, at_floor: bool, decimals: int | None = None) -> str:
    """A p value as tables show it; "<" where it is smaller than can be shown, or than could be found.

    Args:
        p: Within 0..1.
        at_floor: Whether it is the smallest that the resamples could find, so that it is an upper limit.
        decimals: As for `number`.
    """
    if p is None:
        return "-"
    digits = DECIMALS if decimals is None else decimals
    least = 10.0**-digits
    if at_floor and p < 1:
        return f"<{max(math.ceil(p / least - 1e-9) * least, least):.{digits}f}"
    return f"<{least:.{digits}f}" if p < least else f"{p:.{digits}f}"


def marks(values: Sequence[float | None]) -> list[Mark]:
    """Which of a column's values are the best and the second best: higher is better, ties share a mark."""
    exact = [None if value is None or math.isnan(value) else round(value, _EQUAL) for value in values]
    ranked = sorted({value for value in exact if value is not None}, reverse=True)[:2]
    names: dict[float, Mark] = dict(zip(ranked, ("best", "second"), strict=False))
    return ["" if value is None else names.get(value, "") for value in exact]
