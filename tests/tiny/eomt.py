"""A tiny EoMT of random weights: configuration, image processor and safetensors as on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 96


def build(folder: Path, *, family: str = "eomt", seed: int = 0, **config: Any) -> Path:
    """Write the checkpoint, 0.4 MB.

    Args:
        folder: Where to, returned.
        family: Also "eomt_dinov3".
        seed: Of the weights.
        config: Replaces values of the configuration.
    """
    import torch
    import transformers

    prefix = {"eomt": "Eomt", "eomt_dinov3": "EomtDinov3"}[family]
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "num_blocks": 2,
        "num_queries": 16,
        "num_register_tokens": 2,
        "num_labels": 4,
        **({"intermediate_size": 64} if family == "eomt_dinov3" else {}),
        **config,
    }
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        configuration = getattr(transformers, f"{prefix}Config")(**sizes)
        model = getattr(transformers, f"{prefix}ForUniversalSegmentation")(configuration)
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:  # the usual start gives masks of next to nothing
                parameter.normal_(0, 1.5 * parameter[0].numel() ** -0.5)
            elif "bias" in name:
                parameter.normal_(0, 0.1)
        model.class_predictor.weight.mul_(8)  # some queries are sure of their class
        model.attn_mask_probs.zero_()  # as at the end of the training
    model.save_pretrained(folder)
    size = {"shortest_edge": SIDE, "longest_edge": SIDE}
    transformers.EomtImageProcessor(size=size, do_pad=True).save_pretrained(folder)
    return folder
