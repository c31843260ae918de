"""From masks to regions: Algorithm 1 of LLM-IQA, for the masks of any segmenter."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa import rle
from zeroiqa.segmenters.granularity import check_min_area
from zeroiqa.types import Region, RegionKind, Rle

if TYPE_CHECKING:
    from zeroiqa.types import Mask


def regions_from_masks(
    masks: Iterable[Mask],
    image_size: tuple[int, int],
    *,
    min_area: float,
    complement: bool,
    keep_masks: bool,
) -> list[Region]:
    """Keep the masks of at least `min_area`, then add the complement of their union if it is as large.

    The masks may overlap. The complement is one region even where it is disconnected; the pixels of
    dropped masks belong to it. Without any mask it is the whole image.

    Args:
        masks: Masks of one resolution, which may be lower than the image's. They are looked at one at a time:
            a generator needs the memory of one mask besides the union.
        image_size: Height and width of the image.
        min_area: The threshold t as a fraction of the image area, in [0, 1]; an empty mask never passes.
        complement: Whether to add the complement.
        keep_masks: Whether the regions carry their masks, at the resolution of the masks given.

    Returns:
        The kept masks in the order given, the complement last.

    Raises:
        UserError: `min_area` is outside [0, 1].
    """
    check_min_area(min_area)
    regions: list[Region] = []
    union: Mask | None = None

    def add(mask: Mask, kind: RegionKind) -> bool:
        pixels = int(np.count_nonzero(mask))
        if pixels < _threshold(min_area, mask.size):
            return False
        code = rle.encode(mask) if keep_masks else None
        regions.append(Region(_box(mask, image_size), pixels / mask.size, kind, code))
        return True

    for mask in masks:
        if union is None:
            union = np.zeros_like(mask)
        if add(mask, "object"):
            union |= mask
    if complement and union is None:
        regions.append(_whole_image(image_size, keep_masks))
    elif complement and union is not None:
        add(~union, "complement")
    return regions


def _threshold(min_area: float, pixels: int) -> int:
    """The least number of mask pixels that passes, at least 1.

    Exact for the decimal number as written: 7 of 100 pixels pass 0.07, though 0.07 * 100 > 7 in floats.
    """
    return max(1, math.ceil(Fraction(str(float(min_area))) * pixels))


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


def _whole_image(image_size: tuple[int, int], keep_masks: bool) -> Region:
    height, width = image_size
    code = Rle(image_size, (0, height * width)) if keep_masks else None
    return Region((0, 0, width, height), 1.0, "complement", code)
