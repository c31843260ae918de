"""Numbers for programs: one record for each number, in full precision, as JSON, JSON lines or CSV.

Tables for people are made from the same numbers; they round, these do not.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from zeroiqa.files.tables import csv_writer
from zeroiqa.files.tables.render import Mark, TextTable, render
from zeroiqa.names import json_text

MACHINE_STYLES = (*csv_writer.STYLES, "json", "jsonl")


@dataclass(frozen=True)
class NumberRecord:
    """One number, and what must be known to use it. None stands for what does not apply or does not exist."""

    method: str
    """What gave the scores: a run, a baseline, another tool, or a method of a paper."""
    database: str
    """Whose opinions."""
    measure: str
    """SRCC, PLCC, KRCC or a mean of them (in -1..1), pairwise accuracy (in 0..1), RMSE (in the unit of the
    opinions)."""
    value: float | None
    """In full precision; as printed, where it is published."""
    low: float | None = None
    """Lower end of the 95 % interval, by bootstrap over the images."""
    high: float | None = None
    """Upper end."""
    n: int | None = None
    """Images that the number is of."""
    left_out: int | None = None
    """Images of the database that it is not of; `notes` say why."""
    protocol: str = ""
    """How the number came about: measured here or published, with what, trained on what."""
    source: str = ""
    """Where it is from: a run, a file, a paper and its table."""
    better: Literal["higher", "lower"] | None = None
    """Which of the method's scores are better; the number itself is of scores turned upwards."""
    mark: Mark = ""
    """Whether it is the best or the second best of its database and measure."""
    p: float | None = None
    """Of the difference from the best measured method, corrected for the number of comparisons."""
    p_at_floor: bool | None = None
    """Whether p is the smallest that the resamples could find: an upper limit then."""
    resamples: int | None = None
    """Of the bootstrap behind p, or behind the interval where there is no p."""
    decimals: int | None = None
    """How many a published number was printed with."""
    notes: tuple[str, ...] = ()
    """Sentences about this number."""
    facts: Mapping[str, str | int | float | None] = field(default_factory=dict)
    """What else identifies it, such as aspect, group or table: each is a column of its own."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; no number is infinite or NaN."""
        named = {"method": self.method, "database": self.database, **self.facts}
        named |= {name: getattr(self, name) for name in _FIELDS}
        return {key: _plain(value) for key, value in named.items()} | {"notes": list(self.notes)}


_FIELDS = (
    "measure", "value", "low", "high", "n", "left_out", "protocol", "source", "better", "mark", "p",
    "p_at_floor", "resamples", "decimals",
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """The numbers that were found, and the tables in which people read them."""

    records: tuple[NumberRecord, ...]
    tables: tuple[TextTable, ...]
    """With their notes."""
    notes: tuple[str, ...] = ()
    """Sentences about all records."""

    def rows(self) -> list[dict[str, Any]]:
        """One row of plain values for each number, in full precision; as `pandas.DataFrame` takes them."""
        return [record.to_dict() for record in self.records]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `rows`, one for each number, and `notes`, each sentence once."""
        notes = dict.fromkeys((*self.notes, *(note for record in self.records for note in record.notes)))
        return {"rows": self.rows(), "notes": list(notes)}

    def text(self, style: str) -> str:
        """The report as text that ends in a line break.

        Args:
            style: One of `MACHINE_STYLES` (json: one document with `rows` and `notes`; the others: one
                record a line, its notes together with those of all), or "table", "markdown" or "latex".
        """
        if style not in MACHINE_STYLES:
            return "\n".join(render(table, style) for table in self.tables)
        if style == "json":
            return _json(self.to_dict(), indent=2)
        rows = self.rows()
        for row in rows:
            row["notes"] = list(dict.fromkeys((*row["notes"], *self.notes)))
        return "".join(map(_json, rows)) if style == "jsonl" else _csv(rows, style)


def _json(value: Any, indent: int | None = None) -> str:
    return json_text(value, indent) + "\n"


def _csv(rows: Sequence[Mapping[str, Any]], style: str) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "notes"))
    text = io.StringIO()
    writer = csv_writer.CsvWriter(text, [*columns, "notes"], style)
    for row in rows:
        writer.write({**row, "notes": " ".join(row["notes"])})
    return text.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value == "" else value
