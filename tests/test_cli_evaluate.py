"""`zeroiqa evaluate`, `compare`, `upper-bound` and `ablate`."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.command import zeroiqa
from zeroiqa.runs import load_run, write_scores
from zeroiqa.runs.identity import run_id_of

IMAGES = 12
Give = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, prepared: Path) -> Path:
    """Twelve pictures, opinions.csv, dmos.csv, a run of two fake raters and external scores."""
    return Path(shutil.copytree(prepared, tmp_path / "folder"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("prepared")
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
        "--regions",
    )
    assert done.returncode == 0, done.stderr
    return tmp_path


def write(path: Path, header: str, rows: list[str]) -> None:
    path.write_text("\n".join([header, *rows]) + "\n")


def records(text: str, *keys: str) -> dict[Any, dict[str, str]]:
    """Rows of a CSV table by some of their columns."""
    rows = list(csv.DictReader(io.StringIO(text)))
    found = {tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]]: row for row in rows}
    assert len(found) == len(rows)
    return found


def document(text: str) -> Any:
    """The one JSON document that a text must be, without NaN and without a key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(text, object_pairs_hook=unique, parse_constant=pytest.fail)


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
            zeroiqa(folder, "evaluate", "run", "--mos", name, "--format", "csv", "--resamples", "0").stdout,
            "measure",
        )
        for name in ("opinions.csv", "dmos.csv")
    ]
    assert found[0]["SRCC"]["value"] == found[1]["SRCC"]["value"] != ""


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
            ).stdout,
            "measure",
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
    assert document((report / "evaluation.json").read_text())["rows"][0]["measure"] == "SRCC"


def test_compare_sets_runs_members_and_other_tools_side_by_side(folder: Path) -> None:
    done = zeroiqa(
        folder, "compare", "run", "--members", "--external", "other.csv", "--mos", "opinions.csv",
        "--format", "csv", "--resamples", "100",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = records(done.stdout, "method", "measure")
    methods = ["run", "run: fake", "run: fake:2", "other tool"]
    assert list(rows) == [(method, measure) for method in methods for measure in ("SRCC", "PLCC")]
    assert float(rows["other tool", "SRCC"]["value"]) > 0.9
    assert rows["other tool", "SRCC"]["mark"] == "best"
    assert 0 <= float(rows["run", "SRCC"]["p"]) <= 1
    assert rows["run", "SRCC"]["protocol"] == "measured here, fake, fake:2"


def test_a_baseline_is_scored_where_it_is_not_yet(folder: Path) -> None:
    arguments = (
        "compare",
        "run",
        "--baseline",
        "piqe",
        "--mos",
        "opinions.csv",
        "--format",
        "csv",
        "--resamples",
        "0",
    )
    done = zeroiqa(folder, *arguments)
    assert done.returncode == 0, done.stderr
    rows = records(done.stdout, "method", "measure")
    assert [rows[name, "SRCC"]["better"] for name in ("run", "piqe")] == ["higher", "lower"]
    (parts,) = (folder / "zeroiqa-runs").glob("piqe-*/ratings/*")
    written = {path: path.stat().st_mtime_ns for path in parts.iterdir()}
    assert zeroiqa(folder, *arguments).stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in parts.iterdir()} == written


def test_published_numbers_need_no_image(folder: Path) -> None:
    done = zeroiqa(folder, "compare", "--published", "--dataset", "spaq", "--format", "csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    mine = [row for row in rows if row["method"].startswith("LLM-IQA") and row["value"] == "0.907"]
    assert mine and "training-free" in mine[0]["protocol"] and mine[0]["decimals"] == "3"


def test_more_levels_allow_more_agreement(folder: Path) -> None:
    done = zeroiqa(folder, "upper-bound", "--mos", "opinions.csv", "--format", "csv")
    assert done.returncode == 0, done.stderr
    rows = records(done.stdout, "method", "K")
    for reading in ("eq1", "text", "bins"):
        values = [float(rows[reading, str(k)]["value"]) for k in (3, 5, 7, 9)]
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
    assert "7 rows of 2 runs; 3 of them are rescored from ratings of other rows." in done.stdout
    assert f"{IMAGES * 5 * 3} ratings computed, {IMAGES * 5} shared" in done.stdout
    assert "Left out: whole image, free number. The rater fake gives levels" in done.stdout
    again = zeroiqa(folder, *arguments)
    assert "0 ratings computed" in again.stdout


def test_json_is_one_document_however_many_tables_there_are(folder: Path, give: Give) -> None:
    """Two databases and two tables: every number is there once, in full precision."""
    write(folder / "again.csv", "image,mos", [f"photos/{n}.png,{n % 5}" for n in range(IMAGES)])
    _, out, _ = give(
        folder, "compare", "run", "--external", "other.csv", "--mos", "opinions.csv", "--mos", "again.csv",
        "--format", "json", "--resamples", "50",
    )  # fmt: skip
    rows = document(out)["rows"]
    numbers = {(row["method"], row["database"], row["measure"]): row for row in rows}
    assert len(numbers) == len(rows) == 2 * 2 * 2
    assert all(row["n"] == IMAGES and row["low"] <= row["value"] <= row["high"] for row in rows)
    assert len(repr(numbers["run", "again", "PLCC"]["value"])) > 10
    _, out, _ = give(
        folder, "ablate", "--mos", "opinions.csv", "--table", "4", "--table", "5", "--rater", "fake",
        "--rater", "fake:2", "--segmenter", "grid:2x2", "-o", "ablation", "--format", "json",
    )  # fmt: skip
    rows = document(out)["rows"]
    assert [sum(row["table"] == table for row in rows) for table in "45"] == [2 * 2 * 4, 2 * 2 * 4]
    assert len({(row["method"], row["measure"]) for row in rows}) == len(rows), "each rater has its own rows"


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "run", "--mos", "constant.csv", "--group", "subset"),
        ("compare", "run", "--mos", "constant.csv", "--mos", "opinions.csv"),
        ("compare", "--published", "--dataset", "spaq", "--dataset", "livec"),
        ("upper-bound", "--mos", "opinions.csv"),
        ("status", "run"),
        ("rescore", "run"),
        ("datasets",),
        ("baselines",),
        ("models",),
    ],
)
def test_json_of_every_command_is_one_document_without_nan(
    folder: Path, give: Give, arguments: tuple[str, ...]
) -> None:
    """Of constant opinions no correlation exists: null."""
    rows = [f"photos/{n}.png,{n // (IMAGES - 1)},s{n % 2}" for n in range(IMAGES)]
    write(folder / "constant.csv", "image,mos,subset", rows)
    code, out, err = give(folder, *arguments, "--format", "json")
    assert code == 0, err
    assert document(out)


def test_decimals_are_those_asked_for(folder: Path, give: Give) -> None:
    arguments = (folder, "evaluate", "run", "--mos", "opinions.csv", "--resamples", "0")
    for more, decimals in ((), 3), (("--decimals", "5"), 5):
        _, out, _ = give(*arguments, *more)
        assert len(out.splitlines()[1].split()[2].partition(".")[2]) == decimals


def test_foreign_scores_are_turned_as_they_say_or_named_where_nobody_says(folder: Path, give: Give) -> None:
    """Scores that fall as the opinions rise, under names that are known and one that is not."""
    worse = [f"photos/{n}.png,{9 - n % 7},{8 - n % 7},{7 - n % 7}" for n in range(IMAGES)]
    write(folder / "foreign.csv", "path,NIQE,BRISQUE,mine", worse)
    files = ("--external", "foreign.csv", "--external", "other.csv", "--mos", "opinions.csv")
    _, out, _ = give(folder, "compare", *files, "--format", "csv")
    ranks = {name: float(row["value"]) for (name, measure), row in records(out, "method", "measure").items()
             if measure == "SRCC"}  # fmt: skip
    assert ranks["NIQE"] == ranks["BRISQUE"] == ranks["other tool"] == -ranks["mine"] > 0.9
    _, out, _ = give(folder, "compare", *files)
    (said,) = (line for line in out.splitlines() if "strongly negatively" in line)
    assert said.startswith("mine correlates strongly negatively with opinions")
    assert said.endswith("give --lower-is-better mine.")
    _, out, _ = give(folder, "compare", *files, "--lower-is-better", "MINE", "--format", "csv")
    assert float(records(out, "method", "measure")["mine", "SRCC"]["value"]) > 0.9 and "strongly" not in out
    code, _, err = give(folder, "compare", *files, "--lower-is-better", "yours")
    assert code == 1 and "no external method 'yours'" in err and "NIQE, BRISQUE, mine, other tool" in err


def test_a_run_that_stored_turned_numbers_is_read_as_what_it_is(folder: Path, give: Give) -> None:
    """Runs of before: the same parts with the other sign, and an id that says nothing of a direction."""
    assert give(folder, "score", "photos", "--baseline", "piqe", "-o", "new")[0] == 0
    turn_back(folder, "new", "old")
    ranks, orders, best = [], [], []
    for run in ("new", "old"):
        _, out, _ = give(folder, "evaluate", run, "--mos", "opinions.csv", "--format", "csv")
        ranks.append(records(out, "measure")["SRCC"]["value"])
        _, out, _ = give(folder, "rescore", run)
        orders.append([line.split()[4] for line in out.splitlines()[1:]])
        best.append(float(out.splitlines()[1].split()[0]))
        assert give(folder, "verify", run)[0] == 0
    assert ranks[0] == ranks[1] and orders[0] == orders[1]
    assert best[0] == -best[1] > 0
    _, out, _ = give(folder, "rescore", "new")
    assert "lower is better" in out.splitlines()[0]
    header = (folder / "old" / "scores.csv").read_text().splitlines()[0]
    assert "better" in (folder / "new" / "scores.csv").read_text().splitlines()[0] and "better" not in header
    code, _, err = give(folder, "score", "photos", "--baseline", "piqe", "-o", "old")
    assert code == 1 and "lower-is-better here" in err, "nothing of the other sign is added to it"


def turn_back(folder: Path, new: str, old: str) -> None:
    """Make of a run of today what it was when numbers were turned before they were stored."""
    shutil.copytree(folder / new, folder / old, ignore=shutil.ignore_patterns("events", "scores.*"))
    record = json.loads((folder / old / "run.json").read_text())
    ids = record["identity"]["raters"]
    ids |= {name: each.removesuffix(" lower-is-better") for name, each in ids.items()}
    record["run_id"] = run_id_of(record["identity"])
    (folder / old / "run.json").write_text(json.dumps(record))
    for part in (folder / old / "ratings").rglob("*.parquet"):
        table = pq.read_table(part)
        rows = table.to_pylist()
        for rating in (rating for row in rows for rating in row["ratings"]):
            rating["value"] = -rating["value"]
        pq.write_table(pa.Table.from_pylist(rows, table.schema), part)
    write_scores(load_run(folder / old))


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
