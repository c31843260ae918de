"""Degraded copies of a picture: four corruptions of ImageNet-C with the parameters of imagecorruptions 1.1.2.

Written anew (Hendrycks and Dietterich 2019; Michaelis et al. 2019, Apache-2.0). The height map of the fog is
float32, as in the copy that Q-Debias ships. `np.random.RandomState(s)` gives what the package gives after
`np.random.seed(s)`: bit for bit, but for "saturate", which is a closed form here and may differ by one level.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from zeroiqa.comparison import SEVERITIES, Degradation
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.opencv import cv2

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

Floats: TypeAlias = npt.NDArray[np.floating[Any]]

LEAST_SIDE = 32
"""Pixels; the corruptions are not defined for smaller pictures."""
_ZOOMS = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))  # from 1: end, step
_SPATTERS = ((4, 0.69, 0.6), (3, 0.68, 0.6), (2, 0.68, 0.5))  # blur, least height of a drop, strength
_SATURATIONS = (0.3, 0.1, 2.0)  # factors
_FOGS = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))  # strength, decay of the wibble
_WATER = np.array([175, 238, 238]) / 255  # pale turquoise
_EDGES = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
_LOG = logging.getLogger(__name__)


def degrade(name: str, pixels: Pixels, severity: int, random: np.random.RandomState) -> Pixels:
    """A degraded copy of a picture.

    Args:
        name: "zoom_blur", "spatter", "saturate" or "fog".
        pixels: RGB, shape (height, width, 3), uint8; both sides of at least 32 pixels.
        severity: From 1; up to 5, or up to 3 for "spatter" (4 and 5 are mud instead of water) and "saturate"
            (4 and 5 give gray a colour).
        random: Drawn from by "spatter" and "fog".

    Returns:
        Of the same shape and type; fractions of a level are cut off, as by the package.

    Raises:
        ImageError: the picture is smaller.
        UserError: there is no such degradation, or not of this severity.
    """
    if severity not in SEVERITIES.get(name, ()):
        known = ", ".join(f"{each} {some[0]} to {some[-1]}" for each, some in SEVERITIES.items())
        raise UserError(f"There is no degradation {name!r} of severity {severity!r}; known: {known}.")
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise ImageError(
            f"A picture of {width} x {height} pixels cannot be degraded; each side needs at least "
            f"{LEAST_SIDE}."
        )
    return _DEGRADATIONS[name](pixels, severity - 1, random)


def degraded_copies(pixels: Pixels, degradations: Sequence[Degradation]) -> list[Pixels]:
    """One copy for each degradation; the random numbers follow from the picture's content alone.

    One generator serves all of them, in their order.

    Raises:
        ImageError: a side is below 32 pixels.
    """
    random = np.random.RandomState(content_seed(pixels))
    return [degrade(each.name, pixels, each.severity, random) for each in degradations]


def content_seed(pixels: Pixels) -> int:
    """A seed from 0 to 2**32 - 1 that equal pictures share."""
    digest = blake2b(repr(pixels.shape).encode(), digest_size=4)
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return int.from_bytes(digest.digest(), "big")


def _zoom_blur(pixels: Pixels, level: int, random: np.random.RandomState) -> Pixels:
    """The mean of the picture and of ever larger cuts from its middle, enlarged to its size."""
    end, step = _ZOOMS[level]
    picture = (pixels / 255).astype(np.float32)
    factors = np.arange(1, end, step)
    total = np.zeros_like(picture)
    height, width = picture.shape[:2]
    for factor in factors:
        rows, columns = int(np.ceil(height / factor)), int(np.ceil(width / factor))
        top, left = (height - rows) // 2, (width - columns) // 2
        for channel in range(3):  # planes take half the time of the whole, and give the same
            cut = picture[top : top + rows, left : left + columns, channel]
            layer = ndimage.zoom(cut, factor, order=1)[:height, :width]
            total[: layer.shape[0], : layer.shape[1], channel] += layer
    return _levels((picture + total) / (len(factors) + 1))


def _spatter(pixels: Pixels, level: int, random: np.random.RandomState) -> Pixels:
    """Drops of water. A picture on which none falls stays as it is; the package then divides by zero."""
    blur, least, strength = _SPATTERS[level]
    heights = random.normal(size=pixels.shape[:2], loc=0.65, scale=0.3)
    heights = ndimage.gaussian_filter(heights, blur, mode="nearest", truncate=4.0)
    heights[heights < least] = 0
    liquid = (heights * 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(liquid, 50, 150), cv2.DIST_L2, 5)
    near = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    relief = cv2.filter2D(cv2.equalizeHist(near), cv2.CV_8U, _EDGES)
    drops = liquid * cv2.blur(relief, (3, 3)).astype(np.float32)
    if not drops.any():
        return pixels.copy()
    drops = drops / drops.max() * np.float32(strength)
    picture = pixels.astype(np.float32) / 255
    return _levels(picture + drops[..., None] * _WATER.astype(np.float32))


def _saturate(pixels: Pixels, level: int, random: np.random.RandomState) -> Pixels:
    """Saturation (of HSV) times a factor, at most 1: c' = v - (v - c) s' / s with v the largest channel."""
    channels = pixels.astype(np.float64)
    value = channels.max(axis=2, keepdims=True)
    spread = value - channels.min(axis=2, keepdims=True)
    # s'/s = min(factor s, 1)/s = min(factor, v / spread); gray has no spread and stays gray
    fullest = np.divide(value, spread, out=np.ones_like(value), where=spread > 0)
    moved: Pixels = (value - (value - channels) * np.minimum(_SATURATIONS[level], fullest)).astype(np.uint8)
    return moved


def _fog(pixels: Pixels, level: int, random: np.random.RandomState) -> Pixels:
    """A cloudy height map added, and the whole made as dark as it was."""
    strength, decay = _FOGS[level]
    height, width = pixels.shape[:2]
    cloud = _plasma(1 << (max(height, width) - 1).bit_length(), decay, random)[:height, :width, None]
    picture = pixels / 255
    brightest = picture.max()
    return _levels((picture + strength * cloud) * brightest / (brightest + strength))


def _plasma(side: int, decay: float, random: np.random.RandomState) -> Floats:
    """A height map by the diamond-square algorithm on a torus, float32, from 0 to 1.

    Args:
        side: A power of two.
        decay: What the wibble is divided by from one step to the next finer one.
        random: Drawn from once for the squares and twice for the diamonds of each step.
    """
    heights = np.zeros((side, side), dtype=np.float32)
    step, wibble = side, 100.0

    def moved(total: Floats) -> Floats:
        return total / 4 + wibble * random.uniform(-wibble, wibble, total.shape)

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        above = corners + np.roll(corners, -1, axis=0)
        heights[half::step, half::step] = moved(above + np.roll(above, -1, axis=1))
        middles = heights[half::step, half::step]
        up_down, left_right = (middles + np.roll(middles, 1, axis=axis) for axis in (0, 1))
        heights[::step, half::step] = moved(up_down + (corners + np.roll(corners, -1, axis=1)))
        heights[half::step, ::step] = moved(left_right + (corners + np.roll(corners, -1, axis=0)))
        step, wibble = half, wibble / decay
    heights -= heights.min()
    heights /= heights.max()
    return heights


def _levels(picture: Floats) -> Pixels:
    """From numbers around [0, 1] to levels, their fractions cut off."""
    levels: Pixels = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return levels


_DEGRADATIONS: Mapping[str, Callable[[Pixels, int, np.random.RandomState], Pixels]] = {
    "zoom_blur": _zoom_blur,
    "spatter": _spatter,
    "saturate": _saturate,
    "fog": _fog,
}
