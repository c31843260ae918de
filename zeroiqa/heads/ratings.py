"""Ratings and answers to train on: the published layout (a meta file and its .jsonl files) or a plain table.

The published layout: a .json file of one or more data sets, each with `root` (folder of the images),
`annotation_train` and perhaps `annotation_test` (.jsonl files). A line of these has `image` (path below
the root), `mos` and `conversations` ([{from: human, value: question}, {from: gpt, value: answer}]). Paths in
a meta file count from its folder. A .jsonl file alone is training examples, their images below its folder.

A plain table (whatever `zeroiqa.files.tables.read` reads): a column `image`; `mos` or `answer`, or both;
perhaps `prompt` (rated is then the correspondence) or `question`; perhaps `split` (train or test).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.files.tables.read import (
    IMAGE_COLUMNS,
    SCORE_COLUMNS,
    Table,
    first_names,
    plain_number,
    prompt_column,
    read_table,
)
from zeroiqa.files.tables.row_files import SUFFIXES, read_whole
from zeroiqa.files.text import decoded
from zeroiqa.heads.questions import CORRESPONDENCE, PERCEPTION
from zeroiqa.images.listed_paths import ListedImages
from zeroiqa.images.sieve import EXTENSIONS

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RatedQuestion:
    """One question about one image, with what is known about the answer."""

    image: str
    """Name of the image, as it is listed."""
    path: Path
    """Its file."""
    question: str
    """What is asked, without a mark for the image."""
    mos: float | None
    """The mean opinion score, in the units of the data."""
    answer: str | None
    """The answer in words."""


class TrainingData(NamedTuple):
    """All rated questions of a data set."""

    train: tuple[RatedQuestion, ...]
    """Those to learn from; the validation fold is taken from them."""
    test: tuple[RatedQuestion, ...]
    """Those that are kept for the final evaluation; may be empty."""


def read_training_data(path: Path) -> TrainingData:
    """Read a meta file (.json), conversations (.jsonl) or a table (.csv, .xlsx, .jsonl, .parquet ...).

    Raises:
        UserError: a file is missing, damaged or of another layout, a rating is no finite number, an image has
            no file, or is in both parts.
    """
    suffix = path.suffix.lower()
    if suffix not in (".txt", *SUFFIXES):
        raise UserError(
            f"{printable(str(path))} is no training data by its name; give a meta file (.json), "
            "conversations (.jsonl) or a table (.csv, .xlsx, .parquet ...)."
        )
    if suffix == ".json" and _is_meta(path):
        data = _meta(path)
    elif suffix == ".jsonl" and _has_conversations(path):
        data = TrainingData(tuple(_jsonl(path, path.parent)), ())
    else:
        data = _table(path)
    if not data.train:
        raise UserError(f"{printable(str(path))} holds no training examples; check that it is complete.")
    _check_files((*data.train, *data.test), path)
    both = {rated.image for rated in data.train} & {rated.image for rated in data.test}
    if both:
        raise UserError(
            f"{printable(str(path))} has {len(both):,} images in both the training and the test part, such "
            f"as {printable(min(both))}; a test image must not be trained on."
        )
    return data


def _check_files(data: Iterable[RatedQuestion], listed: Path) -> None:
    files = {rated.path: rated.image for rated in data}
    missing = [path for path in files if not os.path.isfile(path)]  # noqa: PTH113 -- any name is no error
    if missing:
        raise UserError(
            f"{len(missing):,} of the {len(files):,} images of {printable(str(listed))} have no file, such "
            f"as {printable(str(missing[0]))}; copy them there or correct the folder of the images."
        )


def _text(path: Path) -> str:
    return decoded(read_whole(path), printable(str(path)))


def _meta(path: Path) -> TrainingData:
    shown = printable(str(path))
    sets = _json(_text(path), shown)
    if not isinstance(sets, dict) or not sets or not all(isinstance(one, dict) for one in sets.values()):
        raise UserError(f"{shown} is no meta file: it needs an object with root and annotation_train in it.")
    train: list[RatedQuestion] = []
    test: list[RatedQuestion] = []
    for name, one in sets.items():
        label = f"{shown} ({printable(name)})"
        missing = [key for key in ("root", "annotation_train") if not isinstance(one.get(key), str)]
        if missing:
            raise UserError(f"{label} lacks {' and '.join(missing)}; found {', '.join(one) or 'nothing'}.")
        if one.get("data_augment") or one.get("repeat_time", 1) != 1:
            raise UserError(
                f"{label} asks for data_augment or repeat_time, which this training does not do; "
                "set data_augment to false and repeat_time to 1."
            )
        root = path.parent / one["root"]
        train += _jsonl(path.parent / one["annotation_train"], root)
        test += _jsonl(path.parent / one["annotation_test"], root) if one.get("annotation_test") else []
    return TrainingData(tuple(train), tuple(test))


def _is_meta(path: Path) -> bool:
    """Whether a .json file is of data sets rather than of records."""
    sets = _json(_text(path), printable(str(path)))
    values = sets.values() if isinstance(sets, dict) else ()
    return any(isinstance(one, dict) and {"root", "annotation_train"} & one.keys() for one in values)


def _has_conversations(path: Path) -> bool:
    """Whether the first line has something that a table has not, or is damaged."""
    first = next(filter(str.strip, _text(path).split("\n")), "")
    try:
        return "conversations" in json.loads(first)
    except (ValueError, TypeError, RecursionError):
        return True


def _json(text: str, shown: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{shown} is no JSON: {error}; write it again.") from error


def _jsonl(path: Path, root: Path) -> Iterator[RatedQuestion]:
    shown = printable(str(path))
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        label = f"{shown} line {number}"
        entry = _json(line, label)
        if not isinstance(entry, dict) or not isinstance(entry.get("image"), str) or not entry["image"]:
            raise UserError(f"{label} names no image; each line needs image, mos and conversations.")
        question, answer = _turns(entry.get("conversations"), label)
        mos = None if entry.get("mos") is None else _number(entry["mos"], label)
        yield RatedQuestion(entry["image"], root / entry["image"], question, mos, answer)


def _turns(turns: object, label: str) -> tuple[str, str]:
    """The question and the answer of a conversation, stripped like the published code does."""
    found = turns if isinstance(turns, list) else []
    values = [turn.get("value") for turn in found if isinstance(turn, dict)]
    speakers = [turn.get("from") for turn in found if isinstance(turn, dict)]
    texts = [value for value in values if isinstance(value, str)]
    if speakers != ["human", "gpt"] or len(texts) != 2:
        raise UserError(
            f"{label} has {len(found)} turns of conversation; "
            "one question (from: human) and one answer (from: gpt) are needed."
        )
    return texts[0].strip().removeprefix("<image>").strip(), texts[1].strip()


def _number(value: object, label: str) -> float:
    number = None if isinstance(value, bool) else plain_number(str(value))
    if number is None:
        raise UserError(f"{label} has the rating {str(value)[:40]!r}; a finite number is needed.")
    return number


def _table(path: Path) -> TrainingData:
    table = read_table(path)
    shown = printable(str(path))
    columns = _columns(table, shown)
    images = ListedImages(str(path.parent), EXTENSIONS)
    mos = table.numbers(columns["mos"], columns["image"]) if "mos" in columns else None
    parts: dict[str, list[RatedQuestion]] = {"train": [], "test": []}
    for row, cells in enumerate(table.rows):
        label = f"{shown} {table.place(row)}"
        known = {name: cells[place].strip() for name, place in columns.items()}
        part, question = _part_and_question(known, label)
        if mos is not None and mos[row] is None:
            raise UserError(f"{label} has the rating {known['mos'][:40]!r}; fill it or remove the line.")
        file = Path(images.place(known["image"]))
        rating = None if mos is None else mos[row]
        parts[part].append(RatedQuestion(known["image"], file, question, rating, known.get("answer")))
    for note in (*table.notes, *images.notes(shown)):
        _LOG.warning("%s", note)
    return TrainingData(tuple(parts["train"]), tuple(parts["test"]))


def _columns(table: Table, shown: str) -> dict[str, int]:
    """Places of the columns by what they hold: image; mos or answer; perhaps prompt, question, split."""
    found = {
        "image": table.column(IMAGE_COLUMNS, "images"),
        "mos": table.column(("mos", *SCORE_COLUMNS), "ratings"),
        "prompt": prompt_column(table.header, shown),
        **{name: table.column((name,), f"{name}s") for name in ("answer", "question", "split")},
    }
    columns = {name: place for name, place in found.items() if place is not None}
    if "image" not in columns or not {"mos", "answer"} & columns.keys():
        raise UserError(
            f"{shown} has the columns {first_names(table.header)}; image and mos or answer are needed, "
            "each once."
        )
    if {"prompt", "question"} <= columns.keys():
        raise UserError(f"{shown} has both a prompt and a question column; leave the one that is to be used.")
    return columns


def _part_and_question(cells: Mapping[str, str], label: str) -> tuple[str, str]:
    """The part that a row belongs to, and its question.

    Raises:
        UserError: a cell is empty, or the part is none.
    """
    text = next((name for name in ("prompt", "question") if name in cells), None)
    empty = [name for name in ("image", "mos", "answer", text) if name in cells and not cells[name or ""]]
    if empty:
        raise UserError(f"{label} has an empty {' and '.join(map(str, empty))}; fill it or remove the line.")
    part = cells.get("split", "train").lower()
    if part not in ("train", "test"):
        raise UserError(f"{label} has the split {part[:40]!r}; train and test are the two that there are.")
    question = {
        None: PERCEPTION,
        "prompt": CORRESPONDENCE.format(prompt=cells.get("prompt", "")),
        "question": cells.get("question", ""),
    }[text]
    return part, question
