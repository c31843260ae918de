"""Tiny checkpoints with random weights of real architectures; they rate at random, but they do look.

Each is a folder as it would come from a hub: configuration, processor, chat template, safetensors of
about 1 MB. Every code path of a real checkpoint of the family runs on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.tiny import gemma, idefics, internvl, llava, minicpm, mplug_owl3, qwen, unlisted, unlisted_more
from tests.tiny.checkpoint import Parts, write

BUILDERS: dict[str, Callable[[], Parts]] = {
    "qwen2_vl": qwen.qwen2_vl,
    "qwen2_5_vl": qwen.qwen2_5_vl,
    "qwen3_vl": qwen.qwen3_vl,
    "internvl": internvl.internvl,
    "llava_onevision": llava.llava_onevision,
    "idefics3": idefics.idefics3,
    "smolvlm": idefics.smolvlm,
    "gemma3": gemma.gemma3,
    "minicpmv4_6": minicpm.minicpmv4_6,
}
FAMILIES = tuple(BUILDERS)
"""The families that a rater must know."""
UNLISTED: dict[str, Callable[[], Parts]] = {
    "qwen3_5": qwen.qwen3_5,
    "minicpmv4_7": minicpm.minicpmv4_7,
    "llava_next": unlisted.llava_next,
    "mistral3": unlisted.mistral3,
    "aya_vision": unlisted.aya_vision,
    "mllama": unlisted.mllama,
    "lfm2_vl": unlisted_more.lfm2_vl,
    "minimax_m3_vl": unlisted_more.minimax_m3_vl,
}
"""Chat models of further families."""

NATIVE: dict[str, Callable[[Path], Path]] = {
    "mplug_owl3_240728": partial(mplug_owl3.write, "240728"),
    "mplug_owl3_241101": partial(mplug_owl3.write, "241101"),
}
"""Chat models that this package knows and transformers does not; each has a function that writes it."""


def build(family: str, folder: Path) -> Path:
    """Write the tiny checkpoint of a family into a folder, which need not exist.

    Args:
        family: One of `FAMILIES`, of `UNLISTED` or of `NATIVE`.
        folder: Where to; returned.
    """
    if family in NATIVE:
        return NATIVE[family](folder)
    return write((BUILDERS | UNLISTED)[family](), folder)


def load_parts(folder: Path, **choices: Any) -> tuple[Any, Any]:
    """Model, in evaluation mode, and processor of a checkpoint, without anything of the raters.

    Args:
        folder: Of the checkpoint.
        choices: For the model's `from_pretrained`.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from zeroiqa.chat.native import find_native

    kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    if native := find_native(kind):
        model = native.model.from_pretrained(folder, **{"dtype": "float32", **choices})
        return model.eval(), native.processor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, **choices)
    return model.eval(), AutoProcessor.from_pretrained(folder)
