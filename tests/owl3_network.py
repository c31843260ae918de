"""A tiny mPLUG-Owl3 for tests: loaded by the port and by the reference, asked with samples."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.owl3_reference import Reference
from tests.tiny import mplug_owl3
from zeroiqa.chat.mplug_owl3 import MplugOwl3ForConditionalGeneration

CLOSE = 1e-4
"""To the reference, in float32 against float64."""
EXACT = 1e-5
"""Between ways of computing the same in float32."""


class Sample(NamedTuple):
    ids: Sequence[int]
    starts: Sequence[int]


ONE = Sample(range(40, 52), [4])
TWO = Sample(range(60, 80), [3, 11])
NONE = Sample(range(90, 100), [])
FIRST = Sample([7, 8, 9, 10, 11, 12], [0])
"""An image at the very beginning."""


class Network:
    """A tiny checkpoint, loaded by the port and by the reference."""

    def __init__(self, folder: Path, version: str) -> None:
        self.version, self.folder = version, folder
        self.late = int(version == "240728")
        self.model: Any = load(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.tensors = load_file(folder / "model.safetensors")
        self.reference = Reference(self.config, self.tensors, version)

    def loaded(self, folder: Path | None = None, **choices: Any) -> Network:
        """With the model loaded in another way, or from another folder."""
        other = copy.copy(self)
        other.model = load(folder or self.folder, **choices)
        return other

    def pixels(self, count: int, seed: int = 0) -> Tensor:
        side = mplug_owl3.SIDES[self.version]
        return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1

    def logits(self, sample: Sample, pixels: Tensor | None, **more: Any) -> Tensor:
        ids, starts = torch.tensor([list(sample.ids)]), [torch.tensor(sample.starts, dtype=torch.long)]
        with torch.inference_mode():
            return self.model(input_ids=ids, pixel_values=pixels, image_starts=starts, **more).logits[0]


def load(folder: Path, **choices: Any) -> Any:
    return MplugOwl3ForConditionalGeneration.from_pretrained(
        folder, **{"dtype": torch.float32, **choices}
    ).eval()


def largest(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share where numbers are large."""
    return float(((one - other).abs() / (1 + other.abs())).max())
