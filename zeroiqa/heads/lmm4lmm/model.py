"""LMM4LMM's network: InternVL2.5 from transformers' building blocks, and the quality regression.

LMM4LMM (ICCV 2025), section 4; where paper and published code differ, the code is followed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from transformers import InternVLVisionConfig, LlamaConfig, LlamaForCausalLM
from transformers.models.internvl.modeling_internvl import InternVLVisionModel

from zeroiqa.heads.lmm4lmm.config import LanguageSizes, Lmm4LmmConfig, VisionSizes
from zeroiqa.heads.regression import QualityRegression
from zeroiqa.heads.training.batches import last_tokens

_READ_FROM_END = 4
"""The published conversation ends "... is <level>.<|im_end|>"; "is" is where the level is predicted."""
_PROJECTOR_EPS = 1e-5


class Outputs(NamedTuple):
    """What the network says about each row."""

    scores: torch.Tensor | None
    """Shape (rows,), float32, on the scale of the ratings, >= 0; None without a regression."""
    level_logits: torch.Tensor | None
    """Shape (rows, levels), float32: of the tokens that were asked for; None if none were."""


class Lmm4Lmm(nn.Module):
    """The network of one checkpoint.

    Args:
        config: Its sizes.
        regression: Whether it gives scores; the checkpoints that answer questions do not.
    """

    def __init__(self, config: Lmm4LmmConfig, *, regression: bool = True) -> None:
        super().__init__()
        self.config = config
        self.image_token = config.image_token
        """Id that the picture's features replace; set it where a tokenizer has another one."""
        self.vision_model = InternVLVisionModel(_vision_config(config.vision))
        width = config.vision.hidden * round(1 / config.downsample) ** 2
        self.mlp1 = nn.Sequential(
            nn.LayerNorm(width, eps=_PROJECTOR_EPS),
            nn.Linear(width, config.language.hidden),
            nn.GELU(),
            nn.Linear(config.language.hidden, config.language.hidden),
        )
        self.language_model = LlamaForCausalLM(_language_config(config.language))
        self.regression = QualityRegression(config.language.hidden) if regression else None

    def forward(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor,
        attention_mask: torch.Tensor,
        image_flags: torch.Tensor,
        positions: torch.Tensor | None = None,
        level_ids: torch.Tensor | None = None,
    ) -> Outputs:
        """Scores, and logits of level tokens, at one position of each row.

        Args:
            input_ids: Shape (rows, tokens), int64, with the image token wherever a picture's feature goes.
            pixel_values: Shape (tiles of all rows, 3, side, side), normalised.
            attention_mask: Shape (rows, tokens): 1 for a token, 0 for padding on either side.
            image_flags: Shape (tiles,): the features of tiles with 0 are left out.
            positions: Shape (rows,): where each row is read; by default the fourth of its tokens from the
                end, which is right for a published conversation with its answer.
            level_ids: Shape (levels,): tokens whose logits are wanted.

        Raises:
            ValueError: the image tokens are not as many as the features.
        """
        hidden = self.hidden_states(input_ids, pixel_values, attention_mask, image_flags)
        if positions is None:
            positions = read_positions(attention_mask)
        features = hidden[torch.arange(len(hidden), device=hidden.device), positions]
        scores = None
        if self.regression is not None:
            scores = self.regression(features.to(_dtype(self.regression))).float()
        logits = None
        if level_ids is not None:
            logits = features.float() @ self.language_model.lm_head.weight[level_ids].float().T
        return Outputs(scores, logits)

    def hidden_states(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor,
        attention_mask: torch.Tensor,
        image_flags: torch.Tensor,
    ) -> torch.Tensor:
        """The last hidden states, behind the final norm, shape (rows, tokens, hidden); see `forward`.

        Raises:
            ValueError: the image tokens are not as many as the features.
        """
        embedded = self.language_model.get_input_embeddings()(input_ids)
        features = self.image_features(pixel_values[image_flags.flatten() != 0]).flatten(0, 1)
        places = input_ids == self.image_token
        wanted = int(places.sum())
        if wanted != len(features):
            raise ValueError(f"there are {wanted} image tokens for {len(features)} features of pictures")
        embedded = embedded.masked_scatter(places.unsqueeze(-1), features.to(embedded.dtype))
        found: torch.Tensor = self.language_model.model(
            inputs_embeds=embedded, use_cache=False, **_causal(attention_mask)
        ).last_hidden_state
        return found

    @property
    def output(self) -> nn.Module:
        """From a hidden state to the logits of the vocabulary."""
        head: nn.Module = self.language_model.lm_head
        return head

    def image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """What the language model sees of tiles, shape (tiles, tokens per tile, hidden)."""
        pixels = pixel_values.to(_dtype(self.vision_model))
        patches = self.vision_model(pixel_values=pixels).last_hidden_state[:, 1:]  # without the class token
        side = round(patches.shape[1] ** 0.5)
        squares = patches.reshape(len(patches), side, side, patches.shape[-1])
        projected: torch.Tensor = self.mlp1(unshuffled(squares).flatten(1, 2))
        return projected


def unshuffled(patches: torch.Tensor) -> torch.Tensor:
    """Pixel unshuffle, version v2: each 2 x 2 block becomes one position with four times the channels.

    The channels are those of (row 0, column 0), (0, 1), (1, 0), (1, 1) of the block, in this order.

    Args:
        patches: Shape (n, height, width, channels), both sides even; the result (n, height / 2, width / 2,
            4 channels).
    """
    n, height, width, channels = patches.shape
    blocks = patches.view(n, height // 2, 2, width // 2, 2, channels).transpose(2, 3)
    return blocks.reshape(n, height // 2, width // 2, 4 * channels)


def read_positions(attention_mask: torch.Tensor) -> torch.Tensor:
    """Where rows are read that end with their answer: the fourth token from each one's end, shape (rows,)."""
    return last_tokens(attention_mask) - (_READ_FROM_END - 1)


def _causal(attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """The mask and positions that the language model needs.

    No token sees what is behind it, so padding behind rows needs no mask; attention without one is faster.
    """
    mask = attention_mask.long()
    if bool((mask[:, 0] == 1).all() and (mask.diff(dim=1) <= 0).all()):
        return {}
    return {"attention_mask": attention_mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


def _vision_config(sizes: VisionSizes) -> InternVLVisionConfig:
    return InternVLVisionConfig(
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.mlp,
        patch_size=(sizes.patch, sizes.patch),
        image_size=(sizes.side, sizes.side),
        attention_bias=sizes.qkv_bias,
        layer_norm_eps=sizes.eps,
        use_mean_pooling=True,  # its final norm is the identity then, as published
    )


def _language_config(sizes: LanguageSizes) -> LlamaConfig:
    positions: dict[str, float | str] = {"rope_type": "default", "rope_theta": sizes.theta}
    if sizes.factor > 1:
        positions |= {"rope_type": "dynamic", "factor": sizes.factor}
    return LlamaConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        intermediate_size=sizes.mlp,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        max_position_embeddings=sizes.positions,
        rms_norm_eps=sizes.eps,
        rope_parameters=positions,
        tie_word_embeddings=False,
    )
