"""LoRA on the layers of a model, and adapters in peft's own format, which are read without peft.

An adapter is a folder with adapter_config.json and adapter_model.safetensors, as `peft.PeftModel` saves and
loads them: matrices A and B by the names of their layers, and whole weights of other layers (which peft calls
`modules_to_save`). Here it is merged: W + scale B A, scale = alpha / rank.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import read_json, reason, stumbles

RANK, ALPHA = 8, 16
"""Of the published LMM4LMM training."""
SCALE = ALPHA / RANK
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_NO_LAYERS = "dummy-target-modules"
"""What peft takes where no layer has LoRA (peft.utils.constants.DUMMY_TARGET_MODULES)."""
_REFUSED = (
    "use_dora",
    "use_rslora",
    "fan_in_fan_out",
    "lora_bias",
    "alora_invocation_tokens",
    "megatron_config",
)
"""Settings of peft that change what is computed, and are not read here."""


class LowRank(NamedTuple):
    """What LoRA adds to the weight of one layer: scale B A."""

    a: torch.Tensor
    """Shape (rank, inputs)."""
    b: torch.Tensor
    """Shape (outputs, rank)."""
    scale: float


@dataclass(frozen=True)
class Adapter:
    """What was learnt on a model beside its own weights."""

    layers: Mapping[str, LowRank]
    """By the name of the layer in the model."""
    weights: Mapping[str, torch.Tensor]
    """Weights that replace the model's, by their names."""

    @torch.no_grad()
    def merge(self, model: nn.Module) -> None:
        """Put it into the weights of a model, whose layers are plain ones.

        Raises:
            LookupError: the model has not the layer or weight that the error names.
            ValueError: one there has another shape.
        """
        for name, tensor in self.weights.items():
            weight = _parameter(model, name)
            _check_shape(name, tensor.shape, weight.shape)
            weight.copy_(tensor)
        for layer, (a, b, scale) in self.layers.items():
            weight = _parameter(model, f"{layer}.weight")
            _check_shape(layer, (b.shape[0], a.shape[-1]), weight.shape)
            change = scale * (b.float() @ a.float())
            weight.copy_(weight.float() + change.to(weight.device))

    def then(self, later: Adapter) -> Adapter:
        """This one and a later one, learnt on the merged model: LoRA of both ranks, the later weights."""
        layers = dict(self.layers)
        for layer, added in later.layers.items():
            layers[layer] = _joined(layers[layer], added) if layer in layers else added
        return Adapter(layers, {**self.weights, **later.weights})


def inject_lora(model: nn.Module, layers: Sequence[str], *, dropout: float, seed: int) -> None:
    """Freeze a model and put LoRA on its layers of these names, which changes no output yet.

    Args:
        model: Changed in place; peft is needed.
        layers: Names of linear layers, or how they end.
        dropout: Share of the inputs of A that is dropped in training.
        seed: Of the random A; B is zero.
    """
    from peft import LoraConfig, inject_adapter_in_model

    settings = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=dropout, target_modules=[*layers])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(settings, model)


def learnt_adapter(model: nn.Module) -> Adapter:
    """What was learnt on a model: LoRA by `inject_lora`, and other weights that require a gradient."""
    layers = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            a, b = (getattr(module, key)["default"].weight for key in ("lora_A", "lora_B"))
            layers[name] = LowRank(_kept(a), _kept(b), float(module.scaling["default"]))
    named = model.named_parameters()
    weights = {name: _kept(weight) for name, weight in named if weight.requires_grad and "lora_" not in name}
    return Adapter(layers, weights)


def write_adapter(folder: Path, adapter: Adapter, base: str, revision: str | None = None) -> None:
    """Write an adapter in peft's format.

    Args:
        folder: Where to; it exists.
        adapter: What to write.
        base: Folder or repository of the model that it was learnt on.
        revision: Branch, tag or commit of the repository.
    """
    tensors = {f"{_PREFIX}{name}": tensor.contiguous() for name, tensor in adapter.weights.items()}
    for layer, found in adapter.layers.items():
        tensors[f"{_PREFIX}{layer}{_A}"] = found.a.contiguous()
        tensors[f"{_PREFIX}{layer}{_B}"] = found.b.contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(_config(adapter, base, revision), indent=1) + "\n", "utf-8")


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter in peft's format.

    Raises:
        UserError: it is damaged, or no LoRA that can be merged into plain layers.
    """
    shown = printable(str(folder))
    try:
        config = read_json(folder / CONFIG)
        tensors = load_file(folder / WEIGHTS)
        refused = [name for name in _REFUSED if config.get(name)]
        if config["peft_type"] != "LORA" or config.get("bias", "none") != "none" or refused:
            what = refused[0] if refused else f"peft_type {config['peft_type']}, bias {config.get('bias')}"
            raise UserError(
                f"The adapter in {shown} is of a kind that is not read here ({what}); merge it into its "
                "model with peft, or train with plain LoRA."
            )
        return _adapter(config, {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()})
    except stumbles() as error:
        raise UserError(
            f"The adapter in {shown} is incomplete or damaged ({reason(error)}); train it again."
        ) from error


def _adapter(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Adapter:
    layers = {}
    for name, a in tensors.items():
        if name.endswith(_A):
            layer = name.removesuffix(_A)
            alpha = _of_layer(config.get("alpha_pattern") or {}, layer, config["lora_alpha"])
            layers[layer] = LowRank(a, tensors[layer + _B], float(alpha) / a.shape[0])
    weights = {name: tensor for name, tensor in tensors.items() if not name.endswith((_A, _B))}
    return Adapter(layers, weights)


def _config(adapter: Adapter, base: str, revision: str | None) -> dict[str, Any]:
    """What peft needs to put the adapter on its model; layers are named in full, so that no other matches."""
    ranks = {layer: found.a.shape[0] for layer, found in adapter.layers.items()}
    alphas = {layer: round(found.scale * found.a.shape[0], 6) for layer, found in adapter.layers.items()}
    rank, alpha = _usual(ranks, RANK), _usual(alphas, ALPHA)
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base,
        "revision": revision,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": sorted(ranks) or _NO_LAYERS,
        "rank_pattern": {layer: each for layer, each in sorted(ranks.items()) if each != rank},
        "alpha_pattern": {layer: each for layer, each in sorted(alphas.items()) if each != alpha},
        "modules_to_save": _modules(adapter.weights) or None,
    }


def _modules(weights: Mapping[str, torch.Tensor]) -> list[str]:
    """The modules that hold weights, without those inside of another one."""
    holders = {name.rpartition(".")[0] for name in weights}
    return sorted(name for name in holders if not any(name.startswith(f"{other}.") for other in holders))


def _usual(values: Mapping[str, Any], otherwise: int) -> Any:
    found = Counter(values.values()).most_common(1)
    return found[0][0] if found else otherwise


def _of_layer(pattern: Mapping[str, Any], layer: str, otherwise: Any) -> Any:
    """The value of a layer; the keys are regular expressions for the end of its name, as peft reads them."""
    found = (value for key, value in pattern.items() if re.fullmatch(rf"(.*\.)?({key})", layer))
    return next(found, otherwise)


def _joined(first: LowRank, later: LowRank) -> LowRank:
    """Both changes as one of a higher rank."""
    a = torch.cat([first.a.float(), later.a.float()])
    b = torch.cat([first.b.float() * (first.scale / later.scale), later.b.float()], 1)
    return LowRank(a, b, later.scale)


def _parameter(model: nn.Module, name: str) -> nn.Parameter:
    try:
        return model.get_parameter(name)
    except AttributeError as error:
        raise LookupError(name) from error


def _check_shape(name: str, found: Sequence[int], wanted: Sequence[int]) -> None:
    if tuple(found) != tuple(wanted):
        raise ValueError(f"{name} has the shape {tuple(found)} instead of {tuple(wanted)}")


def _kept(weight: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU in float32: peft's layers may share a matrix, files may not."""
    return weight.detach().to("cpu", torch.float32, copy=True)
