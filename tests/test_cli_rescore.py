"""Other formulas and readouts by `zeroiqa rescore` and `score`, on stored ratings and without a model."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zeroiqa
from tests.conftest import Done
from tests.old_parts import run_as_version_1, with_version
from zeroiqa.runs.record_schema import wrong_record
from zeroiqa.samples import folder

OPTIONS = ("--segmenter", "grid:2x1", "--rater", "fake", "--lambda", "2", "--readout", "digit")
SUM = ("--formula", "dog-iqa", "--count-weight", "0.1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos and their run, to be left unchanged."""
    here = tmp_path_factory.mktemp("rescored")
    (here / "photos").mkdir()
    for name in ("cat.jpg", "coffee.jpg", "rocket.png"):
        shutil.copy(folder() / name, here / "photos")
    choices: dict[str, Any] = {"segmenter": "grid:2x1", "raters": ["fake"], "lam": 2.0, "readout": "digit"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        zeroiqa.run("photos", "run", workers=1, **choices)
    return here


@pytest.fixture
def there(made: Path, tmp_path: Path) -> Path:
    """A copy."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def table(done: Done) -> dict[str, float]:
    assert done.returncode == 0, done.stderr
    return {Path(row["path"]).name: float(row["score"]) for row in csv.DictReader(done.stdout.splitlines())}


@pytest.mark.parametrize("command", ["rescore run", f"score photos {' '.join(OPTIONS)} -o run"])
def test_the_authors_sums_are_arithmetic_on_stored_ratings(
    there: Path, give: Callable[..., Done], command: str
) -> None:
    before = (there / "run" / "scores.csv").read_bytes()
    mean = table(give(there, *command.split(), "--format", "csv"))
    tip = table(give(there, *command.split(), *SUM, "--format", "csv"))
    assert tip == pytest.approx({name: 1.5 * score + 0.1 * 2 for name, score in mean.items()}, abs=2e-6)
    halves = table(give(there, *command.split(), "--lambda", "1", "--format", "csv"))
    first = ("--formula", "dog-iqa-first", "--count-weight", "0.1", "--lambda", "1")
    found = table(give(there, *command.split(), *first, "--format", "csv"))
    assert found == pytest.approx({name: 2 * score + 0.1 * 2 for name, score in halves.items()}, abs=2e-6)
    assert table(give(there, *command.split(), "--readout", "greedy", "--format", "csv")) == mean
    assert (there / "run" / "scores.csv").read_bytes() == before


@pytest.mark.parametrize("output", ["", "photos", "run"])
def test_a_folder_is_no_place_for_a_table(there: Path, give: Callable[..., Done], output: str) -> None:
    done = give(there, "rescore", "run", "-o", output)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "is a folder; give the name of a file with -o, such as scores.csv" in done.stderr


def test_a_run_of_the_sum_has_it_in_its_tables_and_says_the_scale(
    made: Path, tmp_path: Path, give: Callable[..., Done]
) -> None:
    chosen = (str(made / "photos"), *OPTIONS, *SUM, "-o", "sum")
    records = [
        json.loads(line) for line in give(tmp_path, "score", *chosen, "--format", "jsonl").stdout.splitlines()
    ]
    for record in records:
        assert record["scales"] == {"quality": [1.0, None]}
        shares = [region["contributions"]["quality"] for region in record["regions"]]
        assert record["score"] == pytest.approx(record["s_local"] + 0.2 + record["s_global"] / 2)
        assert record["score"] == pytest.approx(sum(shares) + record["s_global"] / 2)
    arithmetic = json.loads((tmp_path / "sum" / "run.json").read_text())["arithmetic"]
    assert (arithmetic["formula"], arithmetic["count_weight"]) == ("dog-iqa", 0.1)
    assert give(tmp_path, "verify", "sum").returncode == 0
    usual = give(tmp_path, "rescore", "sum", "--formula", "mean", "--count-weight", "0", "--format", "jsonl")
    assert json.loads(usual.stdout.splitlines()[0])["scales"] == {"quality": [1.0, 7.0]}
    chosen = (str(made / "photos"), *OPTIONS, "-o", "sum", "--format", "csv")
    assert give(tmp_path, "score", *chosen).returncode == 0, "the same run: the formula decides no rating"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--formula dog-iqa --lambda 0", "the formula dog-iqa divides the whole image's level by it; give"),
        ("--formula dog-iqa-first --lambda inf", "the formula dog-iqa-first multiplies by it; give"),
        ("--count-weight -1", "--count-weight"),
        ("--formula sum", "'sum' is not one of 'mean', 'dog-iqa', 'dog-iqa-first'"),
    ],
)
def test_what_gives_no_number_is_refused(
    there: Path, give: Callable[..., Done], arguments: str, sentence: str
) -> None:
    done = give(there, "rescore", "run", *arguments.split())
    assert done.returncode != 0 and sentence in done.stderr and "Traceback" not in done.stderr


def test_an_older_run_is_read_resumed_and_refused_greedily(there: Path, give: Callable[..., Done]) -> None:
    """Its run.json knows no formula, its parts know no answers; that of a command does not become its own."""
    run = there / "run"
    before = table(give(there, "rescore", "run", "--format", "csv"))
    record = json.loads((run / "run.json").read_text())
    for place in ("settings", "arithmetic"):
        for key in ("formula", "count_weight"):
            del record[place][key]
    assert wrong_record(record) is None
    (run / "run.json").write_text(json.dumps(record))
    run_as_version_1(run)
    assert table(give(there, "rescore", "run", "--format", "csv")) == before
    tip = table(give(there, "rescore", "run", *SUM, "--format", "csv"))
    assert tip == pytest.approx({name: 1.5 * score + 0.2 for name, score in before.items()}, abs=2e-6)
    done = give(there, "rescore", "run", "--readout", "greedy", "--format", "csv")
    assert done.returncode == 1 and not done.stdout
    assert "parts with ratings by fake in run are of an older zeroiqa, which did not store the" in done.stderr
    shutil.copy(folder() / "astronaut.jpg", there / "photos")
    grown = give(there, "score", "photos", *OPTIONS, *SUM, "-o", "run", "--format", "csv")
    assert {name: score for name, score in table(grown).items() if name in tip} == tip
    own = table(give(there, "rescore", "run", "--format", "csv"))
    assert {name: own[name] for name in before} == before and len(own) == 4
    with (run / "scores.csv").open(newline="") as file:
        assert {Path(row["path"]).name: float(row["score"]) for row in csv.DictReader(file)} == own
    assert give(there, "verify", "run").returncode == 0
    mixed = give(there, "rescore", "run", "--readout", "greedy")
    assert "2 of 3 parts with ratings by fake" in mixed.stderr


def test_a_part_of_a_later_version_is_named_and_not_to_be_deleted(
    there: Path, give: Callable[..., Done]
) -> None:
    (path,) = (there / "run" / "ratings" / "fake").glob("part-00000.parquet")
    with_version(path, b"7")
    shutil.rmtree(there / "run" / "events")
    for command in ("rescore run", "verify run"):
        done = give(there, *command.split())
        assert done.returncode == 1 and "pip install -U zeroiqa" in done.stderr
        assert "of version 7, which a later zeroiqa wrote" in done.stderr and "delete" not in done.stderr


def test_a_dry_run_says_the_formula_and_the_scale(
    made: Path, tmp_path: Path, give: Callable[..., Done]
) -> None:
    usual = give(tmp_path, "score", str(made / "photos"), *OPTIONS, "--dry-run").stdout
    assert "score      digit readout, lambda 2, weighting area; from 1 to 7\n" in usual
    summed = give(tmp_path, "score", str(made / "photos"), *OPTIONS, *SUM, "--dry-run").stdout
    assert "weighting area, formula dog-iqa, 0.1 for each region; from 1 on\n" in summed


@pytest.mark.parametrize("standard", ["q-bench", "sep-iqa", "quality-float"])
def test_greedy_is_for_standards_that_are_answered_by_a_digit(
    made: Path, tmp_path: Path, give: Callable[..., Done], standard: str
) -> None:
    chosen = ("--crop", "whole", "--rater", "hf:nowhere", "--standard", standard)
    done = give(tmp_path, "score", str(made / "photos"), *chosen, "--readout", "greedy", "-o", "run")
    assert done.returncode == 1 and not (tmp_path / "run").exists()
    assert f"takes the digit that is answered, and the standard {standard} (kind" in done.stderr
    assert "take the readout digit or expected, or a standard of kind word, number, sentence" in done.stderr


def test_images_that_are_not_scored_yet_are_said_with_their_number(
    there: Path, give: Callable[..., Done]
) -> None:
    for part in (there / "run" / "ratings" / "fake").iterdir():
        part.unlink()
    done = give(there, "rescore", "run", "--format", "csv")
    assert done.returncode == 0 and len(done.stdout.splitlines()) <= 1
    assert done.stderr == "3 of 3 images are not scored yet; `zeroiqa score -o run` goes on with them.\n"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("run/run.json", "run/run.json belongs to the run run; give another name with -o."),
        ("run/scores.csv", "belongs to the run run"),
        ("run/plan.parquet", "belongs to the run run"),
        ("run/ratings/fake/part-0000.parquet", "belongs to the run run"),
        ("link.json", "link.json belongs to the run run"),
    ],
)
@pytest.mark.parametrize("command", ["rescore run", "score photos"])
def test_a_table_takes_the_place_of_nothing_that_a_run_keeps(
    there: Path, give: Callable[..., Done], command: str, place: str, said: str
) -> None:
    (there / "link.json").symlink_to("run/run.json")
    before = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    done = give(there, *command.split(), "-o", place)
    assert done.returncode == 1 and said in done.stderr.splitlines()[-1] and not done.stdout, done.stderr
    assert {path: path.read_bytes() for path in there.rglob("*") if path.is_file()} == before


def test_a_table_is_replaced_by_the_same_command(there: Path, give: Callable[..., Done]) -> None:
    for place in ("out.csv", "out.txt", "out.json", "out.parquet", "run/mine.csv"):
        for _ in range(2):
            assert give(there, "rescore", "run", "-o", place).returncode == 0, place


def test_a_table_takes_the_place_of_no_photo(there: Path, give: Callable[..., Done]) -> None:
    before = (there / "photos" / "cat.jpg").read_bytes()
    done = give(there, "rescore", "run", "-o", "photos/cat.jpg")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == "Error: photos/cat.jpg exists and is no table; give another name with -o.\n"
    assert (there / "photos" / "cat.jpg").read_bytes() == before
