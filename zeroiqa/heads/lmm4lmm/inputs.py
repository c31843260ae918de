"""Images and conversations as inputs of the published network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn.utils.rnn import pad_sequence

from zeroiqa.chat.inputs import PromptInputs, Tensors
from zeroiqa.heads.lmm4lmm.picture import pixel_values

if TYPE_CHECKING:
    from zeroiqa.types import Pixels


def joined(items: Sequence[PromptInputs]) -> Tensors:
    """One batch of several images, padded on the right: then attention needs no mask."""

    def rows(name: str) -> torch.Tensor:
        return pad_sequence([item.tensors[name][0] for item in items], batch_first=True)

    def tiles(name: str) -> torch.Tensor:
        return torch.cat([item.tensors[name] for item in items])

    return {
        "input_ids": rows("input_ids"),
        "attention_mask": rows("attention_mask"),
        "pixel_values": tiles("pixel_values"),
        "image_flags": tiles("image_flags"),
    }


def published_inputs(pixels: Pixels, ids: Sequence[int], tile: int) -> PromptInputs:
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
    return PromptInputs(tensors, image_start=0)
