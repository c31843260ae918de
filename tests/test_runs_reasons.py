"""Reasons in runs: in every table, read back, and missing where an older zeroiqa rated."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import zeroiqa
from tests.conftest import Done
from tests.old_parts import without_measures
from zeroiqa.reasons import REASONS
from zeroiqa.samples import folder

COLUMNS = ["width", "height", *REASONS, "tags"]
LINE = "2 of 2 images have no reasons and no tags: an older zeroiqa rated them (nss)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos, a file that is none, and their run by two raters, one of which measures."""
    here = tmp_path_factory.mktemp("reasons")
    (here / "photos").mkdir()
    for name in ("cat.jpg", "cat_blurred.jpg"):
        shutil.copy(folder() / name, here / "photos")
    (here / "photos" / "broken.jpg").write_bytes(b"hello")
    run = zeroiqa.run(str(here / "photos"), str(here / "run"), raters=["fake", "nss"])
    assert run.status().scored == 2
    return here


@pytest.fixture
def there(made: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def rows(text: str) -> dict[str, dict[str, str]]:
    return {Path(row["path"]).name: row for row in csv.DictReader(io.StringIO(text))}


def test_every_table_has_reasons_and_tags(there: Path, give: Callable[..., Done]) -> None:
    found = rows((there / "run" / "scores.csv").read_text("utf-8"))
    names = list(found["cat.jpg"])
    assert names[names.index("width") : names.index("tags") + 1] == COLUMNS
    assert (found["cat.jpg"]["tags"], found["cat_blurred.jpg"]["tags"]) == ("", "blurred")
    assert float(found["cat_blurred.jpg"]["sharpness"]) < float(found["cat.jpg"]["sharpness"])
    assert not any(found["broken.jpg"][name] for name in COLUMNS)
    table = pq.read_table(there / "run" / "scores.parquet")
    assert {str(table.schema.field(name).type) for name in REASONS} == {"double"}
    assert [str(table.schema.field(name).type) for name in ("width", "height", "tags")] == [
        "int32", "int32", "string",
    ]  # fmt: skip
    assert table["tags"].to_pylist() == [None, None, "blurred"]
    lines = give(there, "rescore", "run", "--format", "jsonl").stdout.splitlines()
    records = {Path(record["path"]).name: record for record in map(json.loads, lines)}
    assert (records["cat.jpg"]["tags"], records["cat_blurred.jpg"]["tags"]) == ([], ["blurred"])
    assert (records["cat.jpg"]["width"], records["cat.jpg"]["height"]) == (451, 300)
    assert records["broken.jpg"]["tags"] is records["broken.jpg"]["noise"] is None
    printed = give(there, "rescore", "run").stdout
    assert "cat_blurred.jpg  (blurred)" in printed
    assert "cat.jpg\n" in printed
    assert "DAMAGED" not in give(there, "verify", "run").stdout


def test_a_score_without_the_rater_that_measured_keeps_its_reasons(there: Path) -> None:
    run = zeroiqa.load_run(str(there / "run"))
    own, others = ({each.path: each for each in run.scores(members=[name])} for name in ("nss", "fake"))
    for path, score in others.items():
        assert (score.measures, score.tags, score.size) == (
            own[path].measures, own[path].tags, own[path].size,
        )  # fmt: skip
    assert any(score.tags for score in others.values())
    assert any(score.score != own[path].score for path, score in others.items())


def test_in_memory_and_from_a_run_reasons_are_the_same(there: Path) -> None:
    for score in zeroiqa.load_run(str(there / "run")).scores():
        if score.status == "ok":
            alone = zeroiqa.score(there / "photos" / Path(score.path).name)
            assert (alone.measures, alone.tags) == (score.measures, score.tags)


def test_what_an_older_version_rated_has_no_reasons_and_that_is_said_with_the_count(
    there: Path, give: Callable[..., Done]
) -> None:
    before = rows((there / "run" / "scores.csv").read_text("utf-8"))
    assert "no reasons" not in give(there, "status", "run").stdout
    for path in (there / "run" / "ratings").rglob("part-*.parquet"):
        without_measures(path)
    for path in (there / "run" / "events").iterdir():  # an older event says nothing of measures
        path.write_text(re.sub(r', "measured": \d+', "", path.read_text("utf-8")), "utf-8")
    for command in (("status", "run"), ("rescore", "run", "--format", "csv"), ("merge", "run")):
        done = give(there, *command)
        assert (done.stdout + done.stderr).count(LINE) == 1, command
        assert done.returncode == 0
    found = rows((there / "run" / "scores.csv").read_text("utf-8"))
    empty = {"cat.jpg", "cat_blurred.jpg"}
    assert all(not found[name][column] for name in empty for column in (*REASONS, "tags"))
    same = ("score", "s_global", "width", "height")
    assert all(found[name][column] == before[name][column] for name in empty for column in same)


def test_a_table_from_before_reasons_is_no_damage(there: Path, give: Callable[..., Done]) -> None:
    for name in ("scores.csv", "scores.parquet"):
        path = there / "run" / name
        if path.suffix == ".csv":
            table = list(csv.DictReader(path.read_text("utf-8").splitlines()))
            kept = [column for column in table[0] if column not in COLUMNS]
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, kept, extrasaction="ignore", lineterminator="\n")
                writer.writeheader()
                writer.writerows(table)
        else:
            pq.write_table(pq.read_table(path).drop_columns(COLUMNS), path)
    done = give(there, "verify", "run")
    assert done.returncode == 0, done.stderr
    assert (
        "of an older version: scores.csv (without sizes and reasons), scores.parquet (without" in done.stdout
    )


def test_a_run_without_a_rater_that_measures_has_sizes_alone(tmp_path: Path) -> None:
    shutil.copy(folder() / "cat.jpg", tmp_path)
    zeroiqa.run(str(tmp_path / "cat.jpg"), str(tmp_path / "run"), raters=["fake"])
    [row] = rows((tmp_path / "run" / "scores.csv").read_text("utf-8")).values()
    assert (row["width"], row["height"]) == ("451", "300")
    assert not {"tags", *REASONS} & row.keys()
