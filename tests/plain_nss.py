"""The embedded rater's arithmetic as it is written down: whole planes, one formula after the other.

`zeroiqa.nss` computes the same numbers by bands, by fewer passes and in other types; to the last bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zeroiqa.images.opencv import cv2
from zeroiqa.nss.naturalness import SHIFTS
from zeroiqa.nss.planes import SUPPORT
from zeroiqa.nss.shapes import ShapeGrid, quotient

Array = Any


def whole_weights(sigma: float, radius: int, total: int) -> Array:
    shape = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    weights = np.rint(shape * (total / shape.sum()))
    weights[radius] += total - weights.sum()
    return weights


def blurred(gray: Array, sigma: int, inside: Array | None) -> Array:
    def blur(plane: Array) -> Array:
        weights, one = whole_weights(sigma, 4 * sigma, 1 << 12), np.ones(1)
        rows = cv2.sepFilter2D(plane, cv2.CV_32F, weights, one)
        rows = (rows * np.float32(1 / 256) + np.float32(0.5)).astype(np.uint16)
        return cv2.sepFilter2D(rows, cv2.CV_32F, one, weights) * np.float32(1 / 65536)

    if inside is None:
        return blur(gray)
    share = np.where(inside, blur(inside * np.float32(255)), np.float32(255))
    return blur(gray * inside) * np.float32(255) / share


def local_contrast(gray: Array, inside: Array | None) -> tuple[Array, Array]:
    def windowed(plane: Array) -> Array:
        weights = whole_weights(7 / 6, 3, 1 << 16) / (1 << 16)
        return cv2.sepFilter2D(plane, cv2.CV_64F, weights, weights, borderType=cv2.BORDER_REPLICATE)

    if inside is None:
        mean, power = windowed(gray), windowed(gray * gray)
    else:
        share = np.where(inside, windowed(inside.astype(np.float32)), 1)
        mean, power = windowed(gray * inside) / share, windowed(gray * gray * inside) / share
    return mean, np.sqrt(np.maximum(power - mean * mean, 0).astype(np.float32))


def block_sums(plane: Array, side: int) -> Array:
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    strips = plane[: rows * side, : columns * side].reshape(rows, side, columns * side).sum(axis=1)
    return strips.reshape(rows, columns, side).sum(axis=2, dtype=np.float64)


def block_means(plane: Array, side: int, inside: Array | None) -> Array:
    if inside is None:
        return block_sums(plane, side) / (side * side)
    return block_sums(plane * inside, side) / np.maximum(block_sums(inside.astype(np.float32), side), 1)


def supported(inside: Array, side: int) -> Array:
    return block_sums(inside.astype(np.float32), side) >= SUPPORT * side * side


def known(means: Array, inside: Array | None, side: int) -> Array:
    return means.ravel() if inside is None else means[supported(inside, side)]


def features(gray: Array, grid: ShapeGrid, inside: Array | None) -> Array:
    """The 36 features of every block of 96 x 96."""
    rows, columns = (length // 96 * 96 for length in gray.shape)
    gray, inside = gray[:rows, :columns], None if inside is None else inside[:rows, :columns]
    halved = cv2.resize(gray, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    within = None
    if inside is not None:
        within = inside[::2, ::2] & inside[1::2, ::2] & inside[::2, 1::2] & inside[1::2, 1::2]
    found = np.concatenate([of_scale(gray, 96, grid, inside), of_scale(halved, 48, grid, within)], axis=1)
    if within is not None:
        found[~supported(within, 48).ravel()] = np.nan
    return found


def of_scale(gray: Array, side: int, grid: ShapeGrid, inside: Array | None) -> Array:
    mean, deviation = local_contrast(gray, inside)
    coefficients = (gray - mean).astype(np.float32) / (deviation + 1)
    offset, absolute, power = moments(coefficients, side, inside)
    columns = [shapes(quotient(absolute**2, power), grid), power - offset**2]
    for shift in SHIFTS:
        product = coefficients * np.roll(coefficients, shift, (0, 1))
        pairs = None if inside is None else inside & np.roll(inside, shift, (0, 1))
        columns += asymmetric(product, side, grid, pairs)
    return np.stack(columns, axis=1)


def asymmetric(product: Array, side: int, grid: ShapeGrid, inside: Array | None) -> list[Array]:
    _, absolute, power = moments(product, side, inside)
    left = half_deviation(np.minimum(product, 0), side, inside)
    right = half_deviation(np.maximum(product, 0), side, inside)
    skew = quotient(left, right)
    ratio = quotient(absolute**2, power) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    index = grid.nearest(ratio)
    width = grid.width_factors[index]
    return [shapes(ratio, grid), (right - left) * grid.mean_factors[index], left * width, right * width]


def moments(plane: Array, side: int, inside: Array | None) -> list[Array]:
    return [block_means(each, side, inside).ravel() for each in (plane, np.abs(plane), plane * plane)]


def half_deviation(half: Array, side: int, inside: Array | None) -> Array:
    power = block_means(half * half, side, inside).ravel()
    share = block_means((half != 0).astype(np.float32), side, inside).ravel()
    return np.sqrt(np.divide(power, share, out=np.zeros_like(power), where=share > 0))


def shapes(ratio: Array, grid: ShapeGrid) -> Array:
    return np.where(np.isfinite(ratio), grid.shapes[grid.nearest(ratio)], np.nan)


def flat_noise(gray: Array, inside: Array | None) -> float:
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    planes = np.abs(cv2.filter2D(gray, cv2.CV_32F, kernel)), local_contrast(gray, inside)[1], gray
    noise, activity, bright = (known(block_means(plane, 16, inside), inside, 16) for plane in planes)
    exposed, count = (bright > 12) & (bright < 243), len(activity)
    if exposed.any():
        activity, count = np.where(exposed, activity, np.inf), int(exposed.sum())
    flattest = np.argsort(activity, kind="stable")[: max(4, int(0.15 * count))]
    return float(np.median(noise[flattest])) * (math.sqrt(math.pi / 2) / 6)


def separation(gray: Array, inside: Array | None) -> float:
    energies = block_means(cv2.Laplacian(gray, cv2.CV_32F) ** 2, 32, inside)
    return float(np.std(np.log1p(known(energies, inside, 32))))


def restlessness(gray: Array, inside: Array | None) -> float:
    fine, middle, coarse = (blurred(gray, sigma, inside) for sigma in (1, 2, 4))
    upper, lower = (
        known(block_means(band**2, 32, inside), inside, 32) for band in (fine - middle, middle - coarse)
    )
    return float(np.percentile(np.log(upper + 0.05) - np.log(lower + 0.05), 5))


def histogram(gray: Array, inside: Array | None) -> Array:
    levels = gray.ravel() if inside is None else gray[inside]
    return np.bincount(levels.astype(np.uint8), minlength=256)


def colour(pixels: Array, inside: Array | None) -> tuple[float, float]:
    lab = cv2.cvtColor(pixels.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    axes = cv2.split(lab)[1:]
    sizes = counts = cell_sums(np.ones(pixels.shape[:2]))
    if inside is not None:
        axes, counts = [axis * inside for axis in axes], cell_sums(inside)
    counted = counts >= SUPPORT * sizes
    chroma = np.hypot(*(cell_sums(axis)[counted] / counts[counted] for axis in axes))
    deviations = []
    for axis in axes:
        total, squares = axis.sum(dtype=np.float64), np.square(axis, dtype=np.float64).sum()
        deviations.append(math.sqrt(max(squares / counts.sum() - (total / counts.sum()) ** 2, 0)))
    return float(np.percentile(chroma, 10)), math.hypot(*deviations)


def cell_sums(plane: Array) -> Array:
    rows, columns = (np.arange(16) * length // 16 for length in plane.shape)
    strips = np.add.reduceat(plane, rows, axis=0, dtype=np.float64)
    return np.add.reduceat(strips, columns, axis=1)


def steps(levels: Array) -> Array:
    """Mean third difference of one picture along its rows at each of the eight places of a grid."""
    differences = np.minimum(np.abs(np.diff(levels.astype(np.int64), 3, axis=1)), 48).sum(axis=0)
    means = [differences[place::8].sum() / (len(differences[place::8]) * len(levels)) for place in range(8)]
    return np.array(means)
