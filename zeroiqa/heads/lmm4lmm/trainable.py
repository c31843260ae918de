"""Training of the published network: from a checkpoint in the published layout to another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from zeroiqa.chat.inputs import Prepared as Inputs
from zeroiqa.chat.inputs import Tensors
from zeroiqa.heads.lmm4lmm.checkpoint import load_model, merged_tensors
from zeroiqa.heads.lmm4lmm.conversation import Conversation, load_conversation
from zeroiqa.heads.lmm4lmm.export import export
from zeroiqa.heads.lmm4lmm.inputs import joined, published_inputs
from zeroiqa.heads.lmm4lmm.lora import add_lora
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
from zeroiqa.heads.training.batches import Prepared
from zeroiqa.heads.training.examples import Lesson
from zeroiqa.heads.training.options import Stage
from zeroiqa.heads.training.trainable import learnt_words
from zeroiqa.images.decode import decode
from zeroiqa.weights.checkpoint import find_checkpoint


@dataclass(frozen=True)
class PublishedTrainee:
    """The published network to be trained; see `Trainee`."""

    model: Lmm4Lmm
    words: Sequence[Sequence[int]]
    start: str
    folder: Path
    """Of the checkpoint."""
    conversation: Conversation

    def prepare(self, lesson: Lesson) -> Prepared:
        """Make one example; called by several threads."""
        asked = self.conversation.full(lesson.question, lesson.answer)
        tile = self.model.config.vision.side
        inputs = published_inputs(decode(lesson.path).pixels, asked.ids, tile)
        length = inputs.length
        return Prepared(inputs, length - asked.answer, length - asked.read, lesson.target)

    def join(self, items: Sequence[Inputs]) -> Tensors:
        """One batch of inputs."""
        return joined(items)

    def projectors(self) -> Sequence[nn.Module]:
        """What stands between the vision tower and the language model."""
        return [self.model.mlp1]

    def add_lora(self, *, dropout: float, seed: int) -> None:
        """Put LoRA on both towers, where the published training has it."""
        add_lora(self.model.vision_model, self.model.language_model, dropout=dropout, seed=seed)

    def enable_checkpointing(self) -> None:
        """Compute each block again for the gradient instead of keeping its inside."""
        for tower in (self.model.vision_model, self.model.language_model):
            tower.activation_checkpointing_enable({"use_reentrant": False})

    def export(self, stage: Stage, output: Path) -> None:
        """Write a checkpoint in the published layout."""
        export(self.model, stage, self.folder, output)


def load_published_trainee(
    folder: Path, stage: Stage, *, device: torch.device, dtype: torch.dtype
) -> PublishedTrainee:
    """Load what is to be trained; LoRA that is there already is merged.

    Args:
        folder: Of a checkpoint with its tokenizer.
        stage: Stage 2 goes on with the checkpoint's regression, if it has one.
        device: Where to.
        dtype: Of the weights that are not learnt.

    Raises:
        UserError: the checkpoint is incomplete or damaged, of the other kind, or has another tokenizer.
    """
    regression = stage == "2" and any(name.startswith("mlpscore.") for name, _ in merged_tensors(folder))
    model = load_model(folder, regression=regression, device=device, dtype=dtype)
    conversation = load_conversation(folder, model)
    words = learnt_words(conversation, stage)
    start = find_checkpoint(str(folder)).fingerprint()
    return PublishedTrainee(model, words, start, folder, conversation)
