"""Scores of other tools, and which way they point.

A file is wide (a column of paths, and a column of scores for each method) or long (columns path, method and
score). A column `lower_is_better` (true, false), `direction` or `better` (lower, higher) says which scores
are better: of its method in a long file, of all methods in a wide one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from zeroiqa.baselines import named_like
from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.origins import Origin
from zeroiqa.evaluation.methods import ComparedMethod, Direction
from zeroiqa.files.tables.read import IMAGE_COLUMNS, Table, first_names, letters, read_table

_SCORES = ("score", "scores", "value", "prediction")
_METHODS = ("method", "metric", "model")
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
_LOWER = ("lower", "lower is better", "lower better", "-1", "↓")
_HIGHER = ("higher", "higher is better", "higher better", "1", "+1", "↑")
_DIRECTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "lowerisbetter": (_YES, _NO),
    "lowerbetter": (_YES, _NO),
    "higherisbetter": (_NO, _YES),
    "higherbetter": (_NO, _YES),
    "direction": (_LOWER, _HIGHER),
    "better": (_LOWER, _HIGHER),
}
"""Column, named as by `letters` -> its words for "lower is better", and for "higher is better"."""


def read_external(
    path: Path, lower_is_better: Iterable[str] = (), folders: Iterable[str] = ()
) -> list[ComparedMethod]:
    """The methods of a file, in the order in which it has them. Columns of text are left out, with a note.

    Args:
        path: A table with a header, as `zeroiqa.files.tables.read.read_table` takes it.
        lower_is_better: Names of methods whose lower scores are better; names of others are ignored here.
        folders: What relative paths may count from beside the file's own folder and the current one.

    Raises:
        UserError: it cannot be read, has no such columns, a score is no number, or a direction is none.
    """
    table = read_table(path)
    key = table.column(IMAGE_COLUMNS, "paths")
    way = table.column(_DIRECTIONS, "directions")
    method, score = table.column(_METHODS, "methods"), table.column(_SCORES, "scores")
    others = [place for place, name in enumerate(table.header) if place not in (key, way) and name]
    columns = [place for place in others if table.has_numbers(place)]
    if key is None or not columns:
        raise UserError(
            f"The file {path} needs a column path and a column of scores for each method, found "
            f"{first_names(table.header) or 'nothing'}."
        )
    rows = [row for row, cells in enumerate(table.rows) if cells[key].strip()]
    if method is not None and score is not None:
        names = dict.fromkeys(table.rows[row][method].strip() for row in rows)
        parts = [
            (name, score, [row for row in rows if table.rows[row][method].strip() == name]) for name in names
        ]
        used = [method, score]
    else:
        _check_names(path, table, columns)
        alone = columns[0] == score and len(columns) == 1
        parts = [(path.stem if alone else table.header[place], place, rows) for place in columns]
        used = columns
    unused = [table.header[place] for place in others if place not in used]
    left_out = [f"Columns of {path.name} that are not used: {', '.join(unused)}."] if unused else []
    values = {place: table.numbers(place, key) for _, place, _ in parts}
    lower = {name.casefold() for name in lower_is_better}
    return [
        ComparedMethod(
            name,
            f"external scores, {path.name}",
            source=str(path),
            scored=tuple((table.rows[row][key], values[place][row]) for row in own),
            direction=_direction(table, name, own, way, name.casefold() in lower),
            origin=Origin((str(path.parent), ".", *folders), names=True, what=path.name),
            notes=(*table.notes, *left_out, *table.formula_note([place])),
        )
        for name, place, own in parts
    ]


def read_externals(
    paths: Sequence[Path], lower_is_better: Sequence[str] = (), folders: Collection[str] = ()
) -> list[ComparedMethod]:
    """The methods of several files.

    Raises:
        UserError: as `read_external`, or a name in `lower_is_better` is that of none of the methods.
    """
    methods = [method for path in paths for method in read_external(path, lower_is_better, folders)]
    known = {method.name.casefold() for method in methods}
    unknown = [name for name in lower_is_better if name.casefold() not in known]
    if unknown:
        there = ", ".join(dict.fromkeys(method.name for method in methods))
        raise UserError(
            f"There is no external method {unknown[0]!r} whose lower scores could be better; "
            + (f"the files have {there}." if there else "give its scores by --external FILE.")
        )
    return methods


def _check_names(path: Path, table: Table, columns: Sequence[int]) -> None:
    counted = Counter(table.header[place].casefold() for place in columns)
    twice = [table.header[place] for place in columns if counted[table.header[place].casefold()] > 1]
    if twice:
        raise UserError(
            f"The file {path} has columns of one name, {' and '.join(map(printable, twice[:2]))}; leave one "
            "of them or rename the others."
        )


def _direction(table: Table, name: str, rows: Iterable[int], column: int | None, lower: bool) -> Direction:
    """As the user states it (`lower`), else the file, else the name of the method, else nobody."""
    if lower:
        return Direction(-1, "--lower-is-better")
    if column is not None:
        header = table.header[column]
        stated = {sign for row in rows if (sign := _stated(table, table.rows[row][column], header))}
        if len(stated) > 1:
            raise UserError(
                f"The file {table.path} says of {name} in column {header} both that lower scores are better "
                "and that higher ones are; give one direction for each method."
            )
        if stated:
            return Direction(stated.pop(), f"column {header} of {table.shown}")
    for arrow, sign in (("↓", -1), ("↑", 1)):
        if arrow in name:
            return Direction(sign, f"the arrow in its name in {table.shown}")
    baseline = named_like(name)
    if baseline is not None and baseline.direction is not None:
        return Direction(baseline.direction, f"`zeroiqa baselines {baseline.name}`")
    return Direction(None, "")


def _stated(table: Table, text: str, column: str) -> int | None:
    word = text.strip().casefold().replace("_", " ")
    lower, higher = _DIRECTIONS[letters(column)]
    if word in lower:
        return -1
    if word in higher:
        return 1
    if word:
        raise UserError(
            f"The file {table.path} has {word!r} in column {column}; write {lower[0]} or {higher[0]}, or "
            "nothing."
        )
    return None
