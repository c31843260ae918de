"""A tiny SAM 2 of random weights in the layout of the official checkpoints: random masks of what it sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zeroiqa.types import Image

_WIDTH = 32  # channels of neck, prompt encoder and mask decoder
_MEMORY = 8  # channels of the memory, which images do not use


def build_official(
    folder: Path, *, size: int = 256, seed: int = 0, large_masks: bool = False, version: str = "2.1"
) -> Path:
    """Write config.yaml and model.pt, about 2 MB, into a folder, which need not exist.

    Args:
        folder: Where to; returned.
        size: Height and width of the image that the model takes, a multiple of 128.
        seed: Of the weights.
        large_masks: Masks of much of the image are as frequent as small ones.
        version: Of SAM 2, 2.0 or 2.1.
    """
    import torch
    from omegaconf import OmegaConf

    from zeroiqa.segmenters.sam2.official_weights import build_model

    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(config(size, version)), folder / "config.yaml")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(folder / "config.yaml")
        torch.manual_seed(seed)
        _randomise(model, large_masks)
    torch.save({"model": model.state_dict()}, folder / "model.pt")
    return folder


def config(size: int, version: str = "2.1") -> dict[str, Any]:
    """That of sam2.1_hiera_t.yaml, or of 2.0's, with fewer channels and blocks."""
    from omegaconf import OmegaConf

    from zeroiqa.segmenters.sam2.official_weights import cards, package_file

    path = package_file(cards()[f"sam{version}-tiny"].config)
    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    model = content["model"]
    model["image_size"] = size
    model["num_maskmem"] = 2

    encoder = model["image_encoder"]
    encoder["trunk"] |= {"embed_dim": 8, "stages": [1, 1, 2, 1], "global_att_blocks": [3]}
    encoder["neck"] |= {"d_model": _WIDTH, "backbone_channel_list": [64, 32, 16, 8]}
    encoder["neck"]["position_encoding"]["num_pos_feats"] = _WIDTH

    attention = model["memory_attention"]
    attention |= {"d_model": _WIDTH, "num_layers": 1}
    attention["layer"] |= {"d_model": _WIDTH, "dim_feedforward": 64}
    for part in ("self_attention", "cross_attention"):
        attention["layer"][part] |= {"embedding_dim": _WIDTH, "feat_sizes": [size // 16] * 2}
    attention["layer"]["cross_attention"]["kv_in_dim"] = _MEMORY

    memory = model["memory_encoder"]
    memory |= {"in_dim": _WIDTH, "out_dim": _MEMORY}
    memory["position_encoding"]["num_pos_feats"] = _MEMORY
    memory["mask_downsampler"]["embed_dim"] = _WIDTH
    memory["fuser"]["layer"]["dim"] = _WIDTH
    return {"model": model}


def _randomise(model: Any, large_masks: bool) -> None:
    """Weights that pass signals on at their size, and smooth masks that depend on point and image."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
        trunk, decoder = model.image_encoder.trunk, model.sam_mask_decoder
        trunk.pos_embed.normal_(0, 3)  # 7 x 7 values over the image: masks are patches of about that size
        trunk.pos_embed_window.zero_()
        for upscaling in (decoder.output_upscaling[0], decoder.output_upscaling[3]):
            upscaling.weight.copy_(
                upscaling.weight.mean((2, 3), keepdim=True).expand_as(upscaling.weight) * 2
            )
        decoder.output_upscaling[3].bias.fill_(1.0)
        for convolution in (decoder.conv_s0, decoder.conv_s1):
            convolution.weight.mul_(0.05)  # or the finest features alone would decide
        for head in decoder.output_hypernetworks_mlps:
            head.layers[-1].weight.mul_(40)
            head.layers[-1].bias.fill_(6.0 if large_masks else 3.0)
        decoder.iou_prediction_head.layers[-1].weight.mul_(3)
        decoder.iou_prediction_head.layers[-1].bias.fill_(1.0)  # estimates around 0.7


def picture(height: int, width: int, seed: int = 0) -> Image:
    """Patches of colours with some noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // 16), -(-width // 16), 3))
    pixels = coarse.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    noisy = np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
    return Image(noisy, f"{height}x{width}")
