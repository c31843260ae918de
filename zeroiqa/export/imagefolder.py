"""A folder of images with a table, which Hugging Face's `datasets` loads as "imagefolder".

Its format: https://huggingface.co/docs/datasets/image_dataset
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
def to_imagefolder(folder: Path, columns: Sequence[str], images: int, *, link: bool = False) -> Iterator[Add]:
    """Export images as copies, all in one folder, beside a table with a line for each of them.

    No folder below it has a name of theirs: the loader would take "test" or "val" for another split. Lines
    that are the first to have a value somewhere come first: the loader learns from them what a column holds,
    and fails over a value where it has seen none. The table appears when the block ends well.

    Args:
        folder: New or empty.
        columns: Of scores.csv.
        images: Of the run.
        link: Make symbolic links in place of copies.

    Raises:
        UserError: something cannot be written.
    """
    place = folder / SPLIT
    told: set[str] = set()
    with _gone_if_empty(place), replaced(place / TABLE) as table, tempfile.TemporaryFile() as later:

        def add(image: ScoredImage) -> str | None:
            name = name_of_copy(image.planned.image, images, image.planned.ref)
            if why := copied(image.planned.ref, place / name, link=link):
                return why
            row = _row(name, image, columns)
            new = set(_told(row)) - told
            told.update(new)
            (table if new else later).write(json_text(row).encode() + b"\n")
            return None

        yield add
        later.seek(0)
        shutil.copyfileobj(later, table)


@contextmanager
def _gone_if_empty(folder: Path) -> Iterator[None]:
    """What was begun leaves no folder without anything in it where it fails."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # it holds copies
            folder.rmdir()
        raise


def _row(name: str, image: ScoredImage, columns: Sequence[str]) -> dict[str, Any]:
    """Every row has the same keys."""
    score = image.score
    height, width = score.size or (None, None)
    regions = [
        {"kind": region.kind, "box": list(region.box), "area": region.area, "weight": region.weight, **more}
        for region, more in zip(score.regions, region_columns(score), strict=True)
    ]
    where = {"file_name": name, "path": score.path, "width": width, "height": height}
    return {**where, **image_columns(score, columns), "regions": regions}


def _told(value: Any, name: str = "") -> Iterator[str]:
    """The places in a row that have a value."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _told(each, f"{name}/{key}")
    elif isinstance(value, list):
        for each in value:
            yield from _told(each, f"{name}/")
    elif value is not None:
        yield name
