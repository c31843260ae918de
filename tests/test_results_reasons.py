"""results/reasons: the page says what its files say, and these what the thresholds of today say."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from zeroiqa.reasons import REASONS, TAGS, tags_of

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "results" / "reasons"


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def numbers(found: list[dict[str, str]]) -> list[dict[str, object]]:
    """Rows whose flags and levels are numbers again."""
    return [{key: int(value) if value.isdigit() else value for key, value in row.items()} for row in found]


def texts(found: list[dict[str, object]]) -> list[dict[str, str]]:
    return [{key: str(value) for key, value in row.items()} for row in found]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "compare_with_cleanvision.py"
    spec = importlib.util.spec_from_file_location("compare_with_cleanvision", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_manifest_names_these_files_and_the_thresholds_of_today():
    facts = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    assert {path.name for path in FOLDER.glob("*.csv")} == facts["files_sha256"].keys()
    for name, digest in facts["files_sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
    thresholds = (ROOT / "zeroiqa" / "reasons.toml").read_bytes()
    assert facts["thresholds_sha256"] == hashlib.sha256(thresholds).hexdigest()


@pytest.mark.parametrize("name", ["photos", "copies"])
def test_tags_follow_from_the_reasons(name):
    for row in rows(name):
        assert row["tags"] == "; ".join(tags_of({reason: float(row[reason]) for reason in REASONS}))


def test_pairs_and_kinds_are_counted_from_the_images(script):
    photos, copies = numbers(rows("photos")), numbers(rows("copies"))
    assert texts(script.count_pairs({"photos": photos, "copies": copies})) == rows("pairs")
    assert texts(script.count_kinds(copies)) == rows("kinds")


def test_tags_are_counted_from_the_photographs():
    photos = rows("photos")
    counts = {row["tag"]: int(row["photos"]) for row in rows("tags")}
    for tag in TAGS:
        assert counts[tag] == sum(tag in row["tags"].split("; ") for row in photos)
    assert counts["any"] + counts["none"] == len(photos) == 600


def test_the_page_says_what_the_files_say(script):
    page = script.report(rows("tags"), rows("pairs"), rows("kinds"), numbers(rows("copies")))
    assert (FOLDER / "table.md").read_text(encoding="utf-8") == page


def test_tags_are_rare_on_good_photographs_and_frequent_on_bad_ones():
    any_tag, no_tag = (next(row for row in rows("tags") if row["tag"] == name) for name in ("any", "none"))
    assert float(any_tag["mean_mos"]) < float(no_tag["mean_mos"]) - 0.2
    assert int(any_tag["best_quarter"]) * 4 < int(any_tag["worst_quarter"])
