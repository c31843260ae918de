"""Regions as a COCO file of annotations, which other tools read (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroiqa import rle
from zeroiqa.files.atomic import replaced
from zeroiqa.files.storage import Location
from zeroiqa.names import json_text
from zeroiqa.report.overlay import resized_mask

if TYPE_CHECKING:
    from zeroiqa.types import Region, Rle

CATEGORIES = ("object", "complement")
"""The names of the categories 1 and 2."""


@contextmanager
def coco_file(path: Location) -> Iterator[Callable[[int, str, tuple[int, int], tuple[Region, ...]], None]]:
    """Yield a function that takes id, path, size (height, width) and regions of one image after another.

    Masks are uncompressed run-length codes of the image's own size, upright as it is decoded; a mask of a
    lower resolution is brought to it by the nearest pixel. Boxes are x, y, width, height; areas are in pixels
    of the mask. A region that weighs other than its area has a `weight`, in (0, 1]. The file appears when the
    block ends well; only the names of the images are held.

    Raises:
        UserError: the file cannot be written.
    """
    images: list[dict[str, Any]] = []
    count = 0
    with replaced(path) as file:

        def add(image: int, name: str, size: tuple[int, int], regions: tuple[Region, ...]) -> None:
            nonlocal count
            images.append({"id": image, "file_name": name, "height": size[0], "width": size[1]})
            for region in regions:
                count += 1
                file.write(b"\n" if count == 1 else b",\n")
                file.write(_json({"id": count, "image_id": image, **_annotation(region, size)}))

        file.write(b'{"annotations": [')
        yield add
        categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, 1)]
        file.write(b'\n],\n"categories": ' + _json(categories))
        file.write(b',\n"images": ' + _json(images) + b"}\n")


def _annotation(region: Region, size: tuple[int, int]) -> dict[str, Any]:
    x0, y0, x1, y1 = region.box
    mask = _full_size(region, size)
    return {
        "category_id": CATEGORIES.index(region.kind) + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": sum(mask.counts[1::2]),
        "iscrowd": 0,
        **({} if region.weight is None else {"weight": region.weight}),
        "segmentation": {"size": list(mask.size), "counts": list(mask.counts)},
    }


def _full_size(region: Region, size: tuple[int, int]) -> Rle:
    assert region.mask is not None, "the run was made to keep masks"
    if region.mask.size == size:
        return region.mask
    return rle.encode(np.ascontiguousarray(resized_mask(region, (size[1], size[0]))))


def _json(value: Any) -> bytes:
    return json_text(value).encode()
