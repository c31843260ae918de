"""Training on any chat model of transformers: the published recipe with another backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from zeroiqa.chat.inputs import PromptInputs, Tensors
from zeroiqa.errors import UserError
from zeroiqa.heads.backbone.conversation import ChatConversation
from zeroiqa.heads.backbone.lora import inject_lora, learnt_adapter
from zeroiqa.heads.backbone.network import ChatNetwork
from zeroiqa.heads.backbone.weights import (
    Backbone,
    BackboneHead,
    backbone_head_fingerprint,
    load_backbone,
    read_backbone_head,
    write_backbone_head,
)
from zeroiqa.heads.training.batches import EncodedExample
from zeroiqa.heads.training.examples import Example
from zeroiqa.heads.training.objective import WordObjective, default_epochs, learnt_ids, prepare_towers
from zeroiqa.heads.training.options import TrainingOptions
from zeroiqa.images.decode import decode
from zeroiqa.weights.cards import resolve_model
from zeroiqa.weights.devices import Dtype
from zeroiqa.weights.options import ModelOptions


@dataclass(frozen=True)
class ChatTrainable:
    """A chat model to be trained; see `Trainable`."""

    model: ChatNetwork
    words: Sequence[Sequence[int]]
    """Tokens of the answers, see `WordObjective`."""
    start: str
    stage: str
    backbone: Backbone
    conversation: ChatConversation
    before: BackboneHead | None
    """What was learnt on the backbone earlier, which the model has merged."""
    has_unused_layers: bool = True
    """Some chat models have layers that nothing reads, behind the vision tower's last one in use."""

    @property
    def epochs(self) -> int:
        """How often every example is learnt from."""
        return default_epochs(self.stage)

    def prepare_model(self, options: TrainingOptions) -> None:
        """Freeze what the stage does not learn, add LoRA where it does."""
        prepare_towers(self, self.stage, options)

    def objective(self) -> WordObjective:
        """The network with the loss of the stage."""
        return WordObjective(self.model, self.stage, self.words)

    def encode(self, example: Example) -> EncodedExample:
        """Make the numbers of one example; called by several threads."""
        conversation = self.conversation.with_answer(example.question, example.answer)
        inputs = self.model.engine.here().prepare(decode(example.path).pixels, conversation.text)
        return EncodedExample(inputs, conversation.answer, conversation.read, example.target)

    def join(self, items: Sequence[PromptInputs]) -> Tensors:
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

    def export(self, output: Path) -> None:
        """Write what was learnt, in this training and before."""
        adapter = learnt_adapter(self.model.model)
        if self.before:
            adapter = self.before.adapter.then(adapter)
        regression = self.model.regression if self.stage == "2" else None
        write_backbone_head(output, self.backbone, adapter, regression)


def load_chat_trainable(
    start: str | Path, stage: str, *, device: torch.device, dtype: torch.dtype
) -> ChatTrainable:
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
    before = read_backbone_head(start) if isinstance(start, Path) else None
    name, revision = (before.backbone.name, before.backbone.revision) if before else resolve_model(str(start))
    where = "cpu" if device.type == "cpu" else str(device)  # of several processes each has its own "cpu:0"
    options = ModelOptions(device=where, dtype=_name(dtype))
    loaded, backbone = load_backbone(name, revision, options, before)
    model = ChatNetwork(loaded)
    if before and stage == "2":
        model.set_regression(before)
    conversation = ChatConversation(model.engine)
    words = learnt_ids(conversation, stage)
    known = backbone_head_fingerprint(start) if isinstance(start, Path) else backbone.fingerprint
    return ChatTrainable(model, words, known, stage, backbone, conversation, before)


def _name(dtype: torch.dtype) -> Dtype:
    names: dict[torch.dtype, Dtype] = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
    return names[dtype]
