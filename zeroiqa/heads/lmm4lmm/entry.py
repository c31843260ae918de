"""LMM4LMM in the list of heads."""

from __future__ import annotations

from pathlib import Path

from zeroiqa.files.damage import stumbles
from zeroiqa.heads.entry import DimensionEntry, HeadEntry, TrainingEntry
from zeroiqa.weights.model_files import read_json

_MODEL_TYPE = "internvl_chat"


def is_published(folder: Path) -> bool:
    """Whether a folder is in the published layout, as checkpoints are, and InternVL2.5 to train one from."""
    try:
        config = read_json(folder / "config.json")
    except stumbles():
        return False
    return isinstance(config, dict) and config.get("model_type") == _MODEL_TYPE


ENTRY = HeadEntry(
    name="lmm4lmm",
    title="LMM4LMM",
    dimensions=(
        DimensionEntry("perception", "quality", "is the quality, on the scale of the training's ratings"),
        DimensionEntry(
            "correspondence",
            "correspondence",
            "is how well an image shows its text prompt, on the scale of the training's ratings",
            text="prompts",
        ),
        DimensionEntry(
            "qa",
            "correspondence",
            "is the probability that the answer to a question is yes",
            text="questions",
            gives_levels=False,
        ),
    ),
    model="zeroiqa.heads.lmm4lmm.head:Head",
    recognises=is_published,
    weights="come with no licence and are not downloaded unasked",
    training=TrainingEntry(
        stages={
            "1": "level words, projector only",
            "2": "scores, LoRA and the regression",
            "qa": "answers, LoRA",
        },
        measures={"qa": "accuracy"},
        recipe="zeroiqa.heads.lmm4lmm.trainable:RECIPE",
        takes_backbone=True,
    ),
)
