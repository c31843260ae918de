"""Scores beside the opinions of people: which images both have, and how well the two agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.logistic import plcc_fitted, rmse_fitted
from zeroiqa.evaluation.metrics import (
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
    from zeroiqa.evaluation.datasets import Dataset, Sample
Scored: TypeAlias = tuple[str, float | None]
"""Path and score of an image; None for one with an error."""

MEASURES: dict[str, Metric] = {
    "SRCC": srcc,
    "PLCC": plcc,
    "PLCC, 4-parameter fit": partial(plcc_fitted, parameters=4),
    "PLCC, 5-parameter fit": partial(plcc_fitted, parameters=5),
    "KRCC": krcc,
    "RMSE, 4-parameter fit": partial(rmse_fitted, parameters=4),
    "pairwise accuracy": pairwise_accuracy,
}
"""What is said of a method on a set of images; all but the RMSE: higher is better."""
WITH_INTERVALS = ("SRCC", "PLCC", "KRCC")
"""Measures whose resamples are cheap enough to come with every evaluation."""
_SUSPICIOUS = -0.3
_NAMED = 3  # images of each kind in a sentence


@dataclass(frozen=True)
class Joined:
    """The images that have both, in the order of the dataset."""

    names: tuple[str, ...]
    scores: Values
    """Of the method, higher is better."""
    opinions: Values
    """Of people, turned so that higher is better; in the dataset's own unit but for the sign."""
    groups: tuple[Mapping[str, str], ...]
    left_out: tuple[str, ...]
    """Sentences with counts: nothing is left out silently."""
    turned: bool = False
    """Whether the dataset's numbers were negated, as lower is better there."""

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int]) -> Joined:
        """Some of the images."""
        chosen = list(rows)
        return Joined(
            tuple(self.names[row] for row in chosen),
            self.scores[chosen],
            self.opinions[chosen],
            tuple(self.groups[row] for row in chosen),
            self.left_out,
            self.turned,
        )


@dataclass(frozen=True)
class Agreement:
    """How well scores and opinions agree."""

    images: int
    measures: Mapping[str, float | None]
    """Name -> value; None where it does not exist, as for constant scores."""
    intervals: Mapping[str, Interval | None]
    """Of some of the measures: 95 %, percentile bootstrap over the images."""
    notes: tuple[str, ...] = ()
    """Sentences that the reader should know."""
    groups: Mapping[str, Agreement] = field(default_factory=dict)


def join(scored: Iterable[Scored], dataset: Dataset, aspect: str) -> Joined:
    """Bring a run's scores and a dataset's opinions together.

    An image of the run is that of the dataset whose path under the dataset's root ends its own path, or the
    only one of its file name.

    Args:
        scored: Path and score of each image; None for one with an error.
        dataset: With opinions of the aspect.
        aspect: Which opinions.

    Raises:
        UserError: the dataset has no such aspect, or hardly any image has both.
    """
    direction = dataset.scale(aspect).direction
    found, errors, strangers = _scores_by_sample(scored, dataset)
    samples = [sample for sample in dataset.samples if aspect in sample.scores]
    both = [sample for sample in samples if sample.name in found]
    missing = [sample.name for sample in samples if sample.name not in found and sample.name not in errors]
    left_out = [
        _counted(errors, "images have an error instead of a score"),
        _counted(strangers, f"images of the run are not in {dataset.name}"),
        _counted(missing, f"images of {dataset.name} are not in the run"),
        _counted(
            [sample.name for sample in dataset.samples if aspect not in sample.scores], "have no opinion"
        ),
    ]
    if len(both) < LEAST_IMAGES:
        said = "; ".join(filter(None, left_out)) or "nothing else was found"
        raise UserError(
            f"Only {len(both)} images have a score and an opinion ({said}); check that the run and "
            f"{dataset.name} are of the same images."
        )
    return Joined(
        names=tuple(sample.name for sample in both),
        scores=np.array([found[sample.name] for sample in both]),
        opinions=direction * np.array([sample.scores[aspect] for sample in both]),
        groups=tuple(sample.groups for sample in both),
        left_out=tuple(filter(None, left_out)),
        turned=direction < 0,
    )


def pointing_up(scored: Iterable[Scored], lower_is_better: bool) -> Iterator[Scored]:
    """The scores, negated where lower ones are better."""
    return ((path, -score if lower_is_better and score is not None else score) for path, score in scored)


def measure(joined: Joined, *, resamples: int = 0, seed: int = 0) -> Agreement:
    """Every measure, with intervals where resamples are wanted.

    Raises:
        UserError: a score is no finite number, or there are fewer than 3 images.
    """
    measures = {name: metric(joined.scores, joined.opinions) for name, metric in MEASURES.items()}
    intervals = {
        name: bootstrap_interval(
            MEASURES[name], joined.scores, joined.opinions, resamples, np.random.default_rng(seed)
        )
        for name in (WITH_INTERVALS if resamples else ())
    }
    return Agreement(len(joined), measures, intervals, (*joined.left_out, *_notes(joined, measures)))


def measure_groups(joined: Joined, key: str) -> Agreement:
    """The measures of each group; small groups are said.

    Raises:
        UserError: no image has such a group.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, groups in enumerate(joined.groups):
        if key in groups:
            rows[groups[key]].append(row)
    if not rows:
        known = ", ".join(sorted({name for groups in joined.groups for name in groups})) or "none"
        raise UserError(f"No image has a group {key}; the dataset's groups: {known}.")
    large = {name: each for name, each in sorted(rows.items()) if len(each) >= LEAST_IMAGES}
    small = [f"{name} ({len(each)})" for name, each in sorted(rows.items()) if name not in large]
    whole = measure(joined)
    note = f"Groups under {LEAST_IMAGES} images are left out: {', '.join(small)}." if small else ""
    return Agreement(
        whole.images,
        whole.measures,
        whole.intervals,
        (*whole.notes, *filter(None, [note])),
        {name: measure(joined.take(each)) for name, each in large.items()},
    )


def outliers(joined: Joined, count: int) -> list[tuple[str, float, float, float]]:
    """The images on which scores and opinions differ most: name, score, opinion, difference of the ranks.

    Ranks run from 0 (worst) to 1 (best), so that neither scale matters; a positive difference is a score
    that is too high.
    """
    ranks = [
        np.argsort(np.argsort(values, kind="stable"), kind="stable")
        for values in (joined.scores, joined.opinions)
    ]
    gaps = (ranks[0] - ranks[1]) / max(len(joined) - 1, 1)
    worst = np.argsort(-np.abs(gaps), kind="stable")[:count]
    return [
        (joined.names[row], float(joined.scores[row]), float(joined.opinions[row]), float(gaps[row]))
        for row in worst
    ]


def _scores_by_sample(
    scored: Iterable[Scored], dataset: Dataset
) -> tuple[dict[str, float], list[str], list[str]]:
    """Sample name -> score; names of samples with errors; paths of the run that are none of the dataset."""
    by_file: dict[str, list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        by_file[sample.path.name.casefold()].append(sample)
    scores: dict[str, float] = {}
    errors: list[str] = []
    strangers: list[str] = []
    seen: set[str] = set()
    for path, score in scored:
        found = _same_image(PurePath(path), by_file.get(PurePath(path).name.casefold(), []))
        if found is None:
            strangers.append(printable(path))
            continue
        if found.name in seen:
            raise UserError(
                f"The run has {found.name} of {dataset.name} twice; score the dataset's own folder."
            )
        seen.add(found.name)
        if score is None:
            errors.append(found.name)
        else:
            scores[found.name] = score
    return scores, errors, strangers


def _same_image(path: PurePath, candidates: Sequence[Sample]) -> Sample | None:
    """The sample whose path shares most folders with the run's path; None where that decides nothing."""
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    shared = [_common_end(path.parts, Path(sample.path).parts) for sample in candidates]
    best = max(shared)
    return candidates[shared.index(best)] if shared.count(best) == 1 else None


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine.casefold() != theirs.casefold():
            break
        count += 1
    return count


def _counted(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} {what} ({shown})"


def _notes(joined: Joined, measures: Mapping[str, float | None]) -> list[str]:
    notes = ["The opinions are DMOS, lower is better: they were negated."] if joined.turned else []
    rank = measures["SRCC"]
    if rank is not None and rank < _SUSPICIOUS:
        notes.append(
            f"The correlation is strongly negative (SRCC {rank:.3f}): are the opinions DMOS, where lower is "
            "better? Then say so in the dataset (a column named dmos)."
        )
    if rank is None:
        notes.append("All images have the same score or opinion: no correlation exists.")
    return notes
