"""Outputs of the official codes, and the tiny weights that they were computed with; see the README there."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent / "fixtures" / "official"
_LAYER = re.compile(r"language_model\.model\.layers\.(\d+)\.(.+)")
_LAYERS, _HYPER = (
    5,
    (1, 3),
)  # of the tiny networks; in official order they are like those of the released size


def arrays(name: str) -> dict[str, Any]:
    """The arrays of an npz file, "case/what" -> array."""
    with np.load(FOLDER / name) as found:
        return {key: found[key] for key in found.files}


def record(name: str) -> Any:
    """The content of a JSON file."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def tensors_of_released_size(version: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape, in the order of the official class."""
    lines = (FOLDER / f"tensors_{version}.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(" ", 1) for line in lines)
    return {name: tuple(json.loads(shape)) for name, shape in pairs}


def tiny_weights(version: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """The weights of the tiny network.

    Args:
        version: Also the seed.
        shapes: Of its tensors, in any order.
    """
    random = torch.Generator().manual_seed(int(f"20{version}"))
    weights = {}
    for name in _tiny_order(version, shapes):
        drawn = torch.randn(shapes[name], generator=random)
        if "norm" in name:
            weights[name] = 1 + 0.2 * drawn if name.endswith("weight") else 0.1 * drawn
        elif name.endswith("bias"):
            weights[name] = 0.2 * drawn
        elif name.endswith(("embed_tokens.weight", "position_embedding.weight", "probe")):
            weights[name] = 0.5 * drawn
        else:
            weights[name] = drawn * (1.6 / math.sqrt(drawn[0].numel()))
    return weights


def _tiny_order(version: str, shapes: dict[str, tuple[int, ...]]) -> list[str]:
    """The tiny network's names in the official order: that of the released size, with fewer layers."""
    by_layer: dict[int, list[str]] = {}
    names: list[str | None] = []  # None stands for the layers of the language model
    for name in tensors_of_released_size(version):
        if found := _LAYER.fullmatch(name):
            names += [] if by_layer else [None]
            by_layer.setdefault(int(found[1]), []).append(found[2])
        else:
            names.append(name)
    plain, hyper = (pick(by_layer.values(), key=len) for pick in (min, max))
    layers = [
        f"language_model.model.layers.{number}.{name}"
        for number in range(_LAYERS)
        for name in (hyper if number in _HYPER else plain)
    ]
    order = [each for name in names for each in (layers if name is None else [name]) if each in shapes]
    assert sorted(order) == sorted(shapes)
    return order
