"""LMM4LMM in the list of heads."""

from __future__ import annotations

from zeroiqa.heads.entry import DimensionEntry, HeadEntry, TrainingEntry

ENTRY = HeadEntry(
    name="lmm4lmm",
    title="LMM4LMM",
    dimensions=(
        DimensionEntry("perception", "quality", "quality, on the scale of the training's ratings"),
        DimensionEntry(
            "correspondence",
            "correspondence",
            "how well an image shows its text prompt, on the scale of the training's ratings",
            text="prompts",
        ),
        DimensionEntry(
            "qa",
            "correspondence",
            "probability that the answer to a question is yes",
            text="questions",
            gives_levels=False,
        ),
    ),
    model="zeroiqa.heads.lmm4lmm.head:Head",
    weights="come with no licence and are not downloaded unasked",
    model_types=("internvl_chat",),  # of released checkpoints, and of InternVL2.5, which they begin with
    training=TrainingEntry(
        stages={
            "1": "level words, projector only; 1 epoch if not asked for more",
            "2": "scores, LoRA and the regression; 5 epochs",
            "qa": "answers, LoRA; 5 epochs",
        },
        measures={"qa": "accuracy"},
        recipe="zeroiqa.heads.lmm4lmm.trainable:RECIPE",
        takes_backbone=True,
    ),
)
