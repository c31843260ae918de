"""A head on any chat model at work: the model's own batches and fast paths, read by the regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from zeroiqa.errors import UserError
from zeroiqa.heads.backbone.conversation import ChatConversation
from zeroiqa.heads.backbone.network import ChatNetwork
from zeroiqa.heads.backbone.weights import load_backbone, read_backbone_head
from zeroiqa.heads.predictions import Prediction, predicted_ids, read_predictions
from zeroiqa.heads.questions import Dimension, Question
from zeroiqa.types import Image
from zeroiqa.weights.options import ModelOptions


@dataclass(frozen=True)
class ChatPredictor:
    """A loaded chat model with what was learnt on it."""

    network: ChatNetwork
    conversation: ChatConversation
    dimension: Dimension
    words: Sequence[Sequence[int]]
    """Token ids whose probabilities are wanted: of each level, or of yes and of no."""

    def predict(self, images: Sequence[Image], questions: Sequence[Question]) -> list[Prediction]:
        """Predictions for images, in their order; `questions` holds that of each image.

        Raises:
            ImageError: an image cannot be prepared, or a question holds a control token.
            UserError: memory holds not one image, or the device is gone.
        """
        texts = [[self.conversation.prompt(question)] for question in questions]
        rows = self.network.engine.run([image.pixels for image in images], texts, self._read)
        return [prediction for (prediction,) in rows]

    @torch.inference_mode()
    def _read(self, features: torch.Tensor, _: int) -> Sequence[Prediction]:
        network = self.network
        scores = None if network.regression is None else network.regression(features)
        logits = network.output(features.to(network.engine.loaded.dtype))[:, [*chain(*self.words)]]
        return read_predictions(self.dimension, scores, logits, self.words)


def load_chat_predictor(folder: Path, dimension: Dimension, options: ModelOptions) -> ChatPredictor:
    """Load the backbone that a folder names, with what was learnt on it.

    Raises:
        UserError: the backbone cannot be loaded, is another one, or the folder is of another dimension.
    """
    head = read_backbone_head(folder)
    if bool(head.regression) != (dimension != "qa"):
        has, use = ("a", "gives scores") if head.regression else ("no", "gives none")
        raise UserError(
            f"{head.shown} has {has} regression, so it {use}; take what was trained for {dimension} "
            f"(zeroiqa head train --stage {'qa' if dimension == 'qa' else '2'})."
        )
    loaded, _ = load_backbone(head.backbone.name, head.backbone.revision, options, head)
    network = ChatNetwork(loaded)
    network.set_regression(head)
    conversation = ChatConversation(network.engine)
    return ChatPredictor(network, conversation, dimension, predicted_ids(conversation, dimension))
