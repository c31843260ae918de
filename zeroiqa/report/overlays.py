"""The overlays of a run: a picture of each image with its regions, or with what these are rated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.errors import ImageError
from zeroiqa.files.atomic import created
from zeroiqa.guards.together import image_errors
from zeroiqa.images.decode import DecodePolicy, parse_colour
from zeroiqa.names import json_text
from zeroiqa.report.annotated import annotated
from zeroiqa.report.overlay import labelled, overlay
from zeroiqa.runs.regions import read_segmented
from zeroiqa.runs.scores import read_scored

if TYPE_CHECKING:
    import PIL.Image

    from zeroiqa.files.storage import Location
    from zeroiqa.images.decoder import Decoder
    from zeroiqa.results import ImageScore
    from zeroiqa.runs import Run
    from zeroiqa.runs.plan import Planned
    from zeroiqa.types import Image, Region

LONGEST = 1024
"""Pixels of the longer side of an overlay; regions are looked at, not measured there."""
_OF_LEVELS = ("readout", "weighting", "lambda", "normalize_areas", "formula", "count_weight", "rater_weights")


class _Overlay(NamedTuple):
    """One that is wanted."""

    planned: Planned
    paint: Callable[[Image], PIL.Image.Image]


def overlay_folder(run: Run, *, levels: bool) -> Location:
    """Where the overlays are; those with levels have a folder for each way to rate and to score."""
    if not levels:
        return run.folder / "overlays"
    settings = run.settings.to_dict()
    shown = [settings["raters"], run.identity["standards"], [settings[key] for key in _OF_LEVELS]]
    return run.folder / f"levels-{hashlib.sha256(json_text(shown).encode()).hexdigest()[:8]}"


def draw_overlays(
    run: Run, shard: int, decoder: Decoder, *, levels: bool, warn: Callable[[str], None]
) -> int:
    """Draw those of a shard that are not there; how many are there then.

    Args:
        run: The run.
        shard: A finished one.
        decoder: Reads the images.
        levels: Whether levels and scores are written on them.
        warn: Is told of images that cannot be drawn any more.
    """
    settings = run.settings
    policy = DecodePolicy(background=parse_colour(settings.background), max_pixels=settings.max_pixels)
    folder, there = overlay_folder(run, levels=levels), 0
    for planned, paint in _rated(run, shard) if levels else _segmented(run, shard):
        path = folder / _name(planned, run.revisions.replaced(shard, planned.image))
        if not path.exists():
            try:
                ref = planned.ref._replace(modified=None) if run.ignore_times else planned.ref
                with image_errors(ref.path):
                    picture = paint(decoder.decode(ref, policy))
            except ImageError as error:
                warn(f"Warning: no overlay: {error}")
                continue
            with created(path) as file:
                picture.save(file, "JPEG", quality=88)
        there += 1
    return there


def _segmented(run: Run, shard: int) -> Iterator[_Overlay]:
    for planned, row in read_segmented(run, shard):
        if row.error is None:
            yield _Overlay(planned, partial(_painted, row.regions))


def _rated(run: Run, shard: int) -> Iterator[_Overlay]:
    for planned, _, score in read_scored(run, shard):
        if score.leading is not None:
            yield _Overlay(planned, partial(_annotated, score))


def _painted(regions: Sequence[Region], image: Image) -> PIL.Image.Image:
    masks = sum(region.kind == "object" for region in regions)
    return labelled(overlay(image, regions, longest=LONGEST), f"{masks} masks", _rest(regions))


def _annotated(score: ImageScore, image: Image) -> PIL.Image.Image:
    return annotated(image, score, longest=LONGEST)


def _rest(regions: Sequence[Region]) -> str:
    """What is to be said of a complement that weighs other than its area."""
    weighing = (region for region in regions if region.weight not in (None, region.area))
    return ", ".join(f"rest: area {each.area:.0%}, weight {each.weight:.0%}" for each in weighing)


def _name(planned: Planned, revision: int) -> str:
    """Another file of the same name has a picture of its own, with the number of its revision."""
    stem = "".join(char if char.isalnum() or char in "-_" else "-" for char in Path(planned.ref.name).stem)
    return f"{planned.image:05d}-{stem[:80]}{f'-{revision:04d}' if revision else ''}.jpg"
