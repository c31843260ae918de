"""The Python interface: score one image, or many, held in files or in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

from zeroiqa.errors import ImageError, UserError
from zeroiqa.guards.budget import IMAGE_SECONDS
from zeroiqa.images.decode import from_array, from_pil
from zeroiqa.images.find import find_images
from zeroiqa.images.read import Stored
from zeroiqa.images.selection import Selection
from zeroiqa.pipeline import Method, build_method, score_image, score_together
from zeroiqa.results import ImageScore, ImageScores
from zeroiqa.settings import DEFAULT_PRESET, load_settings
from zeroiqa.standards import check_prompts
from zeroiqa.types import Image

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import PIL.Image

    ImageLike: TypeAlias = str | os.PathLike[str] | bytes | npt.NDArray[np.generic] | PIL.Image.Image | Image
    """A path, the bytes of an image file, an array (height, width[, channels]) in RGB order, a PIL image."""


class Overrides(TypedDict, total=False):
    """Fields of the preset that a caller may put in its place; see `zeroiqa.settings.Settings`."""

    segmenter: str
    granularity: str
    min_area: float
    complement: bool
    raters: Sequence[str]
    rater_weights: Sequence[float]
    mass_threshold: float
    word_mass_threshold: float
    standards: Sequence[str]
    crop: str
    readout: str
    weighting: str
    lam: float
    normalize_areas: bool
    background: str
    max_pixels: int
    device: str
    dtype: str
    attn: str
    load_in_8bit: bool
    trust_remote_code: bool
    allow_pickle: bool
    offline: bool


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
        UserError: a name is unknown or a value out of its range.
    """
    return build_method(load_settings(preset, overrides), image_seconds=image_seconds)


def score(image: ImageLike, *, prompt: str | None = None, method: Method | None = None) -> ImageScore:
    """Score one image without a reference.

    Args:
        image: A path, the bytes of an image file, a PIL image, or an array in RGB order of shape
            (height, width) or (height, width, 1 | 2 | 3 | 4) and type uint8, uint16 or bool.
        prompt: The text that the image was generated from; needed for the aspect correspondence.
        method: From `load_method`; the embedded preset if left out.

    Returns:
        The result; `result.score` lies in [1, 7] for the shipped presets, higher is better.

    Raises:
        ImageError: this image cannot be decoded or rated, or the prompt that a standard needs is missing.

    Example:
        >>> from zeroiqa.samples import folder
        >>> 1 <= score(folder() / "coffee.jpg").score <= 7
        True
    """
    method = method or load_method()
    decoded = _to_image(image, prompt, method, 0)
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
        images: A folder, a glob pattern or a list file; or anything that yields what `score` takes.
            Images are taken and let go one by one, or as many at a time as a model rates by one call.
        prompts: One text prompt per image, for the aspect correspondence. An image without one has the scores
            of the other standards, and a warning.
        method: From `load_method`; the embedded preset if left out.
        include: Patterns of names, as of `zeroiqa.images.selection.Selection`: take images only that fit one.
            Those of a folder, a glob pattern or a list alone are asked.
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
        images = [source.path for source in sources]
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
    for position, image in enumerate(images):
        prompt = prompts[position] if prompts is not None else None
        try:
            group.append(_to_image(image, prompt, method, position))
        except ImageError as error:
            group.append(ImageScore(_name(image, position), error=str(error), cause=error.cause))
        if len(group) == at_once:
            results += _score_group(group, method)
            group.clear()
    return ImageScores((*results, *_score_group(group, method)))


def _prompts(
    images: Sequence[ImageLike], prompts: Sequence[str | None] | None
) -> Iterator[tuple[str, str | None]]:
    """Name and prompt of each image."""
    for position, image in enumerate(images):
        own = image.prompt if isinstance(image, Image) else prompts[position] if prompts is not None else None
        yield _name(image, position), own


def _score_group(group: Sequence[Image | ImageScore], method: Method) -> list[ImageScore]:
    """The results of a group, in which images that cannot be decoded are results already."""
    images = [image for image in group if isinstance(image, Image)]
    scores = iter(score_together(images, method) if images else ())
    return [next(scores) if isinstance(image, Image) else image for image in group]


def _to_image(image: Any, prompt: str | None, method: Method, position: int) -> Image:
    if isinstance(image, Image):
        return image
    name = _name(image, position)
    if isinstance(image, str | os.PathLike | bytes):
        source = image if isinstance(image, bytes) else Stored(os.fspath(image))
        return method.decoder.decode(source, method.policy, name=name, prompt=prompt)
    if hasattr(image, "__array_interface__") and hasattr(image, "dtype"):
        return from_array(image, method.policy, name=name, prompt=prompt)
    if hasattr(image, "getbands"):
        return from_pil(image, method.policy, name=name, prompt=prompt)
    raise UserError(
        f"Image {position} is a {type(image).__name__}; "
        "give a path, the bytes of an image file, a NumPy array or a PIL image."
    )


def _name(image: Any, position: int) -> str:
    if isinstance(image, Image):
        return image.name
    if isinstance(image, str | os.PathLike):
        return str(Path(os.fsdecode(image)))
    filename = getattr(image, "filename", None)
    return filename if isinstance(filename, str) and filename else f"image {position}"
