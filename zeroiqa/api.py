"""Runs in Python: score images into a folder that can go on, or open one that is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Unpack

from zeroiqa import runs
from zeroiqa.choices import chosen_settings
from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location, location
from zeroiqa.guards.budget import IMAGE_SECONDS
from zeroiqa.guesses import guessed
from zeroiqa.images.find import find_images
from zeroiqa.images.prompts import with_prompts
from zeroiqa.images.selection import Selection
from zeroiqa.runs.begin import RunChoices, begin_run, default_folder, log_sentence, resume_run
from zeroiqa.runs.device import check_device
from zeroiqa.runs.executors.choice import ExecutorChoice
from zeroiqa.runs.limits import parse_limit
from zeroiqa.runs.naming import naming_of
from zeroiqa.runs.opening import going_on
from zeroiqa.runs.reopened import reopened
from zeroiqa.runs.resolved import resolve
from zeroiqa.runs.run import Run
from zeroiqa.runs.slices import parse_slice
from zeroiqa.runs.work import Track, work_on
from zeroiqa.scoring.method import Overrides
from zeroiqa.settings import DEFAULT_PRESET, Settings


class RunProgress(NamedTuple):
    """How far the work on a run is."""

    done: int
    """Images that are finished, those of earlier calls included."""
    total: int
    """All images. Where an ensemble of models goes over them several times, they count once each time."""


@guessed()
def run(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    folder: str | os.PathLike[str] | None = None,
    *,
    preset: str = DEFAULT_PRESET,
    baseline: str | None = None,
    aspects: str | Sequence[str] = (),
    settings: Settings | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    sidecar_prompts: bool = False,
    image_column: str | None = None,
    prompts: str | os.PathLike[str] | None = None,
    exact: bool = False,
    add: bool = False,
    prune: bool = False,
    retry_errors: bool = False,
    refresh: bool = False,
    ignore_times: bool = False,
    workers: int | str = "auto",
    ray: str | None = None,
    gpus: int | None = None,
    shard: str | None = None,
    max_failures: int | str | None = None,
    image_seconds: float = IMAGE_SECONDS,
    on_progress: Callable[[RunProgress], None] | None = None,
    on_message: Callable[[str], None] | None = None,
    **overrides: Unpack[Overrides],
) -> Run:
    """Score images into a run folder, as `zeroiqa score` does: a call that was interrupted goes on.

    Every rating is kept in the folder. The same call computes nothing twice, and follows what it names:
    images that are new there are scored, missing ones are gone. Scores equal those of the command line.

    Args:
        images: Files, folders, glob patterns, lists or archives, as `zeroiqa.images.find.find_images` takes
            them; None goes on with the images and settings of the run in `folder`.
        folder: Of the run; if left out, one below zeroiqa-runs/ for these images and settings.
        preset: Name of a preset, path of a TOML file, or name of a rater, as for `load_method`.
        baseline: In place of raters, a name of `zeroiqa baselines`.
        aspects: What to judge, by the word standard of each.
        settings: In place of a preset.
        include: Patterns of names: take images only that fit one.
        exclude: Patterns of names: leave out images that fit one.
        sidecar_prompts: Read photo.txt beside photo.png as its text prompt.
        image_column: The column of lists and tables that is the image, where several could be.
        prompts: A file with text prompts, as `zeroiqa.images.prompts.with_prompts` takes it.
        exact: These images and no others: do not follow a folder, pattern or list as it changes.
        add: Take in images of other places than the run is of.
        prune: Leave images that are gone out of all tables.
        retry_errors: Try all images again that have an error.
        refresh: Score images again whose file or prompt has changed since.
        ignore_times: Take images of the planned size though their files were written again since.
        workers: Processes on this machine: a number, or "auto".
        ray: Address of a Ray cluster, or "auto"; its actors do the work.
        gpus: With `ray`: actors that each have one GPU.
        shard: "I/N" does slice I of N of the run, I from 0; "slurm" takes both from a job array.
        max_failures: Stop once more images than that have an error; a number, or a share such as "5%".
        image_seconds: How long reading and decoding one image may take, more than 0.
        on_progress: Is told how far the work is, whenever images are finished.
        on_message: Is given each sentence that the command line prints about the run; if left out, the
            logger of zeroiqa is.
        **overrides: Fields of the preset to replace, such as `raters=["nss"]` or `crop="mask"`.

    Returns:
        The run: `.scores()` yields a result for each image, `.status()` counts.

    Raises:
        UserError: nothing is found, the folder holds another run or something else, choices contradict each
            other, or the run cannot go on; what is finished stays.

    Example:
        >>> import tempfile, zeroiqa
        >>> from zeroiqa.samples import folder
        >>> run = zeroiqa.run(folder(), tempfile.mkdtemp(), include=["c*.jpg"])
        >>> sorted(result.status for result in run.scores()) == ["ok"] * run.status().images
        True
    """
    tell = on_message or log_sentence
    choices = RunChoices(
        add=add,
        prune=prune,
        ignore_times=ignore_times,
        retry_errors=retry_errors,
        refresh=refresh,
        slice=None if shard is None else parse_slice(shard, os.environ),
        image_seconds=image_seconds,
    )
    executors = ExecutorChoice(workers, ray, gpus)
    limit = None if max_failures is None else parse_limit(max_failures)
    if images is None:
        if folder is None:
            raise UserError("Name the images; or the folder of a run that shall go on.")
        there, wanted = reopened(load_run(folder), overrides)
        if "device" in overrides and ray is None:
            check_device(wanted, tell)
        executor = executors.executor(there.n_images, wanted)
        opened = resume_run(there, choices=choices, regions=wanted.makes_regions, tell=tell)
    else:
        if settings is None:
            settings = chosen_settings(preset, baseline=baseline, aspects=aspects, overrides=overrides)
        if ray is None:
            check_device(settings, tell)
        named = [images] if isinstance(images, str | os.PathLike) else images
        names = [os.fspath(name) for name in named]
        selection = Selection.of(include, exclude)
        sources = find_images(
            names, sidecar_prompts=sidecar_prompts, selection=selection, image_column=image_column
        )
        texts = None if prompts is None else Path(prompts)
        if texts is not None:
            sources = with_prompts(sources, texts)
        naming = naming_of(
            names,
            selection=selection,
            sidecar_prompts=sidecar_prompts,
            image_column=image_column,
            texts=texts,
            exact=exact,
        )
        resolved = resolve(settings)
        place = default_folder(names[0], resolved, sources, naming) if folder is None else _location(folder)
        resolved = going_on(place, resolved)
        executor = executors.executor(len(sources), resolved.settings)  # before anything is written
        opened = begin_run(place, resolved, sources, preset, naming=naming, choices=choices, tell=tell)
    work = work_on(opened, executor, _track(on_progress), slice=choices.slice, limit=limit)
    work.finish()
    for sentence in work.conclusion():
        tell(sentence)
    return work.run


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Open a run that is there, without its images or models.

    Args:
        folder: Of the run; also an address such as s3://BUCKET/RUN.

    Returns:
        The run: `.scores()` yields the results of all that is finished, `.status()` counts, and with other
        arithmetic (`.scores(lam=0)`) no model is loaded either.

    Raises:
        UserError: the folder holds no run, is damaged, or was written by a newer zeroiqa.

    Example:
        >>> import tempfile, zeroiqa
        >>> from zeroiqa.samples import folder
        >>> there = zeroiqa.run(folder() / "coffee.jpg", tempfile.mkdtemp()).folder
        >>> [result] = zeroiqa.load_run(there).scores()
        >>> 1 <= result.score <= 7
        True
    """
    return runs.load_run(_location(folder))


def _location(folder: str | os.PathLike[str]) -> Location:
    return folder if isinstance(folder, Path) else location(os.fspath(folder))


def _track(on_progress: Callable[[RunProgress], None] | None) -> Track:
    @contextmanager
    def track(total: int, done: int, passes: Sequence[int], doing: str) -> Iterator[Callable[[int], None]]:
        finished = done

        def advance(images: int) -> None:
            nonlocal finished
            finished += images
            if on_progress is not None:
                on_progress(RunProgress(finished, total))

        advance(0)
        yield advance

    return track
