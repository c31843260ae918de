"""The embedded segmenter: graph-based segmentation, merged until about seven regions of a photo are left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.images.opencv import cv2
from zeroiqa.segmenters.regions import RegionRule

if TYPE_CHECKING:
    import numpy.typing as npt

    from zeroiqa.types import Image, Pixels, Region


@dataclass(frozen=True)
class GraphParameters:
    """What the regions depend on besides the image."""

    working_pixels: int = 40_000
    """Larger images are reduced to about this many pixels.

    The time, and as far as possible the regions, do not depend on the resolution.
    """
    sigma: float = 0.8
    """Standard deviation of the Gaussian that smooths the reduced image, in pixels."""
    scale: float = 100.0
    """Felzenszwalb and Huttenlocher's k: how much contrast a border needs; larger gives larger segments."""
    min_size: float = 0.01
    """Smallest segment, as a fraction of the image."""
    merge_below: float = 2.6
    """Neighbours are merged if that adds less than the square of this to the colours' mean squared error.

    In CIELAB units: two halves of an image are merged if their mean colours differ by less than twice this.
    """


class GraphSegmenter:
    """Regions of similar colour, the largest first. Deterministic.

    The segments of Felzenszwalb and Huttenlocher (Efficient graph-based image segmentation, IJCV 59, 2004;
    implemented by scikit-image) partition the image; then neighbours are merged by Ward's criterion.
    """

    def __init__(
        self,
        argument: str | None = None,
        *,
        parameters: GraphParameters = GraphParameters(),
        **rule: Any,
    ) -> None:
        """Keep the choices; `rule` are fields of `RegionRule`."""
        if argument is not None:
            raise UserError(f"the segmenter graph takes no argument, but got graph:{argument}; write graph.")
        self._rule = RegionRule(**rule)
        self._parameters = parameters

    @property
    def id(self) -> str:
        """Name, version and every parameter."""
        parameters = ",".join(f"{name}={value}" for name, value in asdict(self._parameters).items())
        return f"graph-v2:{parameters},{self._rule.id}"

    def segment(self, image: Image) -> list[Region]:
        """The regions, from masks at the working resolution."""
        labels = _segments(image.pixels, self._parameters)
        largest_first = np.argsort(-np.bincount(labels.ravel()), kind="stable")
        return self._rule.regions((labels == label for label in largest_first), image.size)

    images_per_call = 1
    """Images gain nothing from company."""

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """The regions of several images, one after the other."""
        return [self.segment(image) for image in images]


def _segments(pixels: Pixels, parameters: GraphParameters) -> npt.NDArray[np.intp]:
    """The number of its segment for every pixel of the reduced image."""
    from skimage.segmentation import felzenszwalb  # half a second to import

    reduced = _reduce(pixels, parameters.working_pixels)
    labels: npt.NDArray[np.intp] = felzenszwalb(
        _without_ties(reduced),
        scale=parameters.scale,
        sigma=parameters.sigma,
        min_size=math.ceil(parameters.min_size * reduced.shape[0] * reduced.shape[1]),
    )
    lab = cv2.cvtColor(reduced.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    sizes = np.bincount(labels.ravel())
    colours = np.stack([np.bincount(labels.ravel(), channel.ravel()) for channel in cv2.split(lab)], axis=1)
    merged = _merge(colours / sizes[:, None], sizes / labels.size, _adjacency(labels), parameters.merge_below)
    return merged[labels]


def _without_ties(pixels: Pixels) -> npt.NDArray[np.float64]:
    """The pixels in 0..1, each moved by up to 1e-8, always by the same.

    scikit-image sorts the contrasts of all neighbours, and the order of equal ones depends on the processor.
    """
    return pixels / 255 + 1e-8 * np.random.default_rng(0).random(pixels.shape)


def _reduce(pixels: Pixels, working_pixels: int) -> Pixels:
    height, width = pixels.shape[:2]
    factor = math.sqrt(working_pixels / (height * width))
    if factor >= 1:
        return pixels
    if factor < 1 / 4 and min(height, width) > 1:
        # much faster than a single step: OpenCV has special code for exact halves
        even = pixels[: height // 2 * 2, : width // 2 * 2]
        return _reduce(_resize(even, width // 2, height // 2), working_pixels)
    return _resize(pixels, max(1, round(width * factor)), max(1, round(height * factor)))


def _resize(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _adjacency(labels: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Which segments share a border, shape (segments, segments), symmetric, False on the diagonal."""
    adjacent = np.zeros((labels.max() + 1,) * 2, dtype=bool)
    adjacent[labels[:, :-1], labels[:, 1:]] = True
    adjacent[labels[:-1], labels[1:]] = True
    adjacent |= adjacent.T
    np.fill_diagonal(adjacent, False)
    return adjacent


def _merge(
    colours: npt.NDArray[np.float64],
    areas: npt.NDArray[np.float64],
    adjacent: npt.NDArray[np.bool_],
    merge_below: float,
) -> npt.NDArray[np.intp]:
    """Merge the two most similar neighbours again and again, by Ward's criterion.

    One colour for two segments of areas a, b adds a b / (a + b) |c_a - c_b|^2 to the mean squared error.

    Args:
        colours: Mean CIELAB colours of the segments, shape (segments, 3).
        areas: Their fractions of the image, shape (segments,).
        adjacent: Which of them share a border, shape (segments, segments).
        merge_below: Stop when the root of what the cheapest merger adds is at least this.

    Returns:
        The number of the merged segment for every segment, counted from 0 without gaps.
    """
    colours, areas, adjacent = colours.copy(), areas.copy(), adjacent.copy()
    owner = np.arange(len(areas))
    while True:
        distances = np.linalg.norm(colours[:, None] - colours, axis=2)
        added = distances * np.sqrt(areas[:, None] * areas / (areas[:, None] + areas))
        added[~adjacent] = np.inf
        kept, gone = np.unravel_index(added.argmin(), added.shape)
        if added[kept, gone] >= merge_below:
            return np.unique(owner, return_inverse=True)[1]
        colours[kept] = np.average(colours[[kept, gone]], axis=0, weights=areas[[kept, gone]])
        areas[kept] += areas[gone]
        adjacent[kept] |= adjacent[gone]
        adjacent[:, kept] |= adjacent[:, gone]
        adjacent[gone] = adjacent[:, gone] = adjacent[kept, kept] = False
        owner[owner == gone] = kept
