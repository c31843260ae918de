"""What every format says of an image and of its regions, in the words of the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from zeroiqa.results import ImageScore

_PLACE = ("path", "width", "height", "status", "error")
"""What a format says in a way of its own; and what tells no image that is exported from another one."""


def image_columns(score: ImageScore, columns: Sequence[str]) -> dict[str, Any]:
    """What scores.csv has in these columns, None where the image has no value; tags and warnings as lists."""
    row = {**dict.fromkeys(columns), **score.to_dict()}
    said = {name: value for name, value in row.items() if name not in _PLACE}
    return {**said, "tags": list(score.tags), "warnings": list(score.warnings)}


def region_columns(score: ImageScore) -> Iterator[dict[str, Any]]:
    """Of each region, its level and what it adds to the score; those of other standards begin with its label.

    A level is None where the rater gave no answer.
    """
    labels = score.labels or tuple(score.scores)
    for index in range(len(score.regions)):
        columns: dict[str, Any] = {}
        for position, label in enumerate(labels):
            prefix = "" if position == 0 else f"{label}_"
            if (found := score.scores.get(label)) is not None and found.region_levels:
                columns[f"{prefix}level"] = found.region_levels[index]
                columns[f"{prefix}contribution"] = found.region_contributions[index]
        yield columns
