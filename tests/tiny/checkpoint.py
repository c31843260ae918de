"""Random weights that look at the image, and the folder that a checkpoint is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast, ProcessorMixin


class Parts(NamedTuple):
    """What a family consists of besides its weights."""

    config: PreTrainedConfig
    processor: ProcessorMixin


def text_sizes(tokenizer: PreTrainedTokenizerFast, **more: object) -> dict[str, object]:
    """The language model's part of a configuration: three layers of 64 channels."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **more,
    }


def vision_sizes(**more: object) -> dict[str, object]:
    """The vision model's part: two layers of 32 channels."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        **more,
    }


def write(parts: Parts, folder: Path, *, seed: int = 0) -> Path:
    """Write configuration, processor and random weights as safetensors."""
    parts.processor.save_pretrained(folder)
    random_model(parts.config, seed).save_pretrained(folder)
    return folder


def random_model(config: PreTrainedConfig, seed: int) -> torch.nn.Module:
    """A model in float32 whose every matrix is random; the same seed gives the same weights."""
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
        randomise(model)
    return model


def randomise(model: torch.nn.Module) -> None:
    """Give every matrix a spread that keeps the image visible in the answer.

    The usual start (0.02, and zero in some projections) makes attention uniform and hides the image
    behind the text; a spread of 1 / sqrt(inputs) passes signals on at their size. Keys and queries get
    more, so that attention picks out single tokens, and so does the last step from vision to language;
    gates of cross-attention, which start closed, are opened.
    """
    import torch

    embeddings = {module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:
                if name.endswith(("q_norm.weight", "k_norm.weight")):
                    parameter.add_(1)
                if name.endswith("_gate"):
                    parameter.fill_(2)
                continue
            gain = 2.0 if any(part in name for part in ("q_proj", "k_proj", "linear_2")) else 1.0
            if parameter in embeddings and parameter is not model.get_output_embeddings().weight:
                parameter.normal_(0, 1)
            else:
                parameter.normal_(0, gain / parameter[0].numel() ** 0.5)
