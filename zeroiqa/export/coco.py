"""Regions as a COCO file of annotations, which other tools read (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zeroiqa import rle
from zeroiqa.export.columns import image_columns, region_columns
from zeroiqa.files.atomic import replaced
from zeroiqa.files.storage import Location
from zeroiqa.names import json_text
from zeroiqa.report.overlay import resized_mask

if TYPE_CHECKING:
    from zeroiqa.export.images import Add
    from zeroiqa.runs import ScoredImage
    from zeroiqa.types import Region, Rle

CATEGORIES = ("object", "complement")
"""The names of the categories 1 and 2."""


class AddRegions(Protocol):
    """Takes the regions of one image after another."""

    def __call__(
        self,
        image: int,
        name: str,
        size: tuple[int, int],
        regions: Sequence[Region],
        columns: Mapping[str, Any] = ...,
        of_regions: Sequence[Mapping[str, Any]] = ...,
    ) -> None:
        """Add one image.

        Args:
            image: Its id.
            name: Its path.
            size: Its height and width in pixels.
            regions: What was found in it.
            columns: What else is said of the image.
            of_regions: What else is said of each region; empty: nothing.
        """
        ...


@contextmanager
def coco_file(path: Location) -> Iterator[AddRegions]:
    """Yield a function that takes one image after another; the file appears when the block ends well.

    Masks are uncompressed run-length codes of the image's own size, upright as it is decoded; a mask of a
    lower resolution is brought to it by the nearest pixel. Boxes are x, y, width, height; areas are in pixels
    of the mask. A region whose mask was not kept has no segmentation, and the area that it was found with. A
    region that weighs other than its area has a `weight`, in (0, 1].

    Raises:
        UserError: the file cannot be written.
    """
    images = annotations = 0
    with replaced(path) as file, tempfile.TemporaryFile() as later:

        def add(
            image: int,
            name: str,
            size: tuple[int, int],
            regions: Sequence[Region],
            columns: Mapping[str, Any] = {},
            of_regions: Sequence[Mapping[str, Any]] = (),
        ) -> None:
            nonlocal images, annotations
            images += 1
            later.write(b"\n" if images == 1 else b",\n")
            about = {"id": image, "file_name": name, "height": size[0], "width": size[1], **columns}
            later.write(_json(about))
            for index, region in enumerate(regions):
                annotations += 1
                file.write(b"\n" if annotations == 1 else b",\n")
                more = of_regions[index] if of_regions else {}
                file.write(_json({"id": annotations, "image_id": image, **_annotation(region, size), **more}))

        file.write(b'{"annotations": [')
        yield add
        categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, 1)]
        file.write(b'\n],\n"categories": ' + _json(categories) + b',\n"images": [')
        later.seek(0)
        shutil.copyfileobj(later, file)
        file.write(b"\n]}\n")


@contextmanager
def to_coco(path: Location, columns: Sequence[str]) -> Iterator[Add]:
    """Export images with their scores, and their regions with levels and contributions.

    Args:
        path: Of the file.
        columns: Of scores.csv, which the images have.

    Raises:
        UserError: the file cannot be written.
    """
    with coco_file(path) as add_regions:

        def add(image: ScoredImage) -> str | None:
            score = image.score
            if score.size is None:
                return "without a size in pixels"
            said, of_regions = image_columns(score, columns), list(region_columns(score))
            add_regions(image.planned.image, score.path, score.size, score.regions, said, of_regions)
            return None

        yield add


def _annotation(region: Region, size: tuple[int, int]) -> dict[str, Any]:
    x0, y0, x1, y1 = region.box
    mask = _full_size(region, size)
    return {
        "category_id": CATEGORIES.index(region.kind) + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": region.area * size[0] * size[1] if mask is None else sum(mask.counts[1::2]),
        "iscrowd": 0,
        **({} if region.weight is None else {"weight": region.weight}),
        **({} if mask is None else {"segmentation": {"size": list(mask.size), "counts": list(mask.counts)}}),
    }


def _full_size(region: Region, size: tuple[int, int]) -> Rle | None:
    if region.mask is None or region.mask.size == size:
        return region.mask
    return rle.encode(np.ascontiguousarray(resized_mask(region, (size[1], size[0]))))


def _json(value: Any) -> bytes:
    return json_text(value).encode()
