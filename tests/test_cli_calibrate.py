"""`zeroiqa calibrate`, `rescore --calibration` and `--scale`, on whole runs of the fake rater."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import zeroiqa
from scripts.mutations import BYTES, VALUES, places, with_value
from tests.conftest import Done
from zeroiqa.calibration_file import read_calibration, text_of
from zeroiqa.errors import UserError

Give = Callable[..., Done]
COUNT = 36
OPTIONS: dict[str, Any] = {"segmenter": "grid:2x1", "raters": ["fake"], "lam": 1.0}
COMMAND = ("score", "photos", "-o", "run", "--segmenter", "grid:2x1", "--rater", "fake", "--lambda", "1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 pictures and one that is none, their run, and labels, better the higher the score."""
    here = tmp_path_factory.mktemp("calibrated")
    (here / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(here / "photos" / f"{number:02}.png")
    (here / "photos" / "broken.png").write_bytes(b"no picture")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        scores = {
            each.path: each.score for each in zeroiqa.run("photos", "run", workers=1, **OPTIONS).scores()
        }
    labels = {path: 10 * score + rng.normal(0, 2) for path, score in scores.items() if score is not None}
    write(here / "labels.csv", "image,mos", labels)
    write(here / "dmos.csv", "image,dmos", {path: 100 - label for path, label in labels.items()})
    write(here / "lower.csv", "image,mos", {path: 100 - label for path, label in labels.items()})
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "here"))


def write(path: Path, header: str, labels: dict[str, float]) -> None:
    path.write_text("\n".join([header, *(f"{name},{label:.3f}" for name, label in labels.items())]) + "\n")


def rows(done: Done) -> list[dict[str, str]]:
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_a_map_is_fitted_written_and_shown_beside_the_scores(here: Path, give: Give) -> None:
    done = give(here, "calibrate", "run", "--labels", "labels.csv", "--scale", "0-100", "-o", "map.json")
    assert done.returncode == 0, done.stderr
    assert "isotonic map from 36 labels to 0-100 from 0 to 100 (higher is better)" in done.stdout
    assert "leave-one-out, 36 labels" in done.stdout
    before = (here / "run" / "scores.csv").read_bytes()
    plain = rows(give(here, "rescore", "run", "--format", "csv"))
    found = rows(give(here, "rescore", "run", "--calibration", "map.json", "--format", "csv"))
    assert list(found[0])[:5] == ["path", "score", "calibrated", "calibrated_low", "calibrated_high"]
    assert [{key: row[key] for key in plain[0]} for row in found] == plain
    good = sorted((row for row in found if row["score"]), key=lambda row: float(row["score"]))
    values = [float(row["calibrated"]) for row in good]
    assert values == sorted(values) and len(set(values)) == len(values), "sorts alike"
    assert all(
        float(row["calibrated_low"]) <= float(row["calibrated"]) <= float(row["calibrated_high"])
        for row in good
    )
    [bad] = [row for row in found if not row["score"]]
    assert (bad["calibrated"], bad["status"]) == ("", "error")
    for name in ("out.json", "out.jsonl", "out.parquet"):
        give(here, "rescore", "run", "--calibration", "map.json", "-o", name)
    assert (
        pq.read_table(here / "out.parquet")["calibrated"].to_pylist()[0]
        == json.loads((here / "out.json").read_text())[0]["calibrated"]
    )
    assert (here / "run" / "scores.csv").read_bytes() == before
    again = give(here, "calibrate", "run", "--labels", "labels.csv", "--scale", "0-100", "--format", "json")
    assert again.stdout == (here / "map.json").read_text()
    in_python = list(zeroiqa.load_run(here / "run").scores(calibration=here / "map.json"))
    assert f"{in_python[0].to_dict()['calibrated']:.6f}" == found[0]["calibrated"]


@pytest.mark.parametrize(
    ("table", "options"),
    [("dmos.csv", ()), ("lower.csv", ("--lower-is-better",)), ("dmos.csv", ("--map", "logistic"))],
)
def test_labels_where_lower_is_better_stay_so(
    here: Path, give: Give, table: str, options: tuple[str, ...]
) -> None:
    done = give(here, "calibrate", "run", "--labels", table, "-o", "map.json", *options)
    assert done.returncode == 0 and "(lower is better)" in done.stdout, done.stderr
    found = rows(give(here, "rescore", "run", "--calibration", "map.json", "--format", "csv"))
    good = sorted((row for row in found if row["score"]), key=lambda row: float(row["score"]))
    values = [float(row["calibrated"]) for row in good]
    assert values == sorted(values, reverse=True) and 20 < values[-1] < values[0] < 100
    assert all(float(row["calibrated_low"]) <= float(row["calibrated_high"]) for row in good)


def test_scores_that_fall_are_turned(here: Path, give: Give) -> None:
    """Percentiles, too: of a baseline whose lower scores are better."""
    assert give(here, "score", "photos", "-o", "piqe", "--baseline", "piqe").returncode == 0
    scores = {row["path"]: row["score"] for row in rows(give(here, "rescore", "piqe", "--format", "csv"))}
    ordered = sorted((path for path in scores if scores[path]), key=lambda path: -float(scores[path]))
    write(here / "own.csv", "image,mos", {path: place for place, path in enumerate(ordered)})
    assert give(here, "calibrate", "piqe", "--labels", "own.csv", "-o", "map.json").returncode == 0
    shown = ("--calibration", "map.json", "--scale", "percentile", "--format", "csv")
    found = {row["path"]: row for row in rows(give(here, "rescore", "piqe", *shown))}
    for column in ("calibrated", "percentile"):
        values = [float(found[path][column]) for path in ordered]
        assert values == sorted(values) and values[0] < values[-1]


def test_a_calibration_of_other_scores_is_refused_by_what_differs(here: Path, give: Give) -> None:
    assert give(here, "calibrate", "run", "--labels", "labels.csv", "-o", "map.json").returncode == 0
    use = ("--calibration", "map.json")
    for options, said in (
        (("--lambda", "0"), "of scores by lambda 1.0, and those of run are by lambda 0.0"),
        (("--readout", "digit"), "of scores by readout expected, and those of run are by readout digit"),
    ):
        done = give(here, "rescore", "run", *options, *use)
        assert done.returncode == 1 and said in done.stderr and not done.stdout
    own = ("--lambda", "0")
    assert give(here, "calibrate", "run", "--labels", "labels.csv", "-o", "map.json", *own).returncode == 0
    assert give(here, "rescore", "run", *own, *use).returncode == 0
    for name, options in (
        ("two", ("--rater", "fake:2")),
        ("three", ("--rater", "fake", "--rater", "fake:2")),
    ):
        assert give(here, "score", "photos", "-o", name, "--segmenter", "grid:2x1", *options).returncode == 0
        done = give(here, "rescore", name, *own, *use)
        assert done.returncode == 1 and "is of scores by rater" in done.stderr, done.stderr
        helps = name == "three"  # whose members can be chosen; another rater is not to be had by options
        assert ("give the options that `zeroiqa calibrate` was given" in done.stderr) == helps
    assert give(here, "rescore", "three", *own, "--member", "fake", *use).returncode == 0, "the same rater"


@pytest.mark.parametrize(
    ("labels", "options", "said"),
    [
        (9, (), "Only 9 labels are of images with a score, and 10 are needed"),
        (2, (), "Only 2 images have a score and an opinion, and 10 are needed"),
        (36, ("--scale", "0-40"), "labels lie outside of the scale 0-40, the first is"),
        (36, ("--scale", "5"), "The scale '5' is none; give two numbers"),
        (36, ("--lower-is-better",), "The scores fall as the labels rise"),
        (36, ("-o", "labels.csv"), "labels.csv holds the labels; give another name"),
        (36, ("-o", "run/run.json"), "run/run.json exists and is no calibration"),
        (36, ("-o", "photos"), "photos is a folder"),
        (36, ("-o", "map.png", "--plot", "map.png"), "map.png is named for the map and for the plot"),
        (36, ("--plot", "plot.pdf"), "give one that ends in .png or .svg"),
        (36, ("--plot", "photos/03.png"), "photos/03.png exists and is no plot; give another name"),
    ],
)
def test_what_cannot_be_calibrated_is_one_sentence(
    here: Path, give: Give, labels: int, options: tuple[str, ...], said: str
) -> None:
    lines = (here / "labels.csv").read_text().splitlines()
    (here / "labels.csv").write_text("\n".join([*lines[: labels + 1], ""]))
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    done = give(here, "calibrate", "run", "--labels", "labels.csv", *options)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_labels_of_other_images_and_images_beyond_the_labels_are_counted(here: Path, give: Give) -> None:
    scores = {row["path"]: row["score"] for row in rows(give(here, "rescore", "run", "--format", "csv"))}
    middle = sorted((path for path in scores if scores[path]), key=lambda path: float(scores[path]))[3:-2]
    labels = {path: float(scores[path]) for path in middle}
    write(here / "labels.csv", "image,mos", {**labels, "photos/broken.png": 3, "photos/no.png": 4})
    for _ in range(2):  # its own files are replaced
        done = give(here, "calibrate", "run", "--labels", "labels.csv", "-o", "map.json", "--plot", "map.svg")
    assert done.returncode == 0, done.stderr
    assert "1 opinion whose image is not below" in done.stderr and "1 image with an error" in done.stderr
    assert "5 images of the run without an opinion" in done.stderr
    assert (here / "map.svg").read_text().startswith("<?xml")
    said = give(here, "rescore", "run", "--calibration", "map.json").stderr
    assert "5 of 36 images have scores outside of those with labels" in said


def test_labels_that_fill_little_of_the_scale_named_are_said(here: Path, give: Give) -> None:
    scores = {row["path"]: row["score"] for row in rows(give(here, "rescore", "run", "--format", "csv"))}
    write(
        here / "labels.csv", "image,mos", {path: float(score) / 8 for path, score in scores.items() if score}
    )
    said = {
        scale: give(here, "calibrate", "run", "--labels", "labels.csv", "--scale", scale).stderr
        for scale in ("0-1", "0-10", "percentile")
    }
    assert "fill little" not in said["0-1"]
    for scale in ("0-10", "percentile"):
        assert said[scale].count(f"fill little of the scale {scale}; give --scale another value") == 1


def test_a_table_takes_the_place_of_no_calibration(here: Path, give: Give) -> None:
    assert give(here, "calibrate", "run", "--labels", "labels.csv", "-o", "map.json").returncode == 0
    before = (here / "map.json").read_bytes()
    done = give(here, "rescore", "run", "--calibration", "map.json", "-o", "map.json")
    assert done.returncode == 1 and "map.json is a calibration; give another name" in done.stderr
    assert (here / "map.json").read_bytes() == before and not done.stdout
    done = give(here, "rescore", "run", "--calibration", "run/run.json")
    assert "it was not written by `zeroiqa calibrate`" in done.stderr and done.stderr.count("\n") == 1


def test_labels_by_chance_are_told_as_such(here: Path, give: Give) -> None:
    scores = {row["path"]: row["score"] for row in rows(give(here, "rescore", "run", "--format", "csv"))}
    ordered = sorted((path for path in scores if scores[path]), key=lambda path: float(scores[path]))
    chance = {path: 50 + 17 * place % COUNT for place, path in enumerate(ordered)}
    write(here / "labels.csv", "image,mos", chance)
    done = give(here, "calibrate", "run", "--labels", "labels.csv")
    assert done.returncode == 1 and "Scores and labels hardly agree (SRCC -0.09" in done.stderr, done.stderr
    assert "--lower-is-better" not in done.stderr


def test_any_damage_of_the_file_is_said_or_changes_nothing(here: Path) -> None:
    made = zeroiqa.calibrate(here / "run", here / "labels.csv").calibration
    path, text = here / "map.json", text_of(made)
    path.write_text(text)
    assert read_calibration(path) == made
    whole = json.loads(text)
    kinds = [*VALUES.values(), None]
    chance, refused = random.Random(3), 0
    contents = [
        with_value(whole, place, chance.choice(kinds)) for place in places(whole) if "knots" not in place[:-1]
    ]
    contents += [change(text.encode(), chance) for change in BYTES.values() for _ in range(5)]
    for content in contents:
        path.write_bytes(content)
        try:
            assert read_calibration(path) == made
        except UserError as error:
            refused += 1
            assert str(error).endswith(".") and "\n" not in str(error)
    assert refused > 30


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record.update(format=2), "was written by zeroiqa"),
        (lambda record: record["map"]["knots"][3].__setitem__(1, 0.5), "not monotone in value"),
        (lambda record: record["map"]["knots"].reverse(), "the scores of map.knots do not rise"),
        (
            lambda record: record["map"]["knots"][0].pop(),
            "map.knots[0] is a list of 3, not four",
        ),
        (lambda record: record["labels"].update(count=9), "labels.count is 9, and 10 are needed"),
        (lambda record: record["labels"].update(high=10), "is not on the scale"),
        (lambda record: record["error"].update(mae=0.1), "its sha256 is another: it was edited"),
        (lambda record: record["scores"].update(by={}), "scores.by.raters is missing"),
        (lambda record: record.clear(), "was not written by `zeroiqa calibrate`"),
    ],
)
def test_an_edit_of_the_file_is_named(
    here: Path, give: Give, change: Callable[[Any], None], said: str
) -> None:
    record = zeroiqa.calibrate(here / "run", here / "labels.csv").calibration.to_dict()
    change(record)
    (here / "map.json").write_text(json.dumps(record))
    done = give(here, "rescore", "run", "--calibration", "map.json")
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_run_that_is_not_finished_is_calibrated_as_far_as_it_is(here: Path, give: Give) -> None:
    (here / "run" / "scores.csv").unlink()
    (here / "run" / "scores.parquet").unlink()
    last = sorted((here / "run" / "ratings" / "fake").glob("part-*.parquet"))[-1]
    last.unlink()
    done = give(here, "calibrate", "run", "--labels", "labels.csv")
    assert done.returncode == 0 and "images are not scored yet" in done.stderr, done.stderr
    assert "opinions whose images are not in" in done.stderr or "opinion whose image is not in" in done.stderr


def test_the_scale_is_a_column_of_its_own_and_makes_no_other_run(here: Path, give: Give) -> None:
    plain = rows(give(here, *COMMAND, "--format", "csv"))
    parts = {path: path.stat().st_mtime_ns for path in here.rglob("part-*")}
    done = give(here, *COMMAND, "--scale", "0-100", "--format", "csv")
    hundred = rows(done)
    assert "score_0_100 is 0 at a score of 1 and 100 at 7" in done.stderr
    assert [{key: row[key] for key in plain[0]} for row in hundred] == plain
    for row in hundred:
        if row["score"]:
            wanted = 100 * (float(row["score"]) - 1) / 6
            assert float(row["score_0_100"]) == pytest.approx(wanted, abs=2e-5)
    record = json.loads((here / "run" / "run.json").read_text())
    assert record["settings"]["scale"] == "0-100" and "scale" not in record["identity"]["settings"]
    assert list(csv.DictReader((here / "run" / "scores.csv").read_text().splitlines())) == hundred
    assert "score_0_100" in pq.read_table(here / "run" / "scores.parquet").column_names
    assert give(here, "verify", "run").returncode == 0
    done = give(here, *COMMAND, "--scale", "percentile", "--format", "jsonl")
    assert "have a score now (36)" in done.stderr
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    scores = [each["score"] for each in shown if each["score"] is not None]
    for each in shown:
        if each["score"] is not None:
            below, equal = (sum(f(s, each["score"]) for s in scores) for f in (float.__lt__, float.__eq__))
            assert each["percentile"] == pytest.approx(100 * (below + equal / 2) / len(scores))
    assert "percentile" in give(here, "score", "-o", "run", "--format", "csv").stdout.splitlines()[0]
    assert rows(give(here, *COMMAND, "--format", "csv")) == plain
    assert {path: path.stat().st_mtime_ns for path in here.rglob("part-*")} == parts
    assert "percentile" in give(here, "rescore", "run", "--scale", "percentile").stdout.splitlines()[0]
    assert give(here, *COMMAND, "--scale", "0-100").returncode == 0
    done = give(here, "rescore", "run", "--formula", "dog-iqa")
    assert done.returncode == 0 and "so there is no score_0_100." in done.stderr, done.stderr


def test_zero_to_hundred_of_scores_without_ends_is_refused_before_anything_is_written(
    here: Path, give: Give
) -> None:
    for options in (("--baseline", "piqe"), ("--rater", "fake", "--lambda", "1", "--areas", "literal")):
        done = give(here, "score", "photos", "-o", "new", "--scale", "0-100", *options)
        assert done.returncode == 1 and "so that there is no 0 and no 100 of them" in done.stderr
        assert not (here / "new").exists()
    done = give(here, "rescore", "run", "--formula", "dog-iqa", "--scale", "0-100")
    assert done.returncode == 1 and "The scores lie from 1 on, so that" in done.stderr
    with pytest.raises(UserError, match="which tables of a run show"):
        zeroiqa.load_method(scale="percentile")
