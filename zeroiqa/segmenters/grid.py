"""The cells of a grid, deterministic and instant: a stand-in for tests, demos and dry runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.segmenters.regions import RegionRule

if TYPE_CHECKING:
    from zeroiqa.types import Image, Region


class GridSegmenter:
    """Every cell but the last is an object; the last is left to the complement, so that a dry run has one."""

    def __init__(self, argument: str | None = None, **rule: Any) -> None:
        """Keep the choices; `rule` are fields of `RegionRule`."""
        self._columns, self._rows = _columns_and_rows("3x2" if argument is None else argument)
        self._rule = RegionRule(**rule)

    @property
    def id(self) -> str:
        """Name, version and every parameter."""
        return f"grid-v1:{self._columns}x{self._rows},{self._rule.id}"

    def segment(self, image: Image) -> list[Region]:
        """The cells row by row, from masks of one pixel per cell."""
        n_cells = self._rows * self._columns
        cells = np.eye(n_cells, dtype=bool).reshape(n_cells, self._rows, self._columns)
        return self._rule.regions(cells[:-1], image.size)

    images_per_call = 1
    """Images gain nothing from company."""

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """The regions of several images, one after the other."""
        return [self.segment(image) for image in images]


def _columns_and_rows(argument: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,2})x(\d{1,2})", argument)
    numbers = tuple(map(int, match.groups())) if match else ()
    if not numbers or not all(1 <= number <= 16 for number in numbers):  # no image has a side below 16 pixels
        raise UserError(
            f"a grid is given as COLUMNSxROWS, each from 1 to 16, such as grid:3x2, not grid:{argument}."
        )
    return numbers[0], numbers[1]
