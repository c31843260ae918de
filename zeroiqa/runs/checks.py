"""Whether a run folder still holds what was put there: hashes, counts, the plan, and the scores.

Nothing is changed, and nothing but arithmetic is computed again; a run that is under way can be checked.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.files.atomic import TEMPORARY, table
from zeroiqa.files.damage import reason, stumbles
from zeroiqa.files.storage import Location
from zeroiqa.names import cell
from zeroiqa.reasons import REASONS
from zeroiqa.runs import known_answers, parts, plan
from zeroiqa.runs.events import FOLDER as EVENTS
from zeroiqa.runs.events import Events, PartOf, digest, read_events
from zeroiqa.runs.latest import all_left
from zeroiqa.runs.part_checks import LaterVersionError
from zeroiqa.runs.presentation import Presentation, presentation, presented
from zeroiqa.runs.record import NAME as RECORD
from zeroiqa.runs.remarks import remarks
from zeroiqa.runs.run import Run, status

_REDO = "delete it and give the command of the run again"
_REWRITE = "give the command of the run again, which writes it"
_ROWS = 4096  # compared at a time
_ROUNDING = 1e-9
"""How far, relative to its size, a score may be from the one that is computed again on another machine."""
_LAST_DIGIT = 1.01e-6
"""The same for the six decimals of scores.csv."""


_Reader: TypeAlias = Callable[[Location], Iterator[dict[str, Any]]]
"""Reads the rows of a table."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    what: str
    """Plan, a stage, scores or other files."""
    found: str
    """What was seen, for people."""
    damages: tuple[str, ...] = ()
    """A sentence each: the file, what is wrong with it, what to do."""


def check_run(run: Run) -> Iterator[Check]:
    """Look at everything that a run folder holds, one thing after the other.

    Raises:
        UserError: the folder cannot be read at all.
    """
    planned = _plan(run)
    yield planned
    log: dict[PartOf, set[tuple[int, str]]] = {}
    for event in read_events(run.folder).found:
        for stage, part in event.parts.items():
            of = PartOf(stage, event.shard, event.generation)
            log.setdefault(of, set()).add((part.bytes, part.sha256))
    whole = not planned.damages
    for stage in run.stages:
        check = _stage(run, stage, log)
        whole &= not check.damages
        yield check
    if known := known_answers.records(run.folder):
        yield _known_answers(known)
    yield _scores(run) if whole else Check("scores", "not compared, since the plan or parts are damaged")
    if whole:
        sentences = remarks(
            run, state=status(run, Events((), 0))
        )  # from the parts: a log may have been edited
        if sentences:
            yield Check("answers", " ".join(sentences))
    yield _others(run)


def _plan(run: Run) -> Check:
    path = run.folder / plan.NAME
    damages = []
    first, planned = plan.first_inputs(run.folder), plan.all_inputs(run.folder)
    assert first is not None and planned is not None  # or the run could not have been opened
    wrong = plan.misplaced(run.folder)
    if wrong is not None:
        damages.append(
            f"Image {wrong} in {path} has the number of another image or shard; put the file back as it was, "
            "or start a new run."
        )
        return Check("plan", f"{run.n_images} images in {run.n_shards} shards", tuple(damages))
    for inputs in (first, planned)[: 1 + (planned != first)]:
        images = itertools.islice(plan.all_planned(run.folder), inputs["count"])
        if not plan.inputs_of((row.ref.path, row.ref.prompt) for row in images).items() <= inputs.items():
            damages.append(
                f"The images in {path} are not those that the run was started with, by their SHA-256 in "
                f"{RECORD}; put the file back as it was, or start a new run."
            )
            break
    changed = f"; the newest revision is {run.revisions.number}" if run.revisions.number else ""
    return Check("plan", f"{run.n_images} images in {run.n_shards} shards{changed}", tuple(damages))


def _stage(run: Run, stage: str, log: Mapping[PartOf, set[tuple[int, str]]]) -> Check:
    damages, current, older, logged, size = [], 0, 0, 0, 0
    for path in _content(run.folder / stage):
        part = parts.part_of(path.name)
        if part is None or part[0] >= run.n_shards or part[1] not in run.revisions.generations(part[0]):
            damages.append(f"{path} is no part of this run; delete it, or move it elsewhere.")
            continue
        shard, generation = part
        hashes = log.get(PartOf(stage, shard, generation), set())
        wanted = generation == run.revisions.generation(shard)
        current, older, logged = current + wanted, older + (not wanted), logged + bool(hashes)
        try:
            found = digest(path)
            size += found[0]
            if hashes and found not in hashes:
                damages.append(f"{path} is not the file that was committed, by its SHA-256; {_REDO}.")
            else:
                parts.check_part(run.folder, stage, shard, generation, run.images_of(shard))
        except LaterVersionError as error:
            damages.append(str(error))
        except stumbles(UserError) as error:
            damages.append(f"{path} cannot be read ({reason(error)}); {_REDO}.")
    earlier = f" and {older} of earlier generations" if older else ""
    counts = f"{current} of {run.n_shards} parts{earlier}, {size / 1e6:.3g} MB"
    return Check(stage, f"{counts}; the log has the SHA-256 of {logged}", tuple(damages))


def _known_answers(known: Mapping[str, Location]) -> Check:
    damages = []
    for path in known.values():
        try:
            known_answers.read(path)
        except UserError as error:
            damages.append(str(error))
    return Check(
        known_answers.FOLDER, f"{len(known)} models, which later loads are compared with", tuple(damages)
    )


def _scores(run: Run) -> Check:
    left = all_left(run)
    if left:
        return Check("scores", f"not compared, since {left} images are left to do")
    if not run.settings.raters:
        return Check("scores", "none: the images were segmented only")
    damages, older, shown = [], [], presentation(run)
    for name, rows, allowed in (
        ("scores.csv", _csv_rows, _LAST_DIGIT),
        ("scores.parquet", _parquet_rows, _ROUNDING),
    ):
        path = run.folder / name
        columns, _ = presented(run, shown=shown)
        if lacking := _lacking(run, path, rows):
            older.append(f"{name} (without {' and '.join(lacking)})")
            passed_over = set().union(*(_of_later_versions(run)[what] for what in lacking))
            columns = [each for each in columns if each not in passed_over]
        try:
            damage = _different(run, path, rows, columns, allowed, shown)
        except UserError as error:  # of the parts, which do not belong together
            damages.append(str(error))
            break
        if damage:
            damages.append(f"{path} {damage}; {_REWRITE}.")
    found = f"{run.n_images - len(run.revisions.pruned)} rows compared with the parts"
    if older:
        found += f"; of an older version: {', '.join(older)}; `zeroiqa merge` writes them anew"
    return Check("scores", found, tuple(damages))


def _of_later_versions(run: Run) -> dict[str, set[str]]:
    """What older tables lack -> the columns that are passed over then."""
    return {
        "the mass": {"mass", *(f"{label}_mass" for label in run.labels.values()), "warnings"},
        "sizes and reasons": {"width", "height", *REASONS, "tags"},
    }


def _lacking(run: Run, path: Location, read: _Reader) -> list[str]:
    """What a table of an older version lacks, which is no damage."""
    try:
        first = next(read(path), None)
    except stumbles():
        return []  # which is found below
    said = {"the mass": "mass", "sizes and reasons": "width"}
    return [] if first is None else [what for what, column in said.items() if column not in first]


def _different(
    run: Run, path: Location, read: _Reader, columns: Sequence[str], allowed: float, shown: Presentation
) -> str | None:
    """How a table of scores differs from what the parts give; both are read row by row."""
    if not path.is_file():
        return "is missing"
    all_columns, results = presented(run, shown=shown)
    left_out = set(all_columns).difference(columns)
    try:
        pairs = itertools.zip_longest(results, read(path))
        for number, (expected, found) in enumerate(pairs):
            if expected is None or found is None:
                return f"has {'more' if expected is None else 'fewer'} rows than the {run.n_images} images"
            wanted = dict.fromkeys(columns) | expected.to_dict()
            if wanted.keys() - left_out != found.keys() - left_out:
                return "has other columns"
            for column in columns:
                if not (
                    _same(wanted[column], found[column], allowed)
                    or (wanted[column] is None and _was_repeated(column, found))
                ):
                    return (
                        f"says {printable(str(found[column]))} in column {column} of row {number + 1}, "
                        f"where the parts give {printable(str(wanted[column]))}"
                    )
    except stumbles() as error:
        return f"cannot be read ({reason(error)})"
    return None


def _was_repeated(column: str, row: Mapping[str, Any]) -> bool:
    """Whether a table of an older version says what stood where nothing stands now."""
    if column == "n_regions":
        return float(row[column] or 0) == 0
    if column.endswith("s_local"):
        return bool(row[column] == row[column.removesuffix("s_local") + "s_global"])
    return column.endswith("disagreement") and float(row[column] or 0) == 0


def _same(wanted: Any, found: Any, allowed: float) -> bool:
    if isinstance(wanted, float):
        try:
            return math.isclose(wanted, float(found), rel_tol=allowed, abs_tol=allowed)
        except (TypeError, ValueError):
            return False
    return bool(wanted == found) or ("" if wanted is None else cell(str(wanted))) == found


def _csv_rows(path: Location) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        binary: Any = file
        with io.TextIOWrapper(binary, encoding="utf-8", newline="") as text:
            yield from csv.DictReader(text)


def _parquet_rows(path: Location) -> Iterator[dict[str, Any]]:
    with table(path) as file:
        for batch in file.iter_batches(_ROWS):
            yield from batch.to_pylist()


def _others(run: Run) -> Check:
    """What lies about: it hurts nothing, and may be needed."""
    folders = {parts.REGIONS, "ratings", known_answers.FOLDER, EVENTS, "overlays"}
    files = re.compile(
        r"run\.json|(plan(-\d{4})?|revision-\d{4})\.parquet|(scores|regions)\.(csv|parquet)|coco\.json"
        r"|scores-.*\.csv"
    )
    foreign = [
        path.name
        for path in _content(run.folder)
        if path.name not in folders and not files.fullmatch(path.name)
    ]
    raters = {stage.partition("/")[2] for stage in run.stages}
    foreign += [
        f"ratings/{path.name}" for path in _content(run.folder / "ratings") if path.name not in raters
    ]
    temporary = sum(
        path.name.startswith(TEMPORARY)
        for stage in ("", *run.stages)
        for path in _all(run.folder / stage if stage else run.folder)
    )
    found = [f"{len(foreign)} that are not ours, the first is {printable(foreign[0])}"] if foreign else []
    if temporary:
        found.append(f"{temporary} temporary ones, of processes that are at work or were killed")
    return Check("other files", "; ".join(found) or "none")


def _content(folder: Location) -> list[Location]:
    """What is in a folder, sorted, but for hidden files."""
    return sorted((path for path in _all(folder) if not path.name.startswith(".")), key=str)


def _all(folder: Location) -> list[Location]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
