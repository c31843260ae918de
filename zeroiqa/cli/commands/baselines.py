"""`zeroiqa baselines`: what scores can be compared with, and where each is computed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.files.tables.render import aligned

if TYPE_CHECKING:
    from zeroiqa.baselines import Baseline, Range

_BETTER = {1: "higher", -1: "lower", None: "?"}


@command(examples=[("baselines niqe", "what it measures, its range and its source")])
@click.argument("name", required=False)
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="A table to read, or one record for programs.")  # fmt: skip
def baselines(name: str | None, style: str) -> None:
    """List the baselines that the papers compare with, or show all that is known of NAME.

    Native ones are computed here (--rater baseline:NAME). Those of pyiqa need that package, which is for
    non-commercial use only (--rater baseline:pyiqa:NAME). External ones are computed elsewhere, and their
    scores come in by CSV. Where the name of a package stands instead, it computes the baseline as if it were
    native. A range with ~ is an estimate; ? is not known here.
    """
    from zeroiqa.baselines import catalogue, find_baseline

    found = list(catalogue().values()) if name is None else [find_baseline(name)]
    if style == "json":
        records = [_record(baseline) for baseline in found]
        click.echo(json.dumps(records if name is None else records[0], indent=2, allow_nan=False))
        return
    for line in _table(found) if name is None else _described(found[0]):
        say(line)


def _table(found: list[Baseline]) -> Iterator[str]:
    from zeroiqa.baselines import offered_by

    rows = [("name", "computed", "better", "range", "aspect", "trained on", "licence")]
    for baseline in found:
        rows.append(
            (
                baseline.name,
                offered_by(baseline.name) or baseline.kind,
                _BETTER[baseline.direction],
                _usual_range(baseline),
                baseline.aspect,
                _short(baseline.training) or "?",
                _licence(baseline),
            )
        )
    yield from aligned(rows)


def _described(baseline: Baseline) -> Iterator[str]:
    from zeroiqa.baselines import offered_by

    package = offered_by(baseline.name)
    facts = {
        "name": f"{baseline.name} ({baseline.title})",
        "computed": f"by {package}" if package else baseline.kind,
        "better": _BETTER[baseline.direction],
        "range": _usual_range(baseline),
        "aspect": baseline.aspect,
        "trained on": baseline.training or "?",
        "weights": f"{baseline.repo} {baseline.revision}".strip(),
        "licence": baseline.licence or _licence(baseline),
        "source": baseline.source,
        "named in": ", ".join(baseline.named_in),
        "note": baseline.note,
    }
    if baseline.is_measured_here:
        facts["rate with"] = (
            f"--rater baseline:{baseline.name}{f':{baseline.wants}' if baseline.wants else ''}"
        )
    for title, fact in facts.items():
        if fact:
            yield f"{title:<12}{fact}"
    for variant in baseline.pyiqa:
        yield (
            f"{'in pyiqa':<12}--rater baseline:pyiqa:{variant.name}, "
            f"{_range(variant.range, rough=True)}, trained on {variant.training}"
        )
    if baseline.pyiqa:
        from zeroiqa.baselines.pyiqa import NOTICE

        yield f"{'':<12}{NOTICE}"


def _record(baseline: Baseline) -> dict[str, Any]:
    """Plain values for JSON; an open end of a range is null."""
    facts = dataclasses.asdict(baseline)
    for holder in (facts, *facts["pyiqa"]):
        if holder["range"] is not None:
            holder["range"] = [bound if math.isfinite(bound) else None for bound in holder["range"]]
    return facts


def _usual_range(baseline: Baseline) -> str:
    """Its own, or that of the first of pyiqa's variants."""
    if baseline.range is None and baseline.pyiqa:
        return _range(baseline.pyiqa[0].range, rough=True)
    return _range(baseline.range, rough=baseline.rough)


def _licence(baseline: Baseline) -> str:
    """What the user needs to know of weights, or of the package that computes it."""
    if baseline.kind == "pyiqa":
        return "pyiqa: non-commercial"
    return _short(baseline.licence) or ("?" if baseline.needs_weights else "no weights")


def _range(bounds: Range | None, *, rough: bool) -> str:
    if bounds is None:
        return "?"
    low, high = (("~" if rough else "") + f"{bound:g}" for bound in bounds)
    return f"{low}..{high}"


def _short(text: str) -> str:
    """Without what stands in brackets or after a semicolon; NAME shows it."""
    return text.partition(";")[0].partition(" (")[0]
