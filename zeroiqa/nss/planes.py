"""Gray planes and their local statistics, shared by the measures that need no network.

Every number here is the same on every processor. Windows have whole weights, so that the sums under them are
whole numbers that the float type holds: nothing is rounded, whatever the order of the additions and whether
products are fused into them. All else is done by operations of IEEE 754 (+, -, *, /, the square root), which
are rounded alike everywhere, in the order in which numpy writes them down.

Where a picture has a mask, `inside` is True for the pixels that count. The others have no share in any
number: windows and blocks are averaged over the pixels that count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroiqa.images.opencv import cv2

if TYPE_CHECKING:
    from zeroiqa.types import Mask, Pixels

Plane: TypeAlias = npt.NDArray[np.float32]
"""Shape (height, width)."""
Table: TypeAlias = npt.NDArray[np.float64]

SUPPORT = 0.25
"""A block counts if at least this share of its pixels is inside of the mask."""


def gray_plane(pixels: Pixels) -> Plane:
    """The gray levels 0..255 of RGB pixels, whole numbers as float32."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def lab_image(pixels: Pixels) -> npt.NDArray[np.float32]:
    """CIE Lab of RGB pixels, shape (height, width, 3), by OpenCV's table of whole numbers.

    a and b are multiples of 1/64, so that float64 holds their sums and those of their squares.
    """
    scaled = pixels.astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB), dtype=np.float32)


def mirrored(picture: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The picture continued by reflection at the right and the bottom until both sides reach `side`."""
    down, right = max(side - picture.shape[0], 0), max(side - picture.shape[1], 0)
    if down == 0 and right == 0:
        return picture
    return np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REFLECT), dtype=np.uint8)


def mirrored_mask(inside: Mask | None, side: int) -> Mask | None:
    """The mask, continued as `mirrored` continues its picture."""
    return None if inside is None else mirrored(inside.astype(np.uint8), side).astype(bool)


def blurred(plane: Plane, sigma: int, inside: Mask | None = None) -> Plane:
    """The plane under a Gaussian window that reaches 4 sigma to each side.

    Args:
        plane: whole numbers 0..255.
        sigma: standard deviation in pixels.
        inside: see above; what is returned outside of it means nothing.
    """
    if inside is None:
        return _blurred(plane, sigma)
    share = _blurred(inside * np.float32(255), sigma)
    share = np.where(inside, share, np.float32(255))
    return np.asarray(_blurred(plane * inside, sigma) * np.float32(255) / share, dtype=np.float32)


def _blurred(plane: Plane, sigma: int) -> Plane:
    """Sums along rows have 8 + 12 bits; rounded to 12, those along columns have 24: float32 holds them."""
    weights, one = _whole_weights(sigma, 4 * sigma, 1 << 12), np.ones(1)
    rows = cv2.sepFilter2D(plane, cv2.CV_32F, weights, one)
    rows = (rows * np.float32(1 / 256) + np.float32(0.5)).astype(np.uint16)
    columns = np.asarray(cv2.sepFilter2D(rows, cv2.CV_32F, one, weights), dtype=np.float32)
    return columns * np.float32(1 / 65536)


def local_contrast(gray: Plane, inside: Mask | None = None) -> tuple[Table, Plane]:
    """Local mean and standard deviation under NIQE's 7 x 7 Gaussian window of sigma 7/6.

    Args:
        gray: multiples of 1/4 in 0..255; its squares, of 20 bits, keep below 53 under two weights of 16.
        inside: see above; what is returned outside of it means nothing.
    """
    if inside is None:
        mean, power = _windowed(gray), _windowed(gray * gray)
    else:
        share = np.where(inside, _windowed(inside.astype(np.float32)), 1)
        mean, power = _windowed(gray * inside) / share, _windowed(gray * gray * inside) / share
    power -= mean * mean
    variance = np.maximum(power, 0, out=power).astype(np.float32)
    return mean, np.sqrt(variance, out=variance)


def _windowed(plane: Plane) -> Table:
    weights = _whole_weights(7 / 6, 3, 1 << 16) / (1 << 16)
    sums = cv2.sepFilter2D(plane, cv2.CV_64F, weights, weights, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(sums, dtype=np.float64)


def _whole_weights(sigma: float, radius: int, total: int) -> Table:
    """A Gaussian as whole numbers that add up to `total`, shape (2 radius + 1,)."""
    shape = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    weights: Table = np.rint(shape * (total / shape.sum()))
    weights[radius] += total - weights.sum()
    return weights


def normalised(gray: Plane, mean: Table, deviation: Plane) -> Plane:
    """The mean-subtracted, contrast-normalised (MSCN) coefficients of natural-scene statistics."""
    return (gray - mean).astype(np.float32) / (deviation + 1)


def laplacian(gray: Plane) -> Plane:
    """The plane under the kernel 0 1 0 / 1 -4 1 / 0 1 0."""
    return np.asarray(cv2.Laplacian(gray, cv2.CV_32F), dtype=np.float32)


def inner(inside: Mask | None) -> Mask | None:
    """The pixels all of whose 3 x 3 neighbours are inside, too."""
    if inside is None:
        return None
    return np.asarray(cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)), dtype=bool)


def block_means(plane: Plane, side: int, inside: Mask | None = None) -> Table:
    """Means of the blocks of side x side pixels; incomplete ones at the right and the bottom are dropped.

    Returns:
        Shape (height // side, width // side); 0 for blocks that have nothing inside.
    """
    if inside is None:
        return _block_sums(plane, side) / (side * side)
    return _block_sums(plane * inside, side) / np.maximum(_counts(inside, side), 1)


def supported(inside: Mask, side: int) -> npt.NDArray[np.bool_]:
    """Which blocks have enough inside to count, shape as in `block_means`."""
    return np.asarray(_counts(inside, side) >= SUPPORT * side * side)


def known_blocks(means: Table, inside: Mask | None, side: int) -> Table:
    """Those of the blocks' means that count, one after the other."""
    return means.ravel() if inside is None else means[supported(inside, side)]


def _counts(inside: Mask, side: int) -> Table:
    return _block_sums(inside.astype(np.float32), side)


def _block_sums(plane: Plane, side: int) -> Table:
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    strips = plane[: rows * side, : columns * side].reshape(rows, side, columns * side).sum(axis=1)
    sums: Table = strips.reshape(rows, columns, side).sum(axis=2, dtype=np.float64)
    return sums
