"""What a Parquet file of a run must hold: columns, types, rows and values. What is wrong is a `ValueError`.

Pages have checksums; what is around them, and who put the file there, has none.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from zeroiqa.errors import UserError
from zeroiqa.files.damage import shortened
from zeroiqa.files.storage import Location
from zeroiqa.types import Rating, Region, RegionKind, Rle

VERSION = 2
"""Of the parts, as each of them says; goes up when an older zeroiqa could misread one. Those of version 1 say
nothing: they have regions without weights of their own, and ratings without answers. Measures and
descriptions came without a version of their own: who does not know them passes them over, and no score is
made from them."""
FIRST_WITH_ANSWERS = 2
_SAYS_VERSION = b"zeroiqa.part"
_KINDS = get_args(RegionKind)
_ROUNDING = 1e-6


class LaterVersionError(UserError):
    """A part that a later zeroiqa wrote: nothing is wrong with it."""


def versioned(schema: pa.Schema) -> pa.Schema:
    """The schema with the version of today's parts in its metadata."""
    return schema.with_metadata({_SAYS_VERSION: str(VERSION).encode()})


def check_version(file: pq.ParquetFile, path: Location) -> int:
    """The version of a part that this zeroiqa reads.

    Raises:
        LaterVersionError: it is one.
        ValueError: what it says is no version.
    """
    said = (file.schema_arrow.metadata or {}).get(_SAYS_VERSION, b"1")
    if not said.isdigit() or int(said) < 1:
        raise ValueError(f"its version is {shortened(repr(said))}")
    if int(said) > VERSION:
        raise LaterVersionError(
            f"The part {path} is of version {int(said)}, which a later zeroiqa wrote; this one reads up to "
            f"version {VERSION}: pip install -U zeroiqa."
        )
    return int(said)


def check_columns(file: pq.ParquetFile, wanted: pa.Schema, lacking: Collection[str]) -> None:
    """Raise ValueError unless a table has the columns of a schema, in their order.

    Args:
        file: The table.
        wanted: As it is written today.
        lacking: Columns, and fields inside of them, that older versions did not write.
    """
    found = file.schema_arrow
    needed = [name for name in wanted.names if name in found.names or name not in lacking]
    if found.names != needed:
        raise ValueError(f"it has other columns than {', '.join(needed)}")
    for name in needed:
        if not _fits(found.field(name).type, wanted.field(name).type, lacking):
            raise ValueError(f"its column {name} is of another type")


def check_rows(file: pq.ParquetFile, images: range) -> None:
    """Raise ValueError unless a table says that it has a row for each of some images."""
    if file.metadata.num_rows != len(images):
        raise ValueError(f"it has {file.metadata.num_rows} rows, where the plan has {len(images)} images")


def numbered(records: Iterable[dict[str, Any]], images: range | None) -> Iterator[dict[str, Any]]:
    """The records of a part; they raise ValueError unless they are of those images, if any are given."""
    for place, record in enumerate(records):
        if images is not None and (place >= len(images) or record["image"] != images[place]):
            raise ValueError(f"it has other images (row {place} is of {record['image']}) than the plan")
        yield record


def check_region(region: Region, size: tuple[int, int]) -> None:
    """Raise ValueError unless a region lies in an image of height and width `size`."""
    x0, y0, x1, y1 = region.box
    if not (0 <= x0 <= x1 <= size[1] and 0 <= y0 <= y1 <= size[0]):
        raise ValueError(f"a region's box is {region.box} in an image of {size[1]} x {size[0]} pixels")
    if not 0 <= region.area <= 1 + _ROUNDING:
        raise ValueError(f"a region's area is {region.area}")
    if region.weight is not None and not 0 <= region.weight <= 1 + _ROUNDING:
        raise ValueError(f"a region's weight is {region.weight}")
    if region.kind not in _KINDS:
        raise ValueError(f"a region is of no kind ({region.kind!r})")
    if region.mask is not None:
        _check_mask(region.mask)


def check_rating(rating: Rating) -> None:
    """Raise ValueError unless a rating holds numbers; whether they make a score is asked by `aggregate`."""
    numbers = (*rating.logprobs, rating.mass, *(() if rating.value is None else (rating.value,)))
    if not all(isinstance(number, float) for number in numbers):
        raise ValueError("a rating lacks a number")
    if any(logprob > _ROUNDING for logprob in rating.logprobs):
        raise ValueError(f"a rating has the log-probability {max(rating.logprobs)}")
    if rating.value is None and not rating.logprobs:
        raise ValueError("a rating has neither levels nor a number")
    for name, measured in rating.measures.items():
        if measured is None or not math.isfinite(measured):
            raise ValueError(f"a rating's measure {name} is {measured}")


def _check_mask(mask: Rle) -> None:
    height, width = mask.size
    if min(height, width, *mask.counts) < 0 or sum(mask.counts) != height * width:
        raise ValueError(f"a mask of {width} x {height} pixels has runs of {sum(mask.counts)} in all")


def _fits(found: pa.DataType, wanted: pa.DataType, lacking: Collection[str]) -> bool:
    """Whether a type is the wanted one, but for fields of structs that may be missing."""
    if isinstance(found, pa.ListType) and isinstance(wanted, pa.ListType):
        return _fits(found.value_type, wanted.value_type, lacking)
    if isinstance(found, pa.StructType) and isinstance(wanted, pa.StructType):
        names = [field.name for field in found]
        return all(
            _fits(found.field(field.name).type, field.type, lacking)
            if field.name in names
            else field.name in lacking
            for field in wanted
        )
    return bool(found == wanted)
