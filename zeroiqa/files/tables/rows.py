"""The rows that every reader of a table gives, and limits on how many are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from zeroiqa.errors import UserError, one_line, printable

Cells: TypeAlias = tuple[str, ...]
Row = TypeVar("Row", bound=tuple[object, ...])

MAX_BYTES = 256 << 20
"""Of a file that is read whole."""
MAX_TEXT = 1 << 30
"""Characters of a Parquet file, whose kilobytes may unpack to anything."""
BATCH = 1024
"""TableRows of a Parquet file that are unpacked at once."""
MAX_COLUMNS = 16_384
"""As many as Excel has."""
MAX_CELLS = 20_000_000
"""Of a table that is kept in memory, empty ones included."""


@dataclass(frozen=True)
class TableRows:
    """The rows of a file, the header among them; a cell without a value is ""."""

    cells: list[Cells]
    lines: list[int]
    """Of each row, its number in the file."""
    delimiter: str = ""
    """What ends the cells; empty where they are no text between delimiters."""
    unit: str = "line"
    """What `lines` counts: line, row or record."""
    formulas: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Place in `cells` -> name of an Excel cell with a formula whose value is not stored."""
    notes: tuple[str, ...] = ()
    """Sentences on what of the file is not read."""


def bounded(rows: Iterable[Row], shown: str) -> Iterator[Row]:
    """The rows, as long as they fit into memory.

    Raises:
        UserError: a row is too wide, or there are too many cells.
    """
    count = 0
    for row in rows:
        count += len(row) or 1
        check_size(len(row), 1, shown)
        check_size(1, count, shown)
        yield row


def check_size(columns: int, rows: int, shown: str) -> None:
    """Raise UserError for a table that is too wide or too large to be kept."""
    if columns > MAX_COLUMNS:
        raise UserError(
            f"{shown} has a row of {columns:,} cells, more than the {MAX_COLUMNS:,} that are read; "
            "keep the columns that are needed."
        )
    if columns * rows > MAX_CELLS:
        raise UserError(
            f"{shown} has more than the {MAX_CELLS:,} cells that are read of a table; "
            "keep the columns that are needed, or split it."
        )


def too_large(shown: str) -> UserError:
    """The sentence for a file that is not read because of its size."""
    return UserError(
        f"{shown} is larger than the {MAX_BYTES >> 20} MiB that are read of a list or table; split it, "
        "or write a list as .parquet, of which only the column of paths is read."
    )


def too_much_text(shown: str) -> UserError:
    """The sentence for a Parquet file that unpacks to more than is read."""
    return UserError(f"{shown} unpacks to more than 1 GiB of text, which is not read; split it.")


def text_of(value: object) -> str:
    """A value as a cell; what has no plain text is JSON."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


@contextmanager
def explained(shown: str, what: str) -> Iterator[None]:
    """Turn whatever a parser stumbles over into a sentence.

    Args:
        shown: The file, for a message.
        what: What is wrong with it, for a message.

    Raises:
        UserError: in place of any other exception.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # damaged files make zipfile, XML, Arrow and json raise nearly anything
        reason = printable(one_line(error).rstrip("."))
        raise UserError(f"{shown} {what} ({reason}); write or fetch it again.") from error
