"""mPLUG-Owl3 once more, from its description alone: loops over samples, heads and positions, in float64.

No module of transformers and nothing of the port is used, so that both can only agree by being right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, gelu, layer_norm, silu, softmax


class Computed(NamedTuple):
    """Of one sample."""

    hidden: list[Tensor]
    """After the embedding and after each layer, (tokens, width); the last one normalised."""
    logits: Tensor
    """(tokens, vocabulary)."""


class Reference:
    """The network of a config.json and its tensors."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], version: str) -> None:
        self.config, self.version = config, version
        self.tensors = {name: tensor.double() for name, tensor in tensors.items()}

    def encode(self, pixels: Tensor) -> Tensor:
        """(pictures, 3, side, side) -> embeddings (pictures, rows, width)."""
        vision, prefix = self.config["vision_config"], "vision_model."
        patch = vision["patch_size"]
        weight, bias = self._pair(prefix + "embeddings.patch_embedding")
        x = conv2d(pixels.double(), weight, bias, stride=patch).flatten(2).transpose(1, 2)
        x = x + self.tensors[prefix + "embeddings.position_embedding.weight"]
        for index in range(vision["num_hidden_layers"] - 1):  # hidden_states[-2]
            x = self._vision_layer(x, f"{prefix}encoder.layers.{index}.")
        if self.version == "240728":
            return self._linear(x, "vision2text_model")
        x = self._linear(x, "vision2text_model.0")
        exact = x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
        return self._linear(exact, "vision2text_model.2")

    def run(self, ids: Sequence[int], embeds: Tensor | None, starts: Sequence[int]) -> Computed:
        """One sample with its own images."""
        x = self.tensors["language_model.model.embed_tokens.weight"][list(ids)]
        hidden = [x]
        for index in range(self.config["num_hidden_layers"]):
            hyper = index + 1 in self.config["hyper_layers"] and embeds is not None and len(starts) > 0
            prefix = f"language_model.model.layers.{index}."
            normed = self._rms(x, prefix + "input_layernorm")
            images = self._rms(embeds, prefix + "input_layernorm") if hyper else None
            x = x + self._attention(normed, images, starts, prefix + "self_attn.")
            normed = self._rms(x, prefix + "post_attention_layernorm")
            gate = self._linear(normed, prefix + "mlp.gate_proj")
            x = x + self._linear(
                silu(gate) * self._linear(normed, prefix + "mlp.up_proj"), prefix + "mlp.down_proj"
            )
            hidden.append(x)
        hidden[-1] = self._rms(x, "language_model.model.norm")
        return Computed(hidden, self._linear(hidden[-1], "language_model.lm_head"))

    def _attention(self, x: Tensor, images: Tensor | None, starts: Sequence[int], prefix: str) -> Tensor:
        heads, kv_heads = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        size = self.config["hidden_size"] // heads
        q, k, v = (self._linear(x, f"{prefix}{name}_proj") for name in "qkv")
        pictures = (
            [self._linear(image, prefix + "v_kv_proj") for image in images] if images is not None else []
        )
        rows = []
        for t in range(len(x)):
            outputs = []
            for head in range(heads):
                kv = head // (heads // kv_heads)
                query = self._rotate(q[t, head * size : (head + 1) * size], t)
                part = slice(kv * size, (kv + 1) * size)
                keys = [self._rotate(k[s, part], s) for s in range(t + 1)]
                values = [v[s, part] for s in range(t + 1)]
                outputs.append(self._head(query, keys, values, pictures, starts, t, kv, prefix))
            rows.append(torch.cat(outputs))
        return self._linear(torch.stack(rows), prefix + "o_proj")

    def _head(
        self,
        query: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
        pictures: Sequence[Tensor],
        starts: Sequence[int],
        t: int,
        kv: int,
        prefix: str,
    ) -> Tensor:
        """What one head of one token gathers."""
        size, late = len(query), int(self.version == "240728")
        picture_keys, picture_values = [], []
        for picture, start in zip(pictures, starts, strict=True) if pictures else ():
            if t < start + late:
                continue
            for row in picture:
                own = row[2 * kv * size : 2 * (kv + 1) * size]  # the key and then the value of this head
                picture_keys.append(self._rotate(own[:size], start + late))
                picture_values.append(own[size:])
        if not picture_keys:
            return _gather(query, keys, values)
        if self.version == "241101":
            return _gather(query, picture_keys + keys, picture_values + values)
        text, seen = _gather(query, keys, values), _gather(query, picture_keys, picture_values)
        gate = torch.sigmoid(self._linear(text, prefix + "gate_proj.0"))
        return text * (1 - gate) + seen * gate

    def _rotate(self, x: Tensor, position: int) -> Tensor:
        half = len(x) // 2
        theta = self.config["rope_theta"]
        angle = position * torch.tensor(
            [theta ** (-2 * i / len(x)) for i in range(half)], dtype=torch.float64
        )
        one, other = x[:half], x[half:]
        return torch.cat([one * angle.cos() - other * angle.sin(), other * angle.cos() + one * angle.sin()])

    def _vision_layer(self, x: Tensor, prefix: str) -> Tensor:
        heads = self.config["vision_config"]["num_attention_heads"]
        size = x.shape[-1] // heads
        normed = self._norm(x, prefix + "layer_norm1")
        q, k, v = (self._linear(normed, f"{prefix}self_attn.{name}_proj") for name in "qkv")
        outputs = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(size)
            outputs.append(softmax(scores, -1) @ v[..., part])
        x = x + self._linear(torch.cat(outputs, -1), prefix + "self_attn.out_proj")
        inner = gelu(
            self._linear(self._norm(x, prefix + "layer_norm2"), prefix + "mlp.fc1"), approximate="tanh"
        )
        return x + self._linear(inner, prefix + "mlp.fc2")

    def _pair(self, name: str) -> tuple[Tensor, Tensor | None]:
        return self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._pair(name)
        return x @ weight.T + (0 if bias is None else bias)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._pair(name)
        return layer_norm(x, (x.shape[-1],), weight, bias, 1e-6)

    def _rms(self, x: Tensor, name: str) -> Tensor:
        scale = (x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"]).rsqrt()
        return x * scale * self.tensors[f"{name}.weight"]


def _gather(query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
    scores = torch.stack(list(keys)) @ query / math.sqrt(len(query))
    weights: Tensor = softmax(scores, -1) @ torch.stack(list(values))
    return weights
