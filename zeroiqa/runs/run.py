"""A run folder: created, opened again, or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zeroiqa.aggregate import Aggregation
from zeroiqa.answers import Answers
from zeroiqa.errors import UserError
from zeroiqa.raters.direction import lower_is_better
from zeroiqa.runs import events, findings, plan, record, revisions, store
from zeroiqa.runs.files import remove_leftovers
from zeroiqa.runs.identity import (
    ARITHMETIC,
    WARNINGS,
    check_version,
    differences,
    environment,
    identity_of,
    kinds_of,
    run_id_of,
    without_additions,
)
from zeroiqa.runs.revisions import Revisions
from zeroiqa.settings import Settings, settings_from_dict
from zeroiqa.standards import Kind, check_prompts
from zeroiqa.storage import Location

if TYPE_CHECKING:
    from zeroiqa.inputs import Source
    from zeroiqa.pipeline import Method


@dataclass(frozen=True)
class Run:
    """A run folder whose plan exists. Small and picklable: worker processes are given one."""

    folder: Location
    run_id: str
    settings: Settings
    identity: Mapping[str, Any] = field(hash=False)
    """What the run id stands for: ids of policy, segmenter, raters; standards; digest of the inputs."""
    labels: Mapping[str, str] = field(hash=False)
    """Standard name -> what its scores are called; kept in run.json, so that reading needs no standard."""
    kinds: Mapping[str, Kind] = field(hash=False)
    """Standard name -> kind; kept there, too."""
    shards: tuple[int, ...]
    """Images in each shard, in plan order."""
    warnings: tuple[str, ...] = ()
    """What the user should know: libraries have changed since the run was started, prompts are missing."""
    added: tuple[str, ...] = ()
    """Raters that the run did not have until it was opened this time."""
    added_images: int = 0
    """Images that the run did not have until it was opened this time."""
    origin: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The folder from which relative paths of its images count: `cwd`, and `from_run` as seen from its own;
    empty in runs that do not say it."""
    ignore_times: bool = False
    """Whether an image of the planned size is taken though its file was written again since."""
    revisions: Revisions = field(default_factory=Revisions, hash=False)
    """What had changed since it was planned when it was opened."""

    @property
    def n_images(self) -> int:
        """Images planned."""
        return sum(self.shards)

    @property
    def n_shards(self) -> int:
        """Shards planned."""
        return len(self.shards)

    @property
    def stages(self) -> tuple[str, ...]:
        """Folders that hold one part per shard, in the order in which they are filled."""
        return (store.REGIONS, *map(store.rating_stage, self.settings.raters))

    @property
    def lower_is_better(self) -> bool:
        """Whether its scores fall as quality rises: those of some baselines, which stand alone in a run."""
        return any(map(lower_is_better, self.identity["raters"].values()))

    def planned(self, shard: int) -> list[plan.Planned]:
        """The images of a shard as they are now."""
        return list(map(self.revisions.planned, plan.planned(self.folder, shard)))

    def count_images(self, shards: Iterable[int]) -> int:
        """Images in some of the shards."""
        return sum(self.shards[shard] for shard in shards)


@dataclass(frozen=True)
class RunStatus:
    """How far a run is."""

    images: int
    """Images planned."""
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
    unreachable: int = 0
    """Images of wholly finished shards whose file could not be read at all."""


def run_id(settings: Settings, sources: Sequence[Source]) -> str:
    """The id that a run of these settings over these images has.

    Raises:
        UserError: a segmenter, rater or standard is unknown or does not fit.
    """
    return run_id_of(_identity(settings, sources)[0])


def open_run(
    folder: Location,
    settings: Settings,
    sources: Sequence[Source],
    *,
    preset: str,
    add: bool = False,
    refresh: bool = False,
) -> Run:
    """Create a run, or open the one that is there if it is the same, or the same with fewer raters.

    Further raters are added to it: the parts that are there stay, and their own ratings become pending. So
    are further images if `add` says so: they come behind those that are there, in shards of their own.

    Args:
        folder: New, empty, or that run's folder.
        settings: How to score.
        sources: The images, in the order of the results.
        preset: Where the settings came from; noted, not compared.
        add: Take in those images that the run does not have; the others need not be named.
        refresh: Take images with other prompts than the run has; they are changed by a revision.

    Raises:
        UserError: the folder holds something else or cannot be written, a name in the settings is unknown, or
            a standard of a run that is begun needs text prompts and no image has one.
    """
    identity, method = _identity(settings, sources)
    begun = record.is_run(folder)
    images = [(source.path, source.prompt) for source in sources]
    unprompted = check_prompts(method.standards, images) if add or not begun else None
    if not begun:
        versions, origin = environment(settings), record.origin_here(folder)
        record.create(folder, settings, preset, identity, method.labels, method.kinds, versions, origin)
    found = record.read_record(folder)
    begun_with = found["identity"]["inputs"]
    if plan.first_inputs(folder) != begun_with:  # the creation was interrupted
        _refuse_others(folder, found["identity"], identity, sources)
        plan.write_plan(folder, sources, begun_with)
    there = _with_images(found["identity"], folder)
    same = add or _same_images(folder, sources, refresh=refresh)
    here = {**identity, "inputs": there["inputs"]} if same else identity
    _refuse_others(folder, there, here, sources)
    if there["raters"] != here["raters"] or _warns_otherwise(found["settings"], settings):
        found = record.extend(folder, found, settings, {**identity, "inputs": begun_with})
    more = plan.add_images(folder, sources, {} if refresh else _prompts(folder)) if add else 0
    added = tuple(name for name in settings.raters if name not in there["raters"])
    run = replace(_run(folder, found, settings), added=added, added_images=more)
    run = replace(run, warnings=(*run.warnings, *filter(None, [unprompted])))
    tidy(run)
    return run


def load_run(folder: Location) -> Run:
    """Open a run that exists, without its images or models.

    Raises:
        UserError: the folder is no run, is damaged, or was written by a newer zeroiqa.
    """
    found = record.read_record(folder)
    return _run(folder, found, settings_from_dict(found["settings"], f"{folder / record.NAME}"))


def is_current(run: Run) -> bool:
    """Whether nobody has added raters, images or revisions to the run since it was opened."""
    now = load_run(run.folder)
    return (now.run_id, now.revisions.number) == (run.run_id, run.revisions.number)


def revised(run: Run, changes: Sequence[revisions.Change] = ()) -> Run:
    """The run with the revisions of now, after one of some changes; a `UserError` if that does not work."""
    if changes:
        revisions.add(run.folder, changes)
    return replace(run, revisions=revisions.read(run.folder))


def tidy(run: Run) -> None:
    """Remove what killed processes left half written."""
    for stage in ("", *run.stages):
        remove_leftovers(run.folder / stage)


def pending(run: Run, raters: Sequence[str] | None = None) -> list[int]:
    """The shards that have something left to do, in plan order; for some of the raters, or for all."""
    chosen = run.settings.raters if raters is None else raters
    stages = (store.REGIONS, *map(store.rating_stage, chosen))
    done = set.intersection(*(_finished(run, store.parts(run.folder, stage)) for stage in stages))
    return [shard for shard in range(run.n_shards) if shard not in done]


def _finished(run: Run, parts: Mapping[int, set[int]]) -> set[int]:
    """The shards of whose parts the generation is there that is wanted."""
    return {shard for shard, found in parts.items() if run.revisions.generation(shard) in found}


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
    there = {stage: store.parts(run.folder, stage) for stage in run.stages}
    kinds: Counter[str] = Counter()
    answers: dict[tuple[str, str], Answers] = {}
    done = unreachable = 0
    for shard in range(run.n_shards) if shards is None else sorted(shards):
        common = set.intersection(*(found.get(shard, set()) for found in there.values()))
        known = common.intersection(run.revisions.generations(shard))
        if not known:
            continue
        errors: dict[int, tuple[str, str | None]] = {}
        for stage in reversed(run.stages):  # an image's first error is the one that it is listed with
            part = events.PartOf(stage, shard, max(known))
            said = events.content(run, part, logged.get(part), aggregation)
            errors |= said.by_image()
            for standard, each in said.answers.items():
                key = (str(findings.rater_of(run, stage)), standard)
                answers[key] = answers[key] + each if key in answers else each
        again = run.revisions.again(shard, max(known))
        valid = [error for image, error in errors.items() if image not in again]
        kinds.update(kind for kind, _ in valid)
        unreachable += sum(cause == "unreachable" for _, cause in valid)
        done += run.shards[shard] - len(again)
    return RunStatus(
        images=run.n_images,
        shards=run.n_shards,
        finished={stage: len(_finished(run, parts)) for stage, parts in there.items()},
        scored=done - kinds.total(),
        errors=kinds.total(),
        error_kinds=kinds,
        answers=answers,
        unreachable=unreachable,
    )


def _identity(settings: Settings, sources: Sequence[Source]) -> tuple[dict[str, Any], Method]:
    from zeroiqa.pipeline import build_method  # loads OpenCV, which `zeroiqa rescore` does without

    method = build_method(settings)
    images = ((source.path, source.prompt) for source in sources)
    return identity_of(settings, method, images), method


def _warns_otherwise(there: Mapping[str, Any], here: Settings) -> bool:
    """Whether run.json sets other limits for warnings; scores.csv shall warn by those that it says."""
    fields = here.to_dict()
    return any(there.get(key, fields[key]) != fields[key] for key in WARNINGS)


def _with_images(identity: Mapping[str, Any], folder: Location) -> dict[str, Any]:
    """The identity of the run that run.json describes, with all images that are planned today."""
    return {**identity, "inputs": plan.all_inputs(folder)}


def _prompts(folder: Location) -> dict[str, str | None]:
    """File -> prompt of the images of a run, as they are now."""
    now = revisions.read(folder)
    return {row.file: row.prompt for row in map(now.planned, plan.all_planned(folder))}


def _same_images(folder: Location, sources: Sequence[Source], *, refresh: bool) -> bool:
    """Whether the images are those of the run, in its order, with its prompts; to refresh, with any."""
    if not refresh and not revisions.read(folder).number:
        return False  # which the plan's digest decides
    there = _prompts(folder)
    here = {source.path: source.prompt and plan.escaped(source.prompt) for source in sources}
    return list(there) == list(here) and (refresh or there == here)


def _refuse_others(
    folder: Location, there: Mapping[str, Any], here: Mapping[str, Any], sources: Sequence[Source]
) -> None:
    """Raise `UserError` unless `here` is the run that is there, or the same with more raters."""
    check_version(folder, there)
    if without_additions(here, there) != there:
        raise UserError(_refusal(folder, there, without_additions(here, there), sources))


def _run(folder: Location, found: Mapping[str, Any], settings: Settings) -> Run:
    if plan.first_inputs(folder) != found["identity"]["inputs"]:
        raise UserError(
            f"{folder / plan.NAME} is missing or belongs to another run; give the command of the run again."
        )
    identity = _with_images(found["identity"], folder)
    return Run(
        folder=folder,
        run_id=run_id_of(identity),
        settings=settings,
        identity=identity,
        labels=found["labels"],
        kinds=found.get("kinds") or kinds_of(settings, found["identity"]),
        shards=plan.planned_sizes(folder),
        warnings=_warnings(folder, found["environment"], settings),
        origin=found.get("origin", {}),
        revisions=revisions.read(folder),
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


def _refusal(
    folder: Location, there: Mapping[str, Any], here: Mapping[str, Any], sources: Sequence[Source]
) -> str:
    fields = differences(there, here)
    if not fields:
        return _other_images(folder, sources)
    listed = ", ".join(
        f"{key} is {_plain(then)} there and {_plain(now)} here" for key, (then, now) in fields.items()
    )
    ways = ["choose another folder with -o"]
    if next(folder.rglob("part-*.parquet"), None) is None:
        ways.append("delete this one, which holds no result yet")
    if set(fields) <= set(ARITHMETIC):
        ways.append(f"`zeroiqa rescore {folder}`")
    elif set(fields) <= {"raters", "rater_weights"}:
        ways.append("name all its raters to add others to them")
        ways.append(f"choose some of them with `zeroiqa rescore {folder} --member NAME`")
    return f"{folder} holds a run with other settings: {listed}; {', or '.join(ways)}."


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _other_images(folder: Location, sources: Sequence[Source]) -> str:
    if plan.first_inputs(folder) is None:
        return (
            f"{folder} holds a run over other images, whose plan is missing; choose another folder with -o."
        )
    there = _prompts(folder)
    here = {source.path: source.prompt and plan.escaped(source.prompt) for source in sources}
    only_there = [f"{path} only there" for path in there if path not in here]
    only_here = [f"{path} only here" for path in here if path not in there]
    prompts = [path for path in here if path in there and here[path] != there[path]]
    if only_there or only_here:
        examples = ", ".join(only_there[:1] + only_here[:1])
        what = f"{len(there)} planned there, {len(here)} found here: {examples}"
    elif prompts:
        what = f"the prompt of {prompts[0]} is {there[prompts[0]]!r} there and {here[prompts[0]]!r} here"
        return f"{folder} has other prompts ({what}); choose another folder with -o, or give --refresh."
    else:
        what = "the same ones in another order"
    ways = "choose another folder with -o"
    if only_here:
        ways += ", or take in the new ones with --add"
    return f"{folder} holds a run over other images ({what}); {ways}."
