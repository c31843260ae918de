"""`zeroiqa status`: how far a run is, how fast it goes, and who works on it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.cli.progress import PLAIN_SECONDS, duration
from zeroiqa.files.storage import Location, location
from zeroiqa.files.tables.render import aligned
from zeroiqa.guards.console import is_lost
from zeroiqa.names import harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroiqa.runs import Run
    from zeroiqa.runs.live import ActiveWorker, Live
    from zeroiqa.speed.cost import Cost

KINDS = 10
"""How many kinds of error are listed."""
WORKERS = 20
"""How many workers are listed, those that were seen last."""
REFRESH_SECONDS = 2.0
"""Seconds between two looks on a terminal."""


@command(
    examples=[
        ("status run --watch", "follow the work on a run"),
    ],
)
@click.argument("run", type=location)
@click.option("--watch", is_flag=True, help="Look again and again until the run is complete.")
@click.option("--price", type=click.FloatRange(min=0), help="Of one device for an hour: says what is left.")
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    help="How many devices are paid for.  [default: the workers that are at work]",
)
@click.option(
    "--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="Lines to read, or one record for each look.",
)  # fmt: skip
def status(run: Location, watch: bool, price: float | None, devices: int | None, style: str) -> None:
    """Say how far a run is, how fast it goes, who works on it, and which errors its images gave.

    All that work on the run folder are seen, wherever they run; nothing is disturbed.
    """
    from zeroiqa.runs import load_run
    from zeroiqa.runs.live import look

    def measured() -> tuple[Live, list[str]]:
        loaded = load_run(run)  # each time: what changes in it meanwhile counts
        live = look(loaded, datetime.now(UTC))
        cost = _cost(loaded, live, price, devices)
        if style == "json":
            return live, [json.dumps(_record(loaded, live, cost), allow_nan=False)]
        return live, list(_lines(loaded, live, cost, price))

    if not watch:
        for line in measured()[1]:
            say(line)
        return
    with suppress(KeyboardInterrupt), _screen(style) as show:
        while True:
            live, lines = measured()
            show(lines, live)
            if live.complete or is_lost(sys.stdout):
                return
            time.sleep(REFRESH_SECONDS)


@contextmanager
def _screen(style: str) -> Iterator[Callable[[list[str], Live], None]]:
    """Yield what shows a look: in place on a terminal, else one line now and then, and all at the end."""
    if style == "table" and sys.stdout.isatty():
        from rich.live import Live as Display
        from rich.text import Text

        with Display(auto_refresh=False) as display:
            yield lambda lines, _: display.update(Text("\n".join(map(harmless, lines))), refresh=True)
        return
    last = -float("inf")

    def show(lines: list[str], live: Live) -> None:
        nonlocal last
        if live.complete or time.monotonic() - last >= PLAIN_SECONDS:
            last = time.monotonic()
            for line in lines if live.complete or style == "json" else [_summary(live)]:
                say(line)

    yield show


def _cost(run: Run, live: Live, price: float | None, devices: int | None) -> Cost | None:
    """Of what is left; None as long as too little is done to tell, or nobody is at work."""
    from zeroiqa.speed.cost import is_live, live_cost

    finished = min(live.status.finished.values())
    if live.seconds_left is None or not is_live(live.done, live.planned, finished, run.n_shards):
        return None
    working = sum(worker.working for worker in live.workers)
    return live_cost(live.seconds_left, devices=devices or max(1, working), price=price)


def _lines(run: Run, live: Live, cost: Cost | None, price: float | None) -> Iterator[str]:
    from zeroiqa.errors import printable
    from zeroiqa.runs import remarks
    from zeroiqa.runs.remarks import how_errors_heal

    state = live.status
    for stage, shards in state.finished.items():
        yield f"{printable(unquote(stage))}: {shards} of {state.shards} shards"
    done = "scored" if run.settings.raters else "segmented"
    gone = f", {state.gone} gone (--prune leaves them out)" if state.gone else ""
    unreachable = f", {state.unreachable} of them unreachable" if state.unreachable else ""
    yield f"{state.scored} of {state.images} images {done}, {state.errors} with an error{unreachable}{gone}"
    for kind, count in state.error_kinds.most_common(KINDS):
        yield f"  {count} x {printable(kind)}"
    if len(state.error_kinds) > KINDS:
        yield f"  and {len(state.error_kinds) - KINDS} other kinds of error"
    if state.errors and run.settings.raters:
        yield how_errors_heal(run)
    yield from remarks(run, state=state)
    if live.overall is not None:
        yield _speed(live)
    yield from _workers(live)
    if live.damaged:
        yield f"{live.damaged} damaged lines in events/ were left out; no result is in them"
    if len(live.versions) > 1:
        yield f"worked on by several versions of zeroiqa: {', '.join(live.versions)}"
    if live.complete:
        yield "complete"
        return
    if price is not None:
        yield _money(cost)
    left = state.images - state.scored - state.errors - state.gone
    yield f"{left} images left; the command that started the run goes on with them"


def _speed(live: Live) -> str:
    overall = f"{live.overall or 0:.1f} images/s over all"
    if live.complete:
        return f"speed {overall}"
    if live.now is None:
        return f"speed {overall}; nobody has been at work in the last minutes"
    assert live.seconds_left is not None
    return f"speed {live.now:.1f} images/s now, {overall}; about {duration(live.seconds_left)} left"


def _workers(live: Live) -> Iterator[str]:
    if not live.workers:
        return
    now = datetime.now(UTC)
    rows = [("worker", "shards", "images", "images/s", "last seen")]
    rows += [_row(worker, now) for worker in live.workers[:WORKERS]]
    yield from aligned(rows, right=(1, 2, 3))
    if len(live.workers) > WORKERS:
        yield f"and {len(live.workers) - WORKERS} others"
    if live.clocks_differ:
        yield "clocks differ: a worker was last seen in the future by the clock of this machine"


def _row(worker: ActiveWorker, now: datetime) -> tuple[str, str, str, str, str]:
    from zeroiqa.errors import printable

    name = f"{worker.process} ({worker.label})" if worker.label else worker.process
    ago = (now - worker.last_seen).total_seconds()
    seen = f"{duration(ago)} ago" if ago >= 0 else "just now"
    rate = "-" if worker.rate is None else f"{worker.rate:.1f}"
    return printable(name), str(worker.shards), str(worker.images), rate, seen


def _money(cost: Cost | None) -> str:
    if cost is None or cost.device_hours is None or cost.money is None:
        return (
            "cost of the rest: unknown until 1 % is done and somebody is at work; "
            "until then the plan counts (`zeroiqa score --dry-run`)"
        )
    return f"cost of the rest: {cost.money:.2f} ({cost.device_hours:.2f} device hours at the rate of now)"


def _summary(live: Live) -> str:
    state = live.status
    rate = "" if live.now is None else f", {live.now:.1f} images/s"
    left = "" if live.seconds_left is None else f", about {duration(live.seconds_left)} left"
    return f"{state.scored + state.errors}/{state.images} images, {state.errors} with an error{rate}{left}"


def _record(run: Run, live: Live, cost: Cost | None) -> dict[str, Any]:
    from zeroiqa.runs import remarks

    state = live.status
    return {
        "complete": live.complete,
        "images": state.images,
        "scored": state.scored,
        "errors": state.errors,
        "unreachable": state.unreachable,
        "gone": state.gone,
        "error_kinds": dict(state.error_kinds.most_common()),
        "remarks": remarks(run, state=state),
        "answers": [
            {"rater": rater, "standard": standard, **vars(answers)}
            for (rater, standard), answers in state.answers.items()
        ],
        "shards": state.shards,
        "finished": {unquote(stage): shards for stage, shards in state.finished.items()},
        "images_per_second": live.now,
        "images_per_second_over_all": live.overall,
        "seconds_left": live.seconds_left,
        "device_hours_left": cost and cost.device_hours,
        "cost_left": cost and cost.money,
        "clocks_differ": live.clocks_differ,
        "damaged_events": live.damaged,
        "versions": list(live.versions),
        "workers": [
            {
                "process": worker.process,
                "label": worker.label,
                "shards": worker.shards,
                "images": worker.images,
                "seconds": worker.seconds,
                "images_per_second": worker.rate,
                "last_seen": worker.last_seen.isoformat(timespec="milliseconds"),
                "working": worker.working,
            }
            for worker in live.workers
        ],
    }
