"""Pixels and box of a mask at full size, computed at the decoder's size: the upsampling is never made.

SAM 2's decoder gives logits of 256 x 256; the mask is their bilinear upsampling to the image's size, cut at a
threshold. Between four neighbouring logits (a cell) the upsampling is bilinear: a cell whose corners are all
above the threshold is covered wholly, one whose corners are all below not at all. In the other cells, those
along the mask's border, a row of pixels is a straight line between two values: the pixels above the threshold
are those before or behind the crossing. The work grows with the border's length, not with the image's area.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

_MASKS = {"cpu": 16}  # that are measured together: what they need stays in the processor's cache
_ELEMENTS = 1 << 20  # rows of border cells that are looked at together; bounds the memory


class Extent(NamedTuple):
    """What is above a threshold, for N masks."""

    pixels: torch.Tensor
    """How many pixels, int64, shape (N,)."""
    boxes: torch.Tensor
    """x0, y0, x1, y1 in pixels, end exclusive, int64, shape (N, 4); zeros where there is no pixel."""


@dataclass(frozen=True)
class _Axis:
    """How the pixels of one axis lie in the cells between the logits."""

    start: torch.Tensor
    """First pixel of each cell, int64, shape (cells + 1,)."""
    place: torch.Tensor
    """Where each pixel lies, in logits from the first one, float64, shape (pixels,), rising."""
    most: int
    """Most pixels in a cell."""

    def within(self, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """For each cell its pixels' share of the way to the next logit, and which of them there are."""
        pixels = self.start[cells, None] + torch.arange(self.most, device=cells.device)
        there = pixels < self.start[cells + 1, None]
        return self.place[pixels.clamp(max=len(self.place) - 1)] - cells[:, None], there


class Upsampling:
    """Measures masks on the image's pixels.

    The weights of the interpolation are asked of PyTorch itself, so that pixels differ from those of
    `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` only where its value is within
    rounding (float32) of the threshold.
    """

    def __init__(
        self, logits_size: tuple[int, int], image_size: tuple[int, int], device: torch.device
    ) -> None:
        """Prepare for one size.

        Args:
            logits_size: Height and width of the logits.
            image_size: Height and width of the image.
            device: Of the logits.
        """
        self._rows, self._columns = (
            _axis(*lengths, device) for lengths in zip(logits_size, image_size, strict=True)
        )

    def extent(self, logits: torch.Tensor, threshold: float) -> Extent:
        """Pixels and box of what is above the threshold.

        Args:
            logits: Float32, shape (N, height, width), of the size prepared for.
            threshold: A pixel counts if its upsampled logit is above.
        """
        at_once = _MASKS.get(logits.device.type, len(logits) or 1)
        parts = [self._extent(part, threshold) for part in torch.split(logits, at_once)]
        return Extent(*map(torch.cat, zip(*parts, strict=True)))

    def _extent(self, logits: torch.Tensor, threshold: float) -> Extent:
        some, whole = _cells(logits > threshold)
        rows, columns = self._rows.start.diff(), self._columns.start.diff()
        some &= (rows[:, None] > 0) & (columns[None] > 0)
        whole &= some

        tally = _Tally(len(logits), logits.device)
        tally.add_cells(whole, self._rows.start, self._columns.start)
        for cells in _chunks((some ^ whole).nonzero(), self._rows.most):
            self._add_border(tally, logits, cells, threshold)
        return tally.extent()

    def _add_border(self, tally: _Tally, logits: torch.Tensor, cells: torch.Tensor, threshold: float) -> None:
        """The pixels of border cells (mask, row, column), row of pixels by row of pixels."""
        mask, row, column = cells.unbind(1)
        below, right = (row + 1).clamp(max=logits.shape[1] - 1), (column + 1).clamp(max=logits.shape[2] - 1)
        share, there = self._rows.within(row)
        left_value, right_value = (
            torch.lerp(
                logits[mask, row, x].double()[:, None], logits[mask, below, x].double()[:, None], share
            )
            for x in (column, right)
        )
        first, end = self._columns.start[column, None], self._columns.start[column + 1, None]
        crossing = (threshold - left_value) / (right_value - left_value)
        crossed = torch.searchsorted(self._columns.place, column[:, None] + crossing.nan_to_num(0.0))
        crossed = crossed.clamp(first, end)
        falls = left_value > threshold
        x0 = torch.where(falls, first, crossed)
        x1 = torch.where(right_value > threshold, end, crossed)
        count = torch.where(there & (falls | (right_value > threshold)), x1 - x0, 0)

        cell, line = (count > 0).nonzero(as_tuple=True)
        tally.add_runs(mask[cell], self._rows.start[row[cell]] + line, x0[cell, line], x1[cell, line])


class _Tally:
    """Adds up pixels and boxes by mask."""

    def __init__(self, masks: int, device: torch.device) -> None:
        self._pixels = torch.zeros(masks, dtype=torch.int64, device=device)
        self._first = torch.full((masks, 2), torch.iinfo(torch.int64).max, device=device)
        self._end = torch.zeros((masks, 2), dtype=torch.int64, device=device)

    def add_cells(self, whole: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> None:
        """Add cells that are covered wholly, bool, shape (N, height, width).

        Args:
            whole: The cells.
            rows: First row of pixels of each row of cells, and the end.
            columns: Likewise.
        """
        in_row = whole.float() @ columns.diff().float()  # a row's pixels are a small number: exact
        self._pixels += (in_row.double() @ rows.diff().double()).long()
        for axis, (any_in, start) in enumerate(((whole.any(1), columns), (whole.any(2), rows))):
            first, end = any_in.int().argmax(1), any_in.shape[1] - any_in.flip(1).int().argmax(1)
            there = any_in.any(1)
            self._first[:, axis] = torch.where(there, start[first], self._first[:, axis])
            self._end[:, axis] = torch.where(there, start[end], 0)

    def add_runs(self, mask: torch.Tensor, y: torch.Tensor, x0: torch.Tensor, x1: torch.Tensor) -> None:
        """Add runs of pixels in rows, each with its mask's number."""
        places = mask[:, None].expand(-1, 2)
        self._pixels.index_add_(0, mask, x1 - x0)
        self._first.scatter_reduce_(0, places, torch.stack((x0, y), 1), "amin")
        self._end.scatter_reduce_(0, places, torch.stack((x1, y + 1), 1), "amax")

    def extent(self) -> Extent:
        boxes = torch.cat([self._first, self._end], dim=1)
        return Extent(self._pixels, torch.where(self._pixels[:, None] > 0, boxes, 0))


def _axis(logits: int, pixels: int, device: torch.device) -> _Axis:
    """Where PyTorch takes each pixel from: the weights are read off the upsampled unit vectors."""
    unit = torch.eye(logits, device=device)[None, :, None]
    weights = torch.nn.functional.interpolate(unit, (1, pixels), mode="bilinear", align_corners=False)[
        0, :, 0
    ]
    cell = (weights > 0).int().argmax(0)
    following = (cell + 1).clamp(max=logits - 1)
    share = torch.where(following > cell, weights.gather(0, following[None])[0], 0)
    start = torch.searchsorted(cell, torch.arange(logits + 1, device=device))
    return _Axis(start, cell + share.double(), int(start.diff().max()))


def _cells(above: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells with some and with all of their four corners above, shape (N, height, width).

    At the far edges the last logit is repeated.
    """
    some, whole = above.clone(), above.clone()
    some[:, :-1] |= above[:, 1:]
    whole[:, :-1] &= above[:, 1:]
    some[..., :-1] |= some[..., 1:].clone()
    whole[..., :-1] &= whole[..., 1:].clone()
    return some, whole


def _chunks(cells: torch.Tensor, rows: int) -> Iterator[torch.Tensor]:
    size = max(1, _ELEMENTS // max(rows, 1))
    for begin in range(0, len(cells), size):
        yield cells[begin : begin + size]
