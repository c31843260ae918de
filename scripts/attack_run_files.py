"""Damage the files of a run in every way, and see that each command says so in a sentence or is not misled.

    python -m scripts.attack_run_files results/attacks/run_files.csv

A small run is made: two raters, broken images, images that were added, known answers, scores. Then, one
after the other, one of its files is damaged in a copy of the folder: bytes are flipped, cut and swapped;
every value of run.json, of the events and of the known answers is replaced by values of other kinds; parts
are those of another shard, rater or run, or have other columns, rows and values under right checksums. All
commands that read the folder are given in a process of its own, in which time and memory are measured.

A damage is survived if no command ends in a traceback, none takes over 60 s or 1 GB, and none gives other
scores than the whole run's unless `zeroiqa verify` finds the damage. The same seed makes the same damages.
"""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from scripts.attack_tables import write
from scripts.mutations import BYTES, VALUES, places, with_value

SECONDS, MEGABYTES = 60.0, 1024.0
IMAGES = 12
MADE = ("--segmenter", "grid", "--rater", "fake", "--rater", "fake:2", "--lambda", "1")
COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status", "run"),
    "status, JSON": ("status", "run", "--format", "json"),
    "rescore": ("rescore", "run", "--format", "csv"),
    "evaluate": ("evaluate", "run", "--mos", "opinions.csv", "--resamples", "9"),
    "evaluate, rescored": ("evaluate", "run", "--mos", "opinions.csv", "--resamples", "9", "--lambda", "2"),
    "compare": ("compare", "run", "whole", "--mos", "opinions.csv", "--resamples", "9"),
    "verify": ("verify", "run", "--deep"),
    "merge of two": ("merge", "run", "more", "-o", "both"),
    "score": ("score", "-o", "run", "--format", "csv"),
    "merge": ("merge", "run"),
}
"""Those that write come last, and each damage has a copy of its own."""
READERS_OF_SCORES = ("rescore", "score")
HUGE = 1e300
OTHERS = {**VALUES, "missing": None}
REWRITTEN = "part-00002.parquet"
"""The shard whose parts get other content."""


class Damage(NamedTuple):
    """One file of the run, damaged."""

    attack: str
    what: str
    files: dict[str, bytes]
    """Name in the run folder -> its content now."""


@dataclass
class Outcome:
    """What the commands made of one damage."""

    tracebacks: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    """Commands that ended with a sentence."""
    misled: list[str] = field(default_factory=list)
    """Commands that gave other scores without a word; `named` says whether `verify` finds out."""
    named: bool = False
    """Whether `verify` found it."""
    seconds: float = 0.0
    megabytes: float = 0.0


def make_runs(folder: Path) -> None:
    """The run, one of other images, and an untouched copy."""
    chance = np.random.default_rng(14)
    for name, count in (("images", IMAGES), ("others", IMAGES)):
        (folder / name).mkdir()
        for number, pixels in enumerate(chance.integers(0, 256, (count, 48, 64, 3), dtype=np.uint8)):
            Image.fromarray(pixels).save(folder / name / f"{name[0]}{number:02}.png")
        (folder / name / f"{name[0]}05.png").write_bytes(b"no image")
    held = [folder / "images" / f"i{number:02}.png" for number in (2, 7, 11)]
    for path in held:
        path.rename(folder / path.name)
    give(folder, "score", "images", *MADE, "-o", "run")
    for path in held:
        (folder / path.name).rename(path)
    give(folder, "score", "images", *MADE, "-o", "run", "--add")
    give(folder, "score", "others", *MADE, "-o", "more")
    add_known_answer(folder / "run")
    shutil.copytree(folder / "run", folder / "whole")
    rows = [f"images/i{number:02}.png,{1 + number % 5}" for number in range(IMAGES) if number != 5]
    (folder / "opinions.csv").write_text("\n".join(["image,mos", *rows]) + "\n", encoding="utf-8")


def add_known_answer(folder: Path) -> None:
    """What a model's answers look like, answered by the fake rater."""
    import math

    from zeroiqa.chat.known_answer import built_in_views
    from zeroiqa.raters.fake import FakeRater
    from zeroiqa.standards import load_standard

    ratings = [row[0] for row in FakeRater().rate(list(built_in_views()), [load_standard("quality-word-7")])]
    record = {
        "fingerprint": "f" * 64,
        "dtype": "float32",
        "question": "e" * 64,
        "probabilities": [[math.exp(each) for each in rating.logprobs] for rating in ratings if rating],
        "mass": [rating.mass for rating in ratings if rating],
        "made_with": "torch 2",
    }
    (folder / "known-answers").mkdir()
    (folder / "known-answers" / "fake-eeeeeeee.json").write_text(json.dumps(record), encoding="utf-8")


def damages(run: Path, chance: random.Random, number: int) -> list[Damage]:
    """All damages by values and content, and so many by bytes that there are `number` together."""
    files = {
        str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()
    }
    found = [*of_values(files, chance), *of_content(run, files)]
    names = sorted(files)
    while len(found) < number:
        name = names[len(found) % len(names)]
        attack = chance.choice([*BYTES])
        changed = BYTES[attack](files[name], chance)
        if changed != files[name]:
            found.append(Damage(attack, name, {name: changed}))
    return found


def of_values(files: dict[str, bytes], chance: random.Random) -> Iterator[Damage]:
    """Every value of run.json by half of all others, those of events and known answers by one."""
    record = json.loads(files["run.json"])
    for place in places(record):
        for kind in chance.sample([*OTHERS], len(OTHERS) // 2):
            changed = {"run.json": with_value(record, place, OTHERS[kind])}
            yield Damage("run.json: value replaced", f"{'.'.join(map(str, place))} {kind}", changed)
    for name in files:
        if name.startswith(("events/", "known-answers/")):
            first, _, rest = files[name].partition(b"\n")
            value = json.loads(first)
            for place in places(value):
                kind = chance.choice([*VALUES])
                changed = {name: with_value(value, place, VALUES[kind]) + b"\n" + rest}
                yield Damage(f"{name.partition('/')[0]}: value replaced", f"{place} {kind}", changed)


def of_content(run: Path, files: dict[str, bytes]) -> Iterator[Damage]:
    """Files in the place of others, missing ones, and tables with other content under right checksums."""
    tables = [name for name in files if name.endswith(".parquet")]
    for name in files:
        yield Damage("file emptied", name, {name: b""})
    for place, name in enumerate(tables):
        for other in (tables[place - 1], tables[place - 3]):
            if files[other] != files[name]:
                yield Damage("file of another place", f"{name} is {other}", {name: files[other]})
        theirs = run.parent / "more" / name
        if theirs.is_file() and theirs.read_bytes() != files[name]:
            yield Damage("file of another run", name, {name: theirs.read_bytes()})
    for name in (name for name in tables if "part-" not in name or name.endswith(REWRITTEN)):
        for what, change in CHANGES.items():
            changed = rewritten(run / name, change)
            if changed is not None and changed != files[name]:
                yield Damage("table rewritten", f"{name}: {what}", {name: changed})


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table]) -> bytes | None:
    """A table with other content; None where the change does not apply to it."""
    table = pq.read_table(path)
    try:
        made = change(table)
    except (KeyError, IndexError, TypeError, pa.ArrowException):
        return None
    target = io.BytesIO()
    pq.write_table(made, target, write_page_checksum=True)
    return target.getvalue()


def _edited(change: Callable[[Any], Any], *keys: str) -> Callable[[pa.Table], pa.Table]:
    """The change of a value deep in the first row that has it."""

    def edit(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        holder = next(row for row in rows if row.get(keys[0]))
        for key in keys[:-1]:
            holder = holder[key][0] if isinstance(holder[key], list) else holder[key]
        holder[keys[-1]] = change(holder[keys[-1]])
        return pa.Table.from_pylist(rows, table.schema)

    def checked(table: pa.Table) -> pa.Table:
        if keys[0] not in table.schema.names:
            raise KeyError(keys[0])
        return edit(table)

    return checked


CHANGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "first column dropped": lambda t: t.drop_columns([t.schema.names[0]]),
    "last column dropped": lambda t: t.drop_columns([t.schema.names[-1]]),
    "columns turned round": lambda t: t.select(t.schema.names[::-1]),
    "column added": lambda t: t.append_column("extra", pa.array(range(t.num_rows))),
    "column doubled": lambda t: t.append_column(t.schema.names[0], t[0]),
    "first column as text": lambda t: t.set_column(0, t.schema.names[0], t[0].cast(pa.string())),
    "first column as fractions": lambda t: t.set_column(0, t.schema.names[0], t[0].cast(pa.float64())),
    "error as numbers": lambda t: t.set_column(
        t.schema.get_field_index("error"), "error", pa.array(range(t.num_rows))
    ),
    "no rows": lambda t: t[:0],
    "a row less": lambda t: t[:-1],
    "rows twice": lambda t: pa.concat_tables([t, t]),
    "first row in all": lambda t: pa.concat_tables([t[:1]] * t.num_rows),
    "rows turned round": lambda t: t.take(pa.array(range(t.num_rows)[::-1])),
    "all null": lambda t: pa.table({f.name: pa.nulls(t.num_rows, f.type) for f in t.schema}, schema=t.schema),
    "other numbers": lambda t: t.set_column(0, t.schema.names[0], pa.array(range(7, 7 + t.num_rows))),
    "area NaN": _edited(lambda _: float("nan"), "regions", "area"),
    "area huge": _edited(lambda _: HUGE, "regions", "area"),
    "box outside": _edited(lambda _: 2**31 - 1, "regions", "x1"),
    "kind of none": _edited(lambda _: "dog", "regions", "kind"),
    "a region less": _edited(lambda regions: regions[1:], "regions"),
    "height 0": _edited(lambda _: 0, "height"),
    "warning null": _edited(lambda _: [None], "warnings"),
    "log-probability null": _edited(lambda values: [None, *values[1:]], "ratings", "logprobs"),
    "log-probability huge": _edited(lambda values: [1e4, *values[1:]], "ratings", "logprobs"),
    "log-probability NaN": _edited(lambda values: [float("nan"), *values[1:]], "ratings", "logprobs"),
    "no levels": _edited(lambda _: [], "ratings", "logprobs"),
    "mass null": _edited(lambda _: None, "ratings", "mass"),
    "value huge": _edited(lambda _: HUGE, "ratings", "value"),
    "standard of none": _edited(lambda _: "another", "ratings", "standard"),
    "a rating less": _edited(lambda ratings: ratings[1:], "ratings"),
    "a rating more": _edited(lambda ratings: [*ratings, ratings[0]], "ratings"),
}


def give(folder: Path, *arguments: str) -> tuple[int, str, str, str | None]:
    """A command in this process: exit code, output, messages, traceback."""
    from zeroiqa.cli import main

    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    os.chdir(folder)
    code, trace = 0, None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            code, trace = 1, traceback.format_exc()
    written = out.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]
    return code, written, err.getvalue(), trace


def scores_in(output: str) -> dict[str, str]:
    """Path -> score of each row without an error that a command printed as CSV."""
    rows = csv.DictReader(io.StringIO(output))
    return {str(row["path"]): str(row.get("score")) for row in rows if row.get("status") == "ok"}


def attack(folder: Path, right: dict[str, str], channel: Any) -> None:
    """Give all commands, in a process of its own."""
    outcome = Outcome()
    for name, arguments in COMMANDS.items():
        start = time.monotonic()
        code, out, err, trace = give(folder, *arguments)
        outcome.seconds = max(outcome.seconds, time.monotonic() - start)
        if trace is not None or "Traceback" in err:
            outcome.tracebacks[name] = trace or err
        elif code:
            outcome.said.append(name)
        elif name in READERS_OF_SCORES and not scores_in(out).items() <= right.items():
            outcome.misled.append(name)
        outcome.named |= name == "verify" and code == 1
    outcome.megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    channel.send(asdict(outcome))


def try_damage(base: Path, damage: Damage, right: dict[str, str]) -> Outcome:
    """A copy of the run with the damage, and what the commands make of it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("images", "opinions.csv", "more", "whole"):
            (folder / name).symlink_to(base / name)
        shutil.copytree(base / "run", folder / "run")
        for name, content in damage.files.items():
            (folder / "run" / name).write_bytes(content)
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=attack, args=(folder, right, theirs))
        process.start()
        theirs.close()
        try:
            if ours.poll(len(COMMANDS) * SECONDS):
                return Outcome(**ours.recv())
            return Outcome(tracebacks={"all": "it hangs"}, seconds=len(COMMANDS) * SECONDS)
        except EOFError:
            process.join()
            return Outcome(tracebacks={"all": f"the process ended with {process.exitcode}"})
        finally:
            process.kill()
            process.join()


def whole_run(base: Path) -> dict[str, str]:
    """The scores of the undamaged run; every command has to take it."""
    for name, arguments in COMMANDS.items():
        code, out, err, trace = give(base, *arguments)
        if code or trace:
            sys.exit(f"{name} of the whole run: {trace or err}")
        if name == READERS_OF_SCORES[0]:
            right = scores_in(out)
    shutil.rmtree(base / "both")
    shutil.rmtree(base / "run")
    shutil.copytree(base / "whole", base / "run")
    return right


def table(outcomes: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    """One row for each attack, and one for all."""
    every = [outcome for each in outcomes.values() for outcome in each]
    return [_row(attack, each) for attack, each in [*outcomes.items(), ("all", every)]]


def _row(attack: str, outcomes: list[Outcome]) -> dict[str, Any]:
    survived = [
        not each.tracebacks
        and (each.named or not each.misled)
        and each.seconds <= SECONDS
        and each.megabytes <= MEGABYTES
        for each in outcomes
    ]
    return {
        "attack": attack,
        "tried": len(outcomes),
        "survived": sum(survived),
        "tracebacks": sum(bool(each.tracebacks) for each in outcomes),
        "other scores": sum(bool(each.misled) for each in outcomes),
        "of them not found by verify": sum(bool(each.misled) and not each.named for each in outcomes),
        "refused by a sentence": sum(bool(each.said) for each in outcomes),
        "found by verify": sum(each.named for each in outcomes),
        "slowest command s": round(max(each.seconds for each in outcomes), 2),
        "largest MB": round(max(each.megabytes for each in outcomes)),
    }


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--number", default=1000, show_default=True, help="Damaged files at least.")
@click.option("--only", default="", help="Only attacks whose name or file holds this text.")
@click.option("--seed", default=14, show_default=True)
def main(target: Path, number: int, only: str, seed: int) -> None:
    target = target.absolute()
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="attack-") as scratch:
        base = Path(scratch)
        maker = multiprocessing.get_context("fork").Process(target=make_runs, args=(base,))
        maker.start()  # apart, so that no thread of a library is alive when processes are forked below
        maker.join()
        right = whole_run(base)
        for damage in damages(base / "run", random.Random(seed), number):
            if only not in f"{damage.attack} {damage.what}":
                continue
            outcome = try_damage(base, damage, right)
            outcomes[damage.attack].append(outcome)
            for command, text in outcome.tracebacks.items():
                print(f"TRACEBACK {damage.attack}, {damage.what}, {command}: {text}", file=sys.stderr)
            if outcome.misled:
                print(f"MISLED {damage.attack}, {damage.what}: {outcome.misled}", file=sys.stderr)
    rows = table(outcomes)
    facts = {
        "command": f"python -m scripts.attack_run_files results/attacks/{target.name} --number {number}",
        "seed": seed,
        "commands": {name: " ".join(("zeroiqa", *each)) for name, each in COMMANDS.items()},
    }
    write(target, rows, facts)
    print(target.read_text(encoding="utf-8"))
    sys.exit(rows[-1]["survived"] < rows[-1]["tried"])


if __name__ == "__main__":
    main()
