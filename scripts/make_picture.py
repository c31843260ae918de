"""Draw what zeroiqa does to one photo: its regions, the score, and the levels of the largest regions.

    python scripts/make_picture.py results/readme/regions.jpg

The layout follows Fig. 6 of the paper: score in the upper left corner, area weight in the lower right one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import PIL.Image

import zeroiqa
from zeroiqa.images.decode import decode
from zeroiqa.pipeline import find_regions, score_image
from zeroiqa.report.overlay import labelled, overlay
from zeroiqa.results import ImageScore
from zeroiqa.samples import folder
from zeroiqa.types import Image, Region
from zeroiqa.views import cut_views

SAMPLE = "astronaut.jpg"
CROPS = 3
GAP = 12


def draw(target: Path) -> None:
    method = zeroiqa.load_method(crop="mask", regions=True)
    image = decode(folder() / SAMPLE, method.policy)
    result = score_image(image, zeroiqa.load_method(regions=True))
    (regions,) = find_regions([image], method)
    height, width = image.size
    crops = sorted(range(len(regions)), key=lambda index: -regions[index].area)[:CROPS]
    side = (height - (CROPS - 1) * GAP) // CROPS
    sheet = PIL.Image.new("RGB", (2 * width + side + 2 * GAP, height), "white")
    sheet.paste(labelled(image.pixels, f"score {result.score:.2f}"), (0, 0))
    sheet.paste(labelled(overlay(image, regions), f"{len(regions)} regions"), (width + GAP, 0))
    for row, index in enumerate(crops):
        sheet.paste(crop(image, regions[index], result, index, side), (2 * (width + GAP), row * (side + GAP)))
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(target, quality=88)


def crop(image: Image, region: Region, result: ImageScore, index: int, side: int) -> PIL.Image.Image:
    """One region's box, fitted into a square, with its level and its area."""
    view = cut_views(image, [region], "bbox")[1]
    level = next(iter(result.scores.values())).region_levels[index]
    fitted = PIL.Image.fromarray(view.pixels)
    fitted.thumbnail((side, side))
    square = PIL.Image.new("RGB", (side, side), (235, 235, 235))
    square.paste(fitted, ((side - fitted.width) // 2, (side - fitted.height) // 2))
    return labelled(np.asarray(square), f"{level:.2f}", f"area {region.area:.0%}")


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "results/readme/regions.jpg"))
