"""The regions of an image painted over it."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from zeroiqa import rle
from zeroiqa.images.opencv import cv2

if TYPE_CHECKING:
    from zeroiqa.types import Image, Mask, Pixels, Region

_GOLDEN = 0.618034  # steps of this on the circle of hues keep neighbours in a list far apart
_FONT_SIZE = 22


def overlay(image: Image, regions: Sequence[Region], *, longest: int | None = None) -> Pixels:
    """The image with every object in a colour of its own, outlined; smaller ones lie on larger ones.

    The complement keeps the image's own colours: it is what no object covers.

    Args:
        image: The image that the regions are of.
        regions: With their masks; one without is an error of the caller.
        longest: The longer side of the result in pixels where the image is larger; its own size if left out.

    Returns:
        RGB, shape (height, width, 3).
    """
    height, width = image.size
    scale = min(1.0, (longest or max(height, width)) / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    painted = cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    objects = [(index, region) for index, region in enumerate(regions) if region.kind == "object"]
    for index, region in sorted(objects, key=lambda each: -each[1].area):
        colour = 255 * np.array(_hue(index), np.float32)
        mask = resized_mask(region, size)
        painted[mask] = 0.5 * painted[mask] + 0.5 * colour
        painted[_outline(mask)] = colour
    result: Pixels = painted.astype(np.uint8)
    return result


def colour_of(index: int) -> tuple[int, int, int]:
    """The colour (RGB) of the object at a place in an image's list of regions."""
    red, green, blue = (round(255 * share) for share in _hue(index))
    return red, green, blue


def resized_mask(region: Region, size: tuple[int, int]) -> Mask:
    """A region's mask at another size (width, height), by the nearest pixel."""
    assert region.mask is not None, "only regions with masks can be shown"
    mask = rle.decode(region.mask).view(np.uint8)
    resized: Mask = cv2.resize(np.ascontiguousarray(mask), size, interpolation=cv2.INTER_NEAREST) > 0
    return resized


def labelled(pixels: Pixels, upper_left: str, lower_right: str = "") -> PIL.Image.Image:
    """The pixels with a line of text in one or two corners."""
    picture = PIL.Image.fromarray(pixels)
    draw, font = PIL.ImageDraw.Draw(picture), PIL.ImageFont.load_default(size=_FONT_SIZE)
    for text, corner, anchor in (
        (upper_left, (8, 8), "lt"),
        (lower_right, (picture.width - 8, picture.height - 8), "rb"),
    ):
        if text:
            left, top, right, bottom = draw.textbbox(corner, text, font=font, anchor=anchor)
            draw.rectangle((left - 5, top - 5, right + 5, bottom + 5), fill="black")
            draw.text(corner, text, fill="white", font=font, anchor=anchor)
    return picture


def _hue(index: int) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(index * _GOLDEN % 1, 0.75, 0.95)


def _outline(mask: Mask) -> Mask:
    edge: Mask = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    edge &= mask
    return edge
