"""From regions to views: what a rater looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa import rle
from zeroiqa.images.opencv import cv2
from zeroiqa.types import CropMode, Image, Region, View

if TYPE_CHECKING:
    import numpy.typing as npt

    from zeroiqa.types import Mask


def cut_views(image: Image, regions: Sequence[Region], crop: CropMode) -> list[View]:
    """The whole image, then one view per region.

    Args:
        image: The decoded image.
        regions: Its regions; with crop "mask" each carries its mask.
        crop: "bbox": the region's box, surroundings included; "mask": the same box, zero outside the mask;
            "whole": the whole image only.

    Returns:
        The whole image first, then the regions in order. The whole image and the boxes share the memory of
        `image.pixels`, which is read-only.
    """
    whole = View(image.pixels, None, image.size, image.prompt)
    if crop == "whole":
        return [whole]
    return [whole, *(_view(image, region, masked=crop == "mask") for region in regions)]


def _view(image: Image, region: Region, *, masked: bool) -> View:
    """The region's box; outside of its mask zeros (left open by the paper)."""
    x0, y0, x1, y1 = region.box
    pixels, mask = image.pixels[y0:y1, x0:x1], None
    if masked:
        mask = _mask_in_box(region, image.size)
        pixels = np.asarray(cv2.copyTo(pixels, mask.astype(np.uint8)), dtype=np.uint8)
    return View(pixels, region, image.size, image.prompt, mask)


def _mask_in_box(region: Region, image_size: tuple[int, int]) -> Mask:
    """The region's mask inside its box, at image resolution: the nearest mask pixel of every image pixel."""
    assert region.mask is not None, "crop mode mask needs a segmenter built with masks=True"
    mask = rle.decode(region.mask)
    x0, y0, x1, y1 = region.box
    rows = _nearest(y0, y1, image_size[0], mask.shape[0])
    columns = _nearest(x0, x1, image_size[1], mask.shape[1])
    return mask[np.ix_(rows, columns)]


def _nearest(start: int, end: int, image_length: int, mask_length: int) -> npt.NDArray[np.intp]:
    """Indices of the mask pixels that hold the centres of the image pixels start..end - 1."""
    centres = 2 * np.arange(start, end) + 1  # in half image pixels
    return centres * mask_length // (2 * image_length)
