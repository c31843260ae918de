"""What the score files of a database list: one row per image, before any image is looked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.cards import DatasetCard, ScoreFile
from zeroiqa.evaluation.datasets.files import FileTree
from zeroiqa.evaluation.datasets.tables import read_mat, read_pairs
from zeroiqa.evaluation.datasets.types import AnsweredQuestion, Scale
from zeroiqa.files.damage import reading
from zeroiqa.files.tables.read import Table, is_blank, plain_number, read_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_TRAINING_IMAGES = 7
"""Of LIVE Challenge: the first entries of its lists, shown to the raters beforehand."""


class ScoreLine(NamedTuple):
    """One line of a score file."""

    name: str
    """Of the image."""
    scores: Mapping[str, float | None]
    """By aspect; None for an empty cell."""
    prompt: str | None
    groups: Mapping[str, str]
    questions: tuple[AnsweredQuestion, ...] = ()


@dataclass(frozen=True)
class Listing:
    """All that a database's score files say."""

    rows: tuple[ScoreLine, ...]
    scales: Mapping[str, Scale]
    """By aspect."""
    source: str
    """The file or files, for a message."""
    notes: tuple[str, ...] = ()


def table_listing(card: DatasetCard, tree: FileTree, split: str | None) -> Listing:
    """Rows of the tables that the card describes.

    Raises:
        UserError: no table is there, or not the split's; a table lacks a column; a score is no number.
    """
    there = [(file, path) for file in card.files if (path := tree.find(file.file)) is not None]
    if not there:
        raise lacking(card, tree, " or ".join(dict.fromkeys(file.file for file in card.files)))
    if card.read == "first":
        return _first(card, [(file, open_table(file, tree.root / path)) for file, path in there], split)
    notes = []
    for file in card.files:
        if file not in (each for each, _ in there):
            if split == file.split:
                raise lacking(card, tree, file.file)
            count = card.splits[file.split or ""]
            notes.append(f"{file.file} is missing, and with it the {count:,} {file.split} images.")
    rows = [row for file, path in there for row in table_rows(file, open_table(file, tree.root / path))]
    return Listing(tuple(rows), card.scales, " and ".join(file.file for file, _ in there), tuple(notes))


def _first(card: DatasetCard, tables: list[tuple[ScoreFile, Table]], split: str | None) -> Listing:
    if split is not None and split not in card.name_splits:
        with_splits = [each for each in tables if each[0].split_column is not None]
        if not with_splits:
            needed = next(file.file for file in card.files if file.split_column is not None)
            raise UserError(
                f"The splits of {card.title} are in {needed}, which is not there; "
                "add it or leave the split out."
            )
        tables = with_splits
    file, table = next(((f, t) for f, t in tables if set(_needed(f)) <= t.columns().keys()), tables[0])
    table.require(_needed(file))
    scales = {
        aspect: Scale(*file.range.get(aspect, (scale.low, scale.high)), scale.direction, scale.kind)
        for aspect, scale in card.scales.items()
    }
    notes = []
    if len(card.files) > 1:
        for aspect, scale in scales.items():
            column = file.scores[aspect]
            notes.append(
                f"The scores of {card.title} are the column {column} of {table.shown}, "
                f"{scale.kind} from {scale.low:g} to {scale.high:g}."
            )
    return Listing(tuple(table_rows(file, table)), scales, table.shown, tuple(notes))


def _needed(file: ScoreFile) -> list[str]:
    image = re.findall(r"\{(\w+)\}", file.image) or [file.image]
    optional = (file.prompt, file.split_column)
    return [name.lower() for name in (*image, *file.scores.values(), *filter(None, optional))]


def open_table(file: ScoreFile, path: Path) -> Table:
    """Read a table of the card.

    Raises:
        UserError: it cannot be read or is damaged.
    """
    if path.suffix.lower() == ".txt":
        return read_pairs(path)
    return read_table(path, sheet=file.sheet, header=_needed(file) if file.sheet else (), ragged=True)


def table_rows(file: ScoreFile, table: Table) -> Iterator[ScoreLine]:
    """The rows of a table, in its order.

    Raises:
        UserError: it lacks a column, or a score is no number.
    """
    table.require(_needed(file))
    places = table.columns()
    naming = _naming(file, places)
    scores = {aspect: places[column.lower()] for aspect, column in file.scores.items()}
    groups = {group: places[column.lower()] for group, column in file.groups.items() if column in places}
    split_place = None if file.split_column is None else places[file.split_column.lower()]
    prompt_place = None if file.prompt is None else places[file.prompt.lower()]
    for cells in table.rows:
        name = naming(cells)
        belongs = {group: cells[place] for group, place in groups.items() if cells[place]}
        if split_place is not None:
            belongs["split"] = file.split_names.get(cells[split_place], cells[split_place])
        elif file.split is not None:
            belongs["split"] = file.split
        yield ScoreLine(
            name,
            {aspect: score_of(cells[place], name, table.shown) for aspect, place in scores.items()},
            (cells[prompt_place] or None) if prompt_place is not None else None,
            belongs,
        )


def _naming(file: ScoreFile, places: Mapping[str, int]) -> Callable[[tuple[str, ...]], str]:
    if "{" not in file.image:
        place = places[file.image.lower()]
        return lambda cells: cells[place].strip()
    columns = {column: places[column] for column in re.findall(r"\{(\w+)\}", file.image)}
    return lambda cells: file.image.format(
        **{column: file.cells.get(cells[place], cells[place]) for column, place in columns.items()}
    )


def score_of(text: str, name: str, source: str) -> float | None:
    """The number in a cell, None for an empty one.

    Raises:
        UserError: it is something else.
    """
    value = plain_number(text)
    if value is None and not is_blank(text):
        raise UserError(
            f"{source} gives {printable(name)} the score {printable(text[:40])!r}, "
            "which is no finite number; correct it."
        )
    return value


def livec_listing(card: DatasetCard, tree: FileTree, split: str | None) -> Listing:
    """Rows of LIVE Challenge, without the first seven images, on which its raters were trained.

    Raises:
        UserError: a file is missing or cannot be read, or the numbers of names and scores differ.
    """
    cells = _mat(card, tree, "AllImages_release.mat", "AllImages_release").tolist()
    with reading("AllImages_release.mat", "unpack it anew"):
        names = [str(name) if isinstance(name, str) else str(name.ravel()[0]) for name in cells]
    numbers = _mat(card, tree, "AllMOS_release.mat", "AllMOS_release").tolist()
    with reading("AllMOS_release.mat", "unpack it anew"):
        scores = [float(score) for score in numbers]
    if len(names) != len(scores):
        raise UserError(
            f"AllImages_release.mat has {len(names):,} names and AllMOS_release.mat has "
            f"{len(scores):,} scores; both must come from one release."
        )
    skipped = 0 if len(names) == card.images else _TRAINING_IMAGES
    rows = [
        ScoreLine(name, {"quality": score_of(repr(score), name, "AllMOS_release.mat")}, None, {})
        for name, score in zip(names[skipped:], scores[skipped:], strict=True)
    ]
    note = f"The first {skipped} entries of {card.title}, its training images, are left out."
    return Listing(tuple(rows), card.scales, "AllMOS_release.mat", (note,) if skipped else ())


def _mat(card: DatasetCard, tree: FileTree, file: str, variable: str) -> npt.NDArray[np.generic]:
    path = tree.find(file)
    if path is None:
        raise lacking(card, tree, file)
    return read_mat(tree.root / path, variable)


def lacking(card: DatasetCard, tree: FileTree, file: str) -> UserError:
    """The sentence for a score file that is not there."""
    return UserError(
        f"{card.title} needs {file}, which is not below {printable(str(tree.root))}; "
        f"found there: {tree.summary()}. `zeroiqa datasets {card.name}` shows the layout."
    )
