"""A run: what is known of it, how far it is, and what is left."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zeroiqa.aggregate import Aggregation
from zeroiqa.answers import Answers
from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location
from zeroiqa.runs import events, findings, parts, plan, record, revisions
from zeroiqa.runs.identity import (
    environment,
    going_on,
    kinds_of,
    run_id_of,
    without_arithmetic,
)
from zeroiqa.runs.planned_run import PlannedRun
from zeroiqa.runs.presentation import presentation
from zeroiqa.runs.scores import iter_scores, reaggregation
from zeroiqa.settings import Settings, Shown, settings_from_dict

if TYPE_CHECKING:
    from zeroiqa.calibration_file import Calibration
    from zeroiqa.results import ImageScore


@dataclass(frozen=True)
class Run(PlannedRun):
    """A run folder whose plan exists. Small and picklable: worker processes are given one."""

    def scores(
        self,
        *,
        scale: Shown | None = None,
        calibration: Calibration | str | os.PathLike[str] | None = None,
        **arithmetic: Any,
    ) -> Iterator[ImageScore]:
        """The result of each image that is finished, in plan order, streaming.

        Args:
            scale: What `to_dict` has beside the score: "0-100" or "percentile"; that of the run if left out.
            calibration: From `zeroiqa.calibrate`, or the file of one: `to_dict` has it beside the score, too.
            **arithmetic: What the scores are computed by in place of the run's own, such as `lam=0`,
                `readout="expected"` or `members=["nss"]`; see `zeroiqa.runs.scores.reaggregation`.

        Raises:
            UserError: a stored part is damaged, the stored ratings do not allow the arithmetic, the scores
                have no such scale, or the calibration is of other ones.
        """
        from zeroiqa.calibration_file import read_calibration

        if isinstance(calibration, str | os.PathLike):
            calibration = read_calibration(calibration)
        aggregation = reaggregation(self, arithmetic) if arithmetic else None
        return presentation(self, aggregation, scale, calibration).of(iter_scores(self, aggregation))

    def status(self) -> RunStatus:
        """How far the run is: counts of images, errors and finished shards.

        Raises:
            UserError: the folder cannot be read, or is damaged.
        """
        return status(self)


_OF_THE_COMMAND = (
    "settings",
    "warnings",
    "added",
    "gets_regions",
    "followed",
    "ignore_times",
    "root",
    "image_seconds",
    "builder",
)
"""Fields of a run that another command would have otherwise."""


@dataclass(frozen=True)
class RunStatus:
    """How far a run is."""

    images: int
    """Images of the tables: all planned but those that are pruned."""
    shards: int
    """Shards planned."""
    finished: Mapping[str, int]
    """Stage -> shards whose part is there."""
    scored: int
    """Images of wholly finished shards without an error."""
    errors: int
    """Images of wholly finished shards with an error, those included that were unreachable."""
    error_kinds: Counter[str]
    """Error sentence without the image's own path -> images."""
    answers: Mapping[tuple[str, str], Answers] = field(default_factory=dict)
    """(Rater, standard) -> how much of the answers lies on the levels, of wholly finished shards."""
    gone: int = 0
    """Images that are not found any more; they count neither as scored nor as errors."""
    unreachable: int = 0
    """Images of wholly finished shards whose file could not be read at all."""


def load_run(folder: Location) -> Run:
    """Open a run that exists, without its images or models.

    Raises:
        UserError: the folder is no run, is damaged, or was written by a newer zeroiqa.
    """
    found = record.read_record(folder)
    return run_of(folder, found, settings_from_dict(found["settings"], f"{folder / record.NAME}"))


def is_current(run: Run) -> bool:
    """Whether nobody has added raters, regions, images or revisions to the run since it was opened."""
    now = load_run(run.folder)
    return (now.run_id, now.shards, now.revisions.number) == (run.run_id, run.shards, run.revisions.number)


def caught_up(run: Run) -> Run:
    """The run with the images and revisions that it has now; as it was where it got raters or regions."""
    now = load_run(run.folder)
    if (now.settings.raters, now.has_regions) != (run.settings.raters, run.has_regions):
        return run
    return replace(now, **{name: getattr(run, name) for name in _OF_THE_COMMAND})


def revised(run: Run, changes: Sequence[revisions.Change] = ()) -> Run:
    """The run with the revisions of now, after one of some changes; a `UserError` if that does not work."""
    if changes:
        revisions.add(run.folder, changes)
    return replace(run, revisions=revisions.read(run.folder, regions=run.has_regions))


def pending(run: Run, raters: Sequence[str] | None = None) -> list[int]:
    """The shards that have something left to do, in plan order; for some of the raters, or for all."""
    return run.pending(raters)


def status(
    run: Run,
    log: events.Events | None = None,
    *,
    aggregation: Aggregation | None = None,
    shards: Iterable[int] | None = None,
) -> RunStatus:
    """How far a run is. It is taken from the events; only parts of which those do not tell are opened.

    Of a shard of which a later generation is wanted than is there, the images that are not computed again
    count as they are.

    Args:
        run: The run.
        log: Its events, if they are read already.
        aggregation: Says what mass is low; the run's own if left out.
        shards: Those whose images are counted; all if left out.

    Raises:
        UserError: a part without an event is damaged.
    """
    aggregation = aggregation or run.settings.aggregation
    logged = (log or events.read_events(run.folder)).parts()
    there = {stage: parts.parts(run.folder, stage) for stage in run.stages}
    kinds: Counter[str] = Counter()
    answers: dict[tuple[str, str], Answers] = {}
    done = unreachable = 0
    chosen = range(run.n_shards) if shards is None else sorted(shards)
    gone = run.gone(chosen)
    for shard in chosen:
        common = set.intersection(*(found.get(shard, set()) for found in there.values()))
        known = common.intersection(run.revisions.generations(shard))
        if not known:
            continue
        errors: dict[int, tuple[str, str | None]] = {}
        for stage in reversed(run.stages):  # an image's first error is the one that it is listed with
            part = events.PartOf(stage, shard, max(known))
            content = events.content(run, part, logged.get(part), aggregation, gone.get(shard, frozenset()))
            errors |= content.by_image()
            for standard, each in content.answers.items():
                key = (str(findings.rater_of(run, stage)), standard)
                answers[key] = answers[key] + each if key in answers else each
        again = run.revisions.again(shard, max(known)).keys() | gone.get(shard, frozenset())
        valid = [error for image, error in errors.items() if image not in again]
        kinds.update(kind for kind, _ in valid)
        unreachable += sum(cause == "unreachable" for _, cause in valid)
        done += run.shards[shard] - len(again)
    return RunStatus(
        images=run.n_images - len(run.revisions.pruned),
        shards=run.n_shards,
        finished={stage: len(run.finished(found)) for stage, found in there.items()},
        scored=done - kinds.total(),
        errors=kinds.total(),
        error_kinds=kinds,
        answers=answers,
        unreachable=unreachable,
        gone=sum(len(images - run.revisions.pruned) for images in gone.values()),
    )


def run_of(folder: Location, found: Mapping[str, Any], settings: Settings) -> Run:
    """The run that run.json tells of.

    Raises:
        UserError: its plan is missing, or another one's.
    """
    identity, last = without_arithmetic(found["identity"]), plan.all_inputs(folder)
    settings = going_on(settings, identity)
    if last is None or not plan.belongs(plan.first_inputs(folder), identity["inputs"]):
        raise UserError(
            f"{folder / plan.NAME} is missing or belongs to another run; give the command of the run again."
        )
    shards, count = plan.planned_sizes(folder), last["count"]
    if sum(shards) != count:
        raise UserError(
            f"{folder / plan.NAME} has {sum(shards)} images, where it says {count}; put the file back as it "
            "was, or score in another folder (-o)."
        )
    if "named" not in identity["inputs"]:  # exact images, and those that were added
        identity["inputs"] = {"count": count, "sha256": last.get("set", last["sha256"])}
    return Run(
        folder=folder,
        run_id=run_id_of(identity),
        settings=settings,
        identity=identity,
        labels=found["labels"],
        kinds=found.get("kinds") or kinds_of(settings, found["identity"]),
        shards=shards,
        warnings=_warnings(folder, found["environment"], settings),
        origin=found.get("origin", {}),
        revisions=revisions.read(folder, regions=identity["segmenter"] is not None),
    )


def _warnings(folder: Location, then: Mapping[str, str], settings: Settings) -> tuple[str, ...]:
    now = environment(settings)
    changed = [
        f"{library} {version} (now {now.get(library, 'missing')})"
        for library, version in then.items()
        if now.get(library) != version
    ]
    if not changed:
        return ()
    return (f"{folder} was started with {', '.join(changed)}; scores may differ between the two.",)
