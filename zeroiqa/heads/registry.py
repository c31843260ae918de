"""Heads by name: those of this package, and those that installed packages offer (group `zeroiqa.heads`).

In a run a head is named "NAME:DIMENSION:FOLDER", the folder that of its weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from zeroiqa.errors import UnknownNameError, UserError
from zeroiqa.heads.entry import DimensionEntry, HeadEntry
from zeroiqa.registry import Registry
from zeroiqa.suggestions import did_you_mean

HEADS = Registry(
    "head",
    "zeroiqa.heads",
    HeadEntry,
    {
        "lmm4lmm": "zeroiqa.heads.lmm4lmm.entry:ENTRY",
    },
)


class NamedHead(NamedTuple):
    """What a name stands for."""

    entry: HeadEntry
    dimension: DimensionEntry
    folder: str
    """Of the weights; empty if the name has none."""

    @property
    def label(self) -> str:
        """The name without the folder."""
        return f"{self.entry.name}:{self.dimension.name}"


def find_head(name: str) -> NamedHead:
    """The head that a name stands for.

    Args:
        name: "NAME:DIMENSION:FOLDER", perhaps without the folder.

    Raises:
        UserError: there is no such head or dimension, or another package's head cannot be loaded.
    """
    key, _, rest = name.partition(":")
    if key not in HEADS:
        raise UnknownNameError(
            f"There is no head {name!r}; {did_you_mean(key, HEADS.keys())}write head:NAME:DIMENSION:FOLDER, "
            f"NAME:DIMENSION one of {', '.join(head_names())}.",
            "head",
            name,
        )
    entry, _ = HEADS.find(key)
    dimension, _, folder = rest.partition(":")
    found = next((each for each in entry.dimensions if each.name == dimension), None)
    if found is None:
        raise UserError(
            f"There is no head {name!r}; {did_you_mean(dimension, (each.name for each in entry.dimensions))}"
            f"write head:{key}:DIMENSION:FOLDER, DIMENSION one of "
            f"{', '.join(each.name for each in entry.dimensions)}."
        )
    return NamedHead(entry, found, folder)


def head_names() -> tuple[str, ...]:
    """All heads as "NAME:DIMENSION"."""
    return tuple(f"{key}:{each.name}" for key, entry in HEADS.entries() for each in entry.dimensions)


def head_model_types() -> tuple[str, ...]:
    """The model types in config.json by which folders of heads are known."""
    return tuple(model_type for _, entry in HEADS.entries() for model_type in entry.model_types)


def head_of(folder: Path) -> HeadEntry | None:
    """The head that a folder belongs to: its weights, or what it is trained from; None if there is none."""
    return next((entry for _, entry in HEADS.entries() if entry.owns(folder)), None)
