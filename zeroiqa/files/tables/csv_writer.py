"""Write CSV tables for programs or spreadsheets: one line for each row, whatever the names."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from zeroiqa.names import cell

STYLES = ("csv", "excel-csv")
_FORMULA = tuple("=+-@\t\r＝＋－＠")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


class CsvWriter:
    """Writes rows into a stream that knows UTF-8.

    A name with line breaks, control characters or such is written with escapes (`zeroiqa.names.cell`), so
    that readers that count lines see as many rows as those that know of quotes. For spreadsheets, the table
    begins with a mark of UTF-8, and before a text that would be taken for a formula stands a single quote.
    """

    def __init__(self, stream: TextIO, columns: Sequence[str], style: str = "csv") -> None:
        """Write the header.

        Args:
            stream: Where to.
            columns: Their names.
            style: One of `STYLES`.
        """
        self._excel = style == "excel-csv"
        if self._excel:
            stream.write("\ufeff")
        self._columns = tuple(columns)
        self._writer = csv.writer(stream, lineterminator="\r\n" if self._excel else "\n")
        self._writer.writerow(map(self._cell, columns))

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a row; a column that is missing or None is empty.

        Raises:
            ValueError: the row has a column that the table has not.
        """
        if foreign := row.keys() - set(self._columns):
            raise ValueError(f"the table has no columns {sorted(foreign)}")
        self._writer.writerow(self._cell(row.get(column)) for column in self._columns)

    def _cell(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if self._excel and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
            value = f"'{value}"
        return cell(value)
