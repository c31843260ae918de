"""Which way a rater's numbers point: a word of its id, so that every run and every reader of it knows."""

from __future__ import annotations

LOWER_IS_BETTER = "lower-is-better"
"""The last word of the id of a rater whose numbers fall as quality rises."""


def lower_is_better(rater_id: str) -> bool:
    """Whether the numbers of a rater of that id, which has a scale of its own, fall as quality rises."""
    return rater_id.endswith(f" {LOWER_IS_BETTER}")
