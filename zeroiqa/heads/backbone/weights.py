"""What was learnt on a chat model: a small folder beside the model's own weights, which stay where they are.

`head.json` says which model that is; `head.safetensors` holds LoRA matrices by the names of their layers
(`....lora_A`, `....lora_B`: W + 2 B A), learnt projectors by the names of their weights, and the regression.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from zeroiqa.chat.loading import load
from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import read_json, reason, stumbles
from zeroiqa.files.schema import TEXT, Record, first_wrong, perhaps
from zeroiqa.heads.lmm4lmm.checkpoint import LORA_SCALE
from zeroiqa.heads.regression import QualityRegression
from zeroiqa.weights.checkpoint import Checkpoint
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.chat.loading import Loaded

RECORD, WEIGHTS = "head.json", "head.safetensors"
_RECORD = Record({"backbone": Record({"name": TEXT, "revision": perhaps(TEXT), "fingerprint": TEXT})})
_A, _B, _REGRESSION = ".lora_A", ".lora_B", "regression."


@dataclass(frozen=True)
class Backbone:
    """The chat model that something was learnt on."""

    name: str
    """Repository of the Hugging Face hub, or folder."""
    revision: str | None
    """Branch, tag or commit; None for a folder."""
    fingerprint: str
    """Names its weights."""


@dataclass(frozen=True)
class Learnt:
    """What a folder holds."""

    backbone: Backbone
    tensors: Mapping[str, torch.Tensor]
    shown: str
    """The folder, for messages."""

    @property
    def has_regression(self) -> bool:
        """Whether a regression was learnt."""
        return any(name.startswith(_REGRESSION) for name in self.tensors)

    def merge(self, loaded: Loaded) -> None:
        """Put what was learnt on the towers and between them into a model.

        Raises:
            UserError: it is another model, or something has no place in it.
        """
        if loaded.fingerprint != self.backbone.fingerprint:
            raise UserError(
                f"{self.shown} was trained on other weights of {self.backbone.name} than those found, or by "
                "an older zeroiqa, which named them otherwise; give the folder or revision that head.json "
                "had then, or train it again."
            )
        for name, tensor in self.tensors.items():
            if name.startswith(_REGRESSION) or name.endswith(_B):
                continue
            try:
                _merge(loaded.model, name, tensor, self.tensors)
            except (AttributeError, KeyError, RuntimeError) as error:
                raise UserError(
                    f"{name} of {self.shown} has no place in {self.backbone.name} ({error}); train it again."
                ) from error

    def regression(self, width: int) -> QualityRegression | None:
        """The regression for hidden states of a width; None where none was learnt.

        Raises:
            UserError: it does not fit.
        """
        found = {
            name.removeprefix(_REGRESSION): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(_REGRESSION)
        }
        if not found:
            return None
        regression = QualityRegression(width)
        try:
            regression.load_state_dict(found)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"The regression of {self.shown} does not fit ({reason}); train it again."
            ) from error
        return regression


@torch.no_grad()
def _merge(model: nn.Module, name: str, tensor: torch.Tensor, tensors: Mapping[str, torch.Tensor]) -> None:
    if not name.endswith(_A):
        model.get_parameter(name).copy_(tensor)
        return
    layer = name.removesuffix(_A)
    weight = model.get_parameter(f"{layer}.weight")
    change = LORA_SCALE * (tensors[layer + _B].float() @ tensor.float())
    weight.copy_(weight.float() + change.to(weight.device))


def load_backbone(
    name: str, revision: str | None, options: ModelOptions, before: Learnt | None = None
) -> tuple[Loaded, Backbone]:
    """Load a chat model, with what was learnt on it before.

    Raises:
        UserError: the model cannot be loaded, or is another one than then.
    """
    if options.load_in_8bit:
        raise UserError(
            "What is learnt on a chat model has no place in 8-bit weights; leave out --load-in-8bit."
        )
    loaded = load(name, options, revision)
    folder = Path(name).expanduser()
    here = folder.is_dir()
    backbone = Backbone(
        str(folder.resolve()) if here else name, None if here else loaded.fingerprint, loaded.fingerprint
    )
    if before:
        before.merge(loaded)
    return loaded, backbone


def is_learnt(folder: Path) -> bool:
    """Whether a folder holds what was learnt on a chat model."""
    return (folder / RECORD).is_file()


def learnt_fingerprint(folder: Path) -> str:
    """Names the backbone's weights and what was learnt on them."""
    return Checkpoint(str(folder), folder, None, {}).fingerprint()


def read_learnt(folder: Path) -> Learnt:
    """Read a folder.

    Raises:
        UserError: it is incomplete or damaged.
    """
    shown = printable(str(folder))
    try:
        record = read_json(folder / RECORD)
        if wrong := first_wrong(record, _RECORD):
            raise ValueError(wrong)
        backbone = Backbone(**record["backbone"])
        return Learnt(backbone, load_file(folder / WEIGHTS), shown)
    except stumbles() as error:
        raise UserError(f"{shown} is incomplete or damaged ({reason(error)}); train it again.") from error


def write_learnt(folder: Path, backbone: Backbone, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a folder; head.json comes last, so that a folder which has it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, folder / WEIGHTS
    )
    written = folder / f"{RECORD}.tmp"
    record = {"backbone": dataclasses.asdict(backbone)}
    written.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    written.replace(folder / RECORD)


def learnt_tensors(model: nn.Module, before: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a training learnt on a chat model, and what was learnt on it before.

    Args:
        model: With LoRA of peft on its layers, or with projectors that were learnt.
        before: What the model had merged; LoRA on the same layer becomes one of higher rank.
    """
    found: dict[str, Any] = {
        name: tensor for name, tensor in before.items() if not name.startswith(_REGRESSION)
    }
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            for key, axis in ((_A, 0), (_B, 1)):
                matrix = getattr(module, key.removeprefix("."))["default"].weight.detach().cpu()
                earlier = [found[name + key].float()] if name + key in found else []
                found[name + key] = torch.cat([*earlier, matrix.float()], axis)
    for name, weight in model.named_parameters():
        if weight.requires_grad and "lora_" not in name:
            found[name] = weight
    return found
