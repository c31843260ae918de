"""Records for programs: one for each number, in full precision, in every machine format."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from zeroiqa.evaluation.records import MACHINE_STYLES, NumberRecord, Report
from zeroiqa.files.tables.render import STYLES, TextTable, cells

THIRD = 1 / 3
REPORT = Report(
    (
        NumberRecord("ours", "a", "SRCC", THIRD, low=0.1, high=0.5, n=7, mark="best", notes=("Said of it.",)),
        NumberRecord("ours", "b", "SRCC", math.nan, p=None, facts={"group": "x"}),
    ),
    (TextTable(("method", "a SRCC"), (cells("ours", "0.333"),), ("Said of all.",)),) * 2,
    ("Said of all.",),
)


def test_json_is_one_document_of_records_without_nan():
    document = json.loads(REPORT.text("json"), parse_constant=pytest.fail)
    first, second = document["rows"]
    assert (first["value"], first["low"], first["high"], first["n"]) == (THIRD, 0.1, 0.5, 7)
    assert (second["value"], second["group"], second["mark"]) == (None, "x", None)
    assert document["notes"] == ["Said of all.", "Said of it."]
    assert (first["notes"], second["notes"]) == (["Said of it."], [])


def test_csv_and_lines_of_json_hold_the_same_records_each_with_the_notes_of_all():
    lines = [json.loads(line) for line in REPORT.text("jsonl").splitlines()]
    rows = list(csv.DictReader(io.StringIO(REPORT.text("csv"))))
    assert [float(row["value"]) if row["value"] else None for row in rows] == [THIRD, None]
    assert [row["group"] for row in rows] == ["", "x"]
    assert [line["notes"] for line in lines] == [["Said of it.", "Said of all."], ["Said of all."]]
    assert [row["notes"] for row in rows] == ["Said of it. Said of all.", "Said of all."]
    header = REPORT.text("csv").splitlines()[0].split(",")
    assert len(set(header)) == len(header)


def test_every_format_ends_in_one_line_break_and_says_the_notes():
    for style in (*MACHINE_STYLES, *STYLES):
        text = REPORT.text(style)
        assert text.endswith("\n") and not text.endswith("\n\n")
        assert "Said of all." in text
