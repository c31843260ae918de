"""On what scale the ratings under a standard are, and whether those of several have a mean."""

from __future__ import annotations

from collections.abc import Mapping

from zeroiqa.errors import UserError
from zeroiqa.standards import Kind

_OF_LEVELS: tuple[Kind, ...] = ("word", "number", "sentence", "next-word")
_WITHOUT = "numbers of its own"


def scale_of(kind: Kind, k: int) -> str:
    """What the ratings under a standard of a kind with K levels are, in a few words."""
    if kind in _OF_LEVELS:
        return f"levels 1 to {k}"
    return f"numbers up to {k}" if kind == "float" else _WITHOUT


def check_mean(scales: Mapping[str, str]) -> None:
    """Refuse standards whose mean would mean nothing.

    Args:
        scales: Name of a standard -> its `scale_of`.

    Raises:
        UserError: the scales differ, or there is none.
    """
    if len(scales) > 1 and not have_mean(scales):
        (first, scale), *others = scales.items()
        name, other = next((each for each in others if each[1] != scale), others[0])
        raise UserError(
            f"There is no mean of {first} ({scale}) and {name} ({other}); give weights to standards of one "
            "scale, or leave the weights out."
        )


def have_mean(scales: Mapping[str, str]) -> bool:
    """Whether standards are of one scale."""
    return len({*scales.values()}) == 1 and _WITHOUT not in scales.values()
