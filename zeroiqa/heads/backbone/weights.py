"""A head on a chat model: a small folder beside the model's own weights, which stay where they are.

`head.json` says which model that is. What was learnt on it is an adapter in peft's format
(adapter_config.json, adapter_model.safetensors: `zeroiqa.heads.backbone.lora`), the regression is in
regression.safetensors. An older format has all weights in head.safetensors; it is still read.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from zeroiqa.chat.loading import load
from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import read_json, reason, stumbles
from zeroiqa.files.schema import TEXT, Record, first_wrong, perhaps
from zeroiqa.heads.backbone.lora import SCALE, Adapter, LowRank, read_adapter, write_adapter
from zeroiqa.heads.regression import QualityRegression
from zeroiqa.weights.checkpoint import Checkpoint
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.chat.loading import Loaded

_LOG = logging.getLogger(__name__)
RECORD, REGRESSION = "head.json", "regression.safetensors"
_OLDER = "head.safetensors"
_RECORD = Record({"backbone": Record({"name": TEXT, "revision": perhaps(TEXT), "fingerprint": TEXT})})


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
class BackboneHead:
    """What a folder holds."""

    backbone: Backbone
    adapter: Adapter
    regression: Mapping[str, torch.Tensor]
    """Weights of the regression; empty where none was learnt."""
    shown: str
    """The folder, for messages."""

    def merge(self, loaded: Loaded) -> None:
        """Put the adapter into a model.

        Raises:
            UserError: it is another model, or something has no place in it.
        """
        if loaded.fingerprint != self.backbone.fingerprint:
            raise UserError(
                f"{self.shown} was trained on other weights of {self.backbone.name} than those found, or by "
                "an older zeroiqa, which named them otherwise; give the folder or revision that head.json "
                "had then, or train it again."
            )
        try:
            self.adapter.merge(loaded.model)
        except (LookupError, ValueError, RuntimeError) as error:
            raise UserError(
                f"The adapter in {self.shown} has no place in {self.backbone.name} ({reason(error)}); train "
                "it again."
            ) from error

    def make_regression(self, width: int) -> QualityRegression | None:
        """The regression for hidden states of a width; None where none was learnt.

        Raises:
            UserError: it does not fit.
        """
        if not self.regression:
            return None
        regression = QualityRegression(width)
        try:
            regression.load_state_dict(self.regression)
        except RuntimeError as error:
            raise UserError(
                f"The regression of {self.shown} does not fit ({reason(error)}); train it again."
            ) from error
        return regression


def load_backbone(
    name: str, revision: str | None, options: ModelOptions, before: BackboneHead | None = None
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


def is_backbone_head(folder: Path) -> bool:
    """Whether a folder holds a head on a chat model."""
    return (folder / RECORD).is_file()


def backbone_head_fingerprint(folder: Path) -> str:
    """Names the backbone's weights and what was learnt on them."""
    return Checkpoint(str(folder), folder, None, {}).fingerprint()


def read_backbone_head(folder: Path) -> BackboneHead:
    """Read a folder; of one in the older format a warning is logged.

    Raises:
        UserError: it is incomplete or damaged.
    """
    shown = printable(str(folder))
    try:
        record = read_json(folder / RECORD)
        if wrong := first_wrong(record, _RECORD):
            raise ValueError(wrong)
        backbone = Backbone(**record["backbone"])
        if (folder / _OLDER).is_file():
            _LOG.warning(
                "%s is in the format of an older zeroiqa (%s), which peft does not read; it scores as ever, "
                "and what is trained from it is in peft's format.",
                shown,
                _OLDER,
            )
            return _from_older(backbone, load_file(folder / _OLDER), shown)
        regression = load_file(folder / REGRESSION) if (folder / REGRESSION).is_file() else {}
    except stumbles() as error:
        raise UserError(f"{shown} is incomplete or damaged ({reason(error)}); train it again.") from error
    return BackboneHead(backbone, read_adapter(folder), regression, shown)


def write_backbone_head(
    folder: Path, backbone: Backbone, adapter: Adapter, regression: QualityRegression | None
) -> None:
    """Write a folder; head.json comes last, so that a folder which has it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    write_adapter(folder, adapter, backbone.name, backbone.revision)
    if regression is not None:
        named = regression.named_parameters()
        save_file({name: weight.detach().contiguous().cpu() for name, weight in named}, folder / REGRESSION)
    written = folder / f"{RECORD}.tmp"
    record = {"backbone": dataclasses.asdict(backbone)}
    written.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    written.replace(folder / RECORD)


def _from_older(backbone: Backbone, tensors: Mapping[str, torch.Tensor], shown: str) -> BackboneHead:
    """Names there: LAYER.lora_A and LAYER.lora_B (W + 2 B A), weights' own names, and "regression."."""
    a, b, prefix = ".lora_A", ".lora_B", "regression."
    layers = {
        name.removesuffix(a): LowRank(tensor, tensors[name.removesuffix(a) + b], SCALE)
        for name, tensor in tensors.items()
        if name.endswith(a)
    }
    weights = {name: one for name, one in tensors.items() if not name.endswith((a, b))}
    regression = {name: weights.pop(name) for name in [*weights] if name.startswith(prefix)}
    return BackboneHead(
        backbone,
        Adapter(layers, weights),
        {name.removeprefix(prefix): tensor for name, tensor in regression.items()},
        shown,
    )
