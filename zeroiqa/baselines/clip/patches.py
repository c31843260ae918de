"""What MA-CLIP shows to CLIP: squares of the picture as they are, and last the picture as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from zeroiqa.baselines.clip.model import middle_of

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

SIDE, STRIDE = 224, 128
"""Pixels of a square's side, and from one square to the next."""
_AT_ONCE = 16  # squares that go through the network together: 10 MB of pixels
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training pictures, red, green and blue."""


def patches(pixels: Pixels) -> Iterator[torch.Tensor]:
    """The squares of a picture, some at a time; the last is the whole picture, distorted to a square.

    Squares that would reach over the right or lower edge are left out. A picture whose shorter side has fewer
    pixels than a square is enlarged first, and cut to its middle where it is longer than 8 : 1.

    Args:
        pixels: RGB, shape (height, width, 3), uint8.

    Yields:
        Normalised as CLIP takes them, float32, shape (N, 3, 224, 224).
    """
    if min(pixels.shape[:2]) < SIDE:
        pixels = middle_of(pixels)
    picture = torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))
    height, width = picture.shape[1:]
    if min(height, width) < SIDE:
        factor = SIDE / min(height, width)
        height, width = round(factor * height), round(factor * width)
        picture = _resized(picture, height, width)
    corners = list(product(range(0, height - SIDE + 1, STRIDE), range(0, width - SIDE + 1, STRIDE)))
    for begin in range(0, len(corners), _AT_ONCE):
        squares = [picture[:, y : y + SIDE, x : x + SIDE] for y, x in corners[begin : begin + _AT_ONCE]]
        yield _normalised(torch.stack(squares))
    yield _normalised(_resized(picture, SIDE, SIDE)[None])


def _resized(picture: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bilinear and not antialiased, as MA-CLIP reduces pictures; float32."""
    return functional.interpolate(
        picture.float()[None], (height, width), mode="bilinear", align_corners=False, antialias=False
    )[0]


def _normalised(pictures: torch.Tensor) -> torch.Tensor:
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (_MEAN, _DEVIATION))
    return (pictures / 255 - mean) / deviation
