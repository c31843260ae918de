"""Known answers of a run: what its models answered to the built-in views, so that one rater is one model.

A file for each rater, known-answers/RATER-QUESTION.json in the run folder, is written by the first process
that loads the model. Every later load, in whatever process and on whatever machine, is compared with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from zeroiqa.chat.known_answer import KnownAnswer, Result, answer_from, difference, tolerance
from zeroiqa.errors import UserError, printable
from zeroiqa.files.atomic import created
from zeroiqa.files.damage import read_json, reading
from zeroiqa.runs import parts

if TYPE_CHECKING:
    from zeroiqa.files.storage import Location

FOLDER = "known-answers"


def compare(folder: Location, rater: str, found: Result) -> None:
    """Record a model's answers in a run, or refuse the model if the run has others of this rater.

    Of a run that has ratings by the rater and no answers, as older versions made them, those in the user's
    cache are taken for the run's.

    Args:
        folder: Of the run.
        rater: Its name there.
        found: What the load of the model found.

    Raises:
        UserError: the answers differ by more than rounding, or the record cannot be read or written.
    """
    given = found.answer
    name = parts.rating_stage(rater).partition("/")[2]
    path = folder / FOLDER / f"{name}-{given.question[:8]}.json"
    if not path.exists():
        if found.status == "different" and parts.finished_shards(folder, parts.rating_stage(rater)):
            raise _refusal(folder, rater, found.known_with, given, found.difference)
        with created(path) as file:  # of several processes, the first decides
            file.write(json.dumps(asdict(given)).encode() + b"\n")
    there = read(path)
    if difference(there, given) > tolerance(given.dtype):
        raise _refusal(folder, rater, there.made_with, given, difference(there, given))


def read(path: Location) -> KnownAnswer:
    """One record.

    Raises:
        UserError: it cannot be read.
    """
    advice = "put it back as it was, or delete it to take the next load of the model for that of the run"
    with reading(path, advice):
        return answer_from(read_json(path))


def records(folder: Location) -> dict[str, Location]:
    """The records of a run by their names."""
    try:
        found = [path for path in (folder / FOLDER).iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return {}
    return {path.name: path for path in sorted(found, key=str)}


def common(folders: Iterable[Location]) -> Mapping[str, Location]:
    """The records of several runs together.

    Raises:
        UserError: two runs have different answers of one rater: their ratings come from two models.
    """
    found: dict[str, Location] = {}
    for folder in folders:
        for name, path in records(folder).items():
            first, here = read(found.setdefault(name, path)), read(path)
            apart = difference(first, here)
            if apart > tolerance(here.dtype):
                raise UserError(
                    f"{found[name]} and {path} are the answers of two models: a probability differs by "
                    f"{apart:.3f}, more than {tolerance(here.dtype):g}; only runs of the same models can be "
                    "merged."
                )
    return found


def copy(found: Mapping[str, Location], folder: Location) -> None:
    """Write records into a run."""
    for name, path in found.items():
        with created(folder / FOLDER / name) as file:
            file.write(path.read_bytes())


def _refusal(folder: Location, rater: str, then: str, given: KnownAnswer, apart: float) -> UserError:
    return UserError(
        f"The run {folder} has other answers of the rater {printable(rater)} to the built-in views than the "
        f"model loaded now: a probability differs by {apart:.3f}, more than {tolerance(given.dtype):g} "
        f"(there with {then}; now with {given.made_with}); go on with the weights and libraries of then, or "
        "score in another run (-o)."
    )
