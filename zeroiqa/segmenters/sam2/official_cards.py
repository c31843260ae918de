"""The published models of SAM 2, and which of them a checkpoint is: its tensors tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError

if TYPE_CHECKING:
    import torch

_FIRST_LAYER = "image_encoder.trunk.patch_embed.proj.weight"
_BLOCK = re.compile(r"image_encoder\.trunk\.blocks\.(\d+)\.")
_SINCE_2_1 = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias")
"""Tensors that SAM 2.0 has not; images do not use them."""
_SHOWN = 3  # tensors in a message


@dataclass(frozen=True)
class Card:
    """One of the published models."""

    name: str
    """What `--segmenter` calls it."""
    version: str
    """Of SAM 2: 2.0 or 2.1, which differ in weights and in what videos need."""
    repo: str
    """Repository on the hub, owner/name."""
    file: str
    """Checkpoint in the repository."""
    config: str
    """Configuration, a path in the package sam2."""
    licence: str
    """Of the checkpoint."""
    parameters: float
    """Millions of weights."""
    channels: int
    """Of the first stage of the image encoder."""
    blocks: int
    """Of the image encoder."""

    @property
    def size(self) -> str:
        """tiny, small, base+ or large."""
        return self.name.partition("-")[2]


@cache
def cards() -> dict[str, Card]:
    """The published models by name, those of SAM 2.1 first, of each version the smallest."""
    text = (resources.files("zeroiqa.segmenters.sam2") / "sam2.toml").read_text(encoding="utf-8")
    return {name: Card(name=name, **fields) for name, fields in tomllib.loads(text).items()}


def recognised(tensors: Mapping[str, torch.Tensor], file: Path) -> Card:
    """The published model that the tensors belong to: by two sizes of the image encoder, and the version.

    Args:
        tensors: Of the checkpoint.
        file: Theirs, for the message.

    Raises:
        UserError: there is no such model.
    """
    blocks = _blocks(tensors)
    if _FIRST_LAYER not in tensors or not blocks:
        first = ", ".join(list(tensors)[:_SHOWN]) or "nothing"
        raise UserError(
            f"The checkpoint {file} is not one of SAM 2: it lacks {_FIRST_LAYER}, and begins with {first}."
        )
    if (card := _card_of(tensors)) is not None:
        return card
    shape, version = tuple(tensors[_FIRST_LAYER].shape), _version_of(tensors)
    same = (card for card in cards().values() if card.version == version)
    known = ", ".join(f"{card.name} ({card.channels}, {card.blocks})" for card in same)
    raise UserError(
        f"The checkpoint {file} is of no architecture of SAM {version}: its {_FIRST_LAYER} is "
        f"{shape} and it has {blocks} blocks; known are (channels, blocks): {known}. For another one give a "
        "folder with the .pt file and its config.yaml."
    )


def not_what_is_named(
    found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], file: Path, name: str
) -> str | None:
    """A sentence that says which other model of SAM 2 a checkpoint is than what is named; None if none.

    Args:
        found: The tensors of the checkpoint.
        wanted: Those of the model that was named, or that the configuration beside the file describes.
        file: The checkpoint.
        name: What was named: that of a card, or "sam2" for a folder with a configuration.
    """
    if _FIRST_LAYER not in found:
        return None
    card, named = _card_of(found), cards().get(name)
    if _version_of(found) == _version_of(wanted) and (card is None or named in (card, None)):
        return None
    is_one = f"but the checkpoint {file} is SAM {_version_of(found)}" + (f" ({card.size})" if card else "")
    if named is not None:
        right = f"{card.name}:{file}" if card else "sam2:FOLDER, where FOLDER holds it and its config.yaml"
        return f"{name} is named, {is_one}; write {right}."
    beside, right = file.with_name("config.yaml"), f", or write sam2:{file}" if card else ""
    return f"{beside} is of SAM {_version_of(wanted)}, {is_one}; put its own config.yaml there{right}."


def _card_of(tensors: Mapping[str, torch.Tensor]) -> Card | None:
    if _FIRST_LAYER not in tensors:
        return None
    there = _version_of(tensors), tensors[_FIRST_LAYER].shape[0], _blocks(tensors)
    by_sizes = {(card.version, card.channels, card.blocks): card for card in cards().values()}
    return by_sizes.get(there)


def _version_of(tensors: Mapping[str, torch.Tensor]) -> str:
    return "2.1" if any(name in tensors for name in _SINCE_2_1) else "2.0"


def _blocks(tensors: Mapping[str, torch.Tensor]) -> int:
    """Of the image encoder; 0 where there is none."""
    numbers = [int(match[1]) for name in tensors if (match := _BLOCK.match(name))]
    return max(numbers, default=-1) + 1
