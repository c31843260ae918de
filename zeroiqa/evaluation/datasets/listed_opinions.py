"""The rows of a plain table and the files that they mean: one opinion for each image."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.files import FileTree
from zeroiqa.evaluation.datasets.named_images import (
    Found,
    NamedImages,
    is_bare,
    is_of_elsewhere,
    without_suffix_note,
)
from zeroiqa.evaluation.datasets.origins import RunImages
from zeroiqa.evaluation.datasets.types import Sample, some
from zeroiqa.images.listed_paths import spellings


class Opinion(NamedTuple):
    """One row."""

    image: str
    """As it is written."""
    place: str
    """Where in the file it is, such as line 3."""
    sample: Sample
    """Its scores, groups and prompt; the path of the image is not known yet."""


class ImageSearch(NamedTuple):
    """Where the images of opinions are looked for, one after the other."""

    tree: FileTree
    """Below this folder."""
    runs: RunImages
    """Among the images of runs, by the paths that were given to these."""
    folder: str | None = None
    """From this folder."""


def where_images_are(
    opinions: Sequence[Opinion], there: ImageSearch, shown: str
) -> tuple[list[str | None], list[str]]:
    """The path of the image that each row means, None where it is not there; and notes.

    A path counts from the root of the tree, or is that of an image of a run; a bare name is the one image
    below the root that is called so; an absolute path of another machine means the image whose
    path ends alike. All may lack their suffix.

    Raises:
        UserError: two images have a bare name, or a name without suffix.
    """
    root = str(there.tree.root)
    images = NamedImages((str(there.tree.root / file.path) for file in there.tree.files()), root)
    found = [_find(opinion.image, images, root, there, shown) for opinion in opinions]
    named = list(zip((opinion.sample.name for opinion in opinions), found, strict=True))
    by_end = [name for name, each in named if each is not None and each.how == "end"]
    by_stem = [name for name, each in named if each is not None and each.how == "stem"]
    notes = [without_suffix_note(by_stem, shown)] if by_stem else []
    if by_end:
        notes.append(
            f"{len(by_end):,} absolute path{'s' if len(by_end) > 1 else ''} of {shown} "
            f"({some(map(printable, by_end), 3)}) {'are' if len(by_end) > 1 else 'is'} not here; what ends "
            f"like {'them' if len(by_end) > 1 else 'it'} below {printable(root)} was taken."
        )
    return [None if each is None else each.path for each in found], notes


def _find(text: str, images: NamedImages, root: str, there: ImageSearch, shown: str) -> Found | None:
    """The image of a cell."""
    for written in filter(None, spellings(text)):
        bare = is_bare(written)
        found = images.called(written, shown) if bare else _file(images.at(written, (root,)))
        found = found or there.runs.at(written)
        if found is None and not bare and there.folder is not None:
            found = _file(images.at(written, (there.folder,)))
        if found is None and not bare:
            found = images.without_suffix(written, (root, there.folder or root))
        if found is None and is_of_elsewhere(written):
            found = images.ending_like(written)
        if found is not None:
            return found
    return None


def _file(found: Found | None) -> Found | None:
    """What was found, unless it is no file."""
    if found is not None and found.how == "other" and not os.path.isfile(found.path):  # noqa: PTH113 -- any name
        return None
    return found


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
    sentence = f"{shown} names {images} more than once, with equal opinions, counted once"
    notes = [f"{sentence}: {some(map(printable, twice), 3)}."]
    return samples, missing, notes if twice else []


def _differing(images: Sequence[Sequence[Opinion]], shown: str) -> str:
    first = images[0]
    written = ", ".join(f"{printable(each.image.strip())} in {each.place}" for each in first[:3])
    count = f"; {len(images):,} images have such lines" if len(images) > 1 else ""
    return (
        f"{shown} names {printable(first[0].sample.name)} more than once, with different opinions "
        f"({written}{count}); leave one line for each image."
    )
