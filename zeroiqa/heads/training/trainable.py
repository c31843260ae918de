"""What a training needs of a model: the published network and any chat model are trained in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from torch import nn

from zeroiqa.chat.inputs import Prepared as Inputs
from zeroiqa.chat.inputs import Tensors
from zeroiqa.heads.backbone.conversation import ChatConversation
from zeroiqa.heads.backbone.network import ChatNetwork
from zeroiqa.heads.lmm4lmm.conversation import CORRESPONDENCE_IS, Conversation
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
from zeroiqa.heads.training.batches import Prepared
from zeroiqa.heads.training.examples import Lesson
from zeroiqa.heads.training.options import Stage

Network: TypeAlias = Lmm4Lmm | ChatNetwork


class Trainee(Protocol):
    """A model that is to be trained, and how its inputs are made."""

    @property
    def model(self) -> Network:
        """The network; its weights have the type of the training."""

    @property
    def words(self) -> Sequence[Sequence[int]]:
        """Tokens of the answers: of each level, from bad on, or of no and of yes."""

    @property
    def start(self) -> str:
        """Names the weights that the training starts from."""

    def prepare(self, lesson: Lesson) -> Prepared:
        """Make one example; called by several threads."""

    def join(self, items: Sequence[Inputs]) -> Tensors:
        """Make one batch of inputs.

        Raises:
            NotJoinableError: they have no common batch.
        """

    def projectors(self) -> Sequence[nn.Module]:
        """What stands between the vision tower and the language model: stage 1 learns it.

        Raises:
            UserError: it is not known where that is.
        """

    def add_lora(self, *, dropout: float, seed: int) -> None:
        """Put LoRA on both towers, which changes no output yet."""

    def enable_checkpointing(self) -> None:
        """Compute each block again for the gradient instead of keeping its inside."""

    def export(self, stage: Stage, output: Path) -> None:
        """Write a checkpoint with what was learnt."""


def learnt_words(conversation: Conversation | ChatConversation, stage: Stage) -> list[list[int]]:
    """Tokens of the answers, see `Trainee.words`.

    Raises:
        UserError: the tokenizer has no single token for each level, or does not tell yes and no apart.
    """
    if stage == "qa":
        yes, no = conversation.answer_ids()
        return [no, yes]
    conversation.level_ids(CORRESPONDENCE_IS)  # refuses words that are more than one token there
    return [[token] for token in conversation.level_ids()]
