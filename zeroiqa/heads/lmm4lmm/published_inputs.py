"""Images and conversations as inputs of the published network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from zeroiqa.heads.lmm4lmm.picture import pixel_values
from zeroiqa.raters.chat_inputs import Collation, Prepared

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

COLLATION = Collation(
    {
        "input_ids": ("row",),
        "attention_mask": ("row",),
        "pixel_values": ("rows below each other",),
        "image_flags": ("rows below each other",),
    },
    pad=0,
)
"""How single images become a batch, padded on the left: the last token of a cut prompt stays the last one."""


def published_inputs(pixels: Pixels, ids: Sequence[int], tile: int) -> Prepared:
    """The inputs of `Lmm4Lmm` for one image, a batch of one.

    Args:
        pixels: RGB, uint8, shape (height, width, 3).
        ids: Tokens of the conversation.
        tile: Side of a tile in pixels.
    """
    tiles = pixel_values(pixels, tile)
    tokens = torch.tensor([list(ids)])
    tensors = {
        "input_ids": tokens,
        "attention_mask": torch.ones_like(tokens),
        "pixel_values": tiles,
        "image_flags": torch.ones(len(tiles), dtype=torch.int64),
    }
    return Prepared(tensors, image_start=0)
