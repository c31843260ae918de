"""Scores beside the opinions of people: which images both have, and how well the two agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.evaluation.datasets.origins import Origin
from zeroiqa.evaluation.datasets.types import LeftOut, left_out_note
from zeroiqa.evaluation.matching import Scored, match
from zeroiqa.metrics.logistic import plcc_fitted, rmse_fitted
from zeroiqa.metrics.measures import (
    LEAST_IMAGES,
    Interval,
    Metric,
    Values,
    bootstrap_interval,
    krcc,
    pairwise_accuracy,
    plcc,
    srcc,
)

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets.types import Dataset

MEASURES: dict[str, Metric] = {
    "SRCC": srcc,
    "PLCC": plcc,
    "PLCC, 4-parameter fit": partial(plcc_fitted, parameters=4),
    "PLCC, 5-parameter fit": partial(plcc_fitted, parameters=5),
    "KRCC": krcc,
    "RMSE, 4-parameter fit": partial(rmse_fitted, parameters=4),
    "pairwise accuracy": pairwise_accuracy,
}
"""What a method is measured by on a set of images; of all but the RMSE, higher is better."""
WITH_INTERVALS = ("SRCC", "PLCC", "KRCC")
"""Measures whose resamples are cheap enough to come with every evaluation."""
SUSPICIOUS = -0.3
"""A correlation under this is one of scores or opinions that point the other way."""
SEED = 0
"""Of every bootstrap: equal scores and opinions have equal intervals and p values."""


@dataclass(frozen=True)
class Joined:
    """The images that have a score and an opinion, in the order of the dataset."""

    names: tuple[str, ...]
    """As the dataset names them."""
    scores: Values
    """Of the method, shape (images,): in its own unit, negated where lower ones are better."""
    opinions: Values
    """Of people, shape (images,): in the dataset's own unit, negated where lower ones are better."""
    groups: tuple[Mapping[str, str], ...]
    """Of each image: kind of group -> group, such as model -> flux."""
    notes: tuple[str, ...]
    """Sentences, without full stops: what does not count, with counts; how images were matched."""
    turned: bool = False
    """Whether the dataset's numbers were negated, as lower is better there."""
    paths: tuple[str, ...] = ()
    """As they were scored; empty where they are not known."""

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int]) -> Joined:
        """Some of the images."""
        chosen = list(rows)
        return replace(
            self,
            names=tuple(self.names[row] for row in chosen),
            scores=self.scores[chosen],
            opinions=self.opinions[chosen],
            groups=tuple(self.groups[row] for row in chosen),
            paths=tuple(self.paths[row] for row in chosen) if self.paths else (),
        )


@dataclass(frozen=True)
class Agreement:
    """How well scores and opinions agree."""

    images: int
    """How many have a score and an opinion."""
    measures: Mapping[str, float | None]
    """Name of the measure (see `MEASURES`) -> value: correlations in -1..1, accuracy in 0..1, RMSE in the
    unit of the opinions; None where it does not exist, as for constant scores."""
    intervals: Mapping[str, Interval | None]
    """Of some of the measures: 95 %, percentile bootstrap over the images; None as for the measure."""
    notes: tuple[str, ...] = ()
    """Sentences: what does not count, and what looks wrong."""
    groups: Mapping[str, Agreement] = field(default_factory=dict)
    """Group -> the agreement on its images alone, without intervals; in alphabetical order."""


def join(
    scored: Iterable[Scored],
    dataset: Dataset,
    aspect: str,
    origin: Origin = Origin(),  # noqa: B008 -- frozen
    needed: int = LEAST_IMAGES,
) -> Joined:
    """Bring a method's scores and a dataset's opinions together, image by image; see `match`.

    Args:
        scored: Path and score of each image; None for one with an error.
        dataset: With opinions of the aspect.
        aspect: Which opinions.
        origin: Where the paths come from.
        needed: How many images with both the caller needs, for the message; it asks for them itself.

    Raises:
        NothingInCommonError: no scored image is one of the dataset.
        UserError: the dataset has no such aspect, hardly any image has both, or a path fits two images.
    """
    direction = dataset.scale(aspect).direction
    matched = match(scored, dataset, origin)
    rated = [sample for sample in dataset.samples if aspect in sample.scores]
    both = [sample for sample in rated if matched.scores.get(sample.name) is not None]
    errors = [sample.name for sample in rated if matched.scores.get(sample.name, 0.0) is None]
    absent = [sample.name for sample in rated if sample.name not in matched.scores]
    left_out = (
        LeftOut("image with an error or no score", "images with an error or no score", tuple(errors)),
        LeftOut(
            f"image of {origin.what} without an opinion",
            f"images of {origin.what} without an opinion",
            tuple(matched.unmatched),
        ),
        LeftOut(
            f"opinion whose image is not in {origin.what}",
            f"opinions whose images are not in {origin.what}",
            tuple(absent),
        ),
    )
    if len(both) < LEAST_IMAGES:
        note = "".join(f"{each}." for each in left_out_note(left_out))
        images = "1 image has" if len(both) == 1 else f"{len(both)} images have"
        raise UserError(
            f"Only {images} a score and an opinion, and {needed} are needed; check that {origin.what} "
            f"and {dataset.name} are of the same images. {note}".rstrip()
        )
    return Joined(
        names=tuple(sample.name for sample in both),
        scores=np.array([matched.scores[sample.name] for sample in both], dtype=np.float64),
        opinions=direction * np.array([sample.scores[aspect] for sample in both]),
        groups=tuple(sample.groups for sample in both),
        notes=(*left_out_note(left_out), *matched.notes),
        turned=direction < 0,
        paths=tuple(matched.paths[sample.name] for sample in both),
    )


def pointing_up(scored: Iterable[Scored], lower_is_better: bool) -> Iterator[Scored]:
    """The scores, negated where lower ones are better."""
    return ((path, -score if lower_is_better and score is not None else score) for path, score in scored)


def common_images(methods: Sequence[tuple[str, Joined]], dataset: str) -> tuple[str, ...]:
    """A sentence on methods that scored different images of a dataset; none where all scored the same.

    Args:
        methods: Name of each, and its images.
        dataset: Its name.
    """
    every = {name for _, joined in methods for name in joined.names}
    common = every.intersection(*(joined.names for _, joined in methods))
    lacking = [
        f"{name} lacks {len(every) - len(joined):,}" for name, joined in methods if len(joined) < len(every)
    ]
    if not lacking:
        return ()
    return (
        f"The methods scored different images of {dataset}: of {len(every):,} images {len(common):,} have a "
        f"score by all; {', '.join(lacking)}. Each correlation is of a method's own images.",
    )


def measure(joined: Joined, *, by: str | None = None, resamples: int = 0) -> Agreement:
    """Every measure, with intervals where resamples are wanted.

    Args:
        joined: The images.
        by: Also of each group of this kind, such as model; groups of fewer than 3 images are a note.
        resamples: Of the bootstrap intervals; 0 for none.

    Raises:
        UserError: a score is no finite number, there are fewer than 3 images, or no image has such a group.
    """
    measures = {name: metric(joined.scores, joined.opinions) for name, metric in MEASURES.items()}
    intervals = {
        name: bootstrap_interval(
            MEASURES[name], joined.scores, joined.opinions, resamples, np.random.default_rng(SEED)
        )
        for name in (WITH_INTERVALS if resamples else ())
    }
    left_out = (f"{each}." for each in joined.notes)
    whole = Agreement(len(joined), measures, intervals, (*left_out, *_notes(joined, measures)))
    return whole if by is None else _with_groups(whole, joined, by)


def _with_groups(whole: Agreement, joined: Joined, key: str) -> Agreement:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, groups in enumerate(joined.groups):
        if key in groups:
            rows[groups[key]].append(row)
    if not rows:
        known = ", ".join(sorted({name for groups in joined.groups for name in groups})) or "none"
        raise UserError(f"No image has a group {key}; the dataset's groups: {known}.")
    large = {name: each for name, each in sorted(rows.items()) if len(each) >= LEAST_IMAGES}
    small = [f"{name} ({len(each)})" for name, each in sorted(rows.items()) if name not in large]
    note = f"Groups under {LEAST_IMAGES} images are left out: {', '.join(small)}." if small else ""
    measured = {name: measure(joined.take(each)) for name, each in large.items()}
    return replace(whole, notes=(*whole.notes, *filter(None, [note])), groups=measured)


class Outlier(NamedTuple):
    """An image on which scores and people differ."""

    name: str
    """As the dataset names it."""
    score: float
    opinion: float
    difference: float
    """Its rank by the scores less that by people, in -1..1; ranks run from 0 (worst) to 1 (best), so that
    neither scale matters. Positive: the scores take it for better than people do."""


def outliers(joined: Joined, count: int) -> list[Outlier]:
    """The images on which scores and opinions differ most, the largest difference first.

    Scores and opinions are those of `joined`: higher is better in both.
    """
    ranks = [
        np.argsort(np.argsort(values, kind="stable"), kind="stable")
        for values in (joined.scores, joined.opinions)
    ]
    gaps = (ranks[0] - ranks[1]) / max(len(joined) - 1, 1)
    worst = np.argsort(-np.abs(gaps), kind="stable")[:count]
    return [
        Outlier(joined.names[row], float(joined.scores[row]), float(joined.opinions[row]), float(gaps[row]))
        for row in worst
    ]


def _notes(joined: Joined, measures: Mapping[str, float | None]) -> list[str]:
    notes = ["The opinions are DMOS, lower is better: they were negated."] if joined.turned else []
    rank = measures["SRCC"]
    if rank is not None and rank < SUSPICIOUS:
        notes.append(
            f"The correlation is strongly negative (SRCC {rank:.3f}): are the opinions DMOS, where lower is "
            "better? Then say so in the dataset (a column named dmos)."
        )
    if rank is None:
        notes.append("All images have the same score or opinion: no correlation exists.")
    return notes
