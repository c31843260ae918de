"""Training on any chat model of transformers: the published recipe with another backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from zeroiqa.chat.inputs import Prepared as Inputs
from zeroiqa.chat.inputs import Tensors
from zeroiqa.errors import UserError
from zeroiqa.heads.backbone.conversation import ChatConversation
from zeroiqa.heads.backbone.network import ChatNetwork
from zeroiqa.heads.backbone.weights import (
    Backbone,
    Learnt,
    learnt_fingerprint,
    learnt_tensors,
    load_backbone,
    read_learnt,
    write_learnt,
)
from zeroiqa.heads.lmm4lmm.lora import inject_lora
from zeroiqa.heads.training.batches import Prepared
from zeroiqa.heads.training.examples import Lesson
from zeroiqa.heads.training.options import Stage
from zeroiqa.heads.training.trainable import learnt_words
from zeroiqa.images.decode import decode
from zeroiqa.weights.cards import resolve_model
from zeroiqa.weights.checkpoint import find_checkpoint
from zeroiqa.weights.devices import Dtype
from zeroiqa.weights.downloads import is_head
from zeroiqa.weights.options import ModelOptions


@dataclass(frozen=True)
class ChatTrainee:
    """A chat model to be trained; see `Trainee`."""

    model: ChatNetwork
    words: Sequence[Sequence[int]]
    start: str
    backbone: Backbone
    conversation: ChatConversation
    before: Learnt | None
    """What was learnt on the backbone earlier, which the model has merged."""

    def prepare(self, lesson: Lesson) -> Prepared:
        """Make one example; called by several threads."""
        said = self.conversation.full(lesson.question, lesson.answer)
        inputs = self.model.engine.here().prepare(decode(lesson.path).pixels, said.text)
        return Prepared(inputs, said.answer, said.read, lesson.target)

    def join(self, items: Sequence[Inputs]) -> Tensors:
        """One batch of inputs."""
        return self.model.join(items)

    def projectors(self) -> Sequence[nn.Module]:
        """What stands between the vision tower and the language model."""
        return self.model.projectors()

    def add_lora(self, *, dropout: float, seed: int) -> None:
        """Put LoRA on every linear layer of both towers."""
        inject_lora(self.model.model, self.model.towers(), dropout=dropout, seed=seed)

    def enable_checkpointing(self) -> None:
        """Compute each block again for the gradient instead of keeping its inside.

        Raises:
            UserError: the family cannot do that.
        """
        if not self.model.model.supports_gradient_checkpointing:
            raise UserError(
                f"A {self.model.engine.loaded.family} model cannot compute its blocks again; leave that out "
                "(--no-checkpointing)."
            )
        self.model.model.config.get_text_config().use_cache = False  # or transformers says that it has to be
        self.model.model.activation_checkpointing_enable({"use_reentrant": False})

    def export(self, stage: Stage, output: Path) -> None:
        """Write what was learnt, in this training and before."""
        tensors = learnt_tensors(self.model.model, self.before.tensors if self.before else {})
        if stage == "2" and self.model.regression is not None:
            named = self.model.regression.named_parameters()
            tensors |= {f"regression.{name}": weight for name, weight in named}
        write_learnt(output, self.backbone, tensors)


def load_chat_trainee(
    start: str | Path, stage: Stage, *, device: torch.device, dtype: torch.dtype
) -> ChatTrainee:
    """Load a chat model that is to be trained.

    Args:
        start: The model, as raters are named (hf:REPOSITORY, hf:FOLDER, or a name of the list); or the folder
            of an earlier training, which is merged.
        stage: Stage 2 goes on with the regression of the earlier training, if it has one.
        device: Where to.
        dtype: Of the weights that are not learnt.

    Raises:
        UserError: the model cannot be loaded or used, or the folder does not fit.
    """
    before = read_learnt(start) if isinstance(start, Path) else None
    name, revision = (before.backbone.name, before.backbone.revision) if before else resolve_model(str(start))
    if is_head(find_checkpoint(name, revision).folder):
        raise UserError(
            f"{name} is in the published layout, which is trained as it is: give its folder as the start "
            "(--start), not as a backbone; `zeroiqa models pull` fetches one."
        )
    where = "cpu" if device.type == "cpu" else str(device)  # of several processes each has its own "cpu:0"
    options = ModelOptions(device=where, dtype=_name(dtype))
    loaded, backbone = load_backbone(name, revision, options, before)
    model = ChatNetwork(loaded)
    if before and stage == "2":
        model.set_regression(before)
    conversation = ChatConversation(model.engine)
    words = learnt_words(conversation, stage)
    known = learnt_fingerprint(start) if isinstance(start, Path) else backbone.fingerprint
    return ChatTrainee(model, words, known, backbone, conversation, before)


def _name(dtype: torch.dtype) -> Dtype:
    names: dict[torch.dtype, Dtype] = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
    return names[dtype]
