"""A folder of images with a table, which Hugging Face's `datasets` loads as "imagefolder".

Its format: https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroiqa.export.columns import image_columns, region_columns
from zeroiqa.export.originals import copied, name_of_copy
from zeroiqa.files.atomic import replaced
from zeroiqa.names import json_text

if TYPE_CHECKING:
    from zeroiqa.export.images import Add
    from zeroiqa.runs import ScoredImage

SPLIT = "train"
"""The folder of the images, and how the loader calls their split."""
TABLE = "metadata.jsonl"


@contextmanager
def to_imagefolder(folder: Path, images: int, *, link: bool = False) -> Iterator[Add]:
    """Export images as copies, all in one folder, beside a table with a line for each of them.

    No folder below it has a name of theirs: the loader would take "test" or "val" for another split. The
    table appears when the block ends well.

    Args:
        folder: New or empty.
        images: Of the run.
        link: Make symbolic links in place of copies.

    Raises:
        UserError: something cannot be written.
    """
    place = folder / SPLIT
    with replaced(place / TABLE) as table:

        def add(image: ScoredImage) -> str | None:
            ref = image.planned.ref
            name = name_of_copy(image.planned.image, images, ref)
            if why := copied(ref, place / name, link=link):
                return why
            table.write(json_text(_row(name, image)).encode() + b"\n")
            return None

        yield add


def _row(name: str, image: ScoredImage) -> dict[str, Any]:
    """Every row has the same keys, and no list holds what a reader of the first rows cannot know."""
    score = image.score
    height, width = score.size or (None, None)
    regions = [
        {"kind": region.kind, "box": list(region.box), "area": region.area, "weight": region.weight, **columns}
        for region, columns in zip(score.regions, region_columns(score), strict=True)
    ]
    where = {"file_name": name, "path": score.path, "width": width, "height": height}
    return {**where, **image_columns(score), "regions": regions}
