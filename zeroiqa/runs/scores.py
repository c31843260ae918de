"""Scores from stored parts: arithmetic alone, no image and no model."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from zeroiqa.aggregate import Aggregation, Scale
from zeroiqa.answers import check_kinds
from zeroiqa.averaging import check_mean
from zeroiqa.errors import UserError
from zeroiqa.files.damage import shortened
from zeroiqa.raters import find_rater
from zeroiqa.reasons import MEASURES
from zeroiqa.results import ImageScore, score_rated
from zeroiqa.runs import parts, plan
from zeroiqa.runs.part_records import RatingsRow
from zeroiqa.runs.plan import Planned
from zeroiqa.settings import Settings, key_of, settings_from_dict
from zeroiqa.standards import Kind
from zeroiqa.types import RatedImage, Rating

if TYPE_CHECKING:
    from zeroiqa.runs.planned_run import PlannedRun


class ScoredImage(NamedTuple):
    """One image of a run: where it is, what is stored of it, and its score."""

    planned: Planned
    rated: RatedImage
    """Regions and ratings; without ratings where the score has an error."""
    score: ImageScore


def read_rated(run: PlannedRun, shard: int) -> Iterator[tuple[str, RatedImage]]:
    """Path, regions and ratings of each image of a finished shard that was rated, in plan order.

    Raises:
        UserError: a part is missing or damaged.
    """
    images, raters = plan.planned(run.folder, shard), run.settings.raters
    return (
        (stored.path, stored.rated)
        for stored in _read(run, shard, images, raters)
        if stored.error is None and not stored.gone
    )


def read_scores(run: PlannedRun, shard: int, aggregation: Aggregation | None = None) -> list[ImageScore]:
    """The results of a finished shard, in plan order.

    Args:
        run: The run.
        shard: Its number.
        aggregation: How; the run's own way if left out.

    Raises:
        UserError: a part is missing or damaged, or the aggregation names a rater that the run has not.
    """
    return list(_scores(run, shard, plan.planned(run.folder, shard), aggregation))


def iter_scores(
    run: PlannedRun, aggregation: Aggregation | None = None, shards: Iterable[int] | None = None
) -> Iterator[ImageScore]:
    """The results of those of the shards (all, if left out) that are finished now, in plan order, streaming.

    Raises:
        UserError: as `read_scores`.
    """
    left = set(run.pending())
    with plan.shard_reader(run.folder) as planned:
        for shard in range(run.n_shards) if shards is None else shards:
            if shard not in left:
                yield from _scores(run, shard, planned(shard), aggregation)


def iter_scored(run: PlannedRun, aggregation: Aggregation | None = None) -> Iterator[ScoredImage]:
    """All that is known of each image of the shards that are finished now, in plan order, streaming.

    Raises:
        UserError: as `read_scores`.
    """
    return (scored for scored, _ in iter_hashed(run, aggregation))


def read_scored(run: PlannedRun, shard: int, aggregation: Aggregation | None = None) -> Iterator[ScoredImage]:
    """The same of one finished shard."""
    images = plan.planned(run.folder, shard)
    return (scored for scored, _ in _hashed(run, shard, images, aggregation))


def iter_hashed(
    run: PlannedRun, aggregation: Aggregation | None = None
) -> Iterator[tuple[ScoredImage, bytes | None]]:
    """As `iter_scored`, each with the hash of its file as it was scored; None where nobody knows it.

    Raises:
        UserError: as `read_scores`.
    """
    left = set(run.pending())
    with plan.shard_reader(run.folder) as planned:
        for shard in range(run.n_shards):
            if shard not in left:
                yield from _hashed(run, shard, planned(shard), aggregation)


def score_columns(run: PlannedRun, aggregation: Aggregation | None = None) -> list[str]:
    """The columns of scores.csv: those of an image that has a score, the same for all images."""
    return columns_of(
        run.settings.raters,
        run.labels,
        aggregation or run.settings.aggregation,
        kinds=run.kinds,
        lower_is_better=run.lower_is_better,
        describes=run.settings.describe,
    )


def columns_of(
    raters: Iterable[str],
    labels: Mapping[str, str],
    aggregation: Aggregation,
    *,
    kinds: Mapping[str, Kind],
    lower_is_better: bool,
    describes: bool,
) -> list[str]:
    """The columns of a table of scores, whatever images it is of.

    Args:
        raters: Their names.
        labels: Standard name -> label.
        aggregation: How scores are computed.
        kinds: Standard name -> kind.
        lower_is_better: Which way the scores point.
        describes: Whether images are described.
    """

    def whole(rater: str) -> tuple[Rating | None, ...]:
        entry = find_rater(rater)
        return (
            Rating(
                logprobs=(0.0,),
                mass=1.0,
                value=1.0 if entry.gives_levels else None,
                answer="1",
                measures=dict.fromkeys(MEASURES, 0.0) if entry.gives_measures else {},
                description="a description" if describes and entry.describes else None,
            ),
        )

    smallest = RatedImage((), {rater: dict.fromkeys(labels, whole(rater)) for rater in raters})
    scored = score_rated("", smallest, labels, aggregation, kinds=kinds, lower_is_better=lower_is_better)
    return list(scored.to_dict())


def reaggregation(run: PlannedRun, choices: Mapping[str, Any]) -> Aggregation:
    """The run's aggregation with other choices.

    Args:
        run: The run.
        choices: Those settings that are arithmetic (`zeroiqa.runs.identity.ARITHMETIC`), mass_threshold and
            word_mass_threshold; and members, names of raters. What is left out stays; a choice of members
            drops the run's weights of raters.

    Raises:
        UserError: a choice is out of its range, a member is none of the run's raters, or there is no mean of
            the run's standards where weights ask for one.
    """
    if not run.settings.raters:
        raise UserError(
            f"{run.folder} holds regions without ratings; give its settings and -o {run.folder} to "
            "`zeroiqa score --crop mask`, which rates them."
        )
    fields = {key_of(name): value for name, value in choices.items()}
    members = tuple(fields.pop("members", ()))
    unknown = [member for member in members if member not in run.settings.raters]
    if unknown:
        raise UserError(
            f"The run has no ratings by {unknown[0]}; its raters are {', '.join(run.settings.raters)}."
        )
    fields["raters"] = list(members or run.settings.raters)
    if members:
        fields.setdefault("rater_weights", [])
    settings = settings_from_dict({**run.settings.to_dict(), **fields}, "the command")
    _check_regions(run, settings)
    if settings.standard_weights:
        check_mean(run.units)
    ids = run.identity["raters"]
    digits = [name for name in settings.raters if find_rater(name).digits_only(ids[name])]
    if digits and settings.readout != "digit":
        raise UserError(
            f"Of {digits[0]} the run has the answered digits alone, from which no mean level can be made and "
            "no other answer is known; use --readout digit."
        )
    check_kinds(settings.readout, run.kinds)
    if settings.readout == "greedy" != run.settings.readout:
        _check_answers(run, settings.raters)
    return replace(settings.aggregation, members=members)


def _check_regions(run: PlannedRun, settings: Settings) -> None:
    """Refuse to weigh the regions of a run that has none."""
    if settings.makes_regions and not run.has_regions:
        command = f"zeroiqa score -o {shlex.quote(str(run.folder))} --lambda {settings.lam:g}"
        raise UserError(
            f"{run.folder} has no regions, which lambda {settings.lam:g} weighs; `{command}` adds them and "
            "their ratings to it."
        )


def _check_answers(run: PlannedRun, raters: Iterable[str]) -> None:
    """Refuse to read greedily what was stored before answers were."""
    done = sorted(set(range(run.n_shards)).difference(run.pending()))
    for rater in raters:
        stage = parts.rating_stage(rater)
        old = [
            shard
            for shard in done
            if not parts.keeps_answers(run.folder, stage, shard, run.revisions.generation(shard))
        ]
        if old:
            raise UserError(
                f"{len(old)} of {len(done)} parts with ratings by {rater} in {run.folder} are of an older "
                "zeroiqa, which did not store the model's answers, so that nothing can be read greedily; "
                "score the images again in a new folder (-o), or use --readout digit or expected."
            )


class _Stored(NamedTuple):
    """All that is stored of one image."""

    planned: Planned
    size: tuple[int, int] | None
    rated: RatedImage
    warnings: tuple[str, ...]
    error: str | None
    cause: str | None
    """Of the error."""
    gone: bool
    content_hash: bytes | None
    """Of the file, as it was decoded."""

    @property
    def path(self) -> str:
        return self.planned.ref.name


def _measuring(run: PlannedRun, members: Sequence[str]) -> tuple[str, ...]:
    """The raters that give reasons, though they are none of those that give the score."""
    others = (rater for rater in run.settings.raters if rater not in members)
    return tuple(rater for rater in others if find_rater(rater).gives_measures)


def _read(
    run: PlannedRun,
    shard: int,
    images: Iterable[Planned],
    members: Sequence[str],
    beside: Sequence[str] = (),
) -> Iterator[_Stored]:
    """What some raters have stored, but for pruned images; an error of another one is none of theirs.

    Args:
        run: The run.
        shard: Number of the parts.
        images: Those of the shard.
        members: The raters whose errors are the image's.
        beside: Other raters, whose ratings are taken where they have some.
    """
    raters = (*members, *beside)
    generation = run.revisions.generation(shard)
    rows = zip(
        images,
        parts.read_regions(run.folder, shard, generation, run.images_of(shard)),
        *(parts.read_ratings(run.folder, rater, shard, generation, run.images_of(shard)) for rater in raters),
        strict=True,
    )
    for image, segmented, *by_rater in rows:
        if image.image in run.revisions.pruned:
            continue
        for rater, row in zip(raters, by_rater, strict=True):
            _check_views(run, rater, row, len(segmented.regions))
        ratings = {
            rater: dict(row.ratings)
            for rater, row in zip(raters, by_rater, strict=True)
            if row.ratings is not None
        }
        counting = (segmented, *by_rater[: len(members)])
        errors = ((row.error, row.cause) for row in counting if row.error is not None)
        rated = RatedImage(segmented.regions, ratings)
        error, cause = next(errors, (None, None))
        gone = image.image in run.revisions.gone
        found = segmented.content_hash
        yield _Stored(image, segmented.size, rated, segmented.warnings, error, cause, gone, found)


def _check_views(run: PlannedRun, rater: str, row: RatingsRow, regions: int) -> None:
    """Refuse ratings of other standards than the run's, or of other views than the image and its regions."""
    for standard, by_view in (row.ratings or {}).items():
        if standard not in run.labels or len(by_view) != 1 + regions:
            raise UserError(
                f"The ratings of image {row.image} by {rater} in {run.folder} are those of another run: "
                f"{len(by_view)} under {shortened(standard)}, where the image has {regions} regions; delete "
                "the parts of its shard and give the command of the run again."
            )


def _scores(
    run: PlannedRun, shard: int, images: Iterable[Planned], aggregation: Aggregation | None
) -> Iterator[ImageScore]:
    return (scored.score for scored, _ in _hashed(run, shard, images, aggregation))


def _hashed(
    run: PlannedRun, shard: int, images: Iterable[Planned], aggregation: Aggregation | None
) -> Iterator[tuple[ScoredImage, bytes | None]]:
    aggregation = aggregation or run.settings.aggregation
    scales = run.scales(aggregation)
    members = aggregation.members or run.settings.raters
    for stored in _read(run, shard, images, members, beside=_measuring(run, members)):
        score = _score(run, stored, aggregation, scales)
        yield ScoredImage(stored.planned, stored.rated, score), stored.content_hash


def _score(
    run: PlannedRun, stored: _Stored, aggregation: Aggregation, scales: Mapping[str, Scale]
) -> ImageScore:
    lower = run.lower_is_better
    if stored.gone:
        return ImageScore(stored.path, gone=True, lower_is_better=lower)
    if stored.error is not None:
        return ImageScore(
            stored.path,
            error=stored.error,
            cause=stored.cause,
            warnings=stored.warnings,
            lower_is_better=lower,
            size=stored.size,
        )
    return score_rated(
        stored.path,
        stored.rated,
        run.labels,
        aggregation,
        stored.warnings,
        kinds=run.kinds,
        scales=scales,
        lower_is_better=lower,
        size=stored.size,
        segmented=run.has_regions,
    )
