"""What a training needs of a head: every head and every chat model is trained by the same loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import torch
from torch import nn

from zeroiqa.chat.inputs import PromptInputs, Tensors
from zeroiqa.heads.folds import Folds
from zeroiqa.heads.training.batches import EncodedExample, TrainingBatch
from zeroiqa.heads.training.examples import Example, Examples
from zeroiqa.heads.training.options import TrainingOptions


class Objective(nn.Module, ABC):
    """A network with the loss of one stage; its parameters that require a gradient are learnt."""

    @abstractmethod
    def forward(self, batch: TrainingBatch) -> torch.Tensor:
        """The mean loss of a batch, float32, shape ()."""

    @abstractmethod
    def predict(self, batch: TrainingBatch) -> torch.Tensor:
        """One float32 number per example, to be compared with its target, shape (examples,)."""

    @abstractmethod
    def value(self, predicted: Sequence[float], targets: Sequence[float]) -> float | None:
        """What the best weights are chosen by, the higher the better; None if it says nothing."""

    @property
    def needs_draw(self) -> bool:
        """Whether some weights are new, and drawn with a first batch in view."""
        return False

    def draw(self, batch: TrainingBatch, seed: int) -> None:
        """Draw the new weights.

        Raises:
            UserError: none of many draws can be learnt from.
        """


class Trainable(Protocol):
    """One stage of one head, loaded to be trained."""

    @property
    def start(self) -> str:
        """Names the weights that the training starts from."""

    @property
    def epochs(self) -> int:
        """How often every example is learnt from if nothing else is asked for."""

    @property
    def has_unused_layers(self) -> bool:
        """Whether weights that are learnt may get no gradient: several processes have to look for them."""

    def prepare_model(self, options: TrainingOptions) -> None:
        """Freeze what the stage does not learn, add LoRA where it does. What is learnt becomes float32."""

    def objective(self) -> Objective:
        """The network with the loss of the stage."""

    def encode(self, example: Example) -> EncodedExample:
        """Make the numbers of one example; called by several threads."""

    def join(self, items: Sequence[PromptInputs]) -> Tensors:
        """Make one batch of inputs.

        Raises:
            NotJoinableError: they have no common batch.
        """

    def export(self, output: Path) -> None:
        """Write what was learnt to a folder that the head scores with."""


LoadTrainable: TypeAlias = Callable[[torch.device, torch.dtype], Trainable]
"""Loads what is to be trained: where to, and in which type weights are held that are not learnt."""


class LoadStart(Protocol):
    """Loads what a stage of a head starts from."""

    def __call__(
        self, start: str | Path, stage: str, *, device: torch.device, dtype: torch.dtype
    ) -> Trainable:
        """Load it.

        Args:
            start: Folder of a checkpoint; or, as a string, a chat model as raters are named.
            stage: One of the head's.
            device: Where to.
            dtype: Of the weights that are not learnt.

        Raises:
            UserError: it is incomplete or damaged, or does not fit the stage.
        """


@dataclass(frozen=True)
class Recipe:
    """How a head is trained: all that `train` is handed."""

    make_examples: Callable[[str, Folds], Examples]
    """What a stage learns from rated questions; raises `UserError` where a question lacks that."""
    load: LoadStart
    """Loads what the stage starts from."""
