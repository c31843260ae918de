"""LoRA on both towers, as the published training puts it: rank 8, alpha 16, on every attention and MLP.

The published layers hold queries, keys and values in one matrix, so there these three have one A, and a part
of B each. Here they are three layers, which share the A: the same parameters, the same number of them, and
nothing that the published layout could not hold. Only the dropout differs: each of the three draws its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from zeroiqa.heads.backbone.lora import inject_lora

_VISION = {"attention.projection_layer": "attn.proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
_LANGUAGE = {
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
}
"""Name of a layer here -> its published name. Queries, keys and values are apart from these."""
_FUSED = ("q_proj", "k_proj", "v_proj")


class _Layer(NamedTuple):
    """One block of a tower: where its layers are here, and under which name they are published."""

    block: Any
    attention: Any
    prefix: str
    names: dict[str, str]
    fused: str
    groups: int
    """Into how many groups of queries, key and value the rows of the published matrix are sorted."""


def add_lora(vision: nn.Module, language: nn.Module, *, dropout: float, seed: int) -> None:
    """Freeze both towers and put LoRA on their layers, which changes no output yet.

    Args:
        vision: An InternVLVisionModel of transformers, changed in place.
        language: A LlamaForCausalLM of transformers, changed in place.
        dropout: Share of the inputs of A that is dropped in training.
        seed: Of the random A; B is zero.
    """
    names = [*_FUSED, *(name.split(".")[-1] for name in (*_VISION, *_LANGUAGE))]
    for number, tower in enumerate((vision, language)):
        inject_lora(tower, names, dropout=dropout, seed=seed + number)
    for layer in _layers(vision, language):
        shared = layer.attention.q_proj.lora_A["default"].weight
        for name in _FUSED[1:]:
            getattr(layer.attention, name).lora_A["default"].weight = shared


def published_lora(vision: nn.Module, language: nn.Module) -> dict[str, torch.Tensor]:
    """The matrices A and B under their published names, those of queries, keys and values joined."""
    found = {}
    for layer in _layers(vision, language):
        for name, published in layer.names.items():
            part = layer.block.get_submodule(name)
            found[f"{layer.prefix}.{published}.lora_A.default.weight"] = part.lora_A["default"].weight
            found[f"{layer.prefix}.{published}.lora_B.default.weight"] = part.lora_B["default"].weight
        parts = [getattr(layer.attention, name) for name in _FUSED]
        rows = [part.lora_B["default"].weight.unflatten(0, (layer.groups, -1)) for part in parts]
        found[f"{layer.prefix}.{layer.fused}.lora_A.default.weight"] = parts[0].lora_A["default"].weight
        found[f"{layer.prefix}.{layer.fused}.lora_B.default.weight"] = torch.cat(rows, 1).flatten(0, 1)
    return {name: weight.detach() for name, weight in found.items()}


def published_base_name(name: str) -> str:
    """What a tensor of a checkpoint without LoRA is called in one that has it."""
    for tower in ("vision_model.", "language_model."):
        if not name.startswith(tower):
            continue
        path, _, kind = name.removeprefix(tower).rpartition(".")
        ends = ("attn.qkv", "attention.wqkv", *_VISION.values(), *_LANGUAGE.values())
        layer = f"{path}.base_layer" if path.endswith(ends) else path
        return f"{tower}base_model.model.{layer}.{kind}"
    return name


def _layers(vision: Any, language: Any) -> list[_Layer]:
    prefix = "vision_model.base_model.model.encoder.layers"
    layers = [
        _Layer(block, block.attention, f"{prefix}.{number}", _VISION, "attn.qkv", 1)
        for number, block in enumerate(vision.encoder.layer)
    ]
    prefix = "language_model.base_model.model.model.layers"
    groups = language.config.num_key_value_heads
    layers += [
        _Layer(block, block.self_attn, f"{prefix}.{number}", _LANGUAGE, "attention.wqkv", groups)
        for number, block in enumerate(language.model.layers)
    ]
    return layers
