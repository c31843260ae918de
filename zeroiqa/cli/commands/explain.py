"""`zeroiqa explain`: why an image has its score, in the terminal and as a picture."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.cli.method import method_options, settings_of
from zeroiqa.cli.options import given, machine_readable, sidecar_option
from zeroiqa.cli.running import tell
from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location, location
from zeroiqa.names import json_text

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.pipeline import Method
    from zeroiqa.report.explained import Explanation
    from zeroiqa.runs import Run
    from zeroiqa.types import Image

    _Found: TypeAlias = tuple[Sequence[str], Iterable[tuple[Image | None, Explanation]], Iterable[str]]
    """Names of the images, each with its pixels (None where there are none), and remarks at the end."""

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Suffix of a picture -> its format."""


@command(
    examples=[
        ("explain photo.jpg -o why.png", "what each region is rated and adds, as text and as a picture"),
        ("explain photo.jpg --run run", "the same from the stored ratings of a run"),
    ],
)
@click.argument("paths", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help=f"Draw the regions over the image, with their levels, into this file ({', '.join(SUFFIXES)}); for "
    "several images, a folder of PNG files. Nothing is overwritten.",
)
@click.option(
    "--run",
    type=location,
    help="Explain images of this run folder from its stored ratings; no model is loaded.",
)
@method_options
@sidecar_option
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    callback=machine_readable,
    help="Lines to read, or one list of JSON with every number.",
)
def explain(
    paths: tuple[str, ...],
    output: Path | None,
    run: Location | None,
    sidecar_prompts: bool,
    style: str,
    **choices: Any,
) -> None:
    """Say why an IMAGE has its score: what the whole image and each region are rated and add to it, how the
    answers spread over the levels, and what was measured.

    The options are those of `zeroiqa score`. Regions are found though --lambda is 0, where they add nothing.
    """
    from zeroiqa.report.explained import as_record

    names, explained, remarks = (
        _scored(paths, sidecar_prompts, choices) if run is None else _stored(run, paths, output, choices)
    )
    targets = _targets(output, names)
    records, found = [], 0
    for place, (image, explanation) in enumerate(explained):
        found += bool(explanation.score.scores)
        if style == "table":
            _print(explanation, first=place == 0)
        else:
            records.append(json_text(as_record(explanation)))
        if targets and image is not None:
            _draw(image, explanation, targets[place])
    if style == "json":
        sys.stdout.write("[\n" + ",\n".join(records) + "\n]\n")
    for line in remarks:
        say(line, err=True)
    if not found:
        raise click.exceptions.Exit(1)


def _scored(paths: tuple[str, ...], sidecar_prompts: bool, choices: dict[str, Any]) -> _Found:
    """Images as the options say to score them."""
    from zeroiqa.images.find import find_images
    from zeroiqa.pipeline import build_method, with_masks
    from zeroiqa.runs.device import check_device
    from zeroiqa.settings import DEFAULT_PRESET

    settings = settings_of(choices.pop("preset") or DEFAULT_PRESET, **choices)
    if settings.crop != "whole":
        settings = replace(settings, regions=True)
    check_device(settings, tell)
    sources = find_images(paths, sys.stdin, sidecar_prompts=sidecar_prompts)
    method = with_masks(build_method(settings), settings)
    return [source.name for source in sources], (_one(source, method) for source in sources), ()


def _one(source: ImageRef, method: Method) -> tuple[Image | None, Explanation]:
    from zeroiqa.errors import ImageError
    from zeroiqa.guards.together import image_errors
    from zeroiqa.pipeline import explain_image
    from zeroiqa.report.explained import Explanation
    from zeroiqa.results import ImageScore
    from zeroiqa.types import RatedImage

    try:
        with image_errors(source.path):
            image = method.decoder.decode(source, method.policy)
        rated, score = explain_image(image, method)
    except ImageError as error:
        failed = ImageScore(source.name, error=str(error), cause=error.cause)
        return None, Explanation(failed, RatedImage(()), method.labels, method.aggregation)
    return image, Explanation(score, rated, method.labels, method.aggregation)


def _stored(run: Location, paths: tuple[str, ...], output: Path | None, choices: dict[str, Any]) -> _Found:
    """Images of a run; they are decoded only where pictures are made."""
    from zeroiqa.report.of_run import explained_images
    from zeroiqa.runs import load_run, reaggregation
    from zeroiqa.runs.identity import ARITHMETIC, WARNINGS
    from zeroiqa.runs.remarks import lacking
    from zeroiqa.settings import key_of

    wanted = given(**choices)
    others = [
        option.opts[0]
        for option in click.get_current_context().command.params
        if option.name in wanted and key_of(option.name) not in (*ARITHMETIC, *WARNINGS)
    ]
    if others:
        raise click.UsageError(
            f"--run explains what is stored, by the settings of the run, but {', '.join(others)} was given; "
            "leave one of the two out."
        )
    loaded = load_run(run)
    aggregation = reaggregation(loaded, wanted) if wanted else None
    found = list(explained_images(loaded, paths, aggregation))
    images = ((None if output is None else _decoded(loaded, ref), explanation) for ref, explanation in found)
    return [ref.name for ref, _ in found], images, lacking(loaded)


def _decoded(run: Run, ref: ImageRef) -> Image | None:
    """An image of a run; None, with a warning, where it is not there any more or another one."""
    from zeroiqa.errors import ImageError
    from zeroiqa.guards.together import image_errors
    from zeroiqa.images.decode import DecodePolicy, parse_colour
    from zeroiqa.images.decoder import Decoder

    policy = DecodePolicy(parse_colour(run.settings.background), run.settings.max_pixels)
    try:
        with image_errors(ref.path):
            return Decoder(run.image_seconds).decode(ref, policy)
    except ImageError as error:
        say(f"Warning: no picture: {error}", err=True)
        return None


def _print(explanation: Explanation, *, first: bool) -> None:
    from zeroiqa.guards.console import shows_blocks
    from zeroiqa.report.explained import as_text

    if not first:
        say("")
    for line in as_text(explanation, ascii_only=not shows_blocks()):
        say(line)


def _draw(image: Image, explanation: Explanation, target: Path) -> None:
    from zeroiqa.files.atomic import created
    from zeroiqa.report.annotated import annotated

    score = explanation.score
    if score.leading is None:
        say(f"Warning: no picture of {score.path}: it has no score of the first standard.", err=True)
        return
    picture = annotated(image, score)
    with created(target) as file:
        picture.save(file, SUFFIXES[target.suffix.lower()], quality=92)
    say(f"Written: {printable(str(target))}", err=True)


def _targets(output: Path | None, names: Sequence[str]) -> list[Path]:
    """Where the picture of each image goes; none where no pictures are wanted.

    Raises:
        UserError: something is there already, or the name is not one for so many pictures.
    """
    if output is None:
        return []
    shown = printable(str(output))
    if output == Path():
        raise UserError("-o names no file; give the name of a picture, or a folder such as ./overlays.")
    if output.suffix and not output.is_dir():
        if output.suffix.lower() not in SUFFIXES:
            raise UserError(
                f"{shown} is no name for a picture; one that ends in {', '.join(SUFFIXES)} is, and a folder "
                "has no such end."
            )
        if len(names) > 1:
            raise UserError(f"{len(names)} images have no room in {shown}; name a folder with -o.")
        targets = [output]
    else:
        targets = list(_named(output, names))
    there = next((target for target in targets if os.path.lexists(target)), None)
    if there is not None:
        raise UserError(f"{printable(str(there))} is there already; give another name with -o, or delete it.")
    return targets


def _named(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A file in the folder for each image, called like it; a number tells those of one name apart."""
    taken: set[str] = set()
    for name in names:
        clean = "".join(char if char.isalnum() or char in "-_" else "-" for char in Path(name).stem)[:80]
        stems = (clean if number == 1 else f"{clean}-{number}" for number in itertools.count(1))
        stem = next(stem for stem in stems if stem.casefold() not in taken)
        taken.add(stem.casefold())
        yield folder / f"{stem}.png"
