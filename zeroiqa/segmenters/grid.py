"""The cells of a grid, deterministic and instant: a stand-in for tests, demos and dry runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.segmenters.granularity import check_min_area
from zeroiqa.segmenters.regions import regions_from_masks

if TYPE_CHECKING:
    from zeroiqa.types import Image, Region


class GridSegmenter:
    """Every cell but the last is an object; the last is left to the complement, so that a dry run has one."""

    def __init__(
        self,
        argument: str | None = None,
        *,
        min_area: float = 0.01,
        complement: bool = True,
        masks: bool = False,
    ) -> None:
        check_min_area(min_area)
        self._columns, self._rows = _columns_and_rows("3x2" if argument is None else argument)
        self._min_area = min_area
        self._complement = complement
        self._masks = masks

    @property
    def id(self) -> str:
        """Name, version and every parameter."""
        return (
            f"grid-v1:{self._columns}x{self._rows},min_area={self._min_area},"
            f"complement={self._complement},masks={self._masks}"
        )

    def segment(self, image: Image) -> list[Region]:
        """The cells row by row, from masks of one pixel per cell."""
        n_cells = self._rows * self._columns
        cells = np.eye(n_cells, dtype=bool).reshape(n_cells, self._rows, self._columns)
        return regions_from_masks(
            cells[:-1],
            image.size,
            min_area=self._min_area,
            complement=self._complement,
            keep_masks=self._masks,
        )

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
