"""The layers of the language model that look at the images: hyper attention, on Qwen2's own parts.

mPLUG-Owl3 (Ye et al. 2024, arXiv 2408.04840, section 3.2) keeps images out of the text: a few layers attend
to them beside the text. Both releases project the same image embeddings, after the layer's own input
normalisation, to keys and values; every picture stands at one position of the text's axis (MI-RoPE). They
differ in how visual and textual attention meet:

    240728  two softmaxes; per head, a gate g = sigmoid(W text + b) makes (1 - g) text + g visual, where a
            picture is seen; a token sees those that begin before it, at the position after their beginning
    241101  one softmax over visual and textual keys; a token sees the pictures that begin before or at it,
            at the position of their beginning
"""
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.qwen2.modeling_qwen2 import (
    Qwen2Attention,
    Qwen2DecoderLayer,
    Qwen2ForCausalLM,
    apply_rotary_pos_emb,
    eager_attention_forward,
    rotate_half,
)

from zeroiqa.chat.caching import find_cache
from zeroiqa.chat.mplug_owl3.configuration import MplugOwl3Config
from zeroiqa.chat.mplug_owl3.visual import Visual

_PART = 16  # pictures whose keys and values are projected at once; bounds the memory of the normalisation


class HyperAttention(Qwen2Attention):
    """Attention to the text and, where there are pictures, to them; without pictures it is Qwen2's."""

    def __init__(self, config: MplugOwl3Config, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.kv_heads = config.num_key_value_heads or config.num_attention_heads
        self.v_kv_proj = nn.Linear(config.hidden_size, 2 * self.kv_heads * self.head_dim, bias=True)
        self.is_gated = config.is_gated
        if self.is_gated:
            self.gate_proj = nn.Sequential(nn.Linear(self.head_dim, self.head_dim), nn.Sigmoid())

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None,
        visual: Visual | None = None,
        norm: nn.Module | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            hidden_states: (batch, new tokens, width), normalised.
            position_embeddings: Cosine and sine of the new tokens' positions.
            attention_mask: As transformers makes it for its own layers.
            visual: The pictures; None for none, and then this is Qwen2's attention.
            norm: What normalises their embeddings, the same that normalised `hidden_states`.
            kwargs: The cache of the text's keys and values, by the name that Qwen2's layers have for it; the
                rest is for the implementation of attention.
        """
        if visual is None:
            plain: tuple[Tensor, Tensor | None] = super().forward(
                hidden_states, position_embeddings, attention_mask, **kwargs
            )
            return plain
        assert norm is not None, "pictures come with their norm"
        visual.readers.add(self.layer_idx)
        name, cache = find_cache(kwargs)
        kwargs.pop(name, None)
        query, keys, values = self._text(hidden_states, position_embeddings, cache)
        seen_keys, seen_values = self._pictures(visual, norm)
        if self.is_gated:
            text = self._attend_to_text(query, keys, values, attention_mask, **kwargs)
            output = self._mix(text, query, seen_keys, seen_values, visual)
        else:
            keys, values = torch.cat([seen_keys, keys], dim=2), torch.cat([seen_values, values], dim=2)
            allowed = torch.cat([visual.rows_seen, visual.tokens_seen], dim=-1)
            output = attend(query, keys, values, allowed, self.scaling)
        return self.o_proj(output.flatten(2)), None

    def _text(
        self, hidden: Tensor, position_embeddings: tuple[Tensor, Tensor], cache: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, cached ones included: (batch, heads, tokens, dim)."""
        shape = (*hidden.shape[:-1], -1, self.head_dim)
        query, keys, values = (
            project(hidden).view(shape).transpose(1, 2) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, keys = apply_rotary_pos_emb(query, keys, *position_embeddings)
        if cache is not None:
            keys, values = cache.update(keys, values, self.layer_idx)
        return query, keys, values

    def _pictures(self, visual: Visual, norm: nn.Module) -> tuple[Tensor, Tensor]:
        """Rotated keys and values of each sample's pictures: (batch, kv heads, most * rows, dim)."""
        both = torch.cat([self.v_kv_proj(norm(part)) for part in visual.embeds.split(_PART)])
        pictures, rows, _ = both.shape
        both = both.view(pictures, rows, self.kv_heads, 2, self.head_dim)
        wide = both[..., 0, :].float()
        cos, sin = (part[:, None, None] for part in (visual.cos, visual.sin))
        keys = (wide * cos + rotate_half(wide) * sin).to(both.dtype)
        return self._by_sample(keys, visual), self._by_sample(both[..., 1, :], visual)

    def _by_sample(self, each: Tensor, visual: Visual) -> Tensor:
        return each[visual.slots].flatten(1, 2).transpose(1, 2)

    def _attend_to_text(
        self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, **kwargs: Any
    ) -> Tensor:
        """As Qwen2 does, before its output projection: (batch, tokens, heads, dim)."""
        function = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        text: Tensor = function(
            self, query, keys, values, mask, dropout=0.0, scaling=self.scaling, sliding_window=None, **kwargs
        )[0]
        return text

    def _mix(self, text: Tensor, query: Tensor, keys: Tensor, values: Tensor, visual: Visual) -> Tensor:
        sees = visual.pictures_seen.any(-1)  # (batch, tokens)
        allowed = visual.rows_seen | ~sees[..., None]  # a softmax over nothing would be no number
        pictures = attend(query, keys, values, allowed, self.scaling)
        # no more than three axes: linear layers of 8 bits want it
        gate = self.gate_proj(text.flatten(1, 2)).view_as(text)
        return torch.where(sees[..., None, None], text * (1 - gate) + pictures * gate, text)


def attend(query: Tensor, keys: Tensor, values: Tensor, allowed: Tensor, scaling: float) -> Tensor:
    """Attention with few key heads: queries that share one are put side by side; no key is repeated.

    Args:
        query: (batch, heads, tokens, dim).
        keys: (batch, kv heads, rows, dim), as `values`.
        values: What is summed.
        allowed: (batch, tokens, rows), boolean; every token is allowed one row at least.
        scaling: Of the products.

    Returns:
        (batch, tokens, heads, dim).
    """
    batch, heads, tokens, dim = query.shape
    groups = heads // keys.shape[1]
    packed = query.reshape(batch, keys.shape[1], groups * tokens, dim)
    mask = allowed[:, None].repeat(1, 1, groups, 1)
    output = nn.functional.scaled_dot_product_attention(packed, keys, values, attn_mask=mask, scale=scaling)
    return output.reshape(batch, heads, tokens, dim).transpose(1, 2)


class HyperDecoderLayer(Qwen2DecoderLayer):
    """A layer of Qwen2 with hyper attention."""

    def __init__(self, config: MplugOwl3Config, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.self_attn = HyperAttention(config, layer_idx)

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> Tensor:
        """Hands its input normalisation to the attention, which applies it to the pictures as well."""
        output: Tensor = super().forward(hidden_states, norm=self.input_layernorm, **kwargs)
        return output


def build_language_model(config: MplugOwl3Config) -> Qwen2ForCausalLM:
    """Qwen2 with hyper layers; what it is given as `visual` reaches them.

    Raises:
        UserError: the version is not known.
    """
    model = Qwen2ForCausalLM(config)
    for index in sorted(config.hyper_indices):
        model.model.layers[index] = HyperDecoderLayer(config, index)
    return model
