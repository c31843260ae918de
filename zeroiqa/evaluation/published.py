"""What papers and repositories print of methods on databases, as one long list with provenance.

The tables are CSV files in the folder published/, as they were printed; tables.toml beside them says what
each column is, and flags what contradicts itself or was lost in a scan. Nothing is repaired.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

NOT_REPORTED = "-"
LOST = "LOST"
LOST_FLAG = "lost: not legible in the scan of the paper"


@dataclass(frozen=True)
class PublishedNumber:
    """One printed number."""

    method: str
    """One name for each method, whatever a table calls it."""
    dataset: str
    """As `zeroiqa datasets` names it, or another name where it reads no such database."""
    aspect: str
    """quality, correspondence, authenticity; average over these; or what else people were asked."""
    metric: str
    """srcc, plcc, krcc, ...; as printed: the sign against DMOS is kept, and percents are named so."""
    value: float | None
    """None where the number was printed, but is lost in the scan that was read."""
    training: str
    """What the method was trained on; "" for training-free ones."""
    source: str
    """The paper and its table, or the repository and its file."""
    flag: str
    """Begins with contradiction, suspect, ambiguous, second-hand, sign or lost; "" for most numbers."""
    setting: str = ""
    """What was changed (a row of an ablation) or which images were rated; "" for the method as published."""
    fit: str = "not stated"
    """Which curve was fitted before PLCC: "none", or "not stated"."""
    decimals: int = 0
    """How many digits stand behind the point where it is printed."""

    @property
    def is_against_dmos(self) -> bool:
        """Whether -1 is the best value that there is."""
        return any(flag.startswith("sign:") for flag in self.flag.split("; "))


def published_numbers(dataset: str | None = None) -> tuple[PublishedNumber, ...]:
    """All printed numbers, or those of one database, in the order of the tables.

    The state of the art on a database is what has no `setting`, best first:

        rows = [row for row in published_numbers("spaq") if row.metric == "srcc" and not row.setting]
    """
    numbers = _all()
    return numbers if dataset is None else tuple(each for each in numbers if each.dataset == dataset)


@cache
def _all() -> tuple[PublishedNumber, ...]:
    folder = resources.files("zeroiqa.evaluation") / "published"
    manifest = tomllib.loads((folder / "tables.toml").read_text(encoding="utf-8"))
    found: list[PublishedNumber] = []
    for name, table in manifest["tables"].items():
        lines = (folder / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        for row in csv.DictReader(lines):
            found += _numbers(table, row, manifest["names"], manifest["regressors"])
    return tuple(found)


def _numbers(
    table: Mapping[str, Any], row: Mapping[str, str], names: Mapping[str, str], regressors: list[str]
) -> Iterator[PublishedNumber]:
    """The numbers of one row."""

    def text(rule: str | Mapping[str, str], words: Mapping[str, str]) -> str:
        if not isinstance(rule, str):
            key = rule["key"].format_map(words)
            rule = rule[key] if key in rule else rule["default"]
        filled = rule.format_map(words)
        return names.get(filled, filled)

    for column, meaning in table["columns"].items():
        if row[column] == NOT_REPORTED:
            continue
        dataset, aspect, metric, *train = (text(word, row) for word in meaning.split())
        words = {**row, "dataset": dataset, **dict(zip(["train"], train, strict=False))}
        method = text(table.get("method", "{method}"), words)
        training = text(table.get("training", ""), words)
        flags = [flag["flag"] for flag in table.get("flags", ()) if _concerns(flag, row, column)]
        yield PublishedNumber(
            method=method,
            dataset=dataset,
            aspect=aspect,
            metric=metric,
            value=None if row[column] == LOST else float(row[column]),
            training="not stated" if not training and method in regressors else training,
            source=table["source"],
            flag="; ".join([LOST_FLAG] if row[column] == LOST else flags),
            setting=text(table.get("setting", ""), words),
            fit=table.get("fit", "not stated"),
            decimals=len(row[column].partition(".")[2]) if row[column] != LOST else 0,
        )


def _concerns(flag: Mapping[str, Any], row: Mapping[str, str], column: str) -> bool:
    return column in flag.get("columns", [column]) and all(
        row[key] == value for key, value in flag.get("where", {}).items()
    )
