"""The two databases of generated images whose scores, prompts and questions lie in several files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.cards import DatasetCard
from zeroiqa.evaluation.datasets.files import FileTree
from zeroiqa.evaluation.datasets.layouts import Listing, ScoreLine, lacking, open_table, score_of, table_rows
from zeroiqa.evaluation.datasets.tables import read_mat, read_rows, read_text
from zeroiqa.evaluation.datasets.types import AnsweredQuestion, some
from zeroiqa.files.damage import parse_json, stumbles
from zeroiqa.files.tables.read import Table, is_blank, read_table

_SCORES = {"quality": "mosz1.mat", "authenticity": "mosz2.mat", "correspondence": "mosz3.mat"}
_PROMPT_FILES = ("AIGCIQA2023_Prompts.xlsx", "AIGCIQA2023_Prompts.csv", "prompts.xlsx", "prompt.xlsx")
_IMAGES_OF_A_PROMPT = 4


def aigciqa2023_listing(card: DatasetCard, tree: FileTree, split: str | None) -> Listing:
    """Rows of AIGCIQA2023, whose scores are a bare list in the order of models, prompts and images.

    Raises:
        UserError: a score file is missing or cannot be read; the lists differ in length; the images cannot
            be the ones that the list means, because their numbers differ.
    """
    scores = {aspect: _scores(card, tree, file) for aspect, file in _SCORES.items()}
    lengths = {file: len(scores[aspect]) for aspect, file in _SCORES.items()}
    total = len(scores["quality"])
    if len(set(lengths.values())) > 1 or total % len(card.models):
        found = ", ".join(f"{file} {length:,}" for file, length in lengths.items())
        raise UserError(
            f"The scores of {card.title} belong to images by their order, and their numbers "
            f"do not fit: {found}; {card.images:,} each are expected, for {len(card.models)} models."
        )
    each = total // len(card.models)
    order = _numbered(tree, card.models, each) or _by_folders(card, tree, each)
    prompts, notes = _prompts(tree, each // _IMAGES_OF_A_PROMPT)
    rows = tuple(
        ScoreLine(
            image.name,
            {
                aspect: score_of(values[place], image.name, _SCORES[aspect])
                for aspect, values in scores.items()
            },
            prompts[place % each // _IMAGES_OF_A_PROMPT] if prompts else None,
            {"model": image.model},
        )
        for place, image in enumerate(order)
    )
    models = dict.fromkeys(image.model for image in order)
    note = f"The scores of {card.title} have no names; they were taken in the order {', '.join(models)}."
    return Listing(rows, card.scales, " and ".join(_SCORES.values()), (note, *notes))


class _Place(NamedTuple):
    name: str
    model: str


def _scores(card: DatasetCard, tree: FileTree, file: str) -> list[str]:
    path = tree.find(file)
    if path is None:
        raise lacking(card, tree, file)
    return [str(value) for value in read_mat(tree.root / path, "MOSz").tolist()]


def _numbered(tree: FileTree, models: Sequence[str], each: int) -> list[_Place]:
    """All images in one folder allimg, numbered from 0 on in the order of the scores."""
    if not tree.has_images_in("allimg"):
        return []
    return [_Place(f"allimg/{n}.png", models[n // each]) for n in range(each * len(models))]


def _by_folders(card: DatasetCard, tree: FileTree, each: int) -> list[_Place]:
    """A folder per model: without names only full folders show which image a score means."""
    inside = tree.has_images_in("Image")
    folders: dict[str, list[str]] = {}
    for path, parts in tree.images():
        if not inside or "image" in parts[:-1]:
            folders.setdefault(path.rpartition("/")[0], []).append(path)
    counts = {folder.rpartition("/")[2]: len(paths) for folder, paths in folders.items()}
    if len(folders) != len(card.models) or set(counts.values()) != {each}:
        found = some((f"{printable(folder)} {count:,}" for folder, count in sorted(counts.items())), 8)
        raise UserError(
            f"The scores of {card.title} belong to images by their order, so each of its {len(card.models)} "
            f"model folders must hold {each:,}; found: {found or 'no images'}."
        )
    ordered = [
        path
        for folder in sorted(folders, key=lambda folder: folder.rpartition("/")[2].casefold())
        for path in sorted(folders[folder], key=_numbers)
    ]
    if sorted(map(_numbers, ordered)) == [(n,) for n in range(len(ordered))]:
        ordered.sort(key=_numbers)  # numbered through all folders: the numbers say more than the alphabet
    return [_Place("/".join(path.split("/")[-2:]), path.split("/")[-2]) for path in ordered]


def _numbers(path: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", Path(path).stem)))


def _prompts(tree: FileTree, expected: int) -> tuple[list[str], list[str]]:
    """The prompts in order, or none and the sentence that says why."""
    path = next((path for file in _PROMPT_FILES if (path := tree.find(file)) is not None), None)
    if path is None:
        return [], [f"{_PROMPT_FILES[0]} is missing, so the images have no prompts."]
    rows = read_rows(tree.root / path)
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    named = "prompt" in head
    column = head.index("prompt") if named else 2
    texts = [row[column].strip() for row in rows if len(row) > column and row[column].strip()]
    if named or len(texts) == expected + 1:
        texts = texts[1:]
    if len(texts) != expected:
        found = f"{Path(path).name} has {len(texts):,} prompts where {expected:,} are expected"
        return [], [f"{found}, so the images have no prompts."]
    return texts, []


def evalmi50k_listing(card: DatasetCard, tree: FileTree, split: str | None) -> Listing:
    """Rows of EvalMi-50K with the answers to its questions, and with prompts and tasks where their files are.

    Raises:
        UserError: the table is missing or lacks a column; a score is no number; an answer is neither yes nor
            no; a file cannot be read.
    """
    file = card.files[0]
    path = tree.find(file.file)
    if path is None:
        raise lacking(card, tree, file.file)
    table = open_table(file, tree.root / path)
    listed = list(table_rows(file, table))
    answers = _answer_places(table)
    questions, notes = _questions(tree)
    tasks = _tasks(tree)
    numbers = [_numbers(row.name)[-1:] for row in listed]
    first = min((number[0] for number in numbers if number), default=0)
    rows = []
    for row, number, cells in zip(listed, numbers, table.rows, strict=True):
        place = number[0] - first if number else -1
        texts = questions[place] if 0 <= place < len(questions) else None
        groups = {**row.groups, "task": tasks[place]} if 0 <= place < len(tasks) else row.groups
        answered = [
            AnsweredQuestion(
                texts.get(f"question_{k}") if texts else None, _yes(cells[column], row.name, table)
            )
            for k, column in enumerate(answers, start=1)
            if not is_blank(cells[column])
        ]
        prompt = texts.get("prompt") if texts else None
        rows.append(row._replace(prompt=prompt, groups=groups, questions=tuple(answered)))
    return Listing(tuple(rows), card.scales, table.shown, tuple(notes))


def _answer_places(table: Table) -> list[int]:
    """Columns of the answers; Y/N answers question_1, YN_k answers question_(k + 1)."""
    places = table.columns()
    return [places[name] for name in ("y/n", "yn_1", "yn_2", "yn_3", "yn_4") if name in places]


def _yes(cell: str, name: str, table: Table) -> bool:
    word = cell.strip().lower()
    if word not in ("1", "0", "yes", "no", "y", "n", "true", "false"):
        raise UserError(
            f"{table.shown} answers {printable(name)} with {printable(cell)!r}; "
            "yes or no, 1 or 0 is expected."
        )
    return word in ("1", "yes", "y", "true")


def _questions(tree: FileTree) -> tuple[list[Mapping[str, str]], list[str]]:
    path = tree.find("question.xlsx")
    if path is None:
        return [], ["question.xlsx is missing, so the images have no prompts and the answers no questions."]
    table = read_table(tree.root / path, ragged=True)
    table.require(["prompt", "question_1"])
    places = table.columns()
    return [
        {name: cells[place] for name, place in places.items() if cells[place]} for cells in table.rows
    ], []


def _tasks(tree: FileTree) -> list[str]:
    path = tree.find("prompt_tasks.jsonl")
    if path is None:
        return []
    try:
        return [parse_json(line)["tag"] for line in read_text(tree.root / path).splitlines() if line.strip()]
    except stumbles() as error:
        raise UserError(
            "prompt_tasks.jsonl is damaged: each line must be an object with a tag; unpack it anew."
        ) from error
