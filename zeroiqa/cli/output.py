"""Results on standard output: a table of the best and worst images, or every row in a format."""

from __future__ import annotations

import heapq
import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias, TypeVar

from zeroiqa.cli.messages import say
from zeroiqa.errors import printable
from zeroiqa.evaluation.records import MACHINE_STYLES
from zeroiqa.files.tables import csv_writer
from zeroiqa.guards.console import is_lost
from zeroiqa.names import json_text
from zeroiqa.results import ImageScore, csv_row

if TYPE_CHECKING:
    from zeroiqa.evaluation.records import Report

SHOWN = 5
"""How many of the best and of the worst images the table shows."""

_Item = TypeVar("_Item")
_Entry: TypeAlias = tuple[float, int, ImageScore]
"""Quality, or its negative; position, negated so that the first of equals counts as better; result."""


def write_rows(results: Iterable[ImageScore], style: str, columns: list[str], stream: TextIO) -> None:
    """Write the results, streaming, as long as the stream takes them.

    Args:
        results: In the order in which they shall appear.
        style: csv, excel-csv, json or jsonl.
        columns: Those of an image that has a score, the header of a CSV table.
        stream: Where to.
    """
    if style in csv_writer.STYLES:
        writer = csv_writer.CsvWriter(stream, columns, style)
        for result in _while_taken(results, stream):
            writer.write(csv_row(result.to_dict()))
    else:
        _write_json((_record(result, columns) for result in results), style, stream)


def write_records(rows: Iterable[Mapping[str, Any]], style: str, columns: list[str], stream: TextIO) -> None:
    """Write flat rows, streaming, as long as the stream takes them; arguments as of `write_rows`."""
    if style in csv_writer.STYLES:
        writer = csv_writer.CsvWriter(stream, columns, style)
        for row in _while_taken(rows, stream):
            writer.write(csv_row(row))
    else:
        _write_json((json_text({**dict.fromkeys(columns), **row}) for row in rows), style, stream)


def _write_json(records: Iterable[str], style: str, stream: TextIO) -> None:
    if style == "jsonl":
        for record in _while_taken(records, stream):
            stream.write(record + "\n")
            stream.flush()
        return
    stream.write("[")
    for position, record in enumerate(_while_taken(records, stream)):
        stream.write(("," if position else "") + "\n" + record)
    stream.write("\n]\n")


def _while_taken(items: Iterable[_Item], stream: TextIO) -> Iterator[_Item]:
    """The items until the reader of the stream has left, or the disk is full."""
    return itertools.takewhile(lambda _: not is_lost(stream), items)


def print_report(report: Report, style: str) -> None:
    """Print the numbers for programs, or the tables for people."""
    if style in MACHINE_STYLES:
        sys.stdout.write(report.text(style))
    else:
        say(report.text(style).removesuffix("\n"))


def table(results: Iterable[ImageScore]) -> Iterator[str]:
    """Lines of the summary: every image if they are few, else the best and the worst; then the errors."""
    summary = _Summary()
    for position, result in enumerate(results):
        summary.add(position, result)
    yield from summary.scores()
    yield from summary.others()


@dataclass
class _Summary:
    """What the table shows of results that pass by once, however many they are."""

    first: list[_Entry] = field(default_factory=list)
    """Those that come first; all where they are few enough to be shown."""
    best: list[_Entry] = field(default_factory=list)
    worst: list[_Entry] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """Kind of error -> the first one."""
    most_apart: tuple[float, str] | None = None
    """The largest disagreement of raters, and on which image."""
    count: int = 0
    """Images with a score."""
    regions: bool = False
    """Whether any image has regions."""
    unscored: int = 0
    """Images with scores of other standards only."""
    warned: int = 0

    def add(self, position: int, result: ImageScore) -> None:
        if result.gone:
            return
        self.warned += bool(result.warnings)
        if result.score is not None:
            self._add_score(position, result, result.score)
        elif result.error is not None:
            kind = _kind(result)
            self.errors[kind] += 1
            self.examples.setdefault(kind, result.error)
        else:
            self.unscored += 1

    def _add_score(self, position: int, result: ImageScore, score: float) -> None:
        self.count += 1
        self.regions |= bool(result.regions)
        quality = -score if result.lower_is_better else score
        entry = (quality, -position, result)
        if len(self.first) < 4 * SHOWN:
            self.first.append(entry)
        _keep(self.best, entry)
        _keep(self.worst, (-quality, -position, result))
        if result.disagreement:
            apart = (result.disagreement, printable(result.path))
            self.most_apart = max(self.most_apart or apart, apart)

    def scores(self) -> Iterator[str]:
        if not self.count:
            return
        lower = "    (lower is better; the best first)" if self.first[0][2].lower_is_better else ""
        beside = "".join(f"  {column}" for column in self.first[0][2].presented)
        yield f"score{beside}  whole  {'regions  n   ' * self.regions}image{lower}"
        if self.count == len(self.first):
            yield from self._lines(sorted(self.first, reverse=True))
            return
        yield from self._lines(sorted(self.best, reverse=True))
        yield f"  ...  {self.count - 2 * SHOWN} more"
        yield from self._lines(sorted(self.worst))
        if self.warned:
            yield f"  ...  {self.warned} images have warnings; they are in --format csv and in scores.csv"

    def _lines(self, entries: Iterable[_Entry]) -> Iterator[str]:
        return (_line(result, regions=self.regions) for _, _, result in entries)

    def others(self) -> Iterator[str]:
        if self.most_apart is not None:
            yield f"raters disagree most ({self.most_apart[0]:.2f}) on {self.most_apart[1]}"
        if self.unscored:
            unscored = f"{self.unscored} images have scores of other standards only"
            yield f"  -    {unscored}; every row is in --format csv"
        for kind, number in self.errors.most_common(SHOWN):
            more = f" (and {number - 1} more like it)" if number > 1 else ""
            yield f"error  {self.examples[kind]}{more}"
        if len(self.errors) > SHOWN:
            yield f"error  ... and {len(self.errors) - SHOWN} other kinds of error"


def _keep(heap: list[_Entry], entry: _Entry) -> None:
    if len(heap) < SHOWN:
        heapq.heappush(heap, entry)
    else:
        heapq.heappushpop(heap, entry)


def _line(result: ImageScore, *, regions: bool) -> str:
    why = f"  ({', '.join(result.tags)})" if result.tags else ""
    note = f"  ! {result.warnings[0]}" if result.warnings else ""
    columns = result.presented.items()
    beside = "".join(_number(value, len(name) + 2) for name, value in columns)
    of_regions = f"{_number(result.s_local, 7)}  {len(result.regions):<2}  " if regions else ""
    return (
        f"{_number(result.score, 5)}{beside}  {_number(result.s_global, 5)}  {of_regions}"
        f"{printable(result.path)}{why}{note}"
    )


def _number(value: float | None, width: int) -> str:
    """With two decimals; nothing where there is none."""
    return " " * width if value is None else f"{value:{width}.2f}"


def _kind(result: ImageScore) -> str:
    """The error without the image's own name, so that errors of one kind are counted together."""
    return str(result.error).replace(printable(result.path), "")


def _record(result: ImageScore, columns: Iterable[str]) -> str:
    return json_text(dict.fromkeys(columns) | result.to_record())
