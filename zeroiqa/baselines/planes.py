"""Gray planes and their local statistics, shared by the measures that need no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroiqa.opencv import cv2

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

Plane: TypeAlias = npt.NDArray[np.float32]
"""Shape (height, width)."""
Table: TypeAlias = npt.NDArray[np.float64]


def gray_plane(pixels: Pixels) -> Plane:
    """The gray levels 0..255 of RGB pixels, whole numbers as float32."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def mirrored(picture: Pixels, side: int) -> Pixels:
    """The picture continued by reflection at the right and the bottom until both sides reach `side`."""
    down, right = max(side - picture.shape[0], 0), max(side - picture.shape[1], 0)
    if down == 0 and right == 0:
        return picture
    return np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REFLECT), dtype=np.uint8)


def blurred(plane: Plane, size: int, sigma: float, border: int = cv2.BORDER_DEFAULT) -> Plane:
    """The plane under a Gaussian window of size x size pixels."""
    return np.asarray(cv2.GaussianBlur(plane, (size, size), sigma, borderType=border), dtype=np.float32)


def local_contrast(gray: Plane) -> tuple[Plane, Plane]:
    """Local mean and standard deviation under NIQE's 7 x 7 Gaussian window of sigma 7/6."""
    mean = blurred(gray, 7, 7 / 6, cv2.BORDER_REPLICATE)
    power = blurred(gray * gray, 7, 7 / 6, cv2.BORDER_REPLICATE)
    return mean, np.sqrt(np.maximum(power - mean * mean, 0))


def normalised(gray: Plane, mean: Plane, deviation: Plane) -> Plane:
    """The mean-subtracted, contrast-normalised (MSCN) coefficients of natural-scene statistics."""
    return (gray - mean) / (deviation + 1)


def laplacian(gray: Plane) -> Plane:
    """The plane under the kernel 0 1 0 / 1 -4 1 / 0 1 0."""
    return np.asarray(cv2.Laplacian(gray, cv2.CV_32F), dtype=np.float32)


def block_means(plane: Plane, side: int) -> Table:
    """Means of the blocks of side x side pixels; incomplete ones at the right and the bottom are dropped.

    Returns:
        Shape (height // side, width // side).
    """
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    strips = plane[: rows * side, : columns * side].reshape(rows, side, columns * side).sum(axis=1)
    sums: Table = strips.reshape(rows, columns, side).sum(axis=2, dtype=np.float64)
    return sums / (side * side)
