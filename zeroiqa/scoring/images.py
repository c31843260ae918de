"""`score` and `score_images`: images in memory or files, without a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from zeroiqa.errors import ImageError, UserError
from zeroiqa.guards.together import image_errors
from zeroiqa.image_scores import ImageScores
from zeroiqa.images.arrays import is_array, is_tensor
from zeroiqa.images.find import find_images
from zeroiqa.images.given import name_of, to_image, to_ref
from zeroiqa.images.members import NamedMembers
from zeroiqa.images.ref import ImageRef
from zeroiqa.images.selection import Selection
from zeroiqa.pipeline import Method, score_image
from zeroiqa.results import ImageScore
from zeroiqa.scoring.method import load_method
from zeroiqa.scoring.workers import Given, Waiting, groups, score_group, score_in_workers, workers_of
from zeroiqa.standards import check_prompts
from zeroiqa.types import Image

if TYPE_CHECKING:
    from zeroiqa.images.given import ImageLike


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
    workers: int | str = 1,
    on_progress: Callable[[int], None] | None = None,
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
        workers: Processes on this machine: 1 is this one, "auto" one for each GPU with models, else one for
            each core. Scores are the same for any number. A script that uses more guards its own code by
            `if __name__ == "__main__":`, as with all worker processes in Python.
        on_progress: Is told how many images are done, after each.
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
    members = NamedMembers()
    if isinstance(images, str | os.PathLike):
        sources = find_images([os.fspath(images)], selection=Selection.of(include, exclude))
        images = [source.as_it_is_now for source in sources]
        prompts = [source.prompt for source in sources] if prompts is None else prompts
    elif _is_one(images):
        raise UserError(
            f"One image is given ({type(images).__name__}), and score_images takes many; give a list of "
            "images or a batch, or use score."
        )
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
    count = workers_of(workers, method, len(images) if isinstance(images, Sequence) else None)
    given = (
        _given(image, None if prompts is None else prompts[position], method, members, position)
        for position, image in enumerate(images)
    )
    results: list[ImageScore] = []
    for result in score_in_workers(given, method, count) if count > 1 else _score_here(given, method):
        results.append(result)
        if on_progress is not None:
            on_progress(len(results))
    return ImageScores(tuple(results))


def _score_here(given: Iterable[Given], method: Method) -> Iterator[ImageScore]:
    for group in groups(given, method.images_per_call):
        yield from score_group(group, method)


def _given(
    image: ImageLike, prompt: str | None, method: Method, members: NamedMembers, position: int
) -> Given:
    """An image as what any process can score; one of which nothing can be made is its result already."""
    if isinstance(image, Image):
        return image
    name = name_of(image, position)
    try:
        with image_errors(name):
            ref = to_ref(image, name, members)
            if ref is not None:
                return Waiting(name, ref._replace(prompt=prompt))
            return to_image(
                image,
                prompt,
                policy=method.policy,
                decoder=method.decoder,
                members=members,
                position=position,
            )
    except ImageError as error:
        return ImageScore(name, error=str(error), cause=error.cause)


def _is_one(images: object) -> bool:
    """Whether this is a single image, though something could be taken out of it one by one."""
    if is_tensor(images) or is_array(images):
        return getattr(images, "ndim", 0) in (2, 3)
    return isinstance(images, bytes | bytearray | memoryview | Mapping | Image | ImageRef) or any(
        hasattr(images, name) for name in ("getbands", "read")
    )


def _prompts(
    images: Sequence[ImageLike], prompts: Sequence[str | None] | None
) -> Iterator[tuple[str, str | None]]:
    """Name and prompt of each image."""
    for position, image in enumerate(images):
        own = image.prompt if isinstance(image, Image) else prompts[position] if prompts is not None else None
        yield name_of(image, position), own
