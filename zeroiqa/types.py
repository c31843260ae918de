"""The values that pass between the stages, and the two plug points: segmenter and rater.

image --segment--> regions --crop--> views --rate--> ratings --aggregate--> score
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zeroiqa.standards import Standard

    Pixels: TypeAlias = npt.NDArray[np.uint8]
    """RGB, shape (height, width, 3), uint8."""
    Mask: TypeAlias = npt.NDArray[np.bool_]
    """Shape (height, width); True inside."""

RegionKind = Literal["object", "complement"]
CropMode = Literal["bbox", "mask", "whole"]


@dataclass(frozen=True)
class Image:
    """One decoded image."""

    pixels: Pixels
    """RGB, shape (height, width, 3), uint8, upright, alpha already composited."""
    name: str
    """The path it came from, or a name given by the caller."""
    prompt: str | None = None
    """The text prompt that the image was generated from; needed for the aspect correspondence."""
    warnings: tuple[str, ...] = ()
    """What the reader should know about the decoded pixels (first frame of an animation, ...)."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True)
class Rle:
    """A binary mask as a run-length code in COCO's uncompressed layout.

    The mask has the resolution of the segmenter, which may be lower than the image's.
    """

    size: tuple[int, int]
    """Height and width of the mask."""
    counts: tuple[int, ...]
    """Lengths of the alternating runs of 0 and 1 in column-major order, zeros first (may be 0)."""


@dataclass(frozen=True)
class Region:
    """A segmented object, or the complement of all of them."""

    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in image pixels, end exclusive, inside the image."""
    area: float
    """Mask area / image area, in (0, 1]."""
    kind: RegionKind
    mask: Rle | None = None
    """Only where the segmenter was asked to keep masks."""
    weight: float | None = None
    """What the region weighs among the others, where that is not its area; in (0, 1]."""


@dataclass(frozen=True)
class View:
    """The pixels that a rater looks at: the whole image or the crop of one region."""

    pixels: Pixels
    """RGB, shape (height, width, 3), uint8."""
    region: Region | None
    """None for the whole image."""
    image_size: tuple[int, int]
    """Height and width of the image that the view was cut from."""
    prompt: str | None = None
    """The image's text prompt, for the aspect correspondence."""
    mask: Mask | None = None
    """The pixels of the region, shape (height, width); those outside are 0. None where all are shown."""


@dataclass(frozen=True)
class Rating:
    """One rater's answer for one view under one standard: a distribution over K levels, a number, or both."""

    logprobs: tuple[float, ...]
    """Natural log of P(level k | the answer is a level), k = 1..K; -inf is allowed. With a `value`: empty, or
    the levels that a fine-tuned head gives beside its score, which has nothing of them."""
    mass: float
    """P(the answer is a level), in [0, 1]; a low mass means that the prompt failed. 1 where nothing else than
    levels is looked at, or no probability is known; see `zeroiqa.answers`."""
    value: float | None = None
    """The number that was answered: under a standard of kind "float", "preference" or "comparison", or by a
    baseline or head; else None."""
    answer: str | None = None
    """The greedy answer: the text of the most probable token of the whole vocabulary, without the white space
    around it. None where it is not known, as of raters that answer no text."""
    measures: Mapping[str, float] = field(default_factory=dict, hash=False)
    """What a rater that measures its view found there, by name; empty of one that does not."""
    description: str | None = None
    """What the model says of the view in a sentence of its own, where it was asked to."""


class Segmenter(Protocol):
    """Finds the regions of an image."""

    @property
    def id(self) -> str:
        """Name, weights revision and every parameter: two segmenters of one id give the same regions."""
        ...

    @property
    def images_per_call(self) -> int:
        """How many images are worth one call of `segment_batch`; 1 where batches gain nothing."""
        ...

    def segment(self, image: Image) -> list[Region]:
        """Regions in the segmenter's order, the complement last.

        Raises:
            ImageError: this image cannot be segmented.
        """
        ...

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """Regions of several images; those of an image never depend on the others.

        Raises:
            ImageError: one of the images cannot be segmented; which one is not said.
            UserError: the segmenter itself is unusable; the run stops and can be resumed.
        """
        ...


class Rater(Protocol):
    """Rates views. Building a rater is cheap; weights are loaded by the first call of `rate`."""

    @property
    def id(self) -> str:
        """Name, weights revision and every parameter: two raters of one id give the same ratings."""
        ...

    @property
    def images_per_call(self) -> int:
        """The views of how many images are worth one call of `rate`; 1 where batches gain nothing."""
        ...

    def check(self, standard: Standard) -> None:
        """Raise `UserError` if this rater cannot rate under the standard (its aspect, kind or K)."""
        ...

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        """Ratings indexed [view][standard], in the order given; None where the answer was no level at all.

        A rating depends on its view and standard alone, never on the other views of the call.

        Raises:
            ImageError: a view cannot be rated.
            UserError: the rater itself is unusable; the run stops and can be resumed.
        """
        ...


@runtime_checkable
class Describer(Protocol):
    """A rater that can also write what it sees, in a sentence of its own."""

    def descriptions(self, views: Sequence[View]) -> list[str | None]:
        """One sentence on the quality of each view, of one line; None where the answer is empty.

        A description depends on its view alone, never on the other views of the call.

        Raises:
            ImageError: a view cannot be described.
            UserError: the rater itself is unusable; the run stops and can be resumed.
        """
        ...


@dataclass(frozen=True)
class RatedImage:
    """Everything that is known of one image before arithmetic turns it into a score."""

    regions: tuple[Region, ...]
    ratings: dict[str, dict[str, tuple[Rating | None, ...]]] = field(default_factory=dict)
    """[rater name][standard name] -> one rating per view: the whole image first, then the regions."""
