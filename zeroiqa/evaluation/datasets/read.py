"""Read databases of images with human scores, as they are published.

A score is never flipped or scaled, and nothing is left out in silence: what is missing is a note.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.evaluation.datasets.assembly import assemble
from zeroiqa.evaluation.datasets.cards import (
    DatasetCard,
    dataset_cards,
    find_dataset,
    find_split,
)
from zeroiqa.evaluation.datasets.files import FileTree
from zeroiqa.evaluation.datasets.layouts import Listing
from zeroiqa.evaluation.datasets.origins import Origin
from zeroiqa.evaluation.datasets.plain import open_plain, read_plain
from zeroiqa.evaluation.datasets.types import AnsweredQuestion, Dataset, Sample, Scale
from zeroiqa.registry import import_attribute

__all__ = [
    "Dataset",
    "DatasetCard",
    "AnsweredQuestion",
    "Sample",
    "Scale",
    "content_split",
    "dataset_cards",
    "dataset_names",
    "find_dataset",
    "read_dataset",
    "read_mos_file",
]


class Reader(Protocol):
    """Lists what the score files of a database say."""

    def __call__(self, card: DatasetCard, tree: FileTree, split: str | None) -> Listing:
        """List every image with its scores; all images, or at least those of the split.

        Raises:
            UserError: a score file is missing or cannot be read.
        """


def dataset_names() -> tuple[str, ...]:
    """Names of the databases that are read by name, in the order of datasets.toml."""
    return tuple(dataset_cards())


def read_dataset(name: str, root: Path, *, split: str | None = None) -> Dataset:
    """Read a published database from the folder that it was unpacked to.

    Args:
        name: One of `dataset_names`; its authors' spelling is understood too.
        root: The folder; score files and images may lie at any depth below it.
        split: An official split: train, validation or test; all images if not given.

    Returns:
        The images that have a file and a score. Too few of them are a note, as is all that was left out.

    Raises:
        UserError: no database or split has this name; a score file is missing, cannot be read or lacks a
            column; a name stands there twice or a score is outside its scale; no image is found.
    """
    card = find_dataset(name)
    wanted = None if split is None else find_split(card, split)
    tree = FileTree.scan(root)
    reader: Reader = import_attribute(card.reader)
    return assemble(card, reader(card, tree, wanted), tree, wanted)


def read_mos_file(path: Path, root: Path | None = None, *, runs: Iterable[Origin] = ()) -> Dataset:
    """Read any table of scores: CSV with any delimiter, .xlsx, .json, .jsonl or .parquet.

    Its columns, in any case: one of `zeroiqa.files.tables.read.IMAGE_COLUMNS` (image, path, file_name ...);
    mos, dmos or one of `zeroiqa.files.tables.read.SCORE_COLUMNS` for quality, or one for each aspect such as
    quality_mos and mos_align; and, if there are any, prompt, model, distortion, level, reference, subset,
    style, task, split.
    The scale of an aspect is from its least to its greatest score.

    A path counts from the root, or is that of an image of a run as it was given to the run, or else counts
    from the current folder if no root is given; a bare name is the one image at any depth below the root that
    is called so. All may lack the suffix. Rows without a score or an image do not count, and their number is
    a note.

    Args:
        path: The table.
        root: The folder of the images; the table's own folder if not given.
        runs: Those whose images the opinions are about.

    Raises:
        UserError: the table cannot be read, or lacks a column or has it twice; a bare name is that of two
            images; rows of one image differ; a score is no number, an aspect is unknown, or no image is
            found.
    """
    return read_plain(open_plain(path), root, runs)


def content_split(dataset: Dataset, test_share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Split at random so that no content is on both sides.

    All distorted versions of one reference stay together; without references all images of one text prompt;
    without either, each image is a content of its own.

    Args:
        dataset: With two contents at least.
        test_share: Share of the contents for testing, in (0, 1); rounded, one at least on either side.
        seed: Equal seeds split equal contents alike, in whichever order they come.

    Returns:
        The parts for training and for testing, each with a note on the split.

    Raises:
        UserError: there is one content only, or the share is outside its range.
    """
    if not 0 < test_share < 1:
        raise UserError(f"The share for testing is {test_share:g}; it must lie between 0 and 1.")
    kind, contents = _contents(dataset)
    names = sorted(set(contents))
    if len(names) < 2:
        raise UserError(f"{dataset.name} has one {kind} only and cannot be split by it; give it more images.")
    shuffled = np.random.default_rng(seed).permutation(len(names))
    count = min(max(round(test_share * len(names)), 1), len(names) - 1)
    tested = {names[place] for place in shuffled[:count]}
    note = (
        f"Split by {kind} with seed {seed}: {len(names) - count:,} for training, "
        f"{count:,} of {len(names):,} for testing."
    )

    def part(test: bool) -> Dataset:
        kept = tuple(
            s for s, content in zip(dataset.samples, contents, strict=True) if (content in tested) is test
        )
        return replace(dataset, samples=kept, notes=(*dataset.notes, note))

    return part(False), part(True)


def _contents(dataset: Dataset) -> tuple[str, list[str]]:
    samples = dataset.samples
    if all("reference" in sample.groups for sample in samples):
        return "reference", [sample.groups["reference"] for sample in samples]
    if all(sample.prompt for sample in samples):
        return "text prompt", [sample.prompt or "" for sample in samples]
    return "image", [sample.name for sample in samples]
