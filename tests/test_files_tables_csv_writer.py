"""CSV tables that every reader reads alike."""

from __future__ import annotations

import csv
import io

import pyarrow.csv

from zeroiqa.files.tables import csv_writer
from zeroiqa.names import meanings

NAMES = [
    "a\rb",
    "a\nb",
    "a\r\nb",
    "\tb",
    "a\x85b",
    "a\u2028b",
    "\x1b[31m",
    'a"b,c;d',
    "=1+1",
    "-x",
    "＝1",
    "'a",
    "-1.5",
]


def written(style: str) -> str:
    text = io.StringIO(newline="")
    table = csv_writer.CsvWriter(text, ["=path", "score", "none"], style)
    for name in NAMES:
        table.write({"=path": name, "score": -0.5})
    return text.getvalue()


def test_every_reader_finds_as_many_rows_as_there_are_names() -> None:
    for style in csv_writer.STYLES:
        text = written(style)
        plain = text.removeprefix("\ufeff")
        assert len(text.splitlines()) == len(plain.split("\n")) - 1 == 1 + len(NAMES)
        assert pyarrow.csv.read_csv(io.BytesIO(text.encode())).num_rows == len(NAMES)
        for newline in ("", None):
            rows = list(csv.reader(io.StringIO(plain, newline=newline)))
            assert len(rows) == 1 + len(NAMES)
            assert all(name in meanings(row[0]) for name, row in zip(NAMES, rows[1:], strict=True))


def test_no_cell_of_a_table_for_spreadsheets_is_a_formula() -> None:
    text = written("excel-csv")
    assert text.startswith("\ufeff'=path,score,none\r\n")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    cells = dict(zip(NAMES, (row[0] for row in rows[1:]), strict=True))
    assert [cells[name] for name in ("=1+1", "-x", "＝1", "\tb", "-1.5")] == [
        "'=1+1",
        "'-x",
        "'＝1",
        "'\\tb",
        "-1.5",
    ]
    assert {row[1] for row in rows[1:]} == {"-0.5"}  # a number stays one
    assert written("csv").startswith("=path,")
