"""Where labels stand on a picture: near what they name, inside the picture, and none on another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_STEP = 6
"""Pixels between the places that are tried."""
_MARGIN = 3
"""Pixels that stay free around a label."""


class Box(NamedTuple):
    """A rectangle in pixels, its ends exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int


class Wanted(NamedTuple):
    """A label that wants a place."""

    anchor: tuple[int, int]
    """x, y of the pixel that it names; its middle stands there if that is free."""
    size: tuple[int, int]
    """Width and height."""


def place(wanted: Sequence[Wanted], within: Box, taken: Sequence[Box] = ()) -> Iterator[Box | None]:
    """A place for each label, one after the other, as near to its anchor as those before it allow.

    Args:
        wanted: The most important first.
        within: The picture.
        taken: Places that are not free.

    Yields:
        In the order of the labels; None for one that fits nowhere.
    """
    busy: list[Box] = list(taken)
    for label in wanted:
        box = _nearest(label, within, busy)
        busy += [] if box is None else [box]
        yield box


def distance(box: Box, anchor: tuple[int, int]) -> float:
    """From a place to what it names, in pixels; 0 where it stands on it."""
    across = max(box.x0 - anchor[0], 0, anchor[0] - box.x1)
    down = max(box.y0 - anchor[1], 0, anchor[1] - box.y1)
    return math.hypot(across, down)


def _nearest(label: Wanted, within: Box, busy: Sequence[Box]) -> Box | None:
    """The free place that is nearest; None where there is none."""
    (width, height), (x, y) = label.size, (at - side // 2 for at, side in zip(*label, strict=True))
    if within.x1 - width < within.x0 or within.y1 - height < within.y0:
        return None
    lefts, tops = _tried(within.x0, within.x1 - width, x), _tried(within.y0, within.y1 - height, y)[:, None]
    free = np.ones((len(tops), len(lefts)), dtype=bool)
    for other in busy:
        beside = (lefts >= other.x1 + _MARGIN) | (lefts + width + _MARGIN <= other.x0)
        free &= beside | (tops >= other.y1 + _MARGIN) | (tops + height + _MARGIN <= other.y0)
    if not free.any():
        return None
    row, column = np.unravel_index(
        np.argmin(np.where(free, np.hypot(lefts - x, tops - y), np.inf)), free.shape
    )
    left, top = int(lefts[column]), int(tops[row, 0])
    return Box(left, top, left + width, top + height)


def _tried(low: int, high: int, wanted: int) -> npt.NDArray[np.int64]:
    """Places along one side: every few pixels, and the one that is wanted."""
    return np.unique([*range(low, high, _STEP), high, min(max(wanted, low), high)])
