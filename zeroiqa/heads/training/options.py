"""The choices of a training, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zeroiqa.heads.folds import FoldChoice
from zeroiqa.weights.devices import Dtype


@dataclass(frozen=True)
class TrainingOptions:
    """Choices of a training.

    The defaults are those of the LMM4LMM paper (learning rate 1e-5, 8 images a step); its published scripts
    use 4e-5, and 4 images in stage 2 and for answers. Their stochastic depth (0.1) is not there.
    """

    epochs: int | None = None
    """Times that every example is learnt from; if not given, as many as the head's stage asks for."""
    batch_size: int = 8
    """Examples of one step, over all processes."""
    learning_rate: float = 1e-5
    """Greatest one: it rises over the first 3 % of the steps, then falls to 0 as a half cosine."""
    weight_decay: float = 0.01
    """Of AdamW, on matrices."""
    lora_dropout: float = 0.05
    """Share of the inputs of LoRA that is dropped."""
    selection: FoldChoice = field(default_factory=FoldChoice)
    """Which examples the best weights are chosen on."""
    every: int | None = None
    """Steps between two validations, each of which is also a point to resume from; one epoch if not given."""
    checkpointing: bool = True
    """Compute each block again for the gradient instead of keeping its inside: less memory, more time."""
    dtype: Dtype = "auto"
    """Type that the frozen weights are held and the products computed in; what is learnt stays float32."""
    device: str = "auto"
    """auto, cpu or cuda; with several processes each takes its own GPU."""
    seed: int = 0
    """Of the order, of the initial weights and of the dropout."""


@dataclass(frozen=True)
class Progress:
    """Reported after every step."""

    step: int
    """Steps done."""
    steps: int
    """Steps in all."""
    loss: float
    """Mean loss of this step's examples (of this process)."""
    validation: float | None
    """What the best weights are chosen by, if it was computed after this step."""


@dataclass(frozen=True)
class Validation:
    """One entry of the training's history."""

    step: int
    """Steps done."""
    loss: float
    """Mean training loss since the entry before."""
    value: float | None
    """Agreement on the validation fold: SRCC with the ratings, or the accuracy of answers; None if all scores
    are equal."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training made."""

    folder: Path
    """What the head writes, with the best weights: a checkpoint, or what was learnt on a chat model."""
    best: Validation
    """When these weights were reached, and their value."""
    history: tuple[Validation, ...]
    """Every validation, in order."""
