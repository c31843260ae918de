"""What a head declares of itself. An entry imports nothing heavy: what does is named "module:attribute"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from zeroiqa.files.damage import stumbles
from zeroiqa.registry import import_attribute
from zeroiqa.weights.model_files import read_json

if TYPE_CHECKING:
    from zeroiqa.heads.predictions import Prediction
    from zeroiqa.heads.training.trainable import Recipe
    from zeroiqa.standards import Aspect
    from zeroiqa.types import Image
    from zeroiqa.weights.options import ModelOptions


class HeadModel(Protocol):
    """One head with its weights, ready to score images."""

    @property
    def id(self) -> str:
        """Names the head, its dimension and its weights: two of one id give the same scores.

        Raises:
            UserError: the folder holds no weights of this head.
        """

    @property
    def images_per_call(self) -> int:
        """Images that are worth one call of `predict`."""

    def predict(self, images: Sequence[Image], texts: Sequence[str | None]) -> list[Prediction]:
        """Predictions for images, in their order.

        Args:
            images: What is shown.
            texts: What the dimension reads beside each image (see `DimensionEntry.text`), if it reads any.

        Raises:
            ImageError: an image cannot be scored, or lacks its text.
            UserError: the weights cannot be loaded or used.
        """


@dataclass(frozen=True)
class DimensionEntry:
    """One thing that a head says about images."""

    name: str
    """As users write it: "perception"."""
    aspect: Aspect
    """What the number is about; the run is kept under the standard "ASPECT-word-7"."""
    help: str
    """What the number is, in a few words."""
    text: Literal["prompts", "questions"] | None = None
    """What it reads beside each image: the option of `zeroiqa head score` that gives it."""
    gives_levels: bool = True
    """Whether there are probabilities of the five levels beside the number."""


@dataclass(frozen=True)
class TrainingEntry:
    """How a head is trained."""

    stages: Mapping[str, str]
    """Name of each stage -> what it learns, for help texts."""
    recipe: str
    """The place of a `zeroiqa.heads.training.trainable.Recipe`."""
    measures: Mapping[str, str] = field(default_factory=dict)
    """What the best weights of a stage are chosen by, where that is not SRCC: its name for messages."""
    takes_backbone: bool = False
    """Whether any chat model can be trained in place of a checkpoint (--backbone)."""

    def load_recipe(self) -> Recipe:
        """Import the recipe."""
        recipe: Recipe = import_attribute(self.recipe)
        return recipe


@dataclass(frozen=True)
class HeadEntry:
    """What is known about a head before it is imported."""

    name: str
    """The key, as users write it."""
    title: str
    """The name of the method, for texts."""
    dimensions: tuple[DimensionEntry, ...]
    """What it says about images; each may have weights of its own."""
    model: str
    """The place of what makes a `HeadModel` of a dimension's name, a folder (Path) and `ModelOptions`."""
    weights: str
    """Why no weights are downloaded unasked, behind "which"."""
    model_types: tuple[str, ...] = ()
    """Model types in config.json that say that a folder is this head's; it needs no files of a processor."""
    recognises: Callable[[Path], bool] | None = None
    """Whether a folder is this head's that has no such config.json, by its small files."""
    training: TrainingEntry | None = None
    """None if it is not trained here."""

    def owns(self, folder: Path) -> bool:
        """Whether a folder holds what this head takes: its weights, or what it is trained from."""
        if self.recognises is not None and self.recognises(folder):
            return True
        try:
            config = read_json(folder / "config.json")
        except stumbles():
            return False
        return isinstance(config, dict) and config.get("model_type") in self.model_types

    def load_model(self, dimension: str, folder: Path, options: ModelOptions) -> HeadModel:
        """Import the head and make its model; weights are loaded when they are first needed."""
        build: Callable[..., Any] = import_attribute(self.model)
        model: HeadModel = build(dimension, folder, options)
        return model
