"""The rows of a comparison: what scored images, or what is printed of it, and which way its scores point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from zeroiqa.evaluation.datasets.origins import Origin
from zeroiqa.evaluation.matching import Scored
from zeroiqa.evaluation.published import PublishedNumber, published_numbers
from zeroiqa.metrics.measures import Metric, plcc, srcc
from zeroiqa.weights.cards import trained_on

COMPARED_BY: dict[str, Metric] = {"SRCC": srcc, "PLCC": plcc}
"""What methods are compared by."""


class Direction(NamedTuple):
    """Which of a method's scores are better, and where that is stated."""

    sign: int | None
    """+1: the higher ones; -1: the lower ones; None: nobody states it, and +1 is assumed."""
    stated_by: str
    """The option, the file or the catalogue; "" for scores of ours, whose direction is known."""


UPWARDS, DOWNWARDS = Direction(1, ""), Direction(-1, "")
"""Of scores of ours."""


@dataclass(frozen=True)
class ComparedMethod:
    """One row: how a method scored images, or what is printed of it."""

    name: str
    protocol: str
    """How its numbers came about: measured here, external scores or a paper's table; its training."""
    source: str = ""
    """The run, the file, or the paper and its table."""
    scored: tuple[Scored, ...] = ()
    """Path and score of each image, in the method's own direction; empty for a published row."""
    direction: Direction = UPWARDS
    published: Mapping[str, Mapping[str, PublishedNumber]] = field(default_factory=dict)
    """Dataset -> measure -> number, of a published row."""
    origin: Origin = field(default_factory=Origin)
    """Where the paths of the images come from."""
    notes: tuple[str, ...] = ()
    """Sentences from reading the scores."""


def measured_by(raters: Iterable[str]) -> str:
    """The protocol of scores that were made here; it tells fine-tuned raters from training-free ones."""
    named = ((rater, trained_on(rater)) for rater in raters)
    said = (rater + (f" (fine-tuned on {', '.join(seen)})" if seen else "") for rater, seen in named)
    return f"measured here, {', '.join(said)}"


def published_methods(datasets: Iterable[str], aspect: str) -> list[ComparedMethod]:
    """What papers print for the databases, one row for each method, training and table, the best SRCC first.

    Rows of ablations are left out: they are other settings than the method's own.
    """
    found: dict[tuple[str, str, str], dict[str, dict[str, PublishedNumber]]] = {}
    for dataset in datasets:
        for each in published_numbers(dataset):
            if each.aspect == aspect and each.metric.upper() in COMPARED_BY and not each.setting:
                row = found.setdefault((each.method, _protocol(each), each.source), {})
                row.setdefault(dataset, {})[each.metric.upper()] = each
    methods = [
        ComparedMethod(method, protocol, source, published=row)
        for (method, protocol, source), row in found.items()
    ]
    return sorted(methods, key=_best_published, reverse=True)


def _protocol(each: PublishedNumber) -> str:
    trained = "training-free" if not each.training else f"trained on {each.training}"
    if each.training == "not stated":
        trained = "training not stated"
    return ", ".join(filter(None, ("published", each.source, trained, f"fit {each.fit}", each.flag)))


def _best_published(method: ComparedMethod) -> float:
    found = (numbers.get("SRCC") for numbers in method.published.values())
    return max((abs(each.value) for each in found if each and each.value is not None), default=0.0)
