"""Which image of a dataset each scored image is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.named_images import Found, NamedImages, is_bare, without_suffix_note
from zeroiqa.evaluation.datasets.types import some
from zeroiqa.images.listed_paths import spellings

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets.origins import Origin
    from zeroiqa.evaluation.datasets.types import Dataset

Scored: TypeAlias = tuple[str, float | None]
"""Path and score of an image; None for one with an error."""


class NothingInCommonError(UserError):
    """None of the scored images has an opinion."""


class Matched(NamedTuple):
    """The scored images that are images of a dataset."""

    scores: dict[str, float | None]
    """Name of the sample -> score; None for an error."""
    unmatched: list[str]
    """Scored images that the dataset does not have."""
    notes: tuple[str, ...]
    """Sentences, without full stops, on how the images were matched."""
    paths: dict[str, str]
    """Name of the sample -> path of the image as it was scored."""


def match(scored: Iterable[Scored], dataset: Dataset, origin: Origin) -> Matched:
    """Find the samples that scored images are.

    Raises:
        NothingInCommonError: none is one.
        UserError: a path fits two images, or two paths with different scores fit one.
    """
    samples = {str(sample.path): sample.name for sample in dataset.samples}
    images = NamedImages(
        (*samples, *map(str, dataset.unlisted)), None if dataset.root is None else str(dataset.root)
    )
    what = f"{origin.what[0].upper()}{origin.what[1:]}"
    scores: dict[str, float | None] = {}
    paths: dict[str, str] = {}
    unmatched: list[str] = []
    by_end: list[str] = []
    by_stem: list[str] = []
    twice: list[str] = []
    example = ""
    for path, score in scored:
        found = _find(path, images, dataset, origin)
        name = None if found is None else samples.get(found.path)
        if found is None or name is None:
            example = example or (path if found is None else os.path.abspath(found.path))  # noqa: PTH100
            unmatched.append(path)
        elif name not in scores:
            scores[name], paths[name] = score, path
            by_end += [path] if found.how == "end" else []
            by_stem += [path] if found.how == "stem" else []
        elif found.how == "end" or scores[name] != score:
            raise UserError(
                f"{what} has {printable(name)} of {dataset.name} twice, as {printable(paths[name])} and "
                f"{printable(path)}; leave one of them."
            )
        else:
            twice.append(path)
    if not scores:
        raise NothingInCommonError(_nothing(len(unmatched), example, dataset, origin))
    return Matched(scores, unmatched, _notes(by_end, by_stem, twice, dataset, origin), paths)


def _find(path: str, images: NamedImages, dataset: Dataset, origin: Origin) -> Found | None:
    file, size = origin.files.get(path, (path, 0))
    if origin.by_name:
        called = images.called(PurePath(file).name, origin.what, advice="leave --by-name out")
        return None if called is None else called._replace(how="end")
    root = () if dataset.root is None else (str(dataset.root),)
    folders = (*origin.folders, *(root if origin.names else ()))
    for written in spellings(file) if origin.names else (file,):
        found = None
        if origin.names and is_bare(written):
            found = images.called(written, origin.what, origin.folders[0])
        found = found or images.at(written, folders)
        if found is None and origin.names:
            found = images.without_suffix(written, folders)
        found = found or images.ending_like(os.path.join(origin.folders[0], written), size)  # noqa: PTH118
        if found is not None:
            return found
    return None


def _notes(
    by_end: list[str], by_stem: list[str], twice: list[str], dataset: Dataset, origin: Origin
) -> tuple[str, ...]:
    notes = []
    if origin.by_name:
        notes.append(f"Which image of {dataset.name} is which of {origin.what} was told by file names alone")
    elif by_end and dataset.root is not None:
        notes.append(
            f"{len(by_end):,} of the images of {origin.what} are not at their paths here "
            f"({some(map(printable, by_end), 3)}); they were told by the ends of their paths"
        )
    if by_stem:
        notes.append(without_suffix_note(by_stem, origin.what).removesuffix("."))
    if twice:
        notes.append(
            f"{len(twice):,} more paths of {origin.what} lead to images that it has already, with equal "
            f"scores, counted once: {some(map(printable, twice), 3)}"
        )
    return tuple(notes)


def _nothing(count: int, example: str, dataset: Dataset, origin: Origin) -> str:
    if not count:
        return f"{origin.what[0].upper()}{origin.what[1:]} has no images to compare with {dataset.name}."
    mine = f"{count:,} images of {origin.what} (such as {printable(example)})"
    theirs = f"{len(dataset.samples):,} of {dataset.name}"
    if dataset.samples:
        theirs += f" (such as {printable(str(dataset.samples[0].path.absolute()))})"
    return (
        f"None of the {mine} is one of the {theirs}; whole paths were compared: score those images, correct "
        "the paths in the table or the folder that they begin from, or give --by-name for copies of them."
    )
