"""`zeroiqa diff`: which scores moved between two runs, and what differs between these."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.files.storage import Location, location
from zeroiqa.guards.console import write_machine_readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zeroiqa.report.diff import Difference, Pair
    from zeroiqa.runs import Run

_COLUMNS = [
    *("path", "path_b", "score_a", "score_b", "difference", "status_a", "status_b", "differs_first"),
]


def _machine_readable(_: click.Context, __: click.Parameter, style: str) -> str:
    if style != "table":
        write_machine_readable()
    return style


@command(
    examples=[
        ("diff run other", "which scores moved, and what explains it"),
    ],
)
@click.argument("run_a", type=location)
@click.argument("run_b", type=location)
@click.option("--moves", type=click.IntRange(min=0), default=10, show_default=True,
              help="How many of the largest moves to list.")  # fmt: skip
@click.option("--format", "style", type=click.Choice(["table", "json", "csv"]), default="table",
              show_default=True, callback=_machine_readable,
              help="What to print: a summary, the same for programs, or a row for every image.")  # fmt: skip
def diff(run_a: Location, run_b: Location, moves: int, style: str) -> None:
    """Say which scores differ between RUN_A and RUN_B, and what may explain it.

    Images are told by their paths, or else by the content of their files. All is compared that the runs have
    stored: settings, models and standards, decode policy, versions of libraries, the files' hashes, regions
    and ratings; for each image the stage that differs first. Where several things have changed at once, all
    are listed, and none is blamed alone.
    """
    from zeroiqa.report.diff import diff as compared
    from zeroiqa.runs import load_run
    from zeroiqa.runs.remarks import lacking

    a, b = load_run(run_a), load_run(run_b)
    found, pairs = compared(a, b, moves)
    if style == "csv":
        _write_rows(pairs)
    else:
        for _ in pairs:
            pass
        if style == "json":
            click.echo(_json(found, a, b))
        else:
            for line in _lines(found, a, b):
                say(line)
    unrated = [run for run in (a, b) if not run.settings.raters]
    bare = [f"{run.folder} holds regions without ratings, and so no scores." for run in unrated]
    for line in (*bare, *lacking(a), *lacking(b)):
        say(line, err=True)


def _write_rows(pairs: Iterable[Pair]) -> None:
    from zeroiqa.files.tables.csv_writer import CsvWriter
    from zeroiqa.guards.console import is_lost

    writer = CsvWriter(sys.stdout, _COLUMNS)
    for pair in pairs:
        if is_lost(sys.stdout):
            return
        writer.write(pair.to_dict())


def _json(found: Difference, a: Run, b: Run) -> str:
    from zeroiqa.names import json_text

    facts: dict[str, Any] = {
        **{key: {"run": str(run.folder), "run_id": run.run_id, "images": run.n_images}
           for key, run in (("a", a), ("b", b))},
        **{key: getattr(found, key) for key in
           ("nothing", "both", "equal", "moved", "others_moved", "states", "unscored", "by_hash", "srcc",
            "mean_move", "files", "prompts", "warnings", "tags", "only", "examples", "unexplained")},
        "causes": [cause._asdict() for cause in found.found],
        "stages": {stage or "none": number for stage, number in found.stages.items()},
        "moved_at": dict(found.moved_at),
        "moves": [pair.to_dict() for pair in found.moves],
        "conclusion": _conclusion(found),
    }  # fmt: skip
    return json_text(facts, 2)


def _lines(found: Difference, a: Run, b: Run) -> Iterator[str]:
    names = str(a.folder), str(b.folder)
    yield from _counts(found, names)
    yield from _causes(found, names)
    yield from _stages(found)
    yield from _moves(found)
    yield _conclusion(found)


def _counts(found: Difference, names: tuple[str, str]) -> Iterator[str]:
    from zeroiqa.errors import printable
    from zeroiqa.runs.remarks import counted

    line = f"{counted(found.both)} in both runs: {found.moved} scores moved, {found.equal} equal to the bit"
    for number, what in (
        (found.states, "with a score in one run alone"),
        (found.unscored, "without a score in either"),
        (found.by_hash, "told by their content, as their paths differ"),
        (found.others_moved, "with moved scores of other standards"),
    ):
        line += f"; {number} {what}" if number else ""
    yield f"{line}."
    if found.mean_move is not None:
        rank = "none" if found.srcc is None else f"{found.srcc:.4f}"
        largest = max((abs(pair.difference or 0) for pair in found.moves), default=None)
        most = "" if largest is None else f", the largest {largest:.4g}"
        yield f"SRCC of both: {rank}. Mean move {found.mean_move:.4g}{most}."
    if found.turned[0] != found.turned[1]:
        lower = names[found.turned[1]]
        yield f"Of {lower} lower scores are better: its unit is another, and SRCC is of quality."
    for side, name in zip("ab", names, strict=True):
        if found.only[side]:
            some = ", ".join(map(printable, found.examples[side]))
            more = " ..." if found.only[side] > len(found.examples[side]) else ""
            yield f"Only in {name}: {counted(found.only[side])} ({some}{more})."
    for number, what in ((found.warnings, "warnings"), (found.tags, "tags")):
        if number:
            yield f"{counted(number)} with other {what}."


def _causes(found: Difference, names: tuple[str, str]) -> Iterator[str]:
    from zeroiqa.files.damage import shortened
    from zeroiqa.files.tables.render import aligned

    rows = [("differs", "acts on", *names)]
    for cause in found.found:
        what = f"{cause.what} *" if cause.follows else cause.what
        rows.append((what, cause.acts, shortened(cause.a), shortened(cause.b)))
    if rows[1:]:
        yield ""
        yield from aligned(rows)
        if any(cause.follows for cause in found.found):
            yield "* names what the settings of its stage decide, and may differ by them alone"


def _stages(found: Difference) -> Iterator[str]:
    from zeroiqa.files.tables.render import aligned
    from zeroiqa.report.diff import STAGES

    there = [stage for stage in STAGES if found.stages[stage]]
    if there and there != [""]:
        yield ""
        rows = [("differs first at", "images", "moved")]
        rows += [
            (stage or "nothing", str(found.stages[stage]), str(found.moved_at[stage])) for stage in there
        ]
        yield from aligned(rows, right=(1, 2))


def _moves(found: Difference) -> Iterator[str]:
    from zeroiqa.errors import printable
    from zeroiqa.files.tables.render import aligned

    if found.moves:
        yield ""
        rows = [("largest moves", "a", "b", "b - a", "differs first at")]
        for pair in found.moves:
            row = pair.to_dict()
            numbers = (f"{row['score_a']:.4f}", f"{row['score_b']:.4f}", f"{row['difference']:+.4f}")
            rows.append((printable(pair.path), *numbers, pair.stage or "nothing"))
        yield from aligned(rows, right=(1, 2, 3))
        yield ""


def _conclusion(found: Difference) -> str:
    """What can be said of the cause, and no more."""
    if found.nothing:
        return "Nothing differs."
    if not found.both:
        return "No image is in both runs, so that no score can be compared."
    if not found.equal and not found.moved:
        return "No image has a score in both runs, so that nothing moved."
    if not found.moved:
        return "No score moved."
    acting = [cause for cause in found.found if not cause.follows and cause.acts != "warnings"]
    if set(found.moved_at) == {"arithmetic"}:
        what = [cause.what for cause in acting if cause.acts == "arithmetic"]
        said = "Files, regions and ratings of all moved images are equal: the arithmetic differs"
        if len(what) < 2:
            return f"{said} ({''.join(what) or 'that of other standards or raters'})."
        return f"{said} ({', '.join(what)}); `zeroiqa rescore` with one of them alone tells what it does."
    if not acting:
        return (
            "Nothing that is recorded of the runs differs, but what is stored of their images does; other "
            "hardware or another number of threads can do that."
        )
    return _unexplained(found) + _of_several([cause.what for cause in acting])


def _unexplained(found: Difference) -> str:
    """What moved at a stage on which nothing that is recorded acts: no cause is to be blamed for it."""
    from zeroiqa.runs.remarks import counted

    if not found.unexplained:
        return ""
    return (
        f"{counted(sum(found.unexplained.values()))} moved though nothing that is recorded acts where they "
        f"differ first ({', '.join(found.unexplained)}); other hardware or another number of threads can do "
        "that. For the rest: "
    )


def _of_several(acting: list[str]) -> str:
    if len(acting) == 1:
        return f"One thing differs that can move scores: {acting[0]}."
    return (
        f"{len(acting)} things differ at once that can move scores ({', '.join(acting)}); these two runs "
        "alone do not tell which of them did, and how far: change one at a time."
    )
