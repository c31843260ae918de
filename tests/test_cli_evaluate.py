"""`zeroiqa evaluate`, `compare`, `upper-bound` and `ablate`, from real processes."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
IMAGES = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures, opinions.csv, dmos.csv, a run of two fake raters and external scores."""
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    write(
        tmp_path / "opinions.csv",
        "image,mos,subset",
        [f"photos/{n}.png,{n % 7 + n / 100},s{n % 2}" for n in range(IMAGES)],
    )
    write(
        tmp_path / "dmos.csv", "image,dmos", [f"photos/{n}.png,{10 - n % 7 - n / 100}" for n in range(IMAGES)]
    )
    write(tmp_path / "other.csv", "path,other tool", [f"photos/{n}.png,{n % 7}" for n in range(IMAGES)])
    done = zeroiqa(
        tmp_path,
        "score",
        "photos",
        "-o",
        "run",
        "--rater",
        "fake",
        "--rater",
        "fake:2",
        "--segmenter",
        "grid:2x2",
    )
    assert done.returncode == 0, done.stderr
    return tmp_path


def write(path: Path, header: str, rows: list[str]) -> None:
    path.write_text("\n".join([header, *rows]) + "\n")


def zeroiqa(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "zeroiqa", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )


def records(text: str) -> dict[str, dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    return {next(iter(row.values())): row for row in rows}


def test_evaluate_prints_measures_intervals_groups_and_outliers(folder: Path) -> None:
    done = zeroiqa(
        folder, "evaluate", "run", "--mos", "opinions.csv", "--group", "subset", "--resamples", "50"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["measure", "images", "value", "95", "%", "from", "to"]
    assert lines[1].split()[:2] == ["SRCC", "12"]
    assert any(line.startswith("SRCC, s0") for line in lines)
    assert "largest differences" in done.stdout


def test_dmos_gives_the_same_correlation_as_the_mos_it_mirrors(folder: Path) -> None:
    found = [
        records(
            zeroiqa(folder, "evaluate", "run", "--mos", name, "--format", "csv", "--resamples", "0").stdout
        )
        for name in ("opinions.csv", "dmos.csv")
    ]
    assert found[0]["SRCC"]["value"] == found[1]["SRCC"]["value"] != "-"


def test_other_arithmetic_needs_no_new_run(folder: Path) -> None:
    values = {
        records(
            zeroiqa(
                folder,
                "evaluate",
                "run",
                "--mos",
                "opinions.csv",
                "--format",
                "csv",
                "--resamples",
                "0",
                *more,
            ).stdout
        )["SRCC"]["value"]
        for more in ((), ("--lambda", "5"), ("--member", "fake"))
    }
    assert len(values) == 3


def test_the_output_folder_holds_every_format_and_the_plot(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    done = zeroiqa(folder, "evaluate", "run", "--mos", "opinions.csv", "-o", "report", "--resamples", "0")
    assert done.returncode == 0, done.stderr
    report = folder / "report"
    assert sorted(path.name for path in report.iterdir()) == [
        "evaluation.csv",
        "evaluation.json",
        "evaluation.md",
        "evaluation.tex",
        "scatter.png",
    ]
    with Image.open(report / "scatter.png") as plot:
        assert plot.size[0] > 300
    assert json.loads((report / "evaluation.json").read_text())["rows"][0]["measure"] == "SRCC"


def test_compare_sets_runs_members_and_other_tools_side_by_side(folder: Path) -> None:
    done = zeroiqa(
        folder, "compare", "run", "--members", "--external", "other.csv", "--mos", "opinions.csv",
        "--format", "csv", "--resamples", "100",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = records(done.stdout)
    assert list(rows) == ["run", "run: fake", "run: fake:2", "other tool"]
    assert float(rows["other tool"]["opinions SRCC"]) > 0.9
    assert rows["other tool"]["p"] == "best"
    assert 0 <= float(rows["run"]["p"]) <= 1
    assert rows["run"]["protocol"] == "measured here, fake, fake:2"


def test_a_baseline_is_scored_where_it_is_not_yet(folder: Path) -> None:
    arguments = (
        "compare",
        "run",
        "--baseline",
        "niqe",
        "--mos",
        "opinions.csv",
        "--format",
        "csv",
        "--resamples",
        "0",
    )
    done = zeroiqa(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert list(records(done.stdout)) == ["run", "niqe"]
    (parts,) = (folder / "zeroiqa-runs").glob("niqe-*/ratings/*")
    written = {path: path.stat().st_mtime_ns for path in parts.iterdir()}
    assert zeroiqa(folder, *arguments).stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in parts.iterdir()} == written


def test_published_numbers_need_no_image(folder: Path) -> None:
    done = zeroiqa(folder, "compare", "--published", "--dataset", "spaq", "--format", "csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    mine = [row for row in rows if row["method"].startswith("LLM-IQA") and row["spaq SRCC"] == "0.907"]
    assert mine and "training-free" in mine[0]["protocol"]


def test_more_levels_allow_more_agreement(folder: Path) -> None:
    done = zeroiqa(folder, "upper-bound", "--mos", "opinions.csv", "--format", "csv")
    assert done.returncode == 0, done.stderr
    for row in records(done.stdout).values():
        values = [float(row[f"K = {k}"]) for k in (3, 5, 7, 9)]
        assert 0.8 < values[0] < values[-1] <= 1


def test_ablations_print_their_table_and_what_was_shared(folder: Path) -> None:
    arguments = (
        "ablate",
        "--mos",
        "opinions.csv",
        "--table",
        "3",
        "--rater",
        "fake",
        "--segmenter",
        "grid:2x2",
        "-o",
        "ablation",
    )
    done = zeroiqa(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert "boxes and whole image, word standard" in done.stdout
    assert f"{IMAGES * 5 * 3} ratings computed, {IMAGES * 5} shared" in done.stdout
    assert "Left out: whole image, free number. The rater fake gives levels" in done.stdout
    again = zeroiqa(folder, *arguments)
    assert "0 ratings computed" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("evaluate", "run"), 2, "--dataset NAME and --root DIR, or --mos FILE"),
        (("evaluate", "photos", "--mos", "opinions.csv"), 1, "has no run.json"),
        (("evaluate", "run", "--mos", "missing.csv"), 1, "missing.csv"),
        (("evaluate", "run", "--mos", "opinions.csv", "--aspect", "authenticity"), 1, "authenticity"),
        (("evaluate", "run", "--mos", "opinions.csv", "--group", "model"), 1, "No image has a group model"),
        (("compare", "--published", "--dataset", "spak"), 1, "spak"),
        (("compare", "run", "--mos", "opinions.csv", "--external", "opinions.txt"), 1, "opinions.txt"),
        (("ablate", "--table", "3", "-o", "x"), 2, "--mos FILE"),
    ],
)
def test_a_mistake_is_said_in_one_sentence(
    folder: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = zeroiqa(folder, *arguments)
    assert done.returncode == code
    assert said in done.stderr and "Traceback" not in done.stderr
