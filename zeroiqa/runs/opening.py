"""A run folder: created, opened again as it is now, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError
from zeroiqa.files.atomic import remove_leftovers
from zeroiqa.files.storage import Location
from zeroiqa.runs import following, plan, record, revisions
from zeroiqa.runs.following import Followed
from zeroiqa.runs.identity import (
    PRESENTATION,
    SEGMENTED,
    WARNINGS,
    environment,
    identity_of,
    own_arithmetic,
    run_id_of,
    without_arithmetic,
)
from zeroiqa.runs.naming import Naming
from zeroiqa.runs.presentation import check_scale
from zeroiqa.runs.refusals import refuse_other_images, refuse_others
from zeroiqa.runs.revisions import Change
from zeroiqa.runs.run import Run, run_of
from zeroiqa.settings import Settings, settings_from_dict
from zeroiqa.standards import check_prompts

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.runs.resolved import Resolved


def run_id(settings: Settings | Resolved, sources: Sequence[ImageRef], naming: Naming | None = None) -> str:
    """The id of the run of these settings over what is named, or over these images exactly.

    Raises:
        UserError: a segmenter, rater or standard is unknown or does not fit.
    """
    return run_id_of(_identity(_resolved(settings), sources, naming))


def open_run(
    folder: Location,
    settings: Settings | Resolved,
    sources: Sequence[ImageRef],
    *,
    preset: str,
    naming: Naming | None = None,
    add: bool = False,
    fixed: bool = False,
    refresh: bool = False,
    root: str = "",
) -> Run:
    """Create a run, or open the one that is there if it is the same, or the same with fewer raters or none of
    the regions.

    Further raters are added to it: the parts that are there stay, and their own ratings become pending. So do
    regions and their ratings where it has none; a run that has some goes on with them, whatever lambda is.
    Images that are new under the names that the run is of come behind those that are there, in shards of
    their own; those that are not found any more are gone from then on. The arithmetic stays the run's own.

    Args:
        folder: New, empty, or that run's folder.
        settings: How to score; or what that was resolved to, so that nothing is built or asked again.
        sources: The images, in the order of the results; in the spelling of the run, if there is one.
        preset: Where the settings came from; noted, not compared.
        naming: What led to the images, canonical for `root`; None: these images and no others.
        add: Take in those images that the run does not have, whatever it is of.
        fixed: Leave the plan as it is once it is there; `Run.followed` says what would be new.
        refresh: Take images with other prompts than the run has; they are changed by a revision.
        root: What relative paths count from; empty: the current folder.

    Raises:
        UserError: the folder holds something else or cannot be written, a name in the settings is unknown, or
            a standard of a run that is begun needs text prompts and no image has one.
    """
    resolved = going_on(folder, settings)
    begun = record.is_run(folder)
    images = [(source.path, source.prompt) for source in sources]
    unprompted = check_prompts(resolved.method.standards, images) if add or not begun else None
    if not begun:
        _create(folder, resolved, _identity(resolved, sources, naming), preset)
    found = record.read_record(folder)
    resolved = resolved.going_on(found["identity"])  # another process may have been first
    identity = _identity(resolved, sources, naming)
    there = _same_method(folder, found, identity)
    if not plan.belongs(plan.first_inputs(folder), there["inputs"]):  # the creation was interrupted
        _plan(folder, sources, naming, there["inputs"])
    news = following.look(folder, naming, sources, root)
    follows = refuse_other_images(folder, there["inputs"], naming, news, add=add, refresh=refresh)
    check_scale(own_arithmetic(found["settings"], resolved.settings), resolved.method.standards)
    found, own = _extended(folder, found, resolved.settings, {**identity, "inputs": there["inputs"]})
    followed = following.follow(folder, news, naming) if follows and not fixed else news.counts
    run = run_of(folder, found, own)
    run = replace(
        run,
        warnings=(*run.warnings, *filter(None, [unprompted])),
        **_news(there, identity),
        followed=followed,
        root=root,
        builder=resolved.builder,
    )
    remove_leftovers(folder)
    return run


def with_regions(run: Run) -> Run:
    """A run that has no regions, to which those of its settings are added.

    Args:
        run: From `load_run`.

    Raises:
        UserError: its crop is whole; or what its settings name is another rater or standard than it was.
    """
    settings = settings_from_dict({**run.settings.to_dict(), SEGMENTED: True}, "the run")
    resolved, found = _resolved(settings), record.read_record(run.folder)
    identity = identity_of(resolved.identity, found["identity"]["inputs"])
    there = _same_method(run.folder, found, identity)
    found, own = _extended(run.folder, found, settings, identity)
    return replace(
        run_of(run.folder, found, own), **_news(there, identity), root=run.root, builder=resolved.builder
    )


def preview(
    folder: Location,
    settings: Settings | Resolved,
    sources: Sequence[ImageRef],
    *,
    naming: Naming | None = None,
    add: bool = False,
    refresh: bool = False,
    root: str = "",
) -> Followed | None:
    """What `open_run` of a run that is begun would find to be new and gone; None if it has no plan yet.

    Nothing is written.

    Raises:
        UserError: as `open_run`.
    """
    identity = _identity(going_on(folder, settings), sources, naming)
    there = _same_method(folder, record.read_record(folder), identity)
    if not plan.belongs(plan.first_inputs(folder), there["inputs"]):
        return None
    news = following.look(folder, naming, sources, root)
    refuse_other_images(folder, there["inputs"], naming, news, add=add, refresh=refresh)
    return news.counts


def going_on(folder: Location, settings: Settings | Resolved) -> Resolved:
    """What settings stand for in the run that a folder holds, which keeps its regions; or in a new one there.

    Raises:
        UserError: something else is there, or run.json cannot be read.
    """
    resolved = _resolved(settings)
    if not record.is_run(folder):
        return resolved
    return resolved.going_on(record.read_record(folder)["identity"])


def is_same_but_for_regions(
    folder: Location, resolved: Resolved, sources: Sequence[ImageRef], naming: Naming | None
) -> bool:
    """Whether a folder holds the run of what is named by these settings, with regions or without.

    A folder that holds nothing that can be read is not that.
    """
    here = _identity(resolved, sources, naming)
    try:
        there = without_arithmetic(record.read_record(folder)["identity"])
        if {**there, "segmenter": None} != {**here, "segmenter": None}:
            return False
        here = _identity(resolved.going_on(there), sources, naming)  # what it names may not be there
    except UserError:
        return False
    return there["segmenter"] in (None, here["segmenter"])


def _create(folder: Location, resolved: Resolved, identity: Mapping[str, Any], preset: str) -> None:
    settings, method = resolved.settings, resolved.method
    check_scale(settings, method.standards)
    versions, origin = environment(settings), record.origin_here(folder)
    record.create(folder, settings, preset, identity, method.labels, method.kinds, versions, origin)


def _extended(
    folder: Location, found: dict[str, Any], wanted: Settings, identity: Mapping[str, Any]
) -> tuple[dict[str, Any], Settings]:
    """What run.json tells of a run after raters and regions are added to it, and by which settings it works.

    Args:
        folder: Of the run.
        found: What run.json tells now.
        wanted: By the command.
        identity: What the run is then.
    """
    there, own = found["identity"], own_arithmetic(found["settings"], wanted)
    segments = there["segmenter"] is None and identity["segmenter"] is not None
    if segments:  # in effect once run.json says so, too: whatever comes between, no image is without
        images = range(sum(plan.planned_sizes(folder)))
        revisions.add(folder, [Change(image, "segmented") for image in images])
        own = replace(own, regions=True)
    if segments or there["raters"] != identity["raters"] or _tells_otherwise(found["settings"], wanted):
        found = record.extend(folder, found, own, identity)
    return found, own


def _news(there: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a run that say what was added to it."""
    return {
        "added": tuple(name for name in here["raters"] if name not in there["raters"]),
        "gets_regions": there["segmenter"] is None and here["segmenter"] is not None,
    }


def _resolved(settings: Settings | Resolved) -> Resolved:
    from zeroiqa.runs.resolved import resolve  # loads OpenCV, which `zeroiqa rescore` does without

    return resolve(settings)


def _identity(resolved: Resolved, sources: Sequence[ImageRef], naming: Naming | None) -> dict[str, Any]:
    if naming is not None:
        return identity_of(resolved.identity, naming.to_dict())
    images = ((source.path, source.prompt) for source in sources)
    return identity_of(resolved.identity, plan.set_of(images))


def _same_method(
    folder: Location, found: Mapping[str, Any], identity: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What makes the run that run.json tells of, if it is one by the same method."""
    there = without_arithmetic(found["identity"])
    refuse_others(folder, there, {**identity, "inputs": there["inputs"]})
    return there


def _plan(
    folder: Location, sources: Sequence[ImageRef], naming: Naming | None, inputs: Mapping[str, Any]
) -> None:
    """Write the plan of a run that is begun.

    Raises:
        UserError: the run is one of other images, or has results, which no new plan could tell apart.
    """
    images = [(source.path, source.prompt) for source in sources]
    wanted = plan.inputs_of(images)
    wanted |= {"set": plan.set_of(images)["sha256"]} if naming is None else naming.to_dict()
    if not plan.belongs(wanted, inputs):
        raise UserError(
            f"{folder} holds a run over other images, whose plan is missing; choose another folder with -o."
        )
    if next(folder.rglob("part-*.parquet"), None) is not None:
        raise UserError(
            f"{folder / plan.NAME} is missing or damaged, and without it nobody knows of which images the "
            "results are; put it back, or choose another folder with -o."
        )
    plan.write_plan(folder, sources, wanted, again=(folder / plan.NAME).exists())


def _tells_otherwise(there: Mapping[str, Any], here: Settings) -> bool:
    """Whether run.json, by which scores.csv is written, sets other limits for warnings or other columns."""
    fields, own = here.to_dict(), settings_from_dict(there, "the run").to_dict()
    return any(own[key] != fields[key] for key in (*WARNINGS, *PRESENTATION))
