"""The regions of a run as one table, and what they are like on average."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from zeroiqa.files.atomic import replaced, table_writer
from zeroiqa.files.storage import Location
from zeroiqa.results import status_of
from zeroiqa.runs import parts
from zeroiqa.runs.part_records import RegionsRow
from zeroiqa.runs.plan import Planned
from zeroiqa.runs.run import Run

_BUFFERED = 4096  # rows of a row group
_INT, _TEXT = pa.int32(), pa.string()
_COLUMNS: dict[str, pa.DataType] = {
    "path": _TEXT,
    "width": _INT,
    "height": _INT,
    "region": _INT,
    "kind": _TEXT,
    "x0": _INT,
    "y0": _INT,
    "x1": _INT,
    "y1": _INT,
    "area": pa.float64(),
    "weight": pa.float64(),
    "status": _TEXT,
    "error": _TEXT,
    "warnings": _TEXT,
}
_SCHEMA = pa.schema(_COLUMNS)


def read_segmented(run: Run, shard: int) -> Iterator[tuple[Planned, RegionsRow]]:
    """Each image of a shard whose regions are there, in plan order, streaming; those left out that are gone.

    Raises:
        UserError: the part is not there or damaged.
    """
    regions = parts.read_regions(run.folder, shard, run.revisions.generation(shard), run.images_of(shard))
    rows = zip(run.planned(shard), regions, strict=True)
    return (row for row in rows if row[0].image not in run.revisions.gone)


@contextmanager
def region_table(path: Location) -> Iterator[Callable[[Planned, RegionsRow], None]]:
    """Yield a function that takes image after image; the Parquet file appears when the block ends well.

    One row per region; `weight` is null where a region weighs what its area is. An image without regions has
    one row, too, in which they are null; if it is broken, `status` is "error" or "unreachable", and `error`
    says why.

    Raises:
        UserError: it cannot be written.
    """
    buffered: list[dict[str, Any]] = []
    with replaced(path) as file, table_writer(file, _SCHEMA) as writer:

        def add(image: Planned, row: RegionsRow) -> None:
            buffered.extend(_records(image, row))
            if len(buffered) >= _BUFFERED:
                flush()

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(buffered, _SCHEMA))
            buffered.clear()

        yield add
        flush()


def _records(image: Planned, row: RegionsRow) -> Iterator[dict[str, Any]]:
    height, width = row.size or (None, None)
    common = {
        "path": image.ref.name,
        "width": width,
        "height": height,
        "status": status_of(row.error, row.cause),
        "error": row.error,
        "warnings": "; ".join(row.warnings) or None,
    }
    for index, region in enumerate(row.regions):
        corners = dict(zip(("x0", "y0", "x1", "y1"), region.box, strict=True))
        sizes = {"area": region.area, "weight": region.weight}
        yield {**common, "region": index, "kind": region.kind, **corners, **sizes}
    if not row.regions:
        yield common


@dataclass
class RegionStatistics:
    """Counts of masks over the images of a run; errors are counted apart."""

    masks: Counter[int] = field(default_factory=Counter)
    """Masks in an image, the complement left out -> images."""
    complements: int = 0
    """Images that have a complement."""
    errors: int = 0
    """Images with an error."""

    @property
    def images(self) -> int:
        """Images without an error."""
        return self.masks.total()

    @property
    def mean(self) -> float:
        """Masks an image, the complement left out. There must be an image without an error."""
        return sum(count * images for count, images in self.masks.items()) / self.images

    def add(self, row: RegionsRow) -> None:
        """Count one more image."""
        if row.error is not None:
            self.errors += 1
            return
        count = sum(region.kind == "object" for region in row.regions)
        self.masks[count] += 1
        self.complements += len(row.regions) - count
