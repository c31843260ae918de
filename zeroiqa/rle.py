"""Binary masks as run-length codes in COCO's uncompressed layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.types import Rle

if TYPE_CHECKING:
    from zeroiqa.types import Mask


def encode(mask: Mask) -> Rle:
    """The run-length code of a mask of shape (height, width)."""
    height, width = mask.shape
    column_major = mask.T.ravel()
    starts = np.flatnonzero(column_major[1:] != column_major[:-1]) + 1
    counts = np.diff(starts, prepend=0, append=column_major.size).tolist()
    return Rle((height, width), tuple([0, *counts] if column_major[0] else counts))


def decode(rle: Rle) -> Mask:
    """The mask that was encoded, shape `rle.size`."""
    height, width = rle.size
    ones = np.arange(len(rle.counts)) % 2 == 1
    column_major = np.repeat(ones, rle.counts)
    assert column_major.size == height * width, "the runs do not add up to the size of the mask"
    return column_major.reshape(width, height).T
