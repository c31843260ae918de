"""Names of tensors in published checkpoints that were trained with LoRA."""

from __future__ import annotations

import pytest

from zeroiqa.heads.lmm4lmm.lora import published_base_name


@pytest.mark.parametrize(
    ("plain", "wrapped"),
    [
        ("mlp1.0.weight", "mlp1.0.weight"),
        ("vision_model.encoder.layers.0.ls1", "vision_model.base_model.model.encoder.layers.0.ls1"),
        (
            "vision_model.encoder.layers.3.attn.qkv.bias",
            "vision_model.base_model.model.encoder.layers.3.attn.qkv.base_layer.bias",
        ),
        (
            "language_model.model.layers.7.feed_forward.w2.weight",
            "language_model.base_model.model.model.layers.7.feed_forward.w2.base_layer.weight",
        ),
        ("language_model.output.weight", "language_model.base_model.model.output.weight"),
    ],
)
def test_names_of_a_checkpoint_with_lora(plain, wrapped):
    assert published_base_name(plain) == wrapped
