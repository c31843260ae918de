"""LMM4LMM as its checkpoints are released: the whole peft-wrapped model, in several files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.tiny.tokenizer import make_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

ADDED = ("<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>")
RANK = 8
SIDE, PATCH = 28, 7
PATCHES = (SIDE // PATCH) ** 2
TOKENS = PATCHES // 4
"""Of one tile."""
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
LANGUAGE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
}
SHARDS = 3


def lmm4lmm_tokenizer() -> PreTrainedTokenizerFast:
    """With the control tokens of InternLM2, the nine for images at the end."""
    special = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", *ADDED)
    return make_tokenizer(special, pad="</s>", eos="</s>", bos="<s>")


def lmm4lmm_config(
    vocabulary: int, *, rank: int = RANK, vision: Mapping[str, Any] | None = None, **language: Any
) -> dict[str, Any]:
    """config.json; `vision` and `language` replace what is in `vision_config` and `llm_config`."""
    scaling = {"type": "dynamic", "factor": 2.0}
    return {
        "model_type": "internvl_chat",
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "select_layer": -1,
        "template": "internvl2_5",
        "use_backbone_lora": rank,
        "use_llm_lora": rank,
        "vision_config": {
            **VISION,
            "patch_size": PATCH,
            "image_size": SIDE,
            "qkv_bias": True,
            "layer_norm_eps": 1e-6,
            **(vision or {}),
        },
        "llm_config": {
            **LANGUAGE,
            "vocab_size": vocabulary,
            "max_position_embeddings": 32768,
            "rope_theta": 1e6,
            "rope_scaling": scaling,
            "rms_norm_eps": 1e-5,
            **language,
        },
    }


def lmm4lmm_tensors(
    config: dict[str, Any], *, seed: int = 0, regression: bool = True
) -> dict[str, torch.Tensor]:
    """Random tensors of a checkpoint under their published names."""
    import torch

    made = torch.Generator().manual_seed(seed)
    found: dict[str, torch.Tensor] = {}

    def put(name: str, *shape: int, gain: float = 1.0, middle: float = 0.0) -> None:
        spread = gain / (shape[-1] ** 0.5 if len(shape) > 1 else 8)
        found[name] = torch.randn(shape, generator=made) * spread + middle

    def norm(name: str, width: int, *, bias: bool) -> None:
        put(f"{name}.weight", width, middle=1)
        if bias:
            put(f"{name}.bias", width)

    def linear(name: str, out: int, into: int, *, bias: bool, rank: int) -> None:
        base = f"{name}.base_layer" if rank else name
        put(f"{base}.weight", out, into)
        if bias:
            put(f"{base}.bias", out)
        if rank:
            put(f"{name}.lora_A.default.weight", rank, into)
            put(f"{name}.lora_B.default.weight", out, rank, gain=0.5)

    vision, language = config["vision_config"], config["llm_config"]
    rank = config["use_backbone_lora"]
    wrapped = "base_model.model." if rank else ""
    width, mlp = vision["hidden_size"], vision["intermediate_size"]
    tower = f"vision_model.{wrapped}"
    put(f"{tower}embeddings.class_embedding", 1, 1, width, gain=4)
    patch = vision["patch_size"]
    places = (vision["image_size"] // patch) ** 2 + 1
    put(f"{tower}embeddings.position_embedding", 1, places, width, gain=4)
    put(f"{tower}embeddings.patch_embedding.weight", width, 3, patch, patch, gain=0.4)
    put(f"{tower}embeddings.patch_embedding.bias", width)
    for number in range(vision["num_hidden_layers"]):
        layer = f"{tower}encoder.layers.{number}"
        put(f"{layer}.ls1", width, middle=1)
        put(f"{layer}.ls2", width, middle=1)
        norm(f"{layer}.norm1", width, bias=True)
        norm(f"{layer}.norm2", width, bias=True)
        linear(f"{layer}.attn.qkv", 3 * width, width, bias=True, rank=rank)
        linear(f"{layer}.attn.proj", width, width, bias=True, rank=rank)
        linear(f"{layer}.mlp.fc1", mlp, width, bias=True, rank=rank)
        linear(f"{layer}.mlp.fc2", width, mlp, bias=True, rank=rank)

    hidden, mlp = language["hidden_size"], language["intermediate_size"]
    heads, kv_heads = language["num_attention_heads"], language["num_key_value_heads"]
    norm("mlp1.0", 4 * width, bias=True)
    linear("mlp1.1", hidden, 4 * width, bias=True, rank=0)
    linear("mlp1.3", hidden, hidden, bias=True, rank=0)

    rank = config["use_llm_lora"]
    tower = f"language_model.{'base_model.model.' if rank else ''}"
    put(f"{tower}model.tok_embeddings.weight", language["vocab_size"], hidden, gain=8)
    for number in range(language["num_hidden_layers"]):
        layer = f"{tower}model.layers.{number}"
        norm(f"{layer}.attention_norm", hidden, bias=False)
        norm(f"{layer}.ffn_norm", hidden, bias=False)
        rows = hidden // heads * (heads + 2 * kv_heads)
        linear(f"{layer}.attention.wqkv", rows, hidden, bias=False, rank=rank)
        linear(f"{layer}.attention.wo", hidden, hidden, bias=False, rank=rank)
        linear(f"{layer}.feed_forward.w1", mlp, hidden, bias=False, rank=rank)
        linear(f"{layer}.feed_forward.w3", mlp, hidden, bias=False, rank=rank)
        linear(f"{layer}.feed_forward.w2", hidden, mlp, bias=False, rank=rank)
    norm(f"{tower}model.norm", hidden, bias=False)
    put(f"{tower}output.weight", language["vocab_size"], hidden)

    if regression:
        norm("mlpscore.ln1", 1024, bias=True)
        widths = (hidden, 1024, 256, 64, 16, 1)
        for number in range(1, 6):
            put(f"mlpscore.fc{number}.weight", widths[number], widths[number - 1], gain=1.4)
            put(f"mlpscore.fc{number}.bias", widths[number])
        found["mlpscore.fc5.bias"] += 3  # a last ReLU that is closed would hide all differences
    return found


def write_lmm4lmm(
    folder: Path,
    *,
    seed: int = 0,
    regression: bool = True,
    rank: int = RANK,
    overlay: bool = True,
    config: dict[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Write a released checkpoint: config.json, shards with an index, lora_weights.pth, tokenizer.

    Args:
        folder: Where to.
        seed: Of the weights.
        regression: Whether it gives scores.
        rank: Of LoRA; 0 for none.
        overlay: Whether lora_weights.pth is there.
        config: Of another size than the tiny one, from `lmm4lmm_config`; its rank counts then.
        dtype: Of the weights; float32 if left out.
    """
    import torch
    from safetensors.torch import save_file

    tokenizer = lmm4lmm_tokenizer()
    tokenizer.save_pretrained(folder)
    config = config or lmm4lmm_config(len(tokenizer), rank=rank)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = lmm4lmm_tensors(config, seed=seed, regression=regression)
    if dtype is not None:
        tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    names = list(tensors)
    places = {}
    for number in range(SHARDS):
        file = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        part = {name: tensors[name] for name in names[number::SHARDS]}  # a layer and its LoRA apart
        save_file(part, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    if overlay and config["use_llm_lora"]:
        torch.save({name: t for name, t in tensors.items() if "lora" in name}, folder / "lora_weights.pth")
    return folder


def write_heads_and_photos(folder: Path) -> Path:
    """Write a checkpoint that scores, one that answers, and three photos."""
    from PIL import Image

    write_lmm4lmm(folder / "scores")
    write_lmm4lmm(folder / "answers", regression=False)
    (folder / "photos").mkdir()
    for number in range(3):
        Image.new("RGB", (60, 40), (80 * number, 90, 200)).save(folder / "photos" / f"{number}.png")
    return folder
