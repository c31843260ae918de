"""What one part says of its images: which have an error, and how much of the answers lies on the levels."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeroiqa.aggregate import Aggregation, failure
from zeroiqa.answers import Answers, count_answers, limit_of
from zeroiqa.averaging import not_averaged
from zeroiqa.errors import printable
from zeroiqa.runs import parts
from zeroiqa.runs.plan import planned

if TYPE_CHECKING:
    from zeroiqa.runs.planned_run import PlannedRun


@dataclass(frozen=True)
class Findings:
    """Of one part."""

    errors: Mapping[int, str]
    """Number of an image -> why it has no score."""
    answers: Mapping[str, Answers] = field(default_factory=dict)
    """Standard -> those of the part's rater; empty for regions."""
    causes: Mapping[int, str] = field(default_factory=dict)
    """Number of an image -> the cause of its error, where that is not the image itself."""


def find(
    run: PlannedRun,
    stage: str,
    shard: int,
    aggregation: Aggregation | None = None,
    *,
    generation: int | None = None,
    without: Set[int] = frozenset(),
) -> Findings:
    """Look through a part.

    An image has an error if one is stored, or if its ratings give no score by the run's own arithmetic; see
    `zeroiqa.aggregate.failure` and `zeroiqa.averaging.not_averaged`.

    Args:
        run: The run.
        stage: One of its stages.
        shard: Number of the part.
        aggregation: Says what mass is low; the run's own if left out.
        generation: Of the part; the one that the run wants if left out.
        without: Images that do not count.

    Raises:
        UserError: the part is not there or damaged.
    """
    rater = rater_of(run, stage)
    generation = run.revisions.generation(shard) if generation is None else generation
    if rater is None:
        stored = parts.read_errors(run.folder, stage, shard, generation, run.images_of(shard))
        stored = {image: error for image, error in stored.items() if image not in without}
        causes = {image: error.cause for image, error in stored.items() if error.cause is not None}
        return Findings({image: error.sentence for image, error in stored.items()}, causes=causes)
    own, standards = run.settings.aggregation, tuple(run.labels)
    aggregation = aggregation or own
    errors: dict[int, str] = {}
    causes = {}
    answers = {standard: Answers(limit) for standard, limit in limits(run, rater, aggregation).items()}
    for row in parts.read_ratings(run.folder, rater, shard, generation, run.images_of(shard)):
        if row.image in without:
            continue
        if row.cause is not None:
            causes[row.image] = row.cause
        error = row.error
        if row.ratings is not None:
            error = failure(rater, row.ratings) or not_averaged(row.ratings, standards, own)
        if error is not None:
            errors[row.image] = error
        elif row.ratings is not None:
            for standard in answers:
                ratings = row.ratings.get(standard)
                answers[standard] += count_answers(rater, run.kinds[standard], ratings, aggregation)
    return Findings(errors, answers, causes)


def rater_of(run: PlannedRun, stage: str) -> str | None:
    """Whose ratings a stage holds; None for the regions."""
    return dict(zip(run.stages, (None, *run.settings.raters), strict=True))[stage]


def limits(run: PlannedRun, rater: str, aggregation: Aggregation) -> dict[str, float | None]:
    """Standard -> the mass below which a rating of the rater is low."""
    return {standard: limit_of(rater, kind, aggregation) for standard, kind in run.kinds.items()}


def kinds_of(run: PlannedRun, shard: int, errors: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    """Error sentence without the image's own path -> numbers of the images of a shard that have it."""
    if not errors:
        return {}
    files = {row.image: printable(row.ref.path) for row in planned(run.folder, shard)}
    kinds: dict[str, list[int]] = {}
    for image, error in errors.items():
        kinds.setdefault(error.replace(files[image], "").lstrip(": "), []).append(image)
    return {kind: tuple(images) for kind, images in kinds.items()}
