"""What is measured for the reasons alone: clipping, light, colour noise, cast, one colour, the grid of JPEG.

No score is made of these. As the measures beside them, each is the same on every processor: sums are sums of
whole numbers, or have a fixed order. Clipping and the grid are looked for in the image's own pixels, where
resizing has not smoothed them; the rest at canonical size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zeroiqa.images.opencv import cv2
from zeroiqa.nss.planes import Plane, block_means, colour_axes, gray_levels

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

WHITE, BLACK = 253, 2
"""A pixel is clipped where all three channels lie at or beyond: 1 % of the range, for the ripples of JPEG."""
THUMBNAIL = 64
"""Least side, in pixels, of the small copy in which noise and small things are averaged away."""
ALIKE = 5
"""Levels by which a channel may depart from the picture's middle colour and be of it."""
SAMPLE = 1 << 16
"""Clipping is counted, and light added up, in about so many pixels of a larger image, evenly spread."""
WINDOW, WINDOWS = 96, 4
"""The grid is looked for in so many times so many windows of that side, if the image is larger."""
STEEPEST = 48
"""Steps count up to this: the edge of an object says nothing of a grid."""
VISIBLE = 2.0
"""Added to both sides of the ratio, so that invisible steps in smooth areas make no grid."""
_SIGNAL = np.arange(256) / 255
_LINEAR = np.rint(
    2**20 * np.where(_SIGNAL <= 0.04045, _SIGNAL / 12.92, ((_SIGNAL + 0.055) / 1.055) ** 2.4)
).astype(np.int64)
"""Light of the sRGB gray levels (IEC 61966-2-1), in whole numbers: their sum is not rounded."""
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


@dataclass(frozen=True)
class Faults:
    """Of one whole image. Gray levels are 0..255, colours are CIE Lab units."""

    light: float
    """Mean light, 0..1, as a light meter would see it: of linear gray levels."""
    white: float
    """Share of the image's pixels that are clipped to white."""
    black: float
    """Share of the image's pixels that are clipped to black."""
    colour_noise: float
    """Standard deviation of the noise of the colours, in gray levels; 0 for black and white."""
    tint: float
    """Chroma that all but the least coloured fiftieth of the picture has at least."""
    plain: float
    """Share of the picture that is of one colour, its median, to within `ALIKE` levels."""
    grid: float
    """How many times larger the steps across the lines of an 8 x 8 grid are than those between them; 1
    without a grid."""


def find_faults(pixels: Pixels, picture: Pixels) -> Faults:
    """Measure one image.

    Args:
        pixels: RGB, shape (height, width, 3), uint8, as the image is.
        picture: the same at canonical size, both sides at least 96.
    """
    sample = _sample(pixels)
    white, black = _clipped(sample)
    small = _shrunk(picture, min(picture.shape[:2]) // THUMBNAIL)
    return Faults(
        light=_light(sample),
        white=white,
        black=black,
        colour_noise=_colour_noise(picture),
        tint=_tint(small),
        plain=_plain(small),
        grid=_grid(pixels),
    )


def _sample(pixels: Pixels) -> Pixels:
    """Every k-th pixel of every k-th row."""
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / SAMPLE))
    whole = np.ascontiguousarray(pixels).view("V3")  # which are copied faster than three bytes
    return np.ascontiguousarray(whole[step // 2 :: step, step // 2 :: step]).view(np.uint8)


def _clipped(sample: Pixels) -> tuple[float, float]:
    """Shares of white and of black."""
    white = cv2.inRange(sample, (WHITE,) * 3, (255,) * 3)
    black = cv2.inRange(sample, (0,) * 3, (BLACK,) * 3)
    count = sample.shape[0] * sample.shape[1]
    return cv2.countNonZero(white) / count, cv2.countNonZero(black) / count


def _light(sample: Pixels) -> float:
    histogram = np.bincount(gray_levels(sample).ravel(), minlength=256)
    return int(histogram @ _LINEAR) / int(histogram.sum()) / 2**20


def _shrunk(picture: Pixels, factor: int) -> Pixels:
    """Means of squares of factor x factor pixels; incomplete ones at the right and the bottom are dropped."""
    height, width = (length // factor for length in picture.shape[:2])
    whole = picture[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _colour_noise(picture: Pixels) -> float:
    """Noise of the calmer of two axes of colour at half size, where the grain of cameras and of JPEG remains.

    Detail of photographs is mostly in the gray levels, so that texture has no share in it. The mask is that
    of Immerkaer (1996). White noise of standard deviation s in each channel has s / 2 there.
    """
    red, green, blue = (plane.astype(np.float32) for plane in cv2.split(_shrunk(picture, 2)))
    axes = ((red - green) / np.float32(2), (red + green - 2 * blue) / np.float32(4))
    lengths = (math.sqrt(2) / 2, math.sqrt(6) / 4)
    noises = (_typical_noise(axis) / length for axis, length in zip(axes, lengths, strict=True))
    return 2 * min(noises)


def _typical_noise(plane: Plane) -> float:
    """Median over blocks of 16 x 16 pixels of the standard deviation of noise."""
    response = np.abs(np.asarray(cv2.filter2D(plane, cv2.CV_32F, _NOISE), dtype=np.float32))
    return float(np.median(block_means(response, 16))) * math.sqrt(math.pi / 2) / 6


def _tint(small: Pixels) -> float:
    one, other = (axis.astype(np.float64) for axis in colour_axes(small))
    return float(np.percentile(np.sqrt(one * one + other * other), 2))


def _plain(small: Pixels) -> float:
    colours = small.reshape(-1, 3).T
    middle = [int(np.partition(channel, len(channel) // 2)[len(channel) // 2]) for channel in colours]
    alike = [
        np.abs(channel.astype(np.int16) - level) <= ALIKE
        for channel, level in zip(colours, middle, strict=True)
    ]
    return float(np.logical_and.reduce(alike).mean())


def _grid(pixels: Pixels) -> float:
    """Blockiness, as a ratio, after Wang, Sheikh, Bovik (No-reference perceptual quality assessment of JPEG
    compressed images, ICIP 2002), who set the steps across the lines of the grid beside those within blocks.

    Here the steps are third differences, which neither a slope nor a bend makes, and they are cut off at
    `STEEPEST`. The grid may begin anywhere: of the eight places of a line, the one with the largest steps
    counts, beside the median of those that are no neighbours of it. Both directions count alike.
    """
    windows = _windows(pixels)
    levels = gray_levels(windows.reshape(-1, *windows.shape[2:])).reshape(windows.shape[:3])
    ratios = []
    for axis in (2, 1):
        steps = _steps(levels.astype(np.int16), axis)
        line = int(np.argmax(steps))
        between = np.median([steps[(line + place) % 8] for place in range(2, 7)])
        ratios.append((steps[line] + VISIBLE) / (between + VISIBLE))
    return float(sum(ratios)) / 2


def _windows(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """The image, or windows spread over it, all at the same place of a grid of 8.

    Returns:
        Shape (windows, rows, columns, 3).
    """
    height, width = pixels.shape[:2]
    if height * width <= (WINDOWS * WINDOW) ** 2:
        return pixels[None]
    down, right = (
        sorted({_start(length, number) for number in range(WINDOWS)}) for length in (height, width)
    )
    return np.stack([pixels[y : y + WINDOW, x : x + WINDOW] for y in down for x in right])


def _start(length: int, number: int) -> int:
    return max(length - WINDOW, 0) * number // (WINDOWS - 1) // 8 * 8


def _steps(levels: npt.NDArray[np.int16], axis: int) -> npt.NDArray[np.float64]:
    """Mean third difference of windows along an axis at each of the eight places of a grid, shape (8,)."""
    for _ in range(3):
        levels = np.diff(levels, axis=axis)
    steps = np.minimum(np.abs(levels), np.int16(STEEPEST)).sum(axis=(0, 3 - axis), dtype=np.int32)
    places = [steps[place::8] for place in range(8)]
    lines = levels.shape[0] * levels.shape[3 - axis]
    return np.array([place.sum() / max(len(place) * lines, 1) for place in places])
