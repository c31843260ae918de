"""Tiny checkpoints with random weights of real architectures; they rate at random, but they do look.

Each is a folder as it would come from a hub: configuration, processor, chat template, safetensors of
about 1 MB. Every code path of a real checkpoint of the family runs on it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.tiny import qwen
from tests.tiny.checkpoint import Parts, write

BUILDERS: dict[str, Callable[[], Parts]] = {
    "qwen2_vl": qwen.qwen2_vl,
    "qwen2_5_vl": qwen.qwen2_5_vl,
    "qwen3_vl": qwen.qwen3_vl,
}
FAMILIES = tuple(BUILDERS)


def build(family: str, folder: Path) -> Path:
    """Write the tiny checkpoint of a family into a folder, which need not exist.

    Args:
        family: One of `FAMILIES`.
        folder: Where to; returned.
    """
    return write(BUILDERS[family](), folder)
