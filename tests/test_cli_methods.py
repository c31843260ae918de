"""Several baselines in one command."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.command import Done, zeroiqa
from zeroiqa.runs import load_run
from zeroiqa.samples import folder

BOTH = ("--baseline", "piqe", "--baseline", "log-laplacian")


def score(here: Path, *options: object) -> Done:
    return zeroiqa(here, "score", folder() / "coffee.jpg", folder() / "cat.jpg", "--workers", 1, *options)


def test_each_baseline_is_a_run_of_its_own(tmp_path: Path) -> None:
    done = score(tmp_path, *BOTH)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("log-laplacian:\n")
    assert first.startswith("piqe:\n")
    assert "coffee.jpg" in first
    assert "coffee.jpg" in second
    runs = [load_run(each) for each in (tmp_path / "zeroiqa-runs").iterdir()]
    assert sorted(run.settings.raters for run in runs) == [("baseline:log-laplacian",), ("baseline:piqe",)]


def test_a_folder_holds_a_folder_for_each_and_they_resume(tmp_path: Path) -> None:
    assert score(tmp_path, *BOTH, "-o", "all").returncode == 0
    (tmp_path / "all" / "piqe" / "scores.csv").unlink()
    again = score(tmp_path, *BOTH, "-o", "all")
    assert again.returncode == 0
    assert again.stderr.count("Nothing was to do") == 2
    for name, values in (("piqe", 2), ("log-laplacian", 2)):
        with (tmp_path / "all" / name / "scores.csv").open(encoding="utf-8") as file:
            assert len({row["score"] for row in csv.DictReader(file)}) == values
    assert zeroiqa(tmp_path, "score", "-o", Path("all", "piqe")).returncode == 0


def test_one_baseline_goes_where_o_says(tmp_path: Path) -> None:
    done = score(tmp_path, "--baseline", "piqe", "-o", "one")
    assert done.returncode == 0
    assert "piqe:" not in done.stdout
    assert load_run(tmp_path / "one").settings.raters == ("baseline:piqe",)


def test_a_run_in_the_place_of_the_folders_is_kept(tmp_path: Path) -> None:
    assert score(tmp_path, "--baseline", "piqe", "-o", "one").returncode == 0
    done = score(tmp_path, *BOTH, "-o", "one")
    assert done.returncode == 1
    assert (
        done.stderr
        == "Error: one holds one run, and 2 baselines have one each; name another folder with -o.\n"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-o", "all.csv"), "all.csv takes one table, and 2 baselines have one each; name a folder with -o."),
        (("--format", "csv"), "--format csv prints one table, and 2 baselines have one each;"),
        (("--baseline", "piqe"), "--baseline piqe was given twice; name each once."),
        (("--rater", "nss"), "--baseline stands alone; "),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_before_anything_is_done(
    tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    done = score(tmp_path, *BOTH, *options)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"Error: {sentence}")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_baseline_among_several_is_said_before_the_first_is_computed(tmp_path: Path) -> None:
    done = score(tmp_path, *BOTH, "--baseline", "nique")
    assert done.returncode == 1
    assert "nique" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_explain_shows_one_method(tmp_path: Path) -> None:
    done = zeroiqa(tmp_path, "explain", folder() / "coffee.jpg", *BOTH)
    assert done.returncode == 2
    assert "2 baselines are named; give one." in done.stderr
