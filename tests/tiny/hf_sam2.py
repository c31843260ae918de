"""A tiny SAM 2 of random weights in the layout of transformers, for images or, as on the hub, for videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny.sam2 import build_official


def build(folder: Path, **choices: Any) -> Path:
    """Write config.json, model.safetensors (2 MB) and preprocessor_config.json.

    Args:
        folder: Where to, returned; the official checkpoint that it is made of lies beside it.
        choices: Of `build_official`.
    """
    from zeroiqa.segmenters.sam2.convert import convert

    convert(f"sam2:{build_official(folder.with_name(f'{folder.name}-official'), **choices)}", folder)
    return folder


def build_video(images: Path, folder: Path, version: str = "2.1") -> Path:
    """Write the checkpoint of a video model of a version, 3 MB, whose image part is that of `images`."""
    import torch
    import transformers

    parts = json.loads((images / "config.json").read_text())
    size = parts["prompt_encoder_config"]["image_size"]
    config = transformers.Sam2VideoConfig(
        **{name: part for name, part in parts.items() if name.endswith("_config")},
        image_size=size,
        num_maskmem=2,
        memory_attention_hidden_size=32,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[size // 16] * 2,
        memory_encoder_hidden_size=32,
        memory_encoder_output_channels=8,
        mask_downsampler_embed_dim=32,
        memory_fuser_embed_dim=32,
        memory_fuser_intermediate_dim=64,
        enable_occlusion_spatial_embedding=version == "2.1",
        enable_temporal_pos_encoding_for_object_pointers=version == "2.1",
    )
    with torch.random.fork_rng(devices=[]):
        model = transformers.Sam2VideoModel(config)
    model.load_state_dict(transformers.Sam2Model.from_pretrained(images).state_dict(), strict=False)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_bytes((images / "preprocessor_config.json").read_bytes())
    return folder
