"""What a page says of each image of a run in its table: one row of plain values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.results import ImageScore


class Row(NamedTuple):
    """One image of a run, without its regions and ratings."""

    path: str
    """For people."""
    ref: ImageRef
    """Where it is now."""
    status: str
    numbers: Mapping[str, float]
    """Column -> value, where there is one."""
    tags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None
    group: str = ""


class Column(NamedTuple):
    """A column of numbers."""

    key: str
    title: str
    digits: int
    """Decimals that are shown."""
    unit: str = ""
    help: str = ""


SCORE = "score"


def row_of(score: ImageScore, ref: ImageRef, group: str) -> Row:
    """The row of an image.

    Args:
        score: Its result.
        ref: Where it is now.
        group: What it is grouped under; empty for none.
    """
    return Row(
        score.path,
        ref,
        score.status,
        {key: value for key, value in _numbers(score) if value is not None},
        score.tags,
        score.warnings,
        score.error,
        group,
    )


def _numbers(score: ImageScore) -> Iterable[tuple[str, float | None]]:
    """Columns in their order; the first is the score."""
    yield SCORE, score.score
    yield from score.presented.items()
    leading = next(iter(score.labels or score.scores), None)
    for label, each in score.scores.items():
        if label != leading:
            yield label, each.score
    yield "disagreement", score.disagreement
    yield "mass", score.mass
    yield from score.measures.items()
    if score.size is not None:
        yield "width", float(score.size[1])
        yield "height", float(score.size[0])
    yield "regions", float(len(score.regions)) if score.regions else None


def columns(rows: Sequence[Row], titles: Mapping[str, Column]) -> list[tuple[Column, list[float | None]]]:
    """Every column that any row has a value in, with its values.

    Args:
        rows: Of all images.
        titles: What is known of some columns; the others are called by their keys.
    """
    keys = dict.fromkeys(key for row in rows for key in row.numbers)
    found = []
    for key in keys:
        values = [row.numbers.get(key) for row in rows]
        column = titles.get(key) or Column(key, key, decimals(values))
        found.append((column, [None if value is None else finite(value) for value in values]))
    return found


def decimals(values: Iterable[float | None]) -> int:
    """How many decimals tell such values apart: none for whole numbers, two for levels."""
    there = [value for value in values if value is not None]
    if not there or all(value == int(value) for value in there if math.isfinite(value)):
        return 0
    largest = max(map(abs, there))
    return max(0, min(6, 2 - math.floor(math.log10(largest)))) if 0 < largest < 1 else 2


def short(value: float) -> float:
    """Six digits: more than anybody looks at, in a third of the bytes."""
    return float(f"{value:.6g}")


def finite(value: float) -> float | None:
    """The same; None of what JSON has no number for."""
    return short(value) if math.isfinite(value) else None


def coded(of_rows: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Words of rows as numbers into a list of the words: 100,000 rows may repeat them."""
    words: dict[str, int] = {}
    numbers = [[words.setdefault(word, len(words)) for word in own] for own in of_rows]
    return {"names": list(words), "of": numbers}
