"""LMM4LMM on images: scores, levels and answers, several images at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from zeroiqa.devices import check_memory, find_device, find_dtype, is_device_gone, is_out_of_memory
from zeroiqa.errors import UserError, printable
from zeroiqa.heads.lmm4lmm.checkpoint import load_model
from zeroiqa.heads.lmm4lmm.conversation import (
    DIMENSIONS,
    Conversation,
    Dimension,
    load_conversation,
    question_of,
)
from zeroiqa.heads.lmm4lmm.picture import pixel_values
from zeroiqa.model_options import ModelOptions
from zeroiqa.raters.batching import TokenBudget, run_in_batches
from zeroiqa.raters.checkpoint import Checkpoint, find_checkpoint

if TYPE_CHECKING:
    from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
    from zeroiqa.types import Image

_TOKENS = 12_288
"""Of a batch, padding included: eight published conversations of some 1,400 tokens."""


class Judged(NamedTuple):
    """What a head says about one image."""

    score: float | None
    """On the scale of the ratings (published: 0 to 100), higher is better; None from a head for questions."""
    levels: tuple[float, ...]
    """P(level | one of the five), from bad to excellent; empty from a head for questions."""
    yes: float | None
    """P(yes) / (P(yes) + P(no)), in [0, 1]; None from a head for scores."""


class _Ready(NamedTuple):
    model: Lmm4Lmm
    conversation: Conversation
    device: torch.device
    words: tuple[list[int], ...]
    """Token ids whose probabilities are wanted: of each level, or of yes and of no."""


class Head:
    """One released checkpoint, or one from our own training; weights are loaded when first needed.

    Args:
        dimension: What the checkpoint was trained for.
        folder: The checkpoint's.
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
        self._found: Checkpoint | None = None
        self._loaded: _Ready | None = None
        self._budget = TokenBudget(_TOKENS)

    @property
    def id(self) -> str:
        """Dimension, weights and their type: two heads of one id give the same scores.

        Raises:
            UserError: the folder holds no checkpoint.
        """
        device = find_device(self._options.device)
        dtype = str(find_dtype(self._options.dtype, device)).removeprefix("torch.")
        return f"lmm4lmm {self._dimension} {self._checkpoint().fingerprint()[:16]} {dtype}"

    def score(
        self,
        images: Sequence[Image],
        *,
        prompts: Sequence[str | None] | None = None,
        questions: Sequence[str | None] | None = None,
    ) -> list[Judged]:
        """Judge images, in their order.

        Args:
            images: What is shown.
            prompts: Of the correspondence: the text prompt of each image; by default its own.
            questions: Of the answers: what is asked about each image.

        Raises:
            ImageError: a prompt or question is missing or holds a control token.
            UserError: texts and images are not equally many, or the checkpoint cannot be loaded or used.
        """
        asked = [question_of(self._dimension, text) for text in self._texts(images, prompts, questions)]
        ready = self._ready()
        rows = [ready.conversation.cut(question, begun) for question, begun in asked]
        return run_in_batches(
            [len(row) for row in rows],
            self._budget,
            lambda batch: self._judge([images[i] for i in batch], [rows[i] for i in batch]),
            _ran_out,
        )

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

    @torch.inference_mode()
    def _judge(self, images: Sequence[Image], rows: Sequence[list[int]]) -> list[Judged]:
        """One batch, padded on the right: a causal network does not see what comes behind its read token."""
        model, _, device, words = self._ready()
        length = max(len(row) for row in rows)
        ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
        last = torch.tensor([len(row) - 1 for row in rows])
        mask = (torch.arange(length) <= last[:, None]).long()
        tile = model.config.vision.side
        pixels = torch.cat([pixel_values(image.pixels, tile) for image in images])
        try:
            scores, logits = model(
                ids.to(device),
                pixels.to(device),
                mask.to(device),
                torch.ones(len(pixels), device=device),
                last.to(device),
                torch.tensor([*chain(*words)], device=device),
            )
        except RuntimeError as error:
            if is_device_gone(error) and not is_out_of_memory(error):
                raise UserError(
                    f"The device {device} failed while LMM4LMM was at work ({error}); start again to go on."
                ) from error
            raise
        shares = logits.double().softmax(-1).cpu()
        if self._dimension == "qa":
            return [Judged(None, (), float(row[: len(words[0])].sum())) for row in shares]
        return [
            Judged(float(score), tuple(row.tolist()), None)
            for score, row in zip(scores.cpu(), shares, strict=True)
        ]

    def _checkpoint(self) -> Checkpoint:
        if self._found is None:
            if not self._folder.is_dir():
                raise UserError(
                    f"There is no folder {printable(str(self._folder))}; download a released checkpoint of "
                    "LMM4LMM there, or train one (zeroiqa head train)."
                )
            self._found = find_checkpoint(str(self._folder))
        return self._found

    def _ready(self) -> _Ready:
        if self._loaded is None:
            checkpoint = self._checkpoint()
            device = find_device(self._options.device)
            dtype = find_dtype(self._options.dtype, device)
            check_memory(checkpoint.name, dtype.itemsize * checkpoint.count_weights(), device)
            model = load_model(
                self._folder,
                regression=self._dimension != "qa",
                device=device,
                dtype=dtype,
                allow_pickle=self._options.allow_pickle,
            )
            conversation = load_conversation(self._folder, model.config.tokens_per_tile)
            if conversation.image_token >= model.config.language.vocabulary:
                raise UserError(
                    f"The tokenizer of {checkpoint.name} has more tokens than its config.json "
                    f"({model.config.language.vocabulary:,}); they belong to different models."
                )
            model.image_token = conversation.image_token
            self._loaded = _Ready(model, conversation, device, _words(conversation, self._dimension))
        return self._loaded


def _words(conversation: Conversation, dimension: Dimension) -> tuple[list[int], ...]:
    if dimension == "qa":
        return conversation.answer_ids()
    begun = question_of(dimension, "any")[1]
    return tuple([level] for level in conversation.level_ids(begun))


def _ran_out(error: BaseException) -> bool:
    if not is_out_of_memory(error):
        return False
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return True
