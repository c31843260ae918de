"""What a training starts from: a checkpoint in the published layout, its tokenizer, its view of an image."""

from __future__ import annotations

from pathlib import Path

import torch

from zeroiqa.heads.lmm4lmm.checkpoint import load_model, merged_tensors
from zeroiqa.heads.lmm4lmm.conversation import CORRESPONDENCE_IS, QUALITY_IS, load_conversation
from zeroiqa.heads.lmm4lmm.picture import pixel_values
from zeroiqa.heads.lmm4lmm.training_batches import Prepared
from zeroiqa.heads.lmm4lmm.training_loop import Trainee
from zeroiqa.heads.lmm4lmm.training_material import Lesson
from zeroiqa.heads.lmm4lmm.training_options import Stage
from zeroiqa.images import decode


def load_start(folder: Path, stage: Stage, *, device: torch.device, dtype: torch.dtype) -> Trainee:
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
    conversation = load_conversation(folder, model.config.tokens_per_tile)
    if stage == "qa":
        yes, no = conversation.answer_ids()
        words = [no, yes]
    else:
        conversation.level_ids(CORRESPONDENCE_IS)  # refuses words that are more than one token
        words = [[token] for token in conversation.level_ids(QUALITY_IS)]

    def prepare(lesson: Lesson) -> Prepared:
        pixels = pixel_values(decode(lesson.path).pixels, model.config.vision.side)
        return Prepared(conversation.full(lesson.question, lesson.answer), pixels, lesson.target)

    return Trainee(model, prepare, words)
