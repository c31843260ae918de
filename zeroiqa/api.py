"""The Python interface: score images in memory or files, or keep their ratings in a run that can go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict, Unpack

from zeroiqa import runs
from zeroiqa.errors import ImageError, UserError
from zeroiqa.files.storage import Location, location
from zeroiqa.guards.budget import IMAGE_SECONDS
from zeroiqa.guesses import guessed
from zeroiqa.image_scores import ImageScores
from zeroiqa.images.find import find_images
from zeroiqa.images.given import name_of, to_image
from zeroiqa.images.members import NamedMembers
from zeroiqa.images.selection import Selection
from zeroiqa.pipeline import Method, build_method, score_image, score_together
from zeroiqa.results import ImageScore
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
from zeroiqa.settings import DEFAULT_PRESET, Settings, load_settings
from zeroiqa.standards import check_prompts
from zeroiqa.types import Image

if TYPE_CHECKING:
    from zeroiqa.images.given import ImageLike


class RunProgress(NamedTuple):
    """How far the work on a run is."""

    done: int
    """Images that are finished, those of earlier calls included."""
    total: int
    """All images. Where an ensemble of models goes over them several times, they count once each time."""


class Overrides(TypedDict, total=False):
    """Fields of the preset that a caller may put in its place; see `zeroiqa.settings.Settings`."""

    segmenter: str
    granularity: str
    min_area: float
    complement: bool
    min_pixels: int
    complement_rule: str
    raters: Sequence[str]
    rater_weights: Sequence[float]
    standard_weights: Sequence[float]
    mass_threshold: float
    word_mass_threshold: float
    standards: Sequence[str]
    crop: str
    regions: bool
    readout: str
    weighting: str
    lam: float
    normalize_areas: bool
    formula: str
    count_weight: float
    background: str
    max_pixels: int
    scale: str
    device: str
    dtype: str
    segmenter_dtype: str
    attn: str
    load_in_8bit: bool
    trust_remote_code: bool
    allow_pickle: bool
    offline: bool
    describe: bool


@guessed()
def load_method(
    preset: str = DEFAULT_PRESET, *, image_seconds: float = IMAGE_SECONDS, **overrides: Unpack[Overrides]
) -> Method:
    """Build segmenter and raters once, for many calls of `score` or `score_images`.

    Weights are loaded by the first image and stay: of an ensemble of models all are in memory at once, while
    `zeroiqa score` holds one at a time.

    Args:
        preset: Name of a preset, or path of a TOML file.
        image_seconds: How long reading and decoding one image may take, more than 0; `inf` does not end it.
        **overrides: Fields of the preset to replace, such as `lam=1.0` or `crop="mask"`.

    Raises:
        UserError: a name is unknown or a value out of its range; or `scale` is given, which is of runs.
    """
    settings = load_settings(preset, overrides)
    if settings.scale != "declared":
        raise UserError(
            f"The setting scale is {settings.scale!r} (preset {preset}), which tables of a run show; give it "
            "to zeroiqa.run, or leave it out."
        )
    check_device(settings, log_sentence)
    return build_method(settings, image_seconds=image_seconds)


def score(image: ImageLike, *, prompt: str | None = None, method: Method | None = None) -> ImageScore:
    """Score one image without a reference.

    Args:
        image: A path (of a member of a tar archive ARCHIVE.tar/MEMBER), the bytes of an image file, a PIL
            image, or an array in RGB order of shape (height, width) or (height, width, 1 | 2 | 3 | 4) and
            type uint8, uint16 or bool.
        prompt: The text that the image was generated from; needed for the aspect correspondence.
        method: From `load_method`; the embedded preset if left out.

    Returns:
        The result; higher scores are better. They lie on `result.scale`, by most presets in [1, 7]. The score
        is that of the first standard alone, unless `standard_weights` make it the mean of all.

    Raises:
        ImageError: this image cannot be decoded or rated, or the prompt that a standard needs is missing.

    Example:
        >>> from zeroiqa.samples import folder
        >>> 1 <= score(folder() / "coffee.jpg").score <= 7
        True
    """
    method = method or load_method()
    decoded = to_image(image, prompt, policy=method.policy, decoder=method.decoder, members=NamedMembers())
    for standard in method.standards:
        standard.fill(decoded.prompt)  # raises where it is missing: of one image, nothing is left out
    result = score_image(decoded, method)
    if result.error is not None:
        raise ImageError(result.error)
    return result


def score_images(
    images: str | os.PathLike[str] | Iterable[ImageLike],
    *,
    prompts: Sequence[str | None] | None = None,
    method: Method | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> ImageScores:
    """Score many images; a bad one becomes a result with `status` "error" and never stops the others.

    Args:
        images: A folder, a glob pattern, a list file or a tar archive; or anything that yields what `score`
            takes.
            Images are taken and let go one by one, or as many at a time as a model rates by one call.
        prompts: One text prompt per image, for the aspect correspondence. An image without one has the scores
            of the other standards, and a warning.
        method: From `load_method`; the embedded preset if left out.
        include: Patterns of names, as of `zeroiqa.images.selection.Selection`: take images only that fit one.
            Those of a folder, a glob pattern, a list or an archive alone are asked.
        exclude: Patterns of names: leave out images that fit one.

    Returns:
        The results in the order of the images; `.to_pandas()` makes a table of them.

    Raises:
        UserError: nothing was found, there are more or fewer prompts than images, or a standard needs prompts
            and no image has one (of images that come one by one this is not known beforehand).
    """
    method = method or load_method()
    if isinstance(images, str | os.PathLike):
        sources = find_images([os.fspath(images)], selection=Selection.of(include, exclude))
        images = [source.as_it_is_now for source in sources]
        prompts = [source.prompt for source in sources] if prompts is None else prompts
    elif include or exclude:
        raise UserError("include and exclude choose in a folder, a glob pattern or a list; name one of them.")
    if prompts is not None:
        images = list(images)
        if len(prompts) != len(images):
            raise UserError(
                f"{len(prompts)} prompts were given for {len(images)} images; give one for each image."
            )
    if isinstance(images, Sequence):
        check_prompts(method.standards, list(_prompts(images, prompts)))
    at_once = method.images_per_call
    results: list[ImageScore] = []
    group: list[Image | ImageScore] = []
    members = NamedMembers()
    for position, image in enumerate(images):
        prompt = prompts[position] if prompts is not None else None
        try:
            group.append(
                to_image(
                    image,
                    prompt,
                    policy=method.policy,
                    decoder=method.decoder,
                    members=members,
                    position=position,
                )
            )
        except ImageError as error:
            group.append(ImageScore(name_of(image, position), error=str(error), cause=error.cause))
        if len(group) == at_once:
            results += _score_group(group, method)
            group.clear()
    return ImageScores((*results, *_score_group(group, method)))


@guessed()
def run(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    folder: str | os.PathLike[str] | None = None,
    *,
    preset: str = DEFAULT_PRESET,
    settings: Settings | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    sidecar_prompts: bool = False,
    image_column: str | None = None,
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
        preset: Name of a preset, or path of a TOML file.
        settings: In place of a preset.
        include: Patterns of names: take images only that fit one.
        exclude: Patterns of names: leave out images that fit one.
        sidecar_prompts: Read photo.txt beside photo.png as its text prompt.
        image_column: The column of lists and tables that is the image, where several could be.
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
        settings = load_settings(preset, overrides) if settings is None else settings
        if ray is None:
            check_device(settings, tell)
        named = [images] if isinstance(images, str | os.PathLike) else images
        names = [os.fspath(name) for name in named]
        selection = Selection.of(include, exclude)
        sources = find_images(
            names, sidecar_prompts=sidecar_prompts, selection=selection, image_column=image_column
        )
        naming = naming_of(
            names,
            selection=selection,
            sidecar_prompts=sidecar_prompts,
            image_column=image_column,
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


def _prompts(
    images: Sequence[ImageLike], prompts: Sequence[str | None] | None
) -> Iterator[tuple[str, str | None]]:
    """Name and prompt of each image."""
    for position, image in enumerate(images):
        own = image.prompt if isinstance(image, Image) else prompts[position] if prompts is not None else None
        yield name_of(image, position), own


def _score_group(group: Sequence[Image | ImageScore], method: Method) -> list[ImageScore]:
    """The results of a group, in which images that cannot be decoded are results already."""
    images = [image for image in group if isinstance(image, Image)]
    scores = iter(score_together(images, method) if images else ())
    return [next(scores) if isinstance(image, Image) else image for image in group]
