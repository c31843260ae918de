"""The point that a training resumes from, which accelerate saves, and the best weights so far."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import read_json, reason, stumbles
from zeroiqa.heads.training.options import Validation

if TYPE_CHECKING:
    from accelerate import Accelerator

_STATE, _BEST = "state.json", "best.safetensors"
_WEIGHTS = "model.safetensors"
_OLDER = {"weights.safetensors": _WEIGHTS, "optimiser.pt": "optimizer.bin"}
"""File of a point from before accelerate saved them -> its name now; the contents are the same."""


class ResumePoint(NamedTuple):
    """What is known at a point to resume from."""

    step: int
    """Steps done."""
    history: tuple[Validation, ...]
    """Validations so far."""
    best: Validation | None
    """The best of them."""


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """The folder in which a training keeps what it needs to be resumed.

    Of the model only what is learnt is saved: the rest is where it was loaded from.
    """

    folder: Path
    settings: Mapping[str, Any]
    """All that the result depends on; a training with others is not resumed."""

    def resume(self, accelerator: Accelerator) -> ResumePoint:
        """Put weights and optimiser where they were, and say which point that is; step 0 if there is none.

        Args:
            accelerator: Has prepared the model and the optimiser.

        Raises:
            UserError: the folder holds a training with other settings, or a damaged point.
        """
        accelerator.register_save_state_pre_hook(_keep_learnt_only)
        accelerator.register_load_state_pre_hook(_load_learnt)
        points = sorted(self._points())
        if not points:
            return ResumePoint(0, (), None)
        step, point = points[-1]
        try:
            state = read_json(point / _STATE)
            self._check(state["settings"])
            history = tuple(Validation(**entry) for entry in state["history"])
            best = None if state["best"] is None else Validation(**state["best"])
            if accelerator.is_main_process:
                _rename_older(point)
            accelerator.wait_for_everyone()
            accelerator.load_state(str(point))
        except stumbles(RuntimeError) as error:
            raise UserError(
                f"{printable(str(point))} is damaged ({reason(error)}); remove it to resume from an earlier "
                "point or to start again."
            ) from error
        return ResumePoint(step, history, best)

    def save(self, accelerator: Accelerator, at: ResumePoint) -> None:
        """Keep this point as a whole and remove those before it; every process calls it."""
        point = self.folder / f"step-{at.step:08}"
        written = point.with_suffix(".tmp")
        if accelerator.is_main_process:
            shutil.rmtree(written, ignore_errors=True)
            written.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(written))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            self._finish(written, point, at)
        accelerator.wait_for_everyone()

    def _finish(self, written: Path, point: Path, at: ResumePoint) -> None:
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


def _keep_learnt_only(models: list[nn.Module], weights: list[dict[str, torch.Tensor]], _: str) -> None:
    """Called by accelerate with all weights of what it has prepared, before it writes them."""
    weights[:] = [_learnt(_unwrapped(model)) for model in models]


def _load_learnt(models: list[nn.Module], folder: str) -> None:
    """Called by accelerate before it reads weights; what is taken from the list it does not read."""
    _copy(load_file(Path(folder) / _WEIGHTS), _unwrapped(models.pop()))


def _unwrapped(model: nn.Module) -> nn.Module:
    """The model without what accelerate puts around it to share gradients."""
    from accelerate.utils import extract_model_from_parallel

    found: nn.Module = extract_model_from_parallel(model)
    return found


def _rename_older(point: Path) -> None:
    for before, now in _OLDER.items():
        if (point / before).is_file():
            (point / before).rename(point / now)
