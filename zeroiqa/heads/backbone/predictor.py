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
from zeroiqa.heads.backbone.weights import load_backbone, read_learnt
from zeroiqa.heads.lmm4lmm.conversation import Dimension
from zeroiqa.heads.predictions import Judged, judged_words, read_judgements
from zeroiqa.types import Image
from zeroiqa.weights.options import ModelOptions


@dataclass(frozen=True)
class ChatJudge:
    """A loaded chat model with what was learnt on it."""

    network: ChatNetwork
    conversation: ChatConversation
    dimension: Dimension
    words: Sequence[Sequence[int]]
    """Token ids whose probabilities are wanted: of each level, or of yes and of no."""

    def judge(self, images: Sequence[Image], asked: Sequence[tuple[str, str]]) -> list[Judged]:
        """Judge images, in their order; `asked` is the question and the beginning of the answer of each.

        Raises:
            ImageError: an image cannot be prepared, or a question holds a control token.
            UserError: memory holds not one image, or the device is gone.
        """
        texts = [[self.conversation.cut(question, begun)] for question, begun in asked]
        rows = self.network.engine.run([image.pixels for image in images], texts, self._read)
        return [judged for (judged,) in rows]

    @torch.inference_mode()
    def _read(self, features: torch.Tensor, _: int) -> Sequence[Judged]:
        network = self.network
        scores = None if network.regression is None else network.regression(features)
        logits = network.output(features.to(network.engine.loaded.dtype))[:, [*chain(*self.words)]]
        return read_judgements(self.dimension, scores, logits, self.words)


def load_chat_judge(folder: Path, dimension: Dimension, options: ModelOptions) -> ChatJudge:
    """Load the backbone that a folder names, with what was learnt on it.

    Raises:
        UserError: the backbone cannot be loaded, is another one, or the folder is of another dimension.
    """
    learnt = read_learnt(folder)
    if learnt.has_regression != (dimension != "qa"):
        has, use = ("a", "gives scores") if learnt.has_regression else ("no", "gives none")
        raise UserError(
            f"{learnt.shown} has {has} regression, so it {use}; take what was trained for {dimension} "
            f"(zeroiqa head train --stage {'qa' if dimension == 'qa' else '2'})."
        )
    backbone = learnt.backbone
    loaded, _ = load_backbone(backbone.name, backbone.revision, options, learnt)
    network = ChatNetwork(loaded)
    network.set_regression(learnt)
    conversation = ChatConversation(network.engine)
    return ChatJudge(network, conversation, dimension, judged_words(conversation, dimension))
