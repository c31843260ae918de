"""The paper's tables as data: they survived the scan if their own averages recompute."""

import csv
from decimal import ROUND_HALF_UP, Decimal
from importlib import resources

import pytest


def rows(table: str) -> list[dict[str, str]]:
    path = resources.files("zeroiqa.evaluation") / "published" / f"{table}.csv"
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize(
    ("table", "count"), [("llm_iqa_table3", 9), ("llm_iqa_table4", 4), ("llm_iqa_table5", 4)]
)
def test_every_printed_average_is_the_mean_of_its_row(table: str, count: int) -> None:
    assert len(rows(table)) == count
    for row in rows(table):
        numbers = [Decimal(value) for key, value in row.items() if key.endswith(("_srcc", "_plcc"))]
        assert len(numbers) == 6
        mean = (sum(numbers) / 6).quantize(Decimal("0.001"), ROUND_HALF_UP)
        assert mean == Decimal(row["average"]), row


def test_table_one_rises_with_the_number_of_levels() -> None:
    table = rows("llm_iqa_table1")
    for database in ("SPAQ", "KonIQ", "LIVEC", "AGIQA", "KADID"):
        column = [float(row[database]) for row in table]
        assert column == sorted(column)
