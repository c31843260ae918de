"""The published network at work: batches of images, each read at its own position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from zeroiqa.chat.batching import TokenBudget, run_in_batches
from zeroiqa.errors import UserError
from zeroiqa.heads.lmm4lmm.checkpoint import load_model
from zeroiqa.heads.lmm4lmm.conversation import Conversation, load_conversation
from zeroiqa.heads.lmm4lmm.inputs import joined, published_inputs
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
from zeroiqa.heads.predictions import Prediction, predicted_ids, read_predictions
from zeroiqa.heads.questions import Dimension, Question
from zeroiqa.heads.training.batches import last_tokens
from zeroiqa.types import Image
from zeroiqa.weights.checkpoint import find_checkpoint
from zeroiqa.weights.devices import check_memory, find_device, find_dtype, is_device_gone, is_out_of_memory
from zeroiqa.weights.options import ModelOptions

_TOKENS, _CPU_TOKENS = 12_288, 2_048
"""Of a batch, padding included: eight published conversations of some 1,400 tokens; one keeps a CPU busy."""


@dataclass(frozen=True)
class PublishedPredictor:
    """A loaded checkpoint in the published layout."""

    model: Lmm4Lmm
    conversation: Conversation
    dimension: Dimension
    words: Sequence[Sequence[int]]
    """Token ids whose probabilities are wanted: of each level, or of yes and of no."""
    device: torch.device
    budget: TokenBudget

    def predict(self, images: Sequence[Image], questions: Sequence[Question]) -> list[Prediction]:
        """Predictions for images, in their order; `questions` holds that of each image.

        Raises:
            ImageError: a question holds a control token.
            UserError: memory holds not one image, or the device is gone.
        """
        rows = [self.conversation.prompt(question) for question in questions]
        return run_in_batches(
            [len(row) for row in rows],
            self.budget,
            lambda batch: self._predict([images[i] for i in batch], [rows[i] for i in batch]),
            _ran_out,
        )

    @torch.inference_mode()
    def _predict(self, images: Sequence[Image], rows: Sequence[list[int]]) -> list[Prediction]:
        tile = self.model.config.vision.side
        items = [published_inputs(image.pixels, row, tile) for image, row in zip(images, rows, strict=True)]
        inputs = joined(items)
        last = last_tokens(inputs["attention_mask"])
        try:
            scores, logits = self.model(
                **{name: tensor.to(self.device) for name, tensor in inputs.items()},
                positions=last.to(self.device),
                level_ids=torch.tensor([*chain(*self.words)], device=self.device),
            )
        except RuntimeError as error:
            if is_device_gone(error) and not is_out_of_memory(error):
                raise UserError(
                    f"The device {self.device} failed while LMM4LMM was at work ({error}); start again to "
                    "go on."
                ) from error
            raise
        return read_predictions(self.dimension, scores, logits, self.words)


def load_published_predictor(folder: Path, dimension: Dimension, options: ModelOptions) -> PublishedPredictor:
    """Load a checkpoint.

    Raises:
        UserError: it is incomplete or damaged, of another dimension, or memory does not suffice.
    """
    if options.load_in_8bit:
        raise UserError("LMM4LMM is not quantised; leave out --load-in-8bit.")
    checkpoint = find_checkpoint(str(folder))
    device = find_device(options.device)
    dtype = find_dtype(options.dtype, device)
    check_memory(checkpoint.name, dtype.itemsize * checkpoint.count_weights(), device)
    model = load_model(
        folder,
        regression=dimension != "qa",
        device=device,
        dtype=dtype,
        allow_pickle=options.allow_pickle,
    )
    conversation = load_conversation(folder, model)
    words = predicted_ids(conversation, dimension)
    budget = TokenBudget(_CPU_TOKENS if device.type == "cpu" else _TOKENS)
    return PublishedPredictor(model, conversation, dimension, words, device, budget)


def _ran_out(error: BaseException) -> bool:
    if not is_out_of_memory(error):
        return False
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return True
