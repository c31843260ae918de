"""The rows of parts in memory, and as the records that a Parquet file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from zeroiqa.runs.part_checks import check_rating, check_region
from zeroiqa.types import Rating, Region, Rle

Ratings: TypeAlias = Mapping[str, tuple[Rating | None, ...]]
"""Standard name -> one rating per view, the whole image first."""


@dataclass(frozen=True)
class RegionsRow:
    """One image after decoding and segmenting."""

    image: int
    """Position in the plan."""
    size: tuple[int, int] | None = None
    """Height and width; None where the image could not be decoded."""
    regions: tuple[Region, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None
    content_hash: bytes | None = None
    """`content_hash` of the file that was decoded; None where it was not, or not by this version."""
    cause: str | None = None
    """Of an error: the `cause` of an `ImageError`."""


@dataclass(frozen=True)
class RatingsRow:
    """One image after one rater."""

    image: int
    """Position in the plan."""
    ratings: Ratings | None = None
    """None where there is an error, here or in the image's `RegionsRow`."""
    error: str | None = None
    cause: str | None = None
    """As that of a `RegionsRow`."""


def region_record(region: Region) -> dict[str, Any]:
    """What is stored of a region."""
    x0, y0, x1, y1 = region.box
    mask = region.mask and {"size": region.mask.size, "counts": region.mask.counts}
    corners = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
    return {**corners, "area": region.area, "kind": region.kind, "mask": mask, "weight": region.weight}


def regions_row(record: dict[str, Any]) -> RegionsRow:
    """The row that was stored; a `ValueError` if that makes no sense."""
    size = None if record["height"] is None else (record["height"], record["width"])
    regions = tuple(map(_region, record["regions"] or ()))
    if record["error"] is None and (size is None or min(size) < 1):
        raise ValueError(f"image {record['image']} has neither a size nor an error")
    if None in record["warnings"]:
        raise ValueError(f"a warning of image {record['image']} is no text")
    for region in regions:
        check_region(region, size or (0, 0))
    return RegionsRow(
        image=record["image"],
        size=size,
        regions=regions,
        warnings=tuple(record["warnings"]),
        error=record["error"],
        content_hash=record.get("content_hash"),
        cause=record.get("cause"),
    )


def _region(record: dict[str, Any]) -> Region:
    mask = record["mask"]
    return Region(
        box=(record["x0"], record["y0"], record["x1"], record["y1"]),
        area=record["area"],
        kind=record["kind"],
        mask=None if mask is None else Rle((mask["size"][0], mask["size"][1]), tuple(mask["counts"])),
        weight=record.get("weight"),
    )


def rating_records(ratings: Ratings) -> list[dict[str, Any]]:
    """What is stored of an image's ratings."""
    return [
        {
            "standard": standard,
            "view": view,
            "logprobs": rating and rating.logprobs,
            "mass": rating and rating.mass,
            "value": rating and rating.value,
            "answer": rating and rating.answer,
            "measures": (rating and rating.measures) or None,
            "description": rating and rating.description,
        }
        for standard, by_view in ratings.items()
        for view, rating in enumerate(by_view)
    ]


def ratings_of(records: list[dict[str, Any]]) -> Ratings:
    """The ratings that were stored; a `ValueError` if they make no sense."""
    ratings: dict[str, list[Rating | None]] = {}
    for record in records:
        rating = None if record["logprobs"] is None else _rating(record)
        ratings.setdefault(record["standard"], []).append(rating)
    return {standard: tuple(by_view) for standard, by_view in ratings.items()}


def _rating(record: dict[str, Any]) -> Rating:
    rating = Rating(
        logprobs=tuple(record["logprobs"]),
        mass=record["mass"],
        value=record.get("value"),  # older parts have no such fields
        answer=record.get("answer"),
        measures=dict(record.get("measures") or ()),
        description=record.get("description"),
    )
    check_rating(rating)
    return rating
