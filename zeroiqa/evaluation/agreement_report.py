"""How well one run agrees with people, as records and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zeroiqa.evaluation.formatting import number
from zeroiqa.evaluation.records import NumberRecord, Report
from zeroiqa.files.tables.render import TextTable, cells

if TYPE_CHECKING:
    from zeroiqa.evaluation.agreement import Agreement
    from zeroiqa.evaluation.datasets.types import Dataset

OF_GROUPS = ("SRCC", "PLCC")
"""The measures that are said of each group."""


def agreement_report(
    found: Agreement,
    groups: Agreement | None,
    *,
    key: str | None,
    method: str,
    dataset: Dataset,
    aspect: str,
    remarks: Sequence[str],
    protocol: str,
    source: str,
    lower_is_better: bool,
    resamples: int,
    decimals: int | None,
) -> Report:
    """One record and one row for each measure, and of groups for each group and measure.

    Args:
        found: Of all images.
        groups: Of the groups; None where none were asked for.
        key: What the groups are, such as model.
        method: The run's name.
        dataset: Whose opinions.
        aspect: Which opinions.
        remarks: Sentences on the run's scores.
        protocol: How the scores came about.
        source: Where they are.
        lower_is_better: Whether the run's scores were turned for this.
        resamples: Of the intervals.
        decimals: In the table.
    """
    said = ["Of the scores lower is better: they were turned."] if lower_is_better else []
    notes = tuple(dict.fromkeys((*dataset.notes, *(groups or found).notes, *said, *remarks)))

    def record(each: Agreement, measure: str, group: str | None = None) -> NumberRecord:
        interval = each.intervals.get(measure)
        return NumberRecord(
            method,
            dataset.name,
            measure,
            each.measures[measure],
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            n=each.images,
            left_out=None if group else len(dataset.samples) - each.images,
            protocol=protocol,
            source=source,
            better="lower" if lower_is_better else "higher",
            resamples=resamples if interval else None,
            facts={"aspect": aspect} | ({key: group} if key else {}),
        )

    records = [record(found, measure) for measure in found.measures]
    names = list(found.measures)
    for group, each in (groups.groups if groups else {}).items():
        records += [record(each, measure, group) for measure in OF_GROUPS]
        names += [f"{measure}, {group}" for measure in OF_GROUPS]
    rows = [
        cells(name, str(each.n), *(number(value, decimals) for value in (each.value, each.low, each.high)))
        for name, each in zip(names, records, strict=True)
    ]
    table = TextTable(("measure", "images", "value", "95 % from", "to"), tuple(rows), notes)
    return Report(tuple(records), (table,), notes)
