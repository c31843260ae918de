"""The point that a training resumes from, and the best weights so far, each written as a whole."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import read_json, reason, stumbles
from zeroiqa.heads.training.options import Validation

_WEIGHTS, _OPTIMISER, _STATE, _BEST = "weights.safetensors", "optimiser.pt", "state.json", "best.safetensors"


class Resumed(NamedTuple):
    """What is known at a point to resume from."""

    step: int
    """Steps done."""
    history: tuple[Validation, ...]
    """Validations so far."""
    best: Validation | None
    """The best of them."""


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """The folder in which a training keeps what it needs to be resumed."""

    folder: Path
    settings: Mapping[str, Any]
    """All that the result depends on; a training with others is not resumed."""

    def resume(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> Resumed:
        """Put weights and optimiser where they were, and say which point that is; step 0 if there is none.

        Raises:
            UserError: the folder holds a training with other settings, or a damaged point.
        """
        points = sorted(self._points())
        if not points:
            return Resumed(0, (), None)
        step, point = points[-1]
        try:
            state = read_json(point / _STATE)
            self._check(state["settings"])
            weights = load_file(point / _WEIGHTS)
            kept = torch.load(point / _OPTIMISER, map_location="cpu", weights_only=True)
            history = tuple(Validation(**entry) for entry in state["history"])
            best = None if state["best"] is None else Validation(**state["best"])
        except stumbles(RuntimeError) as error:
            raise UserError(
                f"{printable(str(point))} is damaged ({reason(error)}); remove it to resume from an earlier "
                "point or to start again."
            ) from error
        _copy(weights, model)
        optimiser.load_state_dict(kept)
        return Resumed(step, history, best)

    def save(self, model: nn.Module, optimiser: torch.optim.Optimizer, at: Resumed) -> None:
        """Keep this point and remove those before it."""
        point = self.folder / f"step-{at.step:08}"
        written = point.with_suffix(".tmp")
        shutil.rmtree(written, ignore_errors=True)
        written.mkdir(parents=True)
        save_file(_learnt(model), written / _WEIGHTS)
        torch.save(optimiser.state_dict(), written / _OPTIMISER)
        state = {
            "settings": self.settings,
            "history": [dataclasses.asdict(entry) for entry in at.history],
            "best": None if at.best is None else dataclasses.asdict(at.best),
        }
        (written / _STATE).write_text(json.dumps(state, indent=1) + "\n", "utf-8")
        shutil.rmtree(point, ignore_errors=True)
        written.rename(point)
        for step, other in [*self._points()]:
            if step != at.step:
                shutil.rmtree(other)

    def keep_best(self, model: nn.Module) -> None:
        """Keep the weights that are the best so far."""
        self.folder.mkdir(parents=True, exist_ok=True)
        written = self.folder / f"{_BEST}.tmp"
        save_file(_learnt(model), written)
        written.replace(self.folder / _BEST)

    def load_best(self, model: nn.Module) -> None:
        """Put the best weights into the model."""
        _copy(load_file(self.folder / _BEST), model)

    def _points(self) -> Iterator[tuple[int, Path]]:
        for point in self.folder.glob("step-*"):
            if point.name.removeprefix("step-").isdecimal():
                yield int(point.name.removeprefix("step-")), point

    def _check(self, before: Mapping[str, Any]) -> None:
        now = json.loads(json.dumps(self.settings))
        changed = [name for name in sorted({*now, *before}) if now.get(name) != before.get(name)]
        if changed:
            name = changed[0]
            raise UserError(
                f"{printable(str(self.folder))} holds an unfinished training with another {name}: "
                f"{before.get(name)}, not {now.get(name)}; repeat that to resume it, or name another folder."
            )


def _learnt(model: nn.Module) -> dict[str, torch.Tensor]:
    named = model.named_parameters()
    return {name: weight.detach().contiguous().cpu() for name, weight in named if weight.requires_grad}


@torch.no_grad()
def _copy(weights: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weight.copy_(weights[name])
