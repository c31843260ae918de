"""The rows of a plain table and the files that they mean: one opinion for each image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.dataset_files import FileTree
from zeroiqa.evaluation.dataset_types import Sample, some
from zeroiqa.evaluation.named_images import NamedImages, is_bare, is_of_elsewhere, spellings


class Opinion(NamedTuple):
    """One row."""

    image: str
    """As it is written."""
    line: int
    sample: Sample
    """What it says; the path of the image is not known yet."""


def where_images_are(
    opinions: Sequence[Opinion], tree: FileTree, shown: str
) -> tuple[list[str | None], list[str]]:
    """The path of the image that each row means, None where it is not there; and notes.

    A path counts from the root of the tree; a bare name is the one image below it that is called so; an
    absolute path of another machine is told by its end.

    Raises:
        UserError: two images have a bare name.
    """
    root = str(tree.root)
    images = NamedImages((str(tree.root / file.path) for file in tree.files()), root)
    places: list[str | None] = []
    elsewhere = []
    for opinion in opinions:
        place, by_end = _place(opinion.image, images, root, shown)
        places.append(place)
        if by_end:
            elsewhere.append(opinion.sample.name)
    notes = [
        f"{len(elsewhere):,} absolute path{'s' if len(elsewhere) > 1 else ''} of {shown} "
        f"({some(map(printable, elsewhere), 3)}) {'are' if len(elsewhere) > 1 else 'is'} not here; what ends "
        f"like {'them' if len(elsewhere) > 1 else 'it'} below {printable(root)} was taken."
    ]
    return places, notes if elsewhere else []


def _place(text: str, images: NamedImages, root: str, shown: str) -> tuple[str | None, bool]:
    """Where the image of a cell is, and whether the end of its path alone says so."""
    for written in spellings(text):
        if is_bare(written):
            found = images.called(written, shown)
        else:
            found = images.at(written, (root,))
            if found is not None and found.how == "other" and not Path(found.path).is_file():
                found = None
            if found is None and is_of_elsewhere(written):
                found = images.ending_like(written)
        if found is not None:
            return found.path, found.how == "end"
    return None, False


def one_for_each(
    opinions: Sequence[Opinion], places: Sequence[str | None], shown: str
) -> tuple[list[Sample], list[str], list[str]]:
    """One sample for each image that is there, names without an image, and notes.

    Raises:
        UserError: rows of one image differ in a score.
    """
    rows: dict[str, list[Opinion]] = defaultdict(list)
    for opinion, place in zip(opinions, places, strict=True):
        rows[place or f"\0{opinion.sample.name}"].append(opinion)
    samples: list[Sample] = []
    missing: list[str] = []
    twice: list[str] = []
    differing: list[list[Opinion]] = []
    for place, same in rows.items():
        scores: dict[str, float] = {}
        for opinion in same:
            if any(scores.get(aspect, value) != value for aspect, value in opinion.sample.scores.items()):
                differing.append(same)
                break
            scores |= opinion.sample.scores
        name = same[0].sample.name
        if len(same) > 1:
            twice.append(name)
        if not place.startswith("\0"):
            samples.append(replace(same[0].sample, path=Path(place), scores=scores))
        else:
            missing.append(name)
    if differing:
        raise UserError(_differing(differing, shown))
    images = "1 image" if len(twice) == 1 else f"{len(twice):,} images"
    said = f"{shown} names {images} more than once, with equal opinions, counted once"
    notes = [f"{said}: {some(map(printable, twice), 3)}."]
    return samples, missing, notes if twice else []


def _differing(images: Sequence[Sequence[Opinion]], shown: str) -> str:
    first = images[0]
    written = ", ".join(f"{printable(each.image.strip())} in line {each.line}" for each in first[:3])
    count = f"; {len(images):,} images have such lines" if len(images) > 1 else ""
    return (
        f"{shown} names {printable(first[0].sample.name)} more than once, with different opinions "
        f"({written}{count}); leave one line for each image."
    )
