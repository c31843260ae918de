"""Score files that are no tables with a header: two columns of text, rows without names, .mat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.types import some
from zeroiqa.files.damage import reading, reason, shortened
from zeroiqa.files.tables.read import Table, open_rows, plain_number
from zeroiqa.files.tables.row_files import read_whole
from zeroiqa.files.tables.rows import Cells
from zeroiqa.files.text import decoded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def read_rows(path: Path) -> list[Cells]:
    """All rows of a table that may lack a header; rows without any text are left out.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    return [row for row in open_rows(path).cells if any(row)]


def read_pairs(path: Path) -> Table:
    """Read lines of an image and its score with white space between, in either order: columns name, score.

    Raises:
        UserError: the file cannot be read, or a line is something else.
    """
    rows = []
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        first, _, rest = text.strip().replace("\t", " ").partition(" ")
        name, _, score = text.strip().replace("\t", " ").rpartition(" ")
        if plain_number(first) is not None:
            name, score = rest, first
        if plain_number(score) is None or not name.strip():
            raise UserError(
                f"{printable(path.name)}, line {line}: found {printable(text[:60])!r}; "
                "an image and its score are expected, with a space between."
            )
        rows.append((name.strip(), score))
    return Table(path, ("name", "score"), tuple(rows))


def read_mat(path: Path, variable: str) -> npt.NDArray[np.generic]:
    """One variable of a .mat file, flattened; a cell array gives an array of objects.

    Raises:
        UserError: the file cannot be read, or has no such variable.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=None)
    except (
        Exception
    ) as error:  # scipy raises what its parser stumbles over: ValueError, TypeError, zlib.error...
        raise UserError(
            f"{printable(path.name)} cannot be read as a .mat file: {reason(error)}; unpack it anew."
        ) from error
    if variable not in content:
        there = some(shortened(name) for name in content if not name.startswith("__"))
        raise UserError(f"{printable(path.name)} has no variable {variable}; it has {there or 'none'}.")
    with reading(path.name, "unpack it anew"):  # a sparse matrix or an opaque object is none
        values: npt.NDArray[np.generic] = content[variable].ravel()
    return values


def read_text(path: Path) -> str:
    """UTF-8 with or without its mark, or UTF-16 with it.

    Raises:
        UserError: the file cannot be read, or is no such text.
    """
    return decoded(read_whole(path), printable(path.name), strict=True)
