"""Ratings and answers to train on: the published layout (a meta file and its .jsonl files) or a plain table.

The published layout: a .json file of one or more data sets, each with `root` (folder of the images),
`annotation_train` and perhaps `annotation_test` (.jsonl files). A line of these has `image` (path below
the root), `mos` and `conversations` ([{from: human, value: question}, {from: gpt, value: answer}]). Paths in
a meta file count from its folder. A .jsonl file alone is training examples, their images below its folder.

A plain table (.csv, .tsv): a column `image`; `mos` or `answer`, or both; perhaps `prompt` (rated is then the
correspondence) or `question`; perhaps `split` (train or test).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.table_files import decoded

PERCEPTION = "How would you rate the quality of this image?"
CORRESPONDENCE = "How would you rate the correspondence of this image and its prompt? prompt: {prompt}"


@dataclass(frozen=True)
class Example:
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


class Examples(NamedTuple):
    """All examples of a data set."""

    train: tuple[Example, ...]
    """Those to learn from; the validation fold is taken from them."""
    test: tuple[Example, ...]
    """Those that are kept for the final evaluation; may be empty."""


def read_examples(path: Path) -> Examples:
    """Read a meta file (.json), a .jsonl file or a table (.csv, .tsv).

    Raises:
        UserError: a file is missing, damaged or of another layout, a rating is no finite number, an image has
            no file, or is in both parts.
    """
    readers = {".json": _meta, ".jsonl": _jsonl_alone, ".csv": _table, ".tsv": _table}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"{printable(str(path))} is no training data by its name; give a meta file (.json), "
            "conversations (.jsonl) or a table (.csv, .tsv)."
        )
    examples = reader(path)
    if not examples.train:
        raise UserError(f"{printable(str(path))} holds no training examples; check that it is complete.")
    _check_files((*examples.train, *examples.test), path)
    both = {example.image for example in examples.train} & {example.image for example in examples.test}
    if both:
        raise UserError(
            f"{printable(str(path))} has {len(both):,} images in both the training and the test part, such "
            f"as {printable(min(both))}; a test image must not be trained on."
        )
    return examples


def _check_files(examples: Iterable[Example], listed: Path) -> None:
    files = {example.path: example.image for example in examples}
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise UserError(
            f"{len(missing):,} of the {len(files):,} images of {printable(str(listed))} have no file, such "
            f"as {printable(str(missing[0]))}; copy them there or correct the folder of the images."
        )


def _text(path: Path) -> str:
    try:
        return decoded(path.read_bytes(), printable(str(path)))
    except OSError as error:
        raise UserError(
            f"{printable(str(path))} cannot be read: {error.strerror or error}; name another file."
        ) from error


def _meta(path: Path) -> Examples:
    shown = printable(str(path))
    sets = _json(_text(path), shown)
    if not isinstance(sets, dict) or not sets or not all(isinstance(one, dict) for one in sets.values()):
        raise UserError(f"{shown} is no meta file: it needs an object with root and annotation_train in it.")
    train: list[Example] = []
    test: list[Example] = []
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
    return Examples(tuple(train), tuple(test))


def _jsonl_alone(path: Path) -> Examples:
    return Examples(tuple(_jsonl(path, path.parent)), ())


def _json(text: str, shown: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{shown} is no JSON: {error}; write it again.") from error


def _jsonl(path: Path, root: Path) -> Iterator[Example]:
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
        yield Example(entry["image"], root / entry["image"], question, mos, answer)


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
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise UserError(f"{label} has the rating {str(value)[:40]!r}; a finite number is needed.")
    return number


def _table(path: Path) -> Examples:
    shown = printable(str(path))
    text = _text(path)
    header = text.partition("\n")[0]
    tab = path.suffix.lower() == ".tsv"
    delimiter = "\t" if tab else ";" if ";" in header and "," not in header else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    parts: dict[str, list[Example]] = {"train": [], "test": []}
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        _check_header(names, shown)
        for cells in rows:
            if not cells:
                continue
            label = f"{shown} line {rows.line_num}"
            if len(cells) != len(names):
                raise UserError(
                    f"{label} has {len(cells)} cells, its header {len(names)}; is a comma unquoted?"
                )
            part, example = _row(dict(zip(names, map(str.strip, cells), strict=True)), label, path.parent)
            parts[part].append(example)
    except csv.Error as error:
        raise UserError(
            f"{shown} is damaged near line {rows.line_num}: {error}; is a quote missing?"
        ) from error
    return Examples(tuple(parts["train"]), tuple(parts["test"]))


def _check_header(names: list[str], shown: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if "image" not in names or not {"mos", "answer"} & {*names} or twice:
        raise UserError(
            f"{shown} has the columns {', '.join(names)[:80] or 'none'}; image and mos or answer are needed, "
            "each once."
        )
    if {"prompt", "question"} <= {*names}:
        raise UserError(f"{shown} has both a prompt and a question column; leave the one that is to be used.")


def _row(cells: Mapping[str, str], label: str, folder: Path) -> tuple[str, Example]:
    asked = next((name for name in ("prompt", "question") if name in cells), None)
    empty = [name for name in ("image", "mos", "answer", asked) if name in cells and not cells[name or ""]]
    if empty:
        raise UserError(f"{label} has an empty {' and '.join(map(str, empty))}; fill it or remove the line.")
    part = cells.get("split", "train").lower()
    if part not in ("train", "test"):
        raise UserError(f"{label} has the split {part[:40]!r}; train and test are the two that there are.")
    question = {
        None: PERCEPTION,
        "prompt": CORRESPONDENCE.format(prompt=cells.get("prompt", "")),
        "question": cells.get("question", ""),
    }[asked]
    mos = _number(cells["mos"], label) if "mos" in cells else None
    return part, Example(cells["image"], folder / cells["image"], question, mos, cells.get("answer"))
