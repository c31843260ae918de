"""Any table of images and scores: the names of its columns say what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.files import FileTree
from zeroiqa.evaluation.datasets.listed_opinions import ImageSearch, Opinion, one_for_each, where_images_are
from zeroiqa.evaluation.datasets.origins import Origin, RunImages
from zeroiqa.evaluation.datasets.types import Dataset, LeftOut, Sample, Scale, left_out_note, some, suggestion
from zeroiqa.files.tables.read import IMAGE_COLUMNS, SCORE_COLUMNS, Table, letters, prompt_column, read_table
from zeroiqa.standards import Aspect
from zeroiqa.suggestions import did_you_mean_path

GROUP_COLUMNS = ("model", "distortion", "level", "reference", "subset", "style", "task", "split")
"""Columns that are taken over as groups."""
_OTHER_NAMES = {"align": "correspondence", "alignment": "correspondence", "perception": "quality"}
_STATISTICS = ("std", "sd", "var", "variance", "ci", "n", "zscore", "count")


class _ScoreColumn(NamedTuple):
    """A column of scores."""

    aspect: str
    kind: str
    place: int
    name: str


def read_plain(table: Table, root: Path | None, runs: Iterable[Origin]) -> Dataset:
    """Read a table with a column of images and one or more of scores.

    Raises:
        UserError: as `zeroiqa.evaluation.datasets.read.read_mos_file`.
    """
    image = table.column(IMAGE_COLUMNS, "images")
    scores = _score_columns(table)
    if image is None or not scores:
        what = "images" if image is None else "scores"
        names = ", ".join(IMAGE_COLUMNS[:6]) if image is None else "mos, dmos, score, <aspect>_mos"
        raise UserError(
            f"{table.shown} has no column of {what}; its columns are "
            f"{some(map(printable, table.header), 12)}, and one of {names} is needed."
        )
    groups = {name: place for name in GROUP_COLUMNS if (place := table.column((name,), name)) is not None}
    prompt = prompt_column(table.header, table.shown)
    opinions = _opinions(table, image, scores, groups, prompt)
    used = {image, prompt, *groups.values(), *(score.place for score in scores)}
    unused = [name for place, name in enumerate(table.header) if place not in used and name]
    notes = list(table.notes)
    if unused:
        notes.append(f"Columns of {table.shown} that were not used: {some(map(printable, unused), 8)}.")
    notes += table.formula_note([score.place for score in scores])
    tree = FileTree.scan(Path(str(table.path)).parent if root is None else root, partly=root is None)
    if tree.unread:
        notes.append(f"Folders that cannot be listed, passed over: {some(map(printable, tree.unread), 3)}.")
    there = ImageSearch(tree, RunImages(runs), "." if root is None else None)
    return _found(table, there, opinions, scores, notes)


def _opinions(
    table: Table, image: int, scores: Sequence[_ScoreColumn], groups: dict[str, int], prompt: int | None
) -> list[Opinion]:
    """The opinion in each row.

    Raises:
        UserError: a row names no image, or a score is no number.
    """
    values = {score.aspect: table.numbers(score.place, image) for score in scores}
    opinions = []
    for row, cells in enumerate(table.rows):
        if not cells[image].strip():
            cell = table.formulas.get((row, image))
            why = f", as {cell} is a formula whose value is not stored" if cell else ""
            raise UserError(
                f"{table.shown} has 1 line without the name of an image ({table.place(row)}{why}); "
                "add it or delete the line."
            )
        sample = Sample(
            cells[image].strip(),
            Path(),
            {aspect: value for aspect, column in values.items() if (value := column[row]) is not None},
            (cells[prompt] or None) if prompt is not None else None,
            {name: cells[place].strip() for name, place in groups.items() if cells[place].strip()},
        )
        opinions.append(Opinion(cells[image], table.place(row), sample))
    return opinions


def _found(
    table: Table, there: ImageSearch, opinions: list[Opinion], scores: list[_ScoreColumn], notes: list[str]
) -> Dataset:
    tree, root = there.tree, there.tree.root
    places, more = where_images_are(opinions, there, table.shown)
    samples, missing, doubled = one_for_each(opinions, places, table.shown)
    if not any(sample.scores for sample in samples):
        raise _without_images(table, tree, opinions)
    used = {sample.path for sample in samples}
    unlisted = [path for file in tree.images() if (path := tree.root / file.path) not in used]
    scales = _scales(samples, scores)
    left_out = left_out_note(_left_out(samples, missing, unlisted, root, scales))
    return Dataset(
        table.path.stem,
        tuple(samples),
        scales,
        (*notes, *more, *doubled, *(f"{said}." for said in left_out)),
        root=root,
        unlisted=tuple(unlisted),
    )


def _left_out(
    samples: Sequence[Sample],
    missing: Sequence[str],
    unlisted: Sequence[Path],
    root: Path,
    scales: Iterable[str],
) -> Iterator[LeftOut]:
    """What does not count: of images without a line only those beside images that have one."""
    yield LeftOut(
        f"opinion whose image is not below {printable(str(root))}",
        f"opinions whose images are not below {printable(str(root))}",
        tuple(missing),
    )
    aspects = list(scales)
    for aspect in aspects:
        of = f" of {aspect}" if len(aspects) > 1 else ""
        blank = tuple(sample.name for sample in samples if aspect not in sample.scores)
        yield LeftOut(f"blank opinion{of}", f"blank opinions{of}", blank)
    folders = {sample.path.parent for sample in samples}
    beside = tuple(path.name for path in unlisted if path.parent in folders)
    yield LeftOut("image beside them without a line", "images beside them without a line", beside)


def _without_images(table: Table, tree: FileTree, opinions: Sequence[Opinion]) -> UserError:
    rated = [opinion.sample.name for opinion in opinions if opinion.sample.scores]
    if not rated:
        found = "each of its lines has a blank one" if opinions else "it has a header alone"
        return UserError(f"{table.shown} gives no image a score: {found}; add the scores.")
    there = next((f", such as {printable(file.path)}" for file in tree.images()), "")
    return UserError(
        f"None of the {len(rated):,} images that {table.shown} gives a score is below "
        f"{printable(str(tree.root))}; it names {printable(rated[0])}; found there: {tree.summary()}{there}. "
        "Give the folder that the paths of the table begin from."
    )


def _scales(samples: Sequence[Sample], scores: list[_ScoreColumn]) -> dict[str, Scale]:
    """A plain table does not say its scale: the least and the greatest score stand for it."""
    scales = {}
    for score in scores:
        values = [sample.scores[score.aspect] for sample in samples if score.aspect in sample.scores]
        if not values:  # a column of blanks
            continue
        dmos = score.kind == "dmos"
        scales[score.aspect] = Scale(min(values), max(values), -1 if dmos else 1, "DMOS" if dmos else "MOS")
    return scales


def _score_columns(table: Table) -> list[_ScoreColumn]:
    """Columns mos, dmos, <aspect>_mos, mos_<aspect>, or those of `SCORE_COLUMNS`; - _ or blanks between."""
    plain = {letters(name) for name in SCORE_COLUMNS}
    found: dict[str, _ScoreColumn] = {}
    for place, name in enumerate(table.header):
        words = re.split(r"[ _-]+", name.lower())
        kind = next((word for word in ("dmos", "mos") if word in words), "")
        others = [word for word in words if word != kind]
        if letters(name) in plain:
            kind, others = "mos", []
        if not kind or len(others) > 1 or (others and others[0] in _STATISTICS):
            continue
        aspect = _aspect(others[0], table, name) if others else "quality"
        if aspect in found:
            raise UserError(
                f"{table.shown} has two columns of scores for {aspect}, {printable(found[aspect].name)} and "
                f"{printable(name)}; leave one of them."
            )
        found[aspect] = _ScoreColumn(aspect, kind, place, name)
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
            f"{printable(str(path))} {what}; give a CSV with a column of images and "
            f"one of scores.{did_you_mean_path(path)}"
        )
    return read_table(path)
