"""The databases known by name: facts and layouts, as data in datasets.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

from zeroiqa.errors import UnknownNameError, UserError
from zeroiqa.evaluation.datasets.types import Scale, suggestion


@dataclass(frozen=True)
class ScoreFile:
    """One published table of scores."""

    file: str
    """Its name, in whichever folder it lies."""
    image: str
    """The column of image names, or a name put together from columns in braces."""
    scores: Mapping[str, str]
    """Column by aspect."""
    sheet: str | None = None
    """Of an xlsx."""
    cells: Mapping[str, str] = field(default_factory=dict)
    """What stands for a cell in a name that is put together."""
    range: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Least and greatest score by aspect where they differ from the database's."""
    prompt: str | None = None
    """Column of the text prompts."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Column by group."""
    split: str | None = None
    """The split that all its images belong to."""
    split_column: str | None = None
    """Column with the split of each image."""
    split_names: Mapping[str, str] = field(default_factory=dict)
    """Value of that column -> our name of the split, where they differ."""


@dataclass(frozen=True)
class DatasetCard:
    """One published database."""

    name: str
    """What `--dataset` calls it."""
    title: str
    """What its authors call it."""
    images: int
    """How many images with scores it has."""
    licence: str
    """Terms of use, as its authors state them."""
    where: str
    """Addresses to get it from; nothing is downloaded."""
    layout: str
    """Folders and files once unpacked, in words."""
    scales: Mapping[str, Scale]
    """By aspect."""
    cautions: tuple[str, ...] = ()
    """What to know before using it."""
    notes: tuple[str, ...] = ()
    """Sentences about its scores that every reading comes with."""
    folders: tuple[str, ...] = ()
    """Where the images lie: the first of these that holds any."""
    files: tuple[ScoreFile, ...] = ()
    """Score tables."""
    read: Literal["first", "all"] = "first"
    """Whether the tables are alternatives or parts."""
    reader: str = "zeroiqa.evaluation.datasets.layouts:table_listing"
    """module:function that lists the images and their scores; the default does so by `files` alone."""
    splits: Mapping[str, int] = field(default_factory=dict)
    """Number of images by official split."""
    name_splits: Mapping[str, str] = field(default_factory=dict)
    """Split -> regular expression on the names of its images, where no table says them."""
    name_groups: str | None = None
    """Regular expression on image names, without case; its groups are the image's."""
    distortions: tuple[str, ...] = ()
    """What the numbers from 01 on in the group distortion mean."""
    models: tuple[str, ...] = ()
    """Generators in the order of the scores."""
    unscored: str | None = None
    """Regular expression on names of images that have no score and need none."""
    inexact: tuple[str, ...] = ()
    """Aspects whose scale is not exact: a score beyond it is noted, no error."""


def dataset_cards() -> dict[str, DatasetCard]:
    """All cards by name, in the order of datasets.toml."""
    text = (resources.files("zeroiqa.evaluation.datasets") / "datasets.toml").read_text(encoding="utf-8")
    return {name: _card(name, fields) for name, fields in tomllib.loads(text).items()}


def find_dataset(name: str) -> DatasetCard:
    """The card of a database.

    Raises:
        UserError: none has this name; the message suggests the nearest one.
    """
    cards = dataset_cards()
    by_letters = {_letters(each): card for card in cards.values() for each in (card.name, card.title)}
    if _letters(name) not in by_letters:
        raise UnknownNameError(
            f"There is no database {name!r}; {suggestion(name, cards)}. Any other one is a CSV with MOS.",
            "database",
            name,
        )
    return by_letters[_letters(name)]


def find_split(card: DatasetCard, split: str) -> str:
    """Our name of an official split; "val" and "training" are understood.

    Raises:
        UserError: the database has no such split, or none at all.
    """
    known = {"training": "train", "val": "validation", "valid": "validation", "testing": "test"}
    ours = known.get(split.lower(), split.lower())
    if not card.splits:
        raise UserError(
            f"{card.title} has no official splits, so there is no split {split!r}; "
            "leave it out, or split by content."
        )
    if ours not in card.splits:
        raise UserError(f"{card.title} has no split {split!r}; {suggestion(ours, card.splits, 'it has')}.")
    return ours


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _card(name: str, fields: dict[str, Any]) -> DatasetCard:
    scales = fields.pop("scales")
    inexact = tuple(aspect for aspect, scale in scales.items() if scale.pop("inexact", False))
    files = tuple(ScoreFile(**each) for each in fields.pop("files", ()))
    fields |= {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
    return DatasetCard(
        name=name,
        scales={aspect: Scale(**scale) for aspect, scale in scales.items()},
        files=files,
        inexact=inexact,
        **fields | {"layout": fields["layout"].strip()},
    )
