"""PIQE: the mean distortion of the active blocks of an image. Lower is better.

Venkatanath, Praneeth, Maruthi, Sumohana, Swarup: Blind image quality evaluation using perception based
features, Twenty First National Conference on Communications (NCC), 2015.

Written from the paper; MATLAB's piqe differs (see catalogue.toml). The paper leaves open, and we chose:
pictures are gray in 0..255; incomplete blocks at the right and the bottom are dropped; variances divide by n
- 1; the centre of a block is its two middle columns and its surround the other fourteen; a block that meets
both criteria adds both amounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zeroiqa.nss.planes import (
    Plane,
    Table,
    gray_plane,
    local_contrast,
    mirrored,
    mirrored_mask,
    normalised,
)

if TYPE_CHECKING:
    from zeroiqa.types import Mask, Pixels

BLOCK = 16
"""Side of a block in pixels."""
ACTIVE = 0.1
"""A block is spatially active if the variance of its normalised coefficients exceeds this."""
SEGMENT = 6
"""Length in pixels of the segments along the four edges of a block; they overlap, so an edge has 11."""
FLAT = 0.1
"""An active block is noticeably distorted if one of its segments has a standard deviation below this."""
PRIOR = 1.0
"""The paper's C1: added to both sums, so that a picture without an active block gets the worst score."""


def piqe(pixels: Pixels, *, inside: Mask | None = None) -> float | None:
    """PIQE of an image at its own size; lower is better.

    Args:
        pixels: RGB, shape (height, width, 3), uint8. A side below 16 pixels is mirrored up to 16.
        inside: The pixels that count, shape (height, width); None for all.

    Returns:
        A number of about 0..100; 100 for an image without any active block. None where no block is wholly
        inside.
    """
    gray, inside = gray_plane(mirrored(pixels, BLOCK)), mirrored_mask(inside, BLOCK)
    blocks = _blocks(normalised(gray, local_contrast(gray, inside)))
    if inside is not None:
        blocks = blocks[_blocks(inside).all(axis=(1, 2))]
        if len(blocks) == 0:
            return None
    variances = blocks.var(axis=(1, 2), ddof=1)
    active = variances > ACTIVE
    blocks, variances = blocks[active], variances[active]
    amounts = np.where(_has_flat_edge(blocks), 1 - variances, 0) + np.where(_is_noisy(blocks), variances, 0)
    return 100 * (float(amounts.sum()) + PRIOR) / (len(blocks) + PRIOR)


def _blocks(plane: Plane | Mask) -> Table:
    """The complete blocks, shape (blocks, 16, 16)."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    cropped = plane[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    return cropped.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)


def _has_flat_edge(blocks: Table) -> npt.NDArray[np.bool_]:
    """Noticeable distortion: a segment of an edge without texture, as blocking and blur leave it."""
    edges = np.stack([blocks[:, 0], blocks[:, -1], blocks[:, :, 0], blocks[:, :, -1]], axis=1)
    segments = np.lib.stride_tricks.sliding_window_view(edges, SEGMENT, axis=2)
    flat: npt.NDArray[np.bool_] = (segments.std(axis=3, ddof=1) < FLAT).any(axis=(1, 2))
    return flat


def _is_noisy(blocks: Table) -> npt.NDArray[np.bool_]:
    """Noise: the block deviates more than twice as much as its centre differs from its surround."""
    whole = blocks.std(axis=(1, 2), ddof=1)
    middle = BLOCK // 2
    centre = blocks[:, :, middle - 1 : middle + 1].std(axis=(1, 2), ddof=1)
    surround = np.delete(blocks, (middle - 1, middle), axis=2).std(axis=(1, 2), ddof=1)
    ratio = np.divide(centre, surround, out=np.full_like(centre, np.inf), where=surround > 0)
    finite = np.isfinite(ratio)
    ratio = np.where(finite, ratio, 0)
    difference = np.abs(ratio - whole) / np.maximum(ratio, whole)
    noisy: npt.NDArray[np.bool_] = finite & (whole > 2 * difference)
    return noisy
