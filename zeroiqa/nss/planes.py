"""Gray planes and their local statistics, shared by the measures that need no network.

Every number here is the same on every processor. Windows have whole weights, so that the sums under them are
whole numbers that the float type holds: nothing is rounded, whatever the order of the additions and whether
products are fused into them. All else is done by operations of IEEE 754 (+, -, *, /, the square root), which
are rounded alike everywhere, in the order in which numpy writes them down.

Where a picture has a mask, `inside` is True for the pixels that count. The others have no share in any
number: windows and blocks are averaged over the pixels that count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroiqa.images.opencv import cv2

if TYPE_CHECKING:
    from zeroiqa.types import Mask, Pixels

Plane: TypeAlias = npt.NDArray[np.float32]
"""Shape (height, width)."""
Levels: TypeAlias = npt.NDArray[np.uint8]
"""Gray levels 0..255, shape (height, width)."""
Table: TypeAlias = npt.NDArray[np.float64]
Contrast: TypeAlias = tuple[Table, Plane]
"""Local mean and local standard deviation, shape (height, width) each."""

_RADIUS = 3
"""Of the window of the local contrast."""
_BAND = 1 << 16
"""Pixels that a cache holds several times."""
SUPPORT = 0.25
"""A block counts if at least this share of its pixels is inside of the mask."""


def gray_levels(pixels: Pixels) -> Levels:
    """The gray levels of RGB pixels."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def gray_plane(pixels: Pixels) -> Plane:
    """The gray levels 0..255 of RGB pixels, whole numbers as float32."""
    return gray_levels(pixels).astype(np.float32)


def colour_axes(pixels: Pixels) -> list[Plane]:
    """The axes a and b of RGB pixels in CIE Lab, by OpenCV's table of whole numbers.

    They are multiples of 1/64, so that float64 holds their sums and those of their squares.
    """
    lab = cv2.cvtColor(pixels.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    return [np.asarray(cv2.extractChannel(lab, axis), dtype=np.float32) for axis in (1, 2)]


def mirrored(picture: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The picture continued by reflection at the right and the bottom until both sides reach `side`."""
    down, right = max(side - picture.shape[0], 0), max(side - picture.shape[1], 0)
    if down == 0 and right == 0:
        return picture
    return np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REFLECT), dtype=np.uint8)


def mirrored_mask(inside: Mask | None, side: int) -> Mask | None:
    """The mask, continued as `mirrored` continues its picture."""
    return None if inside is None else mirrored(inside.astype(np.uint8), side).astype(bool)


def blurred(gray: Plane, sigma: int, inside: Mask | None = None) -> Plane:
    """The plane under a Gaussian window that reaches 4 sigma to each side.

    Args:
        gray: whole numbers 0..255.
        sigma: standard deviation in pixels.
        inside: see above; what is returned outside of it means nothing.
    """
    if inside is None:
        return _blurred(gray, sigma)
    share = _blurred(inside * np.float32(255), sigma)
    share = np.where(inside, share, np.float32(255))
    return np.asarray(_blurred(gray * inside, sigma) * np.float32(255) / share, dtype=np.float32)


def _blurred(gray: Plane, sigma: int) -> Plane:
    """Sums along rows have 8 + 12 bits; rounded to 12, those along columns have 24: float32 holds them."""
    weights = _whole_weights(sigma, 4 * sigma, 1 << 12).astype(np.float32)
    rows = cv2.filter2D(gray, cv2.CV_32F, weights[None, :] / 256, delta=0.5)
    np.floor(rows, out=rows)
    return np.asarray(cv2.filter2D(rows, cv2.CV_32F, weights[:, None] / 65536), dtype=np.float32)


def local_contrast(gray: Plane | Levels, inside: Mask | None = None) -> Contrast:
    """Local mean and standard deviation under NIQE's 7 x 7 Gaussian window of sigma 7/6.

    Args:
        gray: multiples of 1/4 in 0..255; its squares, of 20 bits, keep below 53 under two weights of 16.
        inside: see above; what is returned outside of it means nothing.
    """
    squares = np.square(gray, dtype=np.uint16 if gray.dtype == np.uint8 else np.float32)
    if inside is None:
        mean, power = _windowed(gray), _windowed(squares)
    else:
        share = np.where(inside, _windowed(inside.astype(np.float32)), 1)
        mean, power = _windowed(gray * inside) / share, _windowed(squares * inside) / share
    power -= np.square(mean)
    deviation = np.maximum(power, 0, out=power).astype(np.float32)
    return mean, np.sqrt(deviation, out=deviation)


def contrast_of_part(gray: Plane | Levels, of_all: Contrast, inside: Mask | None = None) -> Contrast:
    """The local contrast of the upper left part of a picture, as if there were nothing beyond it.

    Only the windows of its last rows and columns see that: these are computed anew.

    Args:
        gray: the part.
        of_all: the local contrast of the picture.
        inside: of the part.
    """
    rows, columns = gray.shape
    if of_all[0].shape == gray.shape:
        return of_all
    mean, deviation = of_all[0][:rows, :columns].copy(), of_all[1][:rows, :columns].copy()
    edges = np.s_[-_RADIUS:, :], np.s_[:, -_RADIUS:]
    seen = np.s_[-2 * _RADIUS :, :], np.s_[:, -2 * _RADIUS :]
    for last, near in zip(edges, seen, strict=True):
        part = local_contrast(gray[near], None if inside is None else inside[near])
        mean[last], deviation[last] = part[0][last], part[1][last]
    return mean, deviation


def _windowed(plane: npt.NDArray[Any]) -> Table:
    weights = _whole_weights(7 / 6, _RADIUS, 1 << 16) / (1 << 16)
    sums = cv2.sepFilter2D(plane, cv2.CV_64F, weights, weights, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(sums, dtype=np.float64)


def _whole_weights(sigma: float, radius: int, total: int) -> Table:
    """A Gaussian as whole numbers that add up to `total`, shape (2 radius + 1,)."""
    shape = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    weights: Table = np.rint(shape * (total / shape.sum()))
    weights[radius] += total - weights.sum()
    return weights


def normalised(gray: Plane | Levels, contrast: Contrast) -> Plane:
    """The mean-subtracted, contrast-normalised (MSCN) coefficients of natural-scene statistics."""
    mean, deviation = contrast
    coefficients = (gray - mean).astype(np.float32)
    coefficients /= deviation + 1
    return coefficients


def laplacian(gray: Plane) -> Plane:
    """The plane under the kernel 0 1 0 / 1 -4 1 / 0 1 0."""
    return np.asarray(cv2.Laplacian(gray, cv2.CV_32F), dtype=np.float32)


def inner(inside: Mask | None) -> Mask | None:
    """The pixels all of whose 3 x 3 neighbours are inside, too."""
    if inside is None:
        return None
    return np.asarray(cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)), dtype=bool)


def bands(height: int, width: int, side: int) -> Iterator[slice]:
    """The rows of one band after the other, each of whole rows of blocks, as many as a cache holds.

    What is computed of a band stays in the processor's cache, and takes no memory that the system has to
    fetch: both cost more than the arithmetic.
    """
    step = side * max(1, _BAND // (side * width))
    end = height // side * side
    return (slice(top, min(top + step, end)) for top in range(0, end, step))


def block_means(plane: npt.NDArray[Any], side: int, inside: Mask | None = None) -> Table:
    """Means of the blocks of side x side pixels; incomplete ones at the right and the bottom are dropped.

    Returns:
        Shape (height // side, width // side); 0 for blocks that have nothing inside.
    """
    return _sums(plane if inside is None else plane * inside, side) / _area(inside, side)


def means_of_bands(
    planes: Iterable[Iterable[npt.NDArray[Any]]], side: int, inside: Mask | None = None
) -> list[Table]:
    """Means of the blocks, as `block_means`, of several planes of which one band is there at a time.

    Args:
        planes: for each of `bands`, its values in each plane, shape (rows, width); 0 where they are not
            inside. Their type holds the sum of a column of a block. All may use the same memory: they are
            added up before the next ones are asked for.
        side: of a block.
        inside: the pixels that count; None for all.

    Returns:
        Of each plane, shape (height // side, width // side).
    """
    sums = zip(*([_down(values, side) for values in band] for band in planes), strict=True)
    area = _area(inside, side)
    return [_across(np.concatenate(strips), side) / area for strips in sums]


def supported(inside: Mask, side: int) -> npt.NDArray[np.bool_]:
    """Which blocks have enough inside to count, shape as in `block_means`."""
    return np.asarray(_counts(inside, side) >= SUPPORT * side * side)


def known_blocks(means: Table, inside: Mask | None, side: int) -> Table:
    """Those of the blocks' means that count, one after the other."""
    return means.ravel() if inside is None else means[supported(inside, side)]


def _area(inside: Mask | None, side: int) -> Table | int:
    """Pixels of each block that count; 1 where there are none."""
    return side * side if inside is None else np.maximum(_counts(inside, side), 1)


def _counts(inside: Mask, side: int) -> Table:
    return _sums(inside.astype(np.float32), side)


def _sums(plane: npt.NDArray[Any], side: int) -> Table:
    """Sums of the blocks."""
    return _across(_down(plane[: len(plane) // side * side], side), side)


def _down(plane: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Sums of the columns of the blocks, shape (height // side, width)."""
    sums: npt.NDArray[Any] = plane.reshape(-1, side, plane.shape[1]).sum(axis=1, dtype=plane.dtype)
    return sums


def _across(strips: npt.NDArray[Any], side: int) -> Table:
    """Sums of the blocks by those of their columns."""
    rows, columns = strips.shape[0], strips.shape[1] // side
    sums: Table = strips[:, : columns * side].reshape(rows, columns, side).sum(axis=2, dtype=np.float64)
    return sums
