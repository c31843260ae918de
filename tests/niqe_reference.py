"""NIQE written down plainly, block by block, from the description of the authors' MATLAB files.

mean, covariance: of pristine blocks. Nothing is shared with zeroiqa/baselines/niqe/.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.ndimage
from scipy.special import gamma

SHAPES = np.arange(0.2, 10.0005, 0.001)
RATIOS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))


def reference(pixels: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """NIQE of RGB pixels; NaN where MATLAB's would be."""
    gray = np.floor(pixels @ [0.298936021293776, 0.587043074451121, 0.114020904255103] + 0.5)
    height, width = (side // 96 * 96 for side in gray.shape)
    plane, scales = gray[:height, :width], []
    for side in (96, 48):
        normal = coefficients(plane)
        corners = [(y, x) for y in range(0, len(plane), side) for x in range(0, plane.shape[1], side)]
        scales.append([features(normal[y : y + side, x : x + side]) for y, x in corners])
        plane = halved(plane)
    found = np.concatenate(scales, axis=1)
    own = np.cov(found[~np.isnan(found).any(axis=1)], rowvar=False)
    gap = mean - np.nanmean(found, axis=0)
    return math.sqrt(gap @ np.linalg.pinv((covariance + own) / 2) @ gap)


def coefficients(plane: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[-3:4, -3:4]
    bell = np.exp(-(y**2) / (2 * (7 / 6) ** 2)) * np.exp(-(x**2) / (2 * (7 / 6) ** 2))
    bell /= bell.sum()
    mu = scipy.ndimage.correlate(plane, bell, mode="nearest")
    power = scipy.ndimage.correlate(plane * plane, bell, mode="nearest")
    return (plane - mu) / (np.sqrt(np.abs(power - mu * mu)) + 1)


def features(block: np.ndarray) -> list[float]:
    shape, left, right = fit(block)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = fit(block * np.roll(block, shift, (0, 1)))
        found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return found


def fit(values: np.ndarray) -> tuple[float, float, float]:
    """Shape, left and right width of the asymmetric generalised Gaussian."""
    halves = values[values < 0], values[values > 0]
    left, right = (math.sqrt(np.mean(half**2)) if half.size else math.nan for half in halves)
    skew = left / right
    power = np.mean(values**2)
    ratio = np.mean(np.abs(values)) ** 2 / power if power else math.nan
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = SHAPES[0 if math.isnan(ratio) else np.argmin((RATIOS - ratio) ** 2)]
    factor = math.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * factor, right * factor


def halved(plane: np.ndarray) -> np.ndarray:
    """MATLAB's imresize(plane, .5): its cubic kernel at twice the width, edges mirrored, columns and rows."""

    def cubic(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0

    for _ in range(2):
        padded = np.pad(plane, ((5, 5), (0, 0)), mode="symmetric")
        taps = range(-4, 6)  # a pixel of half the size has its centre between those at 0 and 1
        rows = [cubic((tap - 0.5) / 2) / 2 * padded[5 + tap : 5 + tap + len(plane) : 2] for tap in taps]
        plane = np.sum(rows, axis=0).T
    return plane
