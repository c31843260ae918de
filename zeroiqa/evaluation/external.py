"""Scores of other tools from CSV files, and which way they point.

A file is wide (a column of paths, and a column of scores for each method) or long (columns path, method and
score). A column `lower_is_better` (true, false), `direction` or `better` (lower, higher) says which scores
are better: of its method in a long file, of all methods in a wide one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.baselines import named_like
from zeroiqa.errors import UserError
from zeroiqa.evaluation.comparison import Direction, Method

if TYPE_CHECKING:
    from zeroiqa.evaluation.agreement import Scored

_PATHS = ("path", "image", "name", "filename")
_SCORES = ("score", "scores", "value", "prediction")
_METHODS = ("method", "metric", "model")
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
_LOWER = ("lower", "lower is better", "lower better", "-1", "↓")
_HIGHER = ("higher", "higher is better", "higher better", "1", "+1", "↑")
_DIRECTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "lower_is_better": (_YES, _NO),
    "lower_better": (_YES, _NO),
    "higher_is_better": (_NO, _YES),
    "direction": (_LOWER, _HIGHER),
    "better": (_LOWER, _HIGHER),
}
"""Column -> what it says of scores of which lower ones are better, and of the others."""


def read_external(path: Path, lower_is_better: Iterable[str] = ()) -> list[Method]:
    """The methods of a file, in the order in which it has them.

    Args:
        path: A CSV file with a header.
        lower_is_better: Names of methods whose direction the user has said; others are ignored here.

    Raises:
        UserError: it cannot be read, has no such columns, a score is no number, or a direction is none.
    """
    columns, rows = _read(path)
    key = _column(columns, _PATHS)
    way = next((column for column in columns if column.casefold().strip() in _DIRECTIONS), None)
    method, score = _column(columns, _METHODS), _column(columns, _SCORES)
    wide = [column for column in columns if column not in (key, way)]
    if key is None or not wide:
        raise UserError(
            f"The file {path} needs a column path and a column of scores for each method, found "
            f"{', '.join(columns) or 'nothing'}."
        )
    if method is not None and score is not None:
        names = list(dict.fromkeys(row[method] for row in rows))
        places = [(name, score, [row for row in rows if row[method] == name]) for name in names]
    else:
        alone = wide[0] if len(wide) == 1 else ""
        places = [(path.stem if column == alone == score else column, column, rows) for column in wide]
    said = {name.casefold() for name in lower_is_better}
    return [
        Method(
            name,
            f"external scores, {path.name}",
            source=str(path),
            scored=tuple(_score(path, row, key, column) for row in own),
            direction=_direction(path, name, own, way, name.casefold() in said),
        )
        for name, column, own in places
    ]


def read_externals(paths: Sequence[Path], lower_is_better: Sequence[str] = ()) -> list[Method]:
    """The methods of several files.

    Raises:
        UserError: as `read_external`, or a name in `lower_is_better` is that of none of the methods.
    """
    methods = [method for path in paths for method in read_external(path, lower_is_better)]
    known = {method.name.casefold() for method in methods}
    unknown = [name for name in lower_is_better if name.casefold() not in known]
    if unknown:
        there = ", ".join(dict.fromkeys(method.name for method in methods))
        raise UserError(
            f"There is no external method {unknown[0]!r} whose lower scores could be better; "
            + (f"the files have {there}." if there else "give its scores by --external FILE.")
        )
    return methods


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"The file {path} cannot be read ({error}); give a CSV file with a header."
        ) from error
    return (list(reader.fieldnames or ()) if rows else []), rows


def _column(columns: Iterable[str], names: Sequence[str]) -> str | None:
    return next((column for column in columns if column.casefold().strip() in names), None)


def _score(path: Path, row: Mapping[str, str], key: str, column: str) -> Scored:
    text = (row[column] or "").strip()
    try:
        return row[key], float(text) if text else None
    except ValueError:
        raise UserError(
            f"The file {path} has {text!r} for {row[key]}, column {column}; give a number or nothing."
        ) from None


def _direction(
    path: Path, name: str, rows: Iterable[Mapping[str, str]], column: str | None, said: bool
) -> Direction:
    """What the user says, else the file, else the name, else nobody."""
    if said:
        return Direction(-1, "--lower-is-better")
    stated = {sign for row in rows if column and (sign := _stated(path, row[column], column))}
    if len(stated) > 1:
        raise UserError(
            f"The file {path} says of {name} in column {column} both that lower scores are better and that "
            "higher ones are; give one direction for each method."
        )
    if stated:
        return Direction(stated.pop(), f"column {column} of {path.name}")
    for arrow, sign in (("↓", -1), ("↑", 1)):
        if arrow in name:
            return Direction(sign, f"the arrow in its name in {path.name}")
    baseline = named_like(name)
    if baseline is not None and baseline.direction is not None:
        return Direction(baseline.direction, f"`zeroiqa baselines {baseline.name}`")
    return Direction(None, "")


def _stated(path: Path, text: str | None, column: str) -> int | None:
    said = (text or "").strip().casefold().replace("_", " ")
    lower, higher = _DIRECTIONS[column.casefold().strip()]
    if said in lower:
        return -1
    if said in higher:
        return 1
    if said:
        raise UserError(
            f"The file {path} has {said!r} in column {column}; write {lower[0]} or {higher[0]}, or nothing."
        )
    return None
