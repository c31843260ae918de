"""Models that this package brings itself, as transformers has no classes for them; no foreign code runs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from zeroiqa.errors import UserError

FAMILIES = {"mplugowl3": ("zeroiqa.chat.mplug_owl3", "MplugOwl3")}
"""Model type of config.json -> where the classes are, and how their names begin."""


@dataclass(frozen=True)
class Native:
    """The classes of a family; each is built by `from_pretrained`, of a folder."""

    config: Any
    model: Any
    processor: Any


def is_native(family: str) -> bool:
    """Whether this package has the classes; imports nothing heavy."""
    return family in FAMILIES


def find_native(family: str) -> Native | None:
    """The classes of a family, None where they are transformers' own."""
    if family not in FAMILIES:
        return None
    place, name = FAMILIES[family]
    module = import_module(place)
    return Native(
        config=getattr(module, f"{name}Config"),
        model=getattr(module, f"{name}ForConditionalGeneration"),
        processor=getattr(module, f"{name}Processor"),
    )


def check_attention(name: str, attention: str) -> None:
    """Refuse an implementation that cannot mask as these models need it.

    Raises:
        UserError: it is flash_attention_2.
    """
    if attention == "flash_attention_2":
        raise UserError(
            f"{name} cannot run with flash_attention_2, which has no masks for who sees which image; choose "
            "--attn sdpa or eager."
        )
