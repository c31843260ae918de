"""Write what was trained as a checkpoint in the published layout: where it started, with what was learnt.

Beside the weights of both towers stand the LoRA matrices, as published. No more than one file of weights is
in memory beside the model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

from zeroiqa.heads.lmm4lmm.checkpoint import merged_tensors
from zeroiqa.heads.lmm4lmm.lora import RANK, published_base_name, published_lora
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
from zeroiqa.heads.training.options import Stage

_FILE_BYTES = 2 << 30
_INDEX = "model.safetensors.index.json"
_KEPT = ("*.json", "*.txt", "*.model", "*.jinja")
"""Files beside the weights: the tokenizer's."""
_UNUSED_WIDTH = 1024


def export(model: Lmm4Lmm, stage: Stage, start: Path, output: Path, *, file_bytes: int = _FILE_BYTES) -> None:
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
            if path.name not in ("config.json", "training.json") and not path.name.endswith(".index.json"):
                shutil.copyfile(path, output / path.name)
    places: dict[str, str] = {}
    size = 0
    for number, (part, part_bytes) in enumerate(_files(_tensors(model, stage, start), file_bytes), 1):
        name = f"model-{number:05}.safetensors"
        save_file(part, output / name, metadata={"format": "pt"})
        places |= dict.fromkeys(part, name)
        size += part_bytes
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (output / _INDEX).write_text(json.dumps(index, indent=1) + "\n", "utf-8")
    written = output / "config.json.tmp"
    written.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    written.replace(output / "config.json")


def _files(
    tensors: Iterator[tuple[str, torch.Tensor]], most: int
) -> Iterator[tuple[dict[str, torch.Tensor], int]]:
    part: dict[str, torch.Tensor] = {}
    size = 0
    for name, tensor in tensors:
        if part and size + tensor.nbytes > most:
            yield part, size
            part, size = {}, 0
        part[name] = tensor.detach().contiguous().cpu()
        size += tensor.nbytes
    yield part, size


def _tensors(model: Lmm4Lmm, stage: Stage, start: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """What was not learnt, in the type that it was trained beside, and then what was."""
    learnt = dict(_learnt(model, stage))
    dtype = model.language_model.lm_head.weight.dtype
    for name, read in merged_tensors(start):
        if name not in learnt:
            yield (name if stage == "1" else published_base_name(name)), read().to(dtype)
    yield from learnt.items()


def _learnt(model: Lmm4Lmm, stage: Stage) -> Iterator[tuple[str, torch.Tensor]]:
    if stage == "1":
        yield from ((f"mlp1.{name}", weight) for name, weight in model.mlp1.named_parameters())
        return
    yield from published_lora(model.vision_model, model.language_model).items()
    if model.regression is not None:
        yield from ((f"mlpscore.{name}", weight) for name, weight in model.regression.named_parameters())
        # beside these the published code expects a LayerNorm that it does not call
        yield "mlpscore.ln1.weight", torch.ones(_UNUSED_WIDTH)
        yield "mlpscore.ln1.bias", torch.zeros(_UNUSED_WIDTH)
