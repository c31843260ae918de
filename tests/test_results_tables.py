"""The measured tables in results/ say what the files beside them say."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from itertools import product
from pathlib import Path

import pytest

from tests.pages import TEXT
from zeroiqa.aggregate import read
from zeroiqa.baselines import catalogue, pixel_baselines
from zeroiqa.baselines.niqe.files import read_parameters
from zeroiqa.baselines.niqe.model import niqe
from zeroiqa.images.decode import decode
from zeroiqa.metrics.measures import krcc, plcc, srcc
from zeroiqa.raters.nss import NssRater
from zeroiqa.standards import load_standard
from zeroiqa.types import View

FOLDER = Path(__file__).parents[1] / "results" / "biq2021"
METRICS = {"srcc": srcc, "plcc": plcc, "krcc": krcc}
METHODS = ("nss", "niqe", *(baseline.name for baseline in pixel_baselines()))
DIRECTIONS = {"nss": 1, **{name: baseline.direction for name, baseline in catalogue().items()}}


def test_the_guide_shows_the_speed_of_the_fast_paths_as_measured():
    measured = json.loads((FOLDER.parent / "bench" / "rater.json").read_text(encoding="utf-8"))
    ratios = [
        measured[f"crops of {side} pixels at most"]["paths"][f"default, {dtype}"]["ratio to the reference"]
        for side in (256, 512)
        for dtype in ("float32", "bfloat16")
    ]
    (speed,) = re.findall(r"\* \*Speed\*: .*?results/bench/rater.json", TEXT, re.DOTALL)
    assert [float(number) for number in re.findall(r"\d+\.\d\d", speed)] == ratios


def test_the_guide_shows_what_segmentation_saves_as_measured():
    measured = json.loads((FOLDER.parent / "bench" / "segmenter.json").read_text(encoding="utf-8"))
    ratios = measured["package / ours"]
    kinds = ("time outside the network", "memory above the encoded image")
    expected = [
        round(ratios[f"12 MP, {points} points per batch"][kind]) for points in (4, 64) for kind in kinds
    ]
    (said,) = re.findall(r"For a photo of 12 megapixels (.*?)\(\[results/bench/segmenter", TEXT, re.DOTALL)
    numbers = [int(number) for number in re.findall(r"\d+", said) if number not in ("4", "64")]
    assert numbers == expected
    assert all(ratio["same regions"] for ratio in ratios.values())


def test_the_guide_shows_what_a_photo_costs_by_two_profiles_as_measured():
    measured = json.loads((FOLDER.parent / "bench" / "segmenter_profiles.json").read_text(encoding="utf-8"))
    rows = [row for row in measured["measurements"] if row["size"] == "12 MP"]
    assert [(row["profile"], row["points"]) for row in rows] == [("dog-iqa", 64), ("default-16", 256)]
    (said,) = re.findall(
        r"a photo of 12 megapixels takes (.*?)\(\[results/bench/segmenter_pro", TEXT, re.DOTALL
    )
    numbers = [float(number) for number in re.findall(r"\d+\.\d", said)]
    kinds = ("seconds", "seconds in the encoder")
    assert numbers == [round(row[kind], 1) for kind in kinds for row in rows]


def test_the_guide_shows_what_a_first_look_costs_as_measured():
    measured = json.loads((FOLDER.parent / "bench" / "first_look.json").read_text(encoding="utf-8"))
    rows = [measured[size] for size in ("as they are", "12 megapixels")]
    (said,) = re.findall(r"A photo takes (.*?)\(\[results/bench/first_look", TEXT, re.DOTALL)
    numbers = [int(number) for number in re.findall(r"\d+(?= ms)", said)]
    times = [row["milliseconds of a photo"][name] for row in rows for name in ("zeroiqa", "cleanvision")]
    assert numbers == [round(time) for time in times]
    assert rows[0]["size of the first"] == "512 x 512"
    assert all(max(row["ratio of a photo"]) <= 1 for row in rows)


def test_the_tables_of_the_whole_chain_are_what_its_commands_printed():
    facts = json.loads((FOLDER / "evaluation.json").read_text(encoding="utf-8"))
    for name, digest in facts["tables_sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_the_whole_chain_finds_the_agreement_of_the_table():
    """results/biq2021/table.csv comes from a script without runs, files or joins; to the printed digit."""
    text = (FOLDER / "comparison.md").read_text(encoding="utf-8")
    for method in METHODS:
        (line,) = (line for line in text.splitlines() if line.startswith(f"| {method} |"))
        srcc_of, plcc_of = (float(cell.strip(" *_")) for cell in line.split("|")[2:4])
        assert srcc_of == pytest.approx(float(table()[method, "srcc"]["value"]), abs=0.00051)
        assert plcc_of == pytest.approx(float(table()[method, "plcc"]["value"]), abs=0.00051)


def table() -> dict[tuple[str, str], dict[str, str]]:
    with (FOLDER / "table.csv").open(newline="", encoding="utf-8") as file:
        return {(row["method"], row["metric"]): row for row in csv.DictReader(file)}


def scores() -> dict[str, list[str]]:
    with (FOLDER / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def manifest() -> dict[str, object]:
    return json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))


def markdown_tables() -> list[dict[str, list[list[float]]]]:
    """Of each table in table.md: method -> the three numbers of each cell."""
    tables: list[dict[str, list[list[float]]]] = []
    for line in (FOLDER / "table.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|---"):
            tables.append({})
        elif line.startswith("|") and tables and "SRCC" not in line:
            method, *cells = line.strip("| ").split(" | ")
            tables[-1][method] = [[float(n) for n in re.findall(r"[-+\d.]+", cell)] for cell in cells]
    return tables


def test_the_page_says_what_the_table_says():
    agreement, differences = markdown_tables()
    assert (set(agreement), set(differences)) == (set(METHODS), set(METHODS[1:]))
    for (method, metric), row in table().items():
        column = list(METRICS).index(metric)
        values = [float(row[key]) for key in ("value", "low", "high")]
        assert agreement[method][column] == pytest.approx(values, abs=0.00051)
        if method in differences:
            values = [float(row[key]) for key in ("difference", "difference_low", "difference_high")]
            assert differences[method][column] == pytest.approx(values, abs=0.00051)


def test_the_table_holds_every_method_under_every_metric():
    assert set(table()) == set(product(METHODS, METRICS))


def test_the_page_says_that_the_data_were_used_in_development():
    page = " ".join((FOLDER / "table.md").read_text(encoding="utf-8").split())
    assert (
        "No regression on human scores; terms and weights hand-set on a development set "
        "(BIQ2021 training part), so BIQ2021 is in-population" in page
    )


def test_the_manifest_belongs_to_the_scores_and_to_the_rater_as_it_is():
    assert manifest()["scores_sha256"] == hashlib.sha256((FOLDER / "scores.csv").read_bytes()).hexdigest()
    assert manifest()["rater"] == NssRater().id
    assert manifest()["data"]["images"] == len(scores()["image"]) == 600


def test_the_table_follows_from_the_scores(dev_data):
    with (dev_data / "biq2021_dev" / "mos.csv").open(newline="", encoding="utf-8") as file:
        mos = {row["image"]: float(row["mos"]) for row in csv.DictReader(file)}
    found = scores()
    people = [mos[image] for image in found["image"]]
    for (method, metric), row in table().items():
        value = METRICS[metric]([DIRECTIONS[method] * float(score) for score in found[method]], people)
        assert value == pytest.approx(float(row["value"]), abs=1e-5)


def test_the_scores_are_those_that_the_code_gives(dev_data):
    found, rater, standard = scores(), NssRater(), load_standard("quality-word-7")
    for row in range(0, 600, 60):
        pixels = decode(dev_data / "biq2021_dev" / "images" / found["image"][row]).pixels
        [[rating]] = rater.rate([View(pixels, None, pixels.shape[:2])], [standard])
        assert read(rating, "expected") == pytest.approx(float(found["nss"][row]), abs=1e-6)
        for baseline in pixel_baselines():
            value = baseline.load()(pixels)
            assert value == pytest.approx(float(found[baseline.name][row]), abs=1e-6)
        value = niqe(pixels, read_parameters(dev_data / "niqe_published_parameters.npz")[0])
        assert value == pytest.approx(float(found["niqe"][row]), abs=1e-6)


def test_the_photographs_that_niqe_is_compared_on_are_within_their_tolerance():
    folder = FOLDER.parent / "niqe"
    facts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert hashlib.sha256((folder / "published.csv").read_bytes()).hexdigest() == facts["published_sha256"]
    with (folder / "published.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    for row in rows:
        assert float(row["as stored"]) == pytest.approx(float(row["expected"]), abs=float(row["tolerance"]))


def test_the_machinery_of_runs_costs_what_the_guide_says_and_meets_its_targets():
    measured = json.loads((FOLDER.parent / "bench" / "runs.json").read_text(encoding="utf-8"))
    extra = measured["overhead"]["overhead, milliseconds an image"]
    speedup = measured["scaling"]["speedup"]
    said = f"a run takes {extra:.1f} ms an image; two workers on two cores score photos {speedup:.1f} times"
    assert said in " ".join(TEXT.split())
    assert extra < 3
    assert speedup >= 1.8
    size = measured["size"]
    assert size["images"] >= 1_000_000
    assert max(step["peak megabytes"] for step in size["steps"].values()) < 1000
