"""`zeroiqa.evaluate` and `zeroiqa.compare`: what the commands print, as objects of Python."""

from __future__ import annotations

import contextlib
import dataclasses
import doctest
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zeroiqa
from zeroiqa.evaluation import compare, evaluate

IMAGES = 12
DMOS = {f"{n}.png": 10 - n % 7 - n / 100 for n in range(IMAGES)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures beside opinions.csv and dmos.csv, a run of two fake raters, and external scores."""
    folder = tmp_path_factory.mktemp("prepared")
    random = np.random.default_rng(0)
    for name in DMOS:
        pixels = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    for file, header, value in (
        ("opinions.csv", "image,mos,subset", lambda n: f"{n % 7 + n / 100},s{n % 2}"),
        ("dmos.csv", "image,dmos", lambda n: DMOS[f"{n}.png"]),
        ("other.csv", "path,other tool", lambda n: n % 7),
    ):
        lines = [header, *(f"{n}.png,{value(n)}" for n in range(IMAGES))]
        (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    with contextlib.chdir(folder):
        zeroiqa.run(".", "run", raters=["fake", "fake:2"], segmenter="grid:2x2", regions=True, exact=True)
    return folder


@pytest.fixture
def here(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """It is the current folder."""
    monkeypatch.chdir(prepared)
    return prepared


@pytest.mark.parametrize("module", [evaluate, compare])
def test_the_example_of_the_docstring_works(here: Path, module: object) -> None:
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ({"mos": "opinions.csv"}, ()),
        ({"mos": Path("dmos.csv"), "resamples": 50}, ("--resamples", 50)),
        (
            {"mos": "opinions.csv", "group": "subset", "lam": 2.0, "members": ["fake:2"], "readout": "digit"},
            ("--group", "subset", "--lambda", 2, "--member", "fake:2", "--readout", "digit"),
        ),
        ({"mos": "opinions.csv", "normalize_areas": False}, ("--areas", "literal")),
    ],
)
def test_evaluate_gives_what_the_command_prints(here: Path, give, options, command) -> None:
    found = zeroiqa.evaluate("run", **options)
    done = give(here, "evaluate", "run", "--mos", options["mos"], *command, "--format", "json")
    assert json.loads(done.stdout) == found.to_dict()
    assert found.rows() == found.to_dict()["rows"]
    done = give(here, "evaluate", "run", "--mos", options["mos"], *command, "--outliers", 0, "--decimals", 2)
    assert done.stdout == found.report(2).text("table")


def test_an_evaluation_holds_the_images_and_states_them_as_they_are(here: Path) -> None:
    found = zeroiqa.evaluate(zeroiqa.load_run(here / "run"), mos="dmos.csv", resamples=0)
    assert (found.run, found.database, found.aspect, found.raters) == (
        "run",
        "dmos",
        "quality",
        ("fake", "fake:2"),
    )
    assert found.agreement.images == len(found.images) == IMAGES and found.left_out == 0
    assert found.images.turned and not found.lower_is_better
    assert found.agreement.intervals == {} and found.rows()[0]["low"] is None
    assert dict(zip(found.images.names, -found.images.opinions, strict=True)) == pytest.approx(DMOS)
    for outlier in found.outliers(3):
        assert outlier.opinion == pytest.approx(DMOS[outlier.name]) and 1 <= outlier.score <= 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.run = "other"  # type: ignore[misc]


def test_compare_gives_what_the_command_prints(here: Path, give) -> None:
    found = zeroiqa.compare(
        "run", mos={"opinions.csv": None, "dmos.csv": "."}, members=True, external=["other.csv"], resamples=50
    )
    command = ["compare", "run", "--mos", "opinions.csv", "--mos", "dmos.csv=.", "--members"]
    command += ["--external", "other.csv", "--resamples", "50"]
    done = give(here, *command, "--format", "json")
    assert json.loads(done.stdout) == found.to_dict()
    assert give(here, *command).stdout == found.report().text("table")
    assert found.methods == ("run", "run: fake", "run: fake:2", "other tool")
    assert [each.name for each in found.databases] == ["opinions", "dmos"]
    assert {(record.method, record.measure) for record in found.records} == {
        (method, measure) for method in found.methods for measure in ("SRCC", "PLCC")
    }


def test_a_baseline_is_scored_once_for_python_and_the_command(here: Path, give) -> None:
    found = zeroiqa.compare(mos="opinions.csv", baselines=["log-laplacian"], resamples=0)
    (folder,) = (here / "zeroiqa-runs").iterdir()
    parts = {path: path.stat().st_mtime_ns for path in folder.rglob("part-*")}
    done = give(
        here, "compare", "--mos", "opinions.csv", "--baseline", "log-laplacian", "--resamples", 0,
        "--format", "json",
    )  # fmt: skip
    assert json.loads(done.stdout) == found.to_dict() and found.records[0].n == IMAGES
    assert [*(here / "zeroiqa-runs").iterdir()] == [folder]
    assert parts and parts == {path: path.stat().st_mtime_ns for path in folder.rglob("part-*")}


def test_published_numbers_need_no_folder() -> None:
    found = zeroiqa.compare(datasets="spaq", published=True)
    assert found.rows() == zeroiqa.compare(datasets={"spaq": None}, published=True).rows() != []


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (lambda: zeroiqa.evaluate("run"), "Opinions are those of a database .* or of a table; name one"),
        (lambda: zeroiqa.evaluate("run", mos="opinions.csv", dataset="spaq"), "name one"),
        (lambda: zeroiqa.evaluate("run", dataset="spaq"), "name one"),
        (lambda: zeroiqa.evaluate(".", mos="opinions.csv"), "no run"),
        (lambda: zeroiqa.evaluate("run", mos="opinions.csv", group="model"), "No image has a group model"),
        (lambda: zeroiqa.evaluate("run", mos="opinions.csv", members=["nss"]), "no ratings by nss"),
        (lambda: zeroiqa.compare("run"), "no opinions to compare with; name"),
        (lambda: zeroiqa.compare(mos="opinions.csv"), "no method to compare; name"),
        (lambda: zeroiqa.compare("run", datasets="spaq"), "The folder of spaq is needed"),
        (lambda: zeroiqa.compare("run", mos=["opinions.csv"], baselines=["niqee"]), "no baseline 'niqee'"),
    ],
)
def test_a_mistake_is_a_sentence(here: Path, asked, sentence: str) -> None:
    with pytest.raises(zeroiqa.UserError, match=sentence):
        asked()
