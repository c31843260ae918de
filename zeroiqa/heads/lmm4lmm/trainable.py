"""Training of LMM4LMM: of the published network, from one checkpoint to another, or of any chat model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from zeroiqa.chat.inputs import PromptInputs, Tensors
from zeroiqa.errors import UserError
from zeroiqa.heads.backbone.trainable import load_chat_trainable
from zeroiqa.heads.backbone.weights import is_backbone_head
from zeroiqa.heads.lmm4lmm.checkpoint import load_model, merged_tensors
from zeroiqa.heads.lmm4lmm.conversation import Conversation, load_conversation
from zeroiqa.heads.lmm4lmm.entry import ENTRY
from zeroiqa.heads.lmm4lmm.export import export
from zeroiqa.heads.lmm4lmm.inputs import joined, published_inputs
from zeroiqa.heads.lmm4lmm.lora import add_lora
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
from zeroiqa.heads.training.batches import EncodedExample
from zeroiqa.heads.training.examples import Example, make_examples
from zeroiqa.heads.training.objective import WordObjective, default_epochs, learnt_ids, prepare_towers
from zeroiqa.heads.training.options import TrainingOptions
from zeroiqa.heads.training.trainable import Recipe, Trainable
from zeroiqa.images.decode import decode
from zeroiqa.weights.cards import resolve_model
from zeroiqa.weights.checkpoint import find_checkpoint


@dataclass(frozen=True)
class PublishedTrainable:
    """The published network to be trained; see `Trainable`."""

    model: Lmm4Lmm
    words: Sequence[Sequence[int]]
    """Tokens of the answers, see `WordObjective`."""
    start: str
    stage: str
    folder: Path
    """Of the checkpoint."""
    conversation: Conversation
    has_unused_layers: bool = False

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
        tile = self.model.config.vision.side
        inputs = published_inputs(decode(example.path).pixels, conversation.ids, tile)
        length = inputs.length
        return EncodedExample(
            inputs, length - conversation.answer, length - conversation.read, example.target
        )

    def join(self, items: Sequence[PromptInputs]) -> Tensors:
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

    def export(self, output: Path) -> None:
        """Write a checkpoint in the published layout, and what was learnt as an adapter of peft in it."""
        export(self.model, self.stage, self.folder, output)


def load_published_trainable(
    folder: Path, stage: str, *, device: torch.device, dtype: torch.dtype
) -> PublishedTrainable:
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
    words = learnt_ids(conversation, stage)
    start = find_checkpoint(str(folder)).fingerprint()
    return PublishedTrainable(model, words, start, stage, folder, conversation)


def load_trainable(start: str | Path, stage: str, *, device: torch.device, dtype: torch.dtype) -> Trainable:
    """Load the published network (a folder in its layout), or a chat model (all else); see `LoadStart`.

    Raises:
        UserError: it is incomplete or damaged, does not fit the stage, or is the published network in place
            of a chat model.
    """
    if isinstance(start, Path) and not is_backbone_head(start):
        return load_published_trainable(start, stage, device=device, dtype=dtype)
    if isinstance(start, str):
        name, revision = resolve_model(start)
        if ENTRY.owns(find_checkpoint(name, revision).folder):
            raise UserError(
                f"{name} is in the published layout, which is trained as it is: give its folder as the start "
                "(--start), not as a backbone; `zeroiqa models pull` fetches one."
            )
    return load_chat_trainable(start, stage, device=device, dtype=dtype)


RECIPE = Recipe(make_examples, load_trainable)
