"""From masks to regions: Algorithm 1 of LLM-IQA, for the masks of any segmenter."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa import rle
from zeroiqa.segmenters.granularity import ComplementRule, check_min_area
from zeroiqa.types import Region, RegionKind, Rle

if TYPE_CHECKING:
    from zeroiqa.types import Mask


@dataclass(frozen=True)
class RegionRule:
    """Which masks become regions; every segmenter has one.

    Raises:
        UserError: `min_area` is outside [0, 1].
    """

    min_area: float = 0.01
    """The threshold t of Algorithm 1: the least area as a fraction of the image's, in [0, 1]."""
    complement: bool = True
    """Whether what no kept mask covers becomes the last region."""
    masks: bool = False
    """Whether the regions carry their masks, at the resolution of those given."""
    min_pixels: int = 0
    """The least area in pixels of the image, besides `min_area`; an empty mask never passes."""
    complement_rule: ComplementRule = "union"
    """What of the complement is held against the least area: what no kept mask covers ("union"), or the
    image's area without the sum of the kept masks' ("remainder"), which is also its `weight` then. It is less
    where masks overlap, and may be below 0 (Dog-IQA as its authors run it)."""

    def __post_init__(self) -> None:
        check_min_area(self.min_area)

    @property
    def id(self) -> str:
        """Every choice, for a segmenter's id; those that came later only where they are not the default."""
        pixels = f",min_pixels={self.min_pixels}" if self.min_pixels else ""
        rule = f",complement_rule={self.complement_rule}" if self.complement_rule != "union" else ""
        return f"min_area={self.min_area},complement={self.complement},masks={self.masks}{pixels}{rule}"

    def least(self, mask_pixels: int, image_pixels: int) -> int:
        """The least number of pixels that passes, at least 1, of a mask that is `mask_pixels` large.

        Exact for the decimal number as written: 7 of 100 pixels pass 0.07, though 0.07 * 100 > 7 in floats.
        """
        share = math.ceil(Fraction(str(float(self.min_area))) * mask_pixels)
        return max(1, share, -(-self.min_pixels * mask_pixels // image_pixels))

    def regions(self, masks: Iterable[Mask], image_size: tuple[int, int]) -> list[Region]:
        """Keep the masks that are large enough, then add what is left of the image if that is.

        The masks may overlap. The complement is one region even where it is disconnected; the pixels of
        dropped masks belong to it. Where no mask is kept it is the whole image, however small that is.

        Args:
            masks: Masks of one resolution, which may be lower than the image's. They are looked at one at a
                time: a generator needs the memory of one mask besides the union.
            image_size: Height and width of the image.

        Returns:
            The kept masks in the order given, the complement last.
        """
        regions: list[Region] = []
        union: Mask | None = None
        sum_of_kept = 0
        for mask in masks:
            if union is None:
                union = np.zeros_like(mask)
            pixels = int(np.count_nonzero(mask))
            if pixels >= self.least(mask.size, math.prod(image_size)):
                regions.append(self._region(mask, pixels, image_size, "object"))
                union |= mask
                sum_of_kept += pixels
        if not self.complement:
            return regions
        if union is None or not regions:
            return [self._whole_image(image_size, image_size if union is None else union.shape)]
        left = union.size - int(np.count_nonzero(union))
        by_sum = self.complement_rule == "remainder"
        rest = union.size - sum_of_kept if by_sum else left
        if rest >= self.least(union.size, math.prod(image_size)):
            region = self._region(~union, left, image_size, "complement")
            regions.append(replace(region, weight=rest / union.size) if by_sum else region)
        return regions

    def _region(self, mask: Mask, pixels: int, image_size: tuple[int, int], kind: RegionKind) -> Region:
        code = rle.encode(mask) if self.masks else None
        return Region(_box(mask, image_size), pixels / mask.size, kind, code)

    def _whole_image(self, image_size: tuple[int, int], mask_size: tuple[int, ...]) -> Region:
        height, width = image_size
        rows, columns = mask_size
        code = Rle((rows, columns), (0, rows * columns)) if self.masks else None
        weight = 1.0 if self.complement_rule == "remainder" else None
        return Region((0, 0, width, height), 1.0, "complement", code, weight)


def regions_from_masks(
    masks: Iterable[Mask],
    image_size: tuple[int, int],
    *,
    min_area: float,
    complement: bool,
    keep_masks: bool,
    min_pixels: int = RegionRule.min_pixels,
    complement_rule: ComplementRule = RegionRule.complement_rule,
) -> list[Region]:
    """The regions of masks by a rule: see `RegionRule`, whose fields the arguments are.

    Raises:
        UserError: `min_area` is outside [0, 1].
    """
    rule = RegionRule(min_area, complement, keep_masks, min_pixels, complement_rule)
    return rule.regions(masks, image_size)


def _box(mask: Mask, image_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The tight box of a non-empty mask, in image pixels, rounded outwards."""
    y0, y1 = _span(mask, 0, image_size)
    x0, x1 = _span(mask, 1, image_size)
    return x0, y0, x1, y1


def _span(mask: Mask, axis: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """First and past-the-last row (axis 0) or column (axis 1) of the image that the mask touches."""
    occupied = np.flatnonzero(mask.any(axis=1 - axis))
    first, end = int(occupied[0]), int(occupied[-1]) + 1
    mask_length, image_length = mask.shape[axis], image_size[axis]
    return first * image_length // mask_length, -(-end * image_length // mask_length)
