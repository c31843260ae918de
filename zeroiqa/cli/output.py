"""Results on standard output: a table of the best and worst images, or every row in a format."""

from __future__ import annotations

import heapq
import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from zeroiqa.cli.console import is_lost
from zeroiqa.cli.messages import say
from zeroiqa.errors import printable
from zeroiqa.evaluation.records import MACHINE_STYLES
from zeroiqa.files.tables import csv_writer
from zeroiqa.names import json_text
from zeroiqa.results import ImageScore, csv_row

if TYPE_CHECKING:
    from zeroiqa.evaluation.records import Report

SHOWN = 5
"""How many of the best and of the worst images the table shows."""


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
    elif style == "jsonl":
        for result in _while_taken(results, stream):
            stream.write(_record(result, columns) + "\n")
            stream.flush()
    else:
        stream.write("[")
        for position, result in enumerate(_while_taken(results, stream)):
            stream.write(("," if position else "") + "\n" + _record(result, columns))
        stream.write("\n]\n")


def _while_taken(results: Iterable[ImageScore], stream: TextIO) -> Iterator[ImageScore]:
    """The results until the reader of the stream has left, or the disk is full."""
    return itertools.takewhile(lambda _: not is_lost(stream), results)


def print_report(report: Report, style: str) -> None:
    """Print the numbers for programs, or the tables for people."""
    if style in MACHINE_STYLES:
        sys.stdout.write(report.text(style))
    else:
        say(report.text(style).removesuffix("\n"))


def table(results: Iterable[ImageScore]) -> Iterator[str]:
    """Lines of the summary: every image if they are few, else the best and the worst; then the errors."""
    rows: list[tuple[float, int, ImageScore]] = []
    best: list[tuple[float, int, ImageScore]] = []
    worst: list[tuple[float, int, ImageScore]] = []
    errors: Counter[str] = Counter()
    examples: dict[str, str] = {}
    apart: list[tuple[float, str]] = []
    count = unscored = warned = 0
    for position, result in enumerate(results):
        if result.gone:
            continue
        warned += bool(result.warnings)
        if result.score is None and result.error is None:
            unscored += 1
            continue
        if result.score is None:
            kind = _kind(result)
            errors[kind] += 1
            examples.setdefault(kind, str(result.error))
            continue
        count += 1
        quality = -result.score if result.lower_is_better else result.score
        entry = (quality, -position, result)
        if len(rows) < 4 * SHOWN:
            rows.append(entry)
        _keep(best, entry)
        _keep(worst, (-quality, -position, result))
        if result.disagreement:
            apart = [max([*apart, (result.disagreement, printable(result.path))])]
    if count:
        lower = rows[0][2].lower_is_better
        yield "score  whole  regions  n   image" + ("    (lower is better; the best first)" if lower else "")
    if count == len(rows):
        yield from (_line(row[2]) for row in sorted(rows, reverse=True))
    else:
        yield from (_line(row[2]) for row in sorted(best, reverse=True))
        yield f"  ...  {count - 2 * SHOWN} more"
        yield from (_line(row[2]) for row in sorted(worst))
        if warned:
            yield f"  ...  {warned} images have warnings; they are in --format csv and in scores.csv"
    yield from (f"raters disagree most ({most:.2f}) on {path}" for most, path in apart)
    if unscored:
        yield f"  -    {unscored} images have scores of other standards only; every row is in --format csv"
    for kind, number in errors.most_common(SHOWN):
        more = f" (and {number - 1} more like it)" if number > 1 else ""
        yield f"error  {examples[kind]}{more}"
    if len(errors) > SHOWN:
        yield f"error  ... and {len(errors) - SHOWN} other kinds of error"


def _keep(heap: list[tuple[float, int, ImageScore]], entry: tuple[float, int, ImageScore]) -> None:
    if len(heap) < SHOWN:
        heapq.heappush(heap, entry)
    else:
        heapq.heappushpop(heap, entry)


def _line(result: ImageScore) -> str:
    assert result.score is not None and result.s_global is not None and result.s_local is not None
    note = f"  ! {result.warnings[0]}" if result.warnings else ""
    return (
        f"{result.score:5.2f}  {result.s_global:5.2f}  {result.s_local:7.2f}  {len(result.regions):<2}  "
        f"{printable(result.path)}{note}"
    )


def _kind(result: ImageScore) -> str:
    """The error without the image's own name, so that errors of one kind are counted together."""
    return str(result.error).replace(printable(result.path), "")


def _record(result: ImageScore, columns: Iterable[str]) -> str:
    return json_text(dict.fromkeys(columns) | result.to_record())
