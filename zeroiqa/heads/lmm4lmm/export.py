"""Write what was trained as a checkpoint in the published layout: where it started, with what was learnt.

Beside the weights of both towers stand the LoRA matrices, as published. What was learnt on the network that
`load_model` makes of the start is there once more as an adapter in peft's format, in a folder of its own:
transformers would put one that stands beside config.json on top of the weights. No more than one file of
weights is in memory beside the model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from huggingface_hub.constants import SAFETENSORS_INDEX_FILE
from safetensors.torch import save_file

from zeroiqa.heads.backbone.lora import RANK, learnt_adapter, write_adapter
from zeroiqa.heads.lmm4lmm.checkpoint import merged_tensors
from zeroiqa.heads.lmm4lmm.lora import published_base_name, published_lora
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm

_FILE_BYTES = 2 << 30
ADAPTER = "adapter"
"""The folder of the adapter."""
_KEPT = ("*.json", "*.txt", "*.model", "*.jinja")
"""Files beside the weights: the tokenizer's."""
_WRITTEN = ("config.json", "training.json")
_UNUSED_WIDTH = 1024


class _ToWrite(NamedTuple):
    """A tensor of the checkpoint."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], torch.Tensor]


def export(model: Lmm4Lmm, stage: str, start: Path, output: Path, *, file_bytes: int = _FILE_BYTES) -> None:
    """Write a checkpoint; config.json comes last, so that a folder which has it is complete.

    Args:
        model: With the weights that were learnt.
        stage: Says which these are.
        start: Folder of the checkpoint that the training started from.
        output: Folder to write to.
        file_bytes: About how large a file of weights is at most.
    """
    output.mkdir(parents=True, exist_ok=True)
    record = json.loads((start / "config.json").read_text("utf-8"))
    record["use_backbone_lora"] = record["use_llm_lora"] = 0 if stage == "1" else RANK
    for pattern in _KEPT:
        for path in start.glob(pattern):
            if path.name not in _WRITTEN and not path.name.endswith(".index.json"):
                shutil.copyfile(path, output / path.name)
    _write_files(partial(_tensors, model, stage, start), output, file_bytes)
    _write_adapter(model, start, output)
    written = output / "config.json.tmp"
    written.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    written.replace(output / "config.json")


def _write_adapter(model: Lmm4Lmm, start: Path, output: Path) -> None:
    """What was learnt on the towers and between them; the regression is in the checkpoint alone."""
    adapter = learnt_adapter(model)
    towers = {name: one for name, one in adapter.weights.items() if not name.startswith("regression.")}
    (output / ADAPTER).mkdir(exist_ok=True)
    write_adapter(output / ADAPTER, replace(adapter, weights=towers), str(start.resolve()))


def _write_files(tensors: Callable[[], Iterator[_ToWrite]], output: Path, file_bytes: int) -> None:
    """Write tensors to files as huggingface_hub divides them; they are gone through twice and read once."""
    sizes = {name: torch.empty(shape, dtype=dtype, device="meta") for name, shape, dtype, _ in tensors()}
    split = split_torch_state_dict_into_shards(sizes, max_shard_size=file_bytes)
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, _, dtype, read in tensors():
        file = split.tensor_to_filename[name]
        part = parts.setdefault(file, {})
        part[name] = read().detach().to("cpu", dtype).contiguous()
        if len(part) == len(split.filename_to_tensors[file]):
            save_file(parts.pop(file), output / file, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (output / SAFETENSORS_INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n", "utf-8")


def _tensors(model: Lmm4Lmm, stage: str, start: Path) -> Iterator[_ToWrite]:
    """What was not learnt, in the type that it was trained beside, and then what was."""
    learnt = dict(_learnt(model, stage))
    dtype = model.language_model.lm_head.weight.dtype
    for name, stored in merged_tensors(start):
        if name not in learnt:
            written = name if stage == "1" else published_base_name(name)
            yield _ToWrite(written, stored.shape, dtype, stored.read)
    for name, tensor in learnt.items():
        yield _ToWrite(name, tuple(tensor.shape), tensor.dtype, partial(_itself, tensor))


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _learnt(model: Lmm4Lmm, stage: str) -> Iterator[tuple[str, torch.Tensor]]:
    if stage == "1":
        yield from ((f"mlp1.{name}", weight) for name, weight in model.mlp1.named_parameters())
        return
    yield from published_lora(model.vision_model, model.language_model).items()
    if model.regression is not None:
        yield from ((f"mlpscore.{name}", weight) for name, weight in model.regression.named_parameters())
        # beside these the published code expects a LayerNorm that it does not call
        yield "mlpscore.ln1.weight", torch.ones(_UNUSED_WIDTH)
        yield "mlpscore.ln1.bias", torch.zeros(_UNUSED_WIDTH)
