"""The opinions that scores are compared with: those of a published database, or of any table."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from zeroiqa.errors import UserError
from zeroiqa.evaluation.datasets.read import read_dataset, read_mos_file
from zeroiqa.images.find import images_at

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets.origins import Origin
    from zeroiqa.evaluation.datasets.types import Dataset
    from zeroiqa.images.ref import ImageRef

PathLike: TypeAlias = str | os.PathLike[str]


def read_opinions(
    dataset: str | None,
    root: PathLike | None,
    mos: PathLike | None,
    split: str | None = None,
    runs: Iterable[Origin] = (),
) -> Dataset:
    """Read the opinions of a database, or of a table.

    Args:
        dataset: Name of a database, as `zeroiqa datasets` lists them.
        root: The folder of the database; or that from which the paths of the table count, its own if None.
        mos: The table, in place of a database.
        split: Only this official split of the database.
        runs: Whose images a table may name as they were given to the run.

    Raises:
        UserError: not exactly one of both is named, or it cannot be read.
    """
    folder = None if root is None else Path(root)
    if mos is not None and dataset is None:
        return read_mos_file(Path(mos), folder, runs=runs)
    if dataset is None or folder is None or mos is not None:
        raise UserError("Opinions are those of a database (its name and its folder) or of a table; name one.")
    return read_dataset(dataset, folder, split=split)


def rated_images(datasets: Iterable[Dataset], aspect: str) -> list[ImageRef]:
    """The images of some databases that have an opinion of the aspect, each once, to be scored."""
    samples = {
        str(each.path): each for dataset in datasets for each in dataset.samples if aspect in each.scores
    }
    return images_at((path, each.prompt) for path, each in samples.items())
