"""LMM4LMM on images: scores, levels and answers, several images at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from zeroiqa.errors import UserError, printable
from zeroiqa.heads.backbone.predictor import load_chat_predictor
from zeroiqa.heads.backbone.weights import backbone_head_fingerprint, is_backbone_head
from zeroiqa.heads.lmm4lmm.entry import ENTRY
from zeroiqa.heads.lmm4lmm.predictor import load_published_predictor
from zeroiqa.heads.predictions import Prediction
from zeroiqa.heads.questions import DIMENSIONS, Dimension, Question, question_of
from zeroiqa.types import Image
from zeroiqa.weights.checkpoint import find_checkpoint
from zeroiqa.weights.devices import find_device, find_dtype
from zeroiqa.weights.options import ModelOptions


class _Predictor(Protocol):
    def predict(self, images: Sequence[Image], questions: Sequence[Question]) -> list[Prediction]:
        """Predictions for images, in their order; `questions` holds that of each image."""


class Head:
    """One released checkpoint, or one from our own training; weights are loaded when first needed.

    Args:
        dimension: What the checkpoint was trained for.
        folder: The checkpoint's, or that of what was learnt on a chat model.
        options: Device and type of the weights.

    Raises:
        UserError: there is no such dimension.
    """

    images_per_call = 8
    """Images that are worth one call of `score`: about a batch."""

    def __init__(
        self,
        dimension: Dimension,
        folder: Path,
        options: ModelOptions = ModelOptions(),  # noqa: B008 -- frozen
    ) -> None:
        if dimension not in DIMENSIONS:
            raise UserError(f"LMM4LMM has no dimension {dimension!r}; choose one of {', '.join(DIMENSIONS)}.")
        self._dimension: Dimension = dimension
        self._folder, self._options = folder, options
        self._fingerprint = ""
        self._loaded: _Predictor | None = None

    @property
    def id(self) -> str:
        """Dimension, weights and their type: two heads of one id give the same scores.

        Raises:
            UserError: the folder holds no checkpoint.
        """
        device = find_device(self._options.device)
        dtype = str(find_dtype(self._options.dtype, device)).removeprefix("torch.")
        if not self._fingerprint:
            self._fingerprint = self._weights()
        return f"lmm4lmm {self._dimension} {self._fingerprint[:16]} {dtype}"

    def score(
        self,
        images: Sequence[Image],
        *,
        prompts: Sequence[str | None] | None = None,
        questions: Sequence[str | None] | None = None,
    ) -> list[Prediction]:
        """Predictions for images, in their order.

        Args:
            images: What is shown.
            prompts: Of the correspondence: the text prompt of each image; by default its own.
            questions: Of the answers: what is asked about each image.

        Raises:
            ImageError: a prompt or question is missing or holds a control token.
            UserError: texts and images are not equally many, or the checkpoint cannot be loaded or used.
        """
        return self.predict(images, self._texts(images, prompts, questions))

    def predict(self, images: Sequence[Image], texts: Sequence[str | None]) -> list[Prediction]:
        """The same with the text that the dimension reads beside each image: its prompt, or a question."""
        questions = [question_of(self._dimension, text, ENTRY.name) for text in texts]
        return self._predictor().predict(images, questions) if images else []

    def _texts(
        self,
        images: Sequence[Image],
        prompts: Sequence[str | None] | None,
        questions: Sequence[str | None] | None,
    ) -> Sequence[str | None]:
        if self._dimension == "perception":
            return [None] * len(images)
        asks = self._dimension == "qa"
        texts = questions if asks else prompts
        if texts is None:
            return [None if asks else image.prompt for image in images]
        if len(texts) != len(images):
            what = "questions" if asks else "prompts"
            raise UserError(
                f"There are {len(texts):,} {what} for {len(images):,} images; give one for each image."
            )
        return texts

    def _weights(self) -> str:
        if self._is_on_a_chat_model():
            return backbone_head_fingerprint(self._folder)
        return find_checkpoint(str(self._folder)).fingerprint()

    def _is_on_a_chat_model(self) -> bool:
        """Whether the folder is of a head on a chat model; a missing one is no repository of a hub."""
        if not self._folder.is_dir():
            raise UserError(
                f"There is no folder {printable(str(self._folder))}; download a released checkpoint of "
                "LMM4LMM there, or train one (zeroiqa head train)."
            )
        return is_backbone_head(self._folder)

    def _predictor(self) -> _Predictor:
        if self._loaded is None:
            is_chat = self._is_on_a_chat_model()
            load = load_chat_predictor if is_chat else load_published_predictor
            self._loaded = load(self._folder, self._dimension, self._options)
        return self._loaded
