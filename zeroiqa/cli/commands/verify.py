"""`zeroiqa verify`: show that a score depends on the image and the settings alone."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import given, model_options, preset_option, segmenter_options, selection_options
from zeroiqa.cli.running import tell
from zeroiqa.errors import ImageError, UserError
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.images.selection import Selection
    from zeroiqa.pipeline import Method
    from zeroiqa.runs.resolved import Resolved
    from zeroiqa.settings import Settings
    from zeroiqa.types import Image, Rater, Rating, Region

    Regions = Mapping[str, tuple[Region, ...]]
    """Path -> regions, in the order in which the images are rated."""
    Ratings = dict[tuple[str, str, str], tuple[Rating | None, ...]]
    """(path, rater, standard) -> one rating per view."""

ROUNDING = {"float32": 1e-4}
ROUNDING_OF_COARSER_TYPES = 2e-2
"""How far a probability may move where a model adds up in another order; other raters may not move at all."""


@command(
    examples=[
        ("verify photos --preset embedded", "rate under other batch sizes, orders and workers"),
        ("verify run --deep", "check every part of a run"),
    ],
)
@click.argument("paths", nargs=-1)
@preset_option
@click.option("--deep", is_flag=True, help="Of a run: read its images again, too, and compare their hashes.")
@segmenter_options
@click.option("--rater", "raters", multiple=True, help="As for `zeroiqa score`; repeat for several.")
@model_options
@selection_options
def verify(
    paths: tuple[str, ...], preset: str | None, deep: bool, selection: Selection, **choices: Any
) -> None:
    """Check that batch size, order and worker count leave every rating unchanged; or check a run folder.

    Works on PATHS, by default on the sample photos; a few images are enough. A difference is an error. The
    probabilities of a model may differ by rounding: by 1e-4 in float32, by 2e-2 in bfloat16 and float16.

    If the only path is a run folder: check the hashes of its parts, their images against the plan, the plan
    against run.json, and the scores against the parts; with --deep, every image against what was scored.
    Nothing is changed.
    """
    from zeroiqa.runs.record import NAME

    if len(paths) == 1 and (location(paths[0]) / NAME).is_file():
        if given(**choices, **asdict(selection)):
            raise click.UsageError("A run is checked with its own settings; leave the options out.")
        _check_run(location(paths[0]), deep=deep)
    elif deep:
        raise click.UsageError(
            "--deep reads the images of a run again; name the run's folder, and nothing else."
        )
    else:
        _check_rating(paths, preset, selection, choices)


def _check_run(folder: Location, *, deep: bool) -> None:
    from zeroiqa.errors import printable
    from zeroiqa.runs import load_run
    from zeroiqa.runs.checks import check_run
    from zeroiqa.runs.originals import check_images

    damages: list[str] = []
    run = load_run(folder)
    for check in itertools.chain(check_run(run), map(check_images, [run] if deep else [])):
        verdict = f"{len(check.damages)} DAMAGED, " if check.damages else ""
        say(f"{printable(unquote(check.what)):<24} {verdict}{check.found}")
        damages += check.damages
    for damage in damages:
        say(f"Error: {damage}", err=True)
    if damages:
        raise click.exceptions.Exit(1)


def _check_rating(
    paths: tuple[str, ...], preset: str | None, selection: Selection, choices: dict[str, Any]
) -> None:
    from zeroiqa import samples
    from zeroiqa.images.find import find_images
    from zeroiqa.runs.device import check_device
    from zeroiqa.runs.resolved import resolve
    from zeroiqa.settings import DEFAULT_PRESET, load_settings

    chosen = load_settings(preset or DEFAULT_PRESET, given(**choices))
    settings = replace(chosen, regions=chosen.crop != "whole")  # they are checked though lambda is 0
    check_device(settings, tell)
    resolved = resolve(settings)
    method = replace(resolved.method, raters={})  # each is asked, and let go, on its own
    sources = find_images(paths or [str(samples.folder())], selection=selection)
    images = _decodable(sources, method)
    readable = {image.name for image in images}
    reference, checks = _in_this_process(images, resolved, method)
    checks["2 worker processes"] = _with_workers(resolved, [s for s in sources if s.name in readable])
    allowed = {name: _rounding(name, settings) for name in settings.raters}
    different = [name for name, ratings in checks.items() if not _same(name, ratings, reference, allowed)]
    if different:
        raise UserError(
            f"Ratings changed with {' and '.join(different)}; please report this, with the image."
        )


def _decodable(sources: Sequence[ImageRef], method: Method) -> list[Image]:
    from zeroiqa.errors import printable
    from zeroiqa.guards.together import image_errors
    from zeroiqa.standards import check_prompts

    check_prompts(method.standards, [(source.path, source.prompt) for source in sources])
    images = []
    for source in sources:
        if not all(standard.suits(source.prompt) for standard in method.standards):
            say(f"Left out: {printable(source.path)}: it has no text prompt.", err=True)
            continue
        try:
            with image_errors(source.path):
                images.append(method.decoder.decode(source.as_it_is_now, method.policy))
        except ImageError as error:
            say(f"Left out: {error}", err=True)
    if not images:
        raise UserError("None of the images can be decoded; give at least one that can.")
    return images


def _in_this_process(
    images: Sequence[Image], resolved: Resolved, method: Method
) -> tuple[Ratings, dict[str, Ratings]]:
    """Ratings one by one, and those of each check; the raters come one after the other."""
    from zeroiqa.runs.passes import release_memory

    by_name = {image.name: image for image in images}
    forwards, backwards = (_regions(order, method) for order in (images, images[::-1]))
    reference: Ratings = {}
    turned: Ratings = {}
    together: Ratings = {}
    for name in resolved.settings.raters:
        rater = resolved.builder.method(resolved.settings, [name]).raters[name]
        reference |= _one_by_one(by_name, forwards, name, rater, method)
        turned |= _one_by_one(by_name, backwards, name, rater, method)
        together |= _in_one_batch(by_name, forwards, name, rater, method)
        del rater
        release_memory(resolved.builder)
    return reference, {"order reversed": turned, "all views in one batch": together}


def _regions(images: Iterable[Image], method: Method) -> Regions:
    from zeroiqa.pipeline import find_regions

    return {image.name: find_regions([image], method)[0] for image in images}


def _one_by_one(
    images: Mapping[str, Image], regions: Regions, name: str, rater: Rater, method: Method
) -> Ratings:
    from zeroiqa.pipeline import rate_image

    return {
        (path, name, standard): ratings
        for path, found in regions.items()
        for standard, ratings in rate_image(images[path], found, rater, method).items()
    }


def _in_one_batch(
    images: Mapping[str, Image], regions: Regions, name: str, rater: Rater, method: Method
) -> Ratings:
    from zeroiqa.views import cut_views

    views = {path: cut_views(images[path], found, method.crop) for path, found in regions.items()}
    answers = iter(rater.rate([view for each in views.values() for view in each], method.standards))
    collected: Ratings = {}
    for path, own in views.items():
        rows = [next(answers) for _ in own]
        for index, standard in enumerate(method.standards):
            collected[path, name, standard.name] = tuple(row[index] for row in rows)
    return collected


def _with_workers(resolved: Resolved, sources: list[ImageRef]) -> Ratings:
    from zeroiqa.runs import open_run, pending, read_rated
    from zeroiqa.runs.executors.local import LocalExecutor

    with tempfile.TemporaryDirectory() as folder:
        run = open_run(Path(folder) / "run", resolved, sources, preset="verify")
        for _ in LocalExecutor(2).execute(run, pending(run), on_images=lambda _: None):
            pass
        return {
            (path, rater, standard): ratings
            for shard in range(run.n_shards)
            for path, rated in read_rated(run, shard)
            for rater, by_standard in rated.ratings.items()
            for standard, ratings in by_standard.items()
        }


def _rounding(name: str, settings: Settings) -> float:
    """How far the probabilities of a rater may move."""
    from zeroiqa.raters import find_rater

    entry = find_rater(name)
    if entry.is_server:  # which puts requests into batches as they come, and computes in a type of its choice
        return ROUNDING_OF_COARSER_TYPES
    if not entry.needs_weights:
        return 0.0
    from zeroiqa.weights.devices import find_device, find_dtype

    dtype = find_dtype(settings.dtype, find_device(settings.device))
    return ROUNDING.get(str(dtype).removeprefix("torch."), ROUNDING_OF_COARSER_TYPES)


def _same(name: str, ratings: Ratings, reference: Ratings, allowed: Mapping[str, float]) -> bool:
    moved = {key: _difference(ratings.get(key, ()), reference[key]) for key in reference}
    changed = {key[0] for key in moved if moved[key] > allowed[key[1]]}
    largest = max(moved.values())
    if changed:
        verdict = f"{len(changed)} images differ, by up to {largest:.1e}"
    elif largest == 0:
        verdict = f"identical ({len(reference)} ratings)"
    else:
        verdict = f"equal but for rounding of at most {largest:.1e} ({len(reference)} ratings)"
    say(f"{name:<24} {verdict}")
    return not changed


def _difference(some: Sequence[Rating | None], others: Sequence[Rating | None]) -> float:
    """The largest difference of two probabilities or numbers; inf where they cannot be compared."""
    if some == others:
        return 0.0
    if len(some) != len(others):
        return math.inf
    return max(_difference_of_two(one, other) for one, other in zip(some, others, strict=True))


def _as_measured_in_both(one: Rating, other: Rating) -> Rating:
    """The rating with what both measure: of a whole image more is measured than of a region that shows it."""
    return replace(
        one, measures={name: one.measures[name] for name in one.measures if name in other.measures}
    )


def _difference_of_two(one: Rating | None, other: Rating | None) -> float:
    if one == other or (
        one and other and _as_measured_in_both(one, other) == _as_measured_in_both(other, one)
    ):
        return 0.0
    if one is None or other is None or (one.value is None) != (other.value is None):
        return math.inf
    if len(one.logprobs) != len(other.logprobs):
        return math.inf
    pairs = [(math.exp(a), math.exp(b)) for a, b in zip(one.logprobs, other.logprobs, strict=True)]
    pairs += [(one.mass, other.mass), (one.value or 0.0, other.value or 0.0)]
    return max(5e-324, *(abs(a - b) for a, b in pairs))  # more than nothing: they are not the same
