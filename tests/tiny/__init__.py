"""Tiny checkpoints with random weights of real architectures; they rate at random, but they do look.

Each is a folder as it would come from a hub: configuration, processor, chat template, safetensors of
about 1 MB. Every code path of a real checkpoint of the family runs on it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

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
