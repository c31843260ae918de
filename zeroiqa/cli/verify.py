"""`zeroiqa verify`: show that a score depends on the image and the settings alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zeroiqa.cli.options import given
from zeroiqa.errors import ImageError, UserError

if TYPE_CHECKING:
    from zeroiqa.inputs import Source
    from zeroiqa.pipeline import Method
    from zeroiqa.settings import Settings
    from zeroiqa.types import Image, Rating

    Ratings = dict[tuple[str, str, str], tuple[Rating | None, ...]]
    """(path, rater, standard) -> one rating per view."""


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--preset", default="embedded", show_default=True, help="Name of a preset, or a TOML file.")
@click.option("--segmenter", help="As for `zeroiqa score`.")
@click.option("--rater", "raters", multiple=True, help="As for `zeroiqa score`.")
def verify(paths: tuple[str, ...], preset: str, segmenter: str | None, raters: tuple[str, ...]) -> None:
    """Check that batch size, order and worker count leave every rating unchanged.

    Works on PATHS, by default on the sample photos; a few images are enough. A difference is an error.
    """
    from zeroiqa import samples
    from zeroiqa.inputs import find_images
    from zeroiqa.pipeline import build_method
    from zeroiqa.settings import load_settings

    settings = load_settings(preset, given(segmenter=segmenter, raters=raters))
    method = build_method(settings)
    sources = find_images(paths or [str(samples.folder())])
    images = _decodable(sources, method)
    reference = _one_by_one(images, method)
    checks = {
        "order reversed": _one_by_one(reversed(images), method),
        "all views in one batch": _in_one_batch(images, method),
        "2 worker processes": _with_workers(
            settings, [s for s in sources if s.path in {i.name for i in images}]
        ),
    }
    different = [name for name, ratings in checks.items() if not _same(name, ratings, reference)]
    if different:
        raise UserError(
            f"Ratings changed with {' and '.join(different)}; please report this, with the image."
        )


def _decodable(sources: Sequence[Source], method: Method) -> list[Image]:
    from zeroiqa.images import decode

    images = []
    for source in sources:
        try:
            images.append(decode(source.path, method.policy, prompt=source.prompt))
        except ImageError as error:
            click.echo(f"Left out: {error}", err=True)
    if not images:
        raise UserError("None of the images can be decoded; give at least one that can.")
    return images


def _one_by_one(images: Iterable[Image], method: Method) -> Ratings:
    from zeroiqa.pipeline import find_regions, rate_image

    return {
        (image.name, name, standard): ratings
        for image in images
        for name, rater in method.raters.items()
        for standard, ratings in rate_image(image, find_regions(image, method), rater, method).items()
    }


def _in_one_batch(images: Sequence[Image], method: Method) -> Ratings:
    from zeroiqa.pipeline import find_regions
    from zeroiqa.views import cut_views

    views = {image.name: cut_views(image, find_regions(image, method), method.crop) for image in images}
    flat = [view for each in views.values() for view in each]
    collected: Ratings = {}
    for name, rater in method.raters.items():
        answers = iter(rater.rate(flat, method.standards))
        for path, own in views.items():
            rows = [next(answers) for _ in own]
            for index, standard in enumerate(method.standards):
                collected[path, name, standard.name] = tuple(row[index] for row in rows)
    return collected


def _with_workers(settings: Settings, sources: list[Source]) -> Ratings:
    from zeroiqa.runs import open_run, pending, read_rated
    from zeroiqa.runs.executors.local import execute

    with tempfile.TemporaryDirectory() as folder:
        run = open_run(Path(folder) / "run", settings, sources, preset="verify")
        for _ in execute(run, pending(run), workers=2, on_images=lambda _: None):
            pass
        return {
            (path, rater, standard): ratings
            for shard in range(run.n_shards)
            for path, rated in read_rated(run, shard)
            for rater, by_standard in rated.ratings.items()
            for standard, ratings in by_standard.items()
        }


def _same(name: str, ratings: Ratings, reference: Ratings) -> bool:
    changed = {key[0] for key in reference if ratings.get(key) != reference[key]}
    click.echo(
        f"{name:<24} "
        + (f"{len(changed)} images differ" if changed else f"identical ({len(reference)} ratings)")
    )
    return not changed
