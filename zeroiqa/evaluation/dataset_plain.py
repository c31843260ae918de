"""Any table of images and scores: which columns it has says what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, get_args

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.dataset_assembly import check_names, divide, left_out, locate
from zeroiqa.evaluation.dataset_files import FileTree
from zeroiqa.evaluation.dataset_layouts import Row, score_of
from zeroiqa.evaluation.dataset_tables import Table, read_table
from zeroiqa.evaluation.dataset_types import Dataset, Sample, Scale, some, suggestion
from zeroiqa.standards import Aspect

IMAGE_COLUMNS = ("image", "path", "filename", "name", "file", "image_name", "image name", "img", "dist_img")
"""What the column of the images may be called; the first of these counts."""
GROUP_COLUMNS = ("model", "distortion", "level", "reference", "subset", "style", "task", "split")
"""Columns that are taken over as groups."""
_OTHER_NAMES = {"align": "correspondence", "alignment": "correspondence", "perception": "quality"}
_STATISTICS = ("std", "sd", "var", "variance", "ci", "n", "zscore", "count")


class _Column(NamedTuple):
    """A column of scores."""

    aspect: str
    kind: str
    place: int
    name: str


def read_plain(table: Table, root: Path) -> Dataset:
    """Read a table with a column of images and one or more of scores.

    Raises:
        UserError: as `zeroiqa.evaluation.datasets.read_mos_file`.
    """
    columns = table.columns()
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    scores = _score_columns(table)
    if image is None or not scores:
        what = "images" if image is None else "scores"
        names = ", ".join(IMAGE_COLUMNS[:4]) if image is None else "mos, dmos, score, <aspect>_mos"
        raise UserError(
            f"{table.shown} has no column of {what}; its columns are "
            f"{some(map(printable, table.header), 12)}, and one of {names} is needed."
        )
    groups = {name: columns[name] for name in GROUP_COLUMNS if name in columns}
    prompt = columns.get("prompt")
    rows = [
        Row(
            cells[columns[image]].strip(),
            {
                score.aspect: score_of(cells[score.place], cells[columns[image]], table.shown)
                for score in scores
            },
            (cells[prompt] or None) if prompt is not None else None,
            {name: cells[place].strip() for name, place in groups.items() if cells[place].strip()},
        )
        for cells in table.rows
    ]
    check_names((row.name for row in rows), table.shown)
    used = {columns[image], prompt, *groups.values(), *(score.place for score in scores)}
    unused = [name for place, name in enumerate(table.header) if place not in used and name]
    notes = (
        [f"Columns of {table.shown} that were not used: {some(map(printable, unused), 8)}."] if unused else []
    )
    return _found(table, root, rows, scores, notes)


def _found(table: Table, root: Path, rows: list[Row], scores: list[_Column], notes: list[str]) -> Dataset:
    tree = FileTree.scan(root)
    rated, unrated = divide(rows)
    files = locate(rows, tree, None)
    samples = tuple(
        Sample(row.name, tree.root / files[row.name], _known(row.scores), row.prompt, row.groups)
        for row in rated
        if row.name in files
    )
    if not samples:
        raise UserError(
            f"None of the {len(rated):,} images that {table.shown} gives a score is below "
            f"{printable(str(root))}; found there: {tree.summary()}. Give the folder that the images are in."
        )
    missing = [row.name for row in rated if row.name not in files]
    if missing:
        notes.append(
            f"{table.shown} lists {len(rated):,} images with a score; {len(samples):,} found; "
            f"missing: {some(map(printable, missing))}."
        )
    notes += left_out(unrated, files.values(), tree, table.shown, None)
    return Dataset(table.path.stem, samples, _scales(samples, scores), tuple(notes))


def _known(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {aspect: score for aspect, score in scores.items() if score is not None}


def _scales(samples: tuple[Sample, ...], scores: list[_Column]) -> dict[str, Scale]:
    """A plain table does not say its scale: the least and the greatest score stand for it."""
    scales = {}
    for score in scores:
        values = [sample.scores[score.aspect] for sample in samples]
        dmos = score.kind == "dmos"
        scales[score.aspect] = Scale(min(values), max(values), -1 if dmos else 1, "DMOS" if dmos else "MOS")
    return scales


def _score_columns(table: Table) -> list[_Column]:
    """Columns mos, dmos, score, <aspect>_mos or mos_<aspect>, with any of - _ or a space between."""
    found: dict[str, _Column] = {}
    for name, place in table.columns().items():
        words = re.split(r"[ _-]+", name)
        kind = next((word for word in ("dmos", "mos") if word in words), "")
        others = [word for word in words if word != kind]
        if name == "score":
            kind, others = "mos", []
        if not kind or len(others) > 1 or (others and others[0] in _STATISTICS):
            continue
        aspect = _aspect(others[0], table, name) if others else "quality"
        if aspect in found:
            raise UserError(
                f"{table.shown} has two columns of scores for {aspect}, {printable(found[aspect].name)} and "
                f"{printable(name)}; leave one of them."
            )
        found[aspect] = _Column(aspect, kind, place, name)
    return list(found.values())


def _aspect(word: str, table: Table, column: str) -> str:
    aspect = _OTHER_NAMES.get(word, word)
    known = get_args(Aspect)
    if aspect not in known:
        raise UserError(
            f"{table.shown} has scores for an unknown aspect in its column {printable(column)}; "
            f"{suggestion(word, known)}."
        )
    return aspect


def open_plain(path: Path) -> Table:
    """Read the table itself.

    Raises:
        UserError: it is no file, or damaged.
    """
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise UserError(
            f"{printable(str(path))} {what}; give a CSV with a column of images and one of scores."
        )
    return read_table(path)
