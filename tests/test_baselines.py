"""The catalogue of baselines, its command, and baselines in a rater's place."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner

from tests.command import zeroiqa
from zeroiqa import samples
from zeroiqa.baselines import catalogue, find_baseline, find_measured, pixel_baselines
from zeroiqa.baselines.measure import Measured
from zeroiqa.baselines.niqe.measure import niqe_kodak
from zeroiqa.baselines.piqe import piqe
from zeroiqa.cli.commands.baselines import baselines
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.decode import decode
from zeroiqa.images.opencv import cv2
from zeroiqa.metrics.measures import srcc
from zeroiqa.raters import build_rater, find_rater, rater_names
from zeroiqa.raters.baseline import BaselineRater
from zeroiqa.standards import load_standard
from zeroiqa.types import View

ROOT = Path(__file__).parents[1]
NAMED = """
native niqe niqe-kodak piqe log-laplacian clip-iqa ma-clip clipscore pickscore vqascore lmm-raters
pyiqa brisque ilniqe clip-iqa+ nima cnniqa wadiqam-nr dbcnn hyperiqa musiq liqe tres q-align aesthetic
external biqi bliinds-ii qac bpri hosa bmpri higrade-1 higrade-2 stairiqa mgqa blipscore imagereward hpsv2
external fga-blip2 hps stairreward fid is kid
published-only ceiq dsiqa gmlf sisblim cornia diivine friquee re-iqa contrique metaiqa p2p-bm amff-net
published-only ma-agiqa ipce sf-iqa flip-score
"""
"""What the papers name, and newer ones: where it is computed, then the names."""
KINDS = {name: line.split()[0] for line in NAMED.splitlines() for name in line.split()[1:]}
MEASURED = [name for name, kind in KINDS.items() if kind == "native" and name != "lmm-raters"]
LOWER = {"niqe", "niqe-kodak", "piqe", "brisque", "ilniqe", "fid", "kid"}
UNKNOWN = """
biqi bliinds-ii qac bpri hosa bmpri higrade-1 higrade-2 ceiq dsiqa gmlf sisblim cornia diivine friquee re-iqa
contrique metaiqa p2p-bm
"""
"""Whose direction depends on the implementation."""


@pytest.fixture(scope="module")
def view() -> View:
    pixels = decode(Path(samples.__file__).with_name("cat_blurred.jpg")).pixels
    return View(pixels, None, pixels.shape[:2])


def test_the_catalogue_has_every_baseline_that_the_papers_name():
    assert {name: baseline.kind for name, baseline in catalogue().items()} == KINDS


@pytest.mark.parametrize("baseline", catalogue().values(), ids=lambda baseline: baseline.name)
def test_directions_and_ranges_are_what_is_known(baseline):
    assert baseline.direction == (
        None if baseline.name in UNKNOWN.split() else -1 if baseline.name in LOWER else 1
    )
    for low, high in filter(None, [baseline.range, *(variant.range for variant in baseline.pyiqa)]):
        assert low < high
    assert (baseline.kind == "pyiqa") <= bool(baseline.pyiqa)


@pytest.mark.parametrize("name", MEASURED)
def test_what_is_computed_here_says_its_range_its_publication_and_the_licence_of_its_weights(name):
    baseline = find_measured(name)
    assert baseline.range and baseline.source and baseline.training
    assert bool(baseline.compute) != bool(baseline.measure)
    assert bool(baseline.licence) == bool(baseline.measure)


@pytest.mark.parametrize("name", [baseline.name for baseline in pixel_baselines()])
@pytest.mark.parametrize("size", ((1, 1), (3, 500), (97, 95), (512, 512)))
def test_baselines_are_finite_on_any_picture_without_a_warning_or_refuse_it(name, size):
    compute = find_baseline(name).load()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    with np.errstate(all="raise"):
        for picture in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
            if name == "niqe-kodak" and (size != (512, 512) or picture is not noise):
                with pytest.raises(ImageError, match="NIQE needs two"):
                    compute(picture)
            else:
                assert math.isfinite(compute(picture))


@pytest.mark.parametrize("baseline", pixel_baselines(), ids=lambda baseline: baseline.name)
def test_every_baseline_prefers_the_photo_to_its_blurred_copy_in_its_own_direction(baseline):
    compute, photo = baseline.load(), skimage.data.astronaut()
    blurred = cv2.GaussianBlur(photo, (0, 0), 3)
    assert baseline.direction * compute(photo) > baseline.direction * compute(blurred)


def test_pyiqa_has_each_name_once():
    names = [variant.name for baseline in catalogue().values() for variant in baseline.pyiqa]
    assert len(set(names)) == len(names) > 30


def test_turning_a_measure_around_turns_its_correlation_around():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 50))
    assert srcc(-x, y) == pytest.approx(-srcc(x, y), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("clipscor", "did you mean clipscore"),
        ("NIQE", "did you mean niqe"),
        ("clipiqa", "write clip-iqa or pyiqa:clipiqa."),
        ("hyper-iqa", "did you mean hyperiqa"),
        ("xyzzy", "known: niqe, niqe-kodak, piqe"),
    ],
)
def test_unknown_names_are_refused_with_suggestions(name, sentence):
    with pytest.raises(UserError, match=f"There is no baseline '{name}'.*{sentence}"):
        find_baseline(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("musiq", "MUSIQ is computed by pyiqa, which is for non-commercial use only; write pyiqa:musiq, pyi"),
        ("hosa", r"HOSA is not computed here \(MATLAB only\); bring its scores as a CSV file."),
        ("ipce", "IPCE is not computed here .*only the papers' numbers"),
        ("lmm-raters", "These are the raters themselves"),
        (
            "niqe",
            r"write niqe:FILE, where FILE is modelparameters\.mat of .* or niqe-kodak for the same",
        ),
        ("niqe:", "write niqe:FILE"),
        ("niqe-kodak:file", "niqe-kodak takes no argument, found 'file'"),
        ("clipscore:", "clipscore lacks what to run it with; write clipscore:FOLDER or owner/name"),
        ("vqascore", "write vqascore:RATER"),
        ("vqascore:qwen9", "There is no model 'qwen9'"),
        ("", "write baseline:NAME"),
        ("pyiqa:", "write pyiqa:NAME"),
        ("pyiqa:clipscore", "it needs text prompts; write clipscore"),
        ("pyiqa:fid", "rates sets of images"),
    ],
)
def test_a_rater_that_cannot_be_is_refused_in_one_sentence(name, sentence):
    with pytest.raises(UserError, match=sentence):
        build_rater(f"baseline:{name}")


def test_baselines_are_raters_by_name_and_only_those_with_weights_are_models():
    assert "baseline" in rater_names()
    assert not any(find_rater(f"baseline:{baseline.name}").needs_weights for baseline in pixel_baselines())
    weighty = ("clip-iqa", "pickscore:DIR", "pyiqa:musiq")
    assert all(find_rater(f"baseline:{name}").needs_weights for name in weighty)
    assert not find_rater("baseline:niqe:parameters.mat").needs_weights


def test_ratings_are_the_numbers_of_the_authors_under_every_standard_of_the_aspect(view):
    standards = [load_standard("quality-word-7"), load_standard("sep-iqa")]
    for name, compute in (("niqe-kodak", niqe_kodak), ("piqe", piqe)):
        [row] = build_rater(f"baseline:{name}").rate([view], standards)
        assert [rating.value for rating in row] == [compute(view.pixels)] * 2
        assert [(rating.logprobs, rating.mass) for rating in row] == [((), 1.0)] * 2


def test_no_views_or_no_standards_give_no_ratings(view):
    rater = build_rater("baseline:niqe-kodak")
    assert rater.rate([], [load_standard("quality-word-7")]) == []
    assert rater.rate([view], []) == [[]]


def test_each_baseline_wants_a_standard_for_what_it_measures():
    quality, correspondence = load_standard("quality-word-7"), load_standard("correspondence-word-7")
    build_rater("baseline:niqe-kodak").check(quality)
    with pytest.raises(UserError, match="niqe-kodak measures quality, but .* aspect correspondence"):
        build_rater("baseline:niqe-kodak").check(correspondence)
    for name in ("clipscore", "pickscore", "vqascore:qwen2.5-vl-7b"):
        build_rater(f"baseline:{name}").check(correspondence)
        with pytest.raises(UserError, match=r"measures correspondence, but .* aspect quality"):
            build_rater(f"baseline:{name}").check(quality)
    with pytest.raises(UserError, match="measures aesthetics"):
        build_rater("baseline:pyiqa:laion_aes").check(quality)


@dataclass(frozen=True)
class Constant:
    """A measure that gives the same number to every view."""

    value: float
    direction: int = -1
    id: str = ""
    images_per_call: int = 1

    def measure(self, views: Sequence[View]) -> list[Measured]:
        return [Measured(self.value) for _ in views]


def rated(value: float, view: View) -> float:
    rater = BaselineRater("piqe")
    rater._measure = Constant(value)
    [[rating]] = rater.rate([view], [load_standard("quality-word-7")])
    return rating.value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_the_error_of_its_image(value, view):
    with pytest.raises(ImageError, match="piqe gave .*, which is no score"):
        rated(value, view)


def test_zero_has_no_sign(view):
    assert math.copysign(1, rated(0.0, view)) == 1


def test_an_id_names_the_version_and_the_fitted_statistics():
    name, version, statistics, direction = build_rater("baseline:niqe-kodak").id.split()[1:]
    assert (name, version, len(statistics), direction) == ("niqe-kodak", "1", 12, "lower-is-better")
    assert build_rater("baseline:piqe").id == "baseline piqe 2 lower-is-better"
    assert build_rater("baseline:log-laplacian").id.split()[1] == "log-laplacian"
    assert not build_rater("baseline:log-laplacian").id.endswith("better")


@pytest.mark.parametrize(("name", "better"), [("log-laplacian", None), ("piqe", "lower")])
def test_a_run_of_a_baseline_scores_whole_images_in_its_own_unit_and_direction(tmp_path, name, better):
    folder = Path(samples.__file__).parent
    options = ["--rater", f"baseline:{name}", "--crop", "whole"]
    done = zeroiqa(tmp_path, "score", folder, *options, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    rows = {row["path"]: row for row in map(json.loads, done.stdout.splitlines())}
    [blurred] = (row for path, row in rows.items() if "cat_blurred" in path)
    value = find_baseline(name).load()(decode(folder / "cat_blurred.jpg").pixels)
    assert blurred["score"] == pytest.approx(value, abs=1e-6)
    assert blurred.get("better") == better


def test_the_package_and_the_adapter_import_neither_pyiqa_nor_torch():
    code = (
        "import sys, zeroiqa, zeroiqa.baselines.pyiqa, zeroiqa.raters.baseline\n"
        "import zeroiqa.baselines.clip.scores\n"
        "from zeroiqa.raters import build_rater; build_rater('baseline:clipscore'); "
        "build_rater('baseline:pyiqa:musiq')\n"
        "print({'torch', 'transformers', 'pyiqa'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


def test_the_command_lists_every_baseline_in_a_line():
    header, *lines = CliRunner().invoke(baselines).output.splitlines()
    assert header.split()[:5] == ["name", "computed", "better", "range", "aspect"]
    assert [line.split()[0] for line in lines] == list(catalogue())
    cells = {line.split()[0]: line.split()[1:4] for line in lines}
    assert cells["niqe"] == cells["niqe-kodak"] == ["native", "lower", "0..inf"]
    assert cells["musiq"] == ["pyiqa", "higher", "~0..~100"]
    assert cells["hosa"] == ["external", "?", "?"]
    assert all("non-commercial" in line for line in lines if line.split()[1] == "pyiqa")


def test_the_command_as_json_says_all_that_is_known():
    records = json.loads(CliRunner().invoke(baselines, ["--format", "json"]).output)
    found = {record["name"]: record for record in records}
    assert list(found) == list(catalogue())
    assert found["niqe"]["range"] == [0, None]
    assert found["nima"]["pyiqa"][3] == {"name": "nima-spaq", "range": [0, 1], "training": "SPAQ"}


def test_the_command_shows_how_to_rate_with_one_baseline():
    output = CliRunner().invoke(baselines, ["vqascore"]).output
    assert "--rater baseline:vqascore:RATER" in output
    output = CliRunner().invoke(baselines, ["tres"]).output
    assert "--rater baseline:pyiqa:tres-flive, ~0..~100, trained on FLIVE" in output
    assert "non-commercial use only (PolyForm Noncommercial 1.0.0; Required Notice:" in output
    unknown = CliRunner().invoke(baselines, ["tress"])
    assert isinstance(unknown.exception, UserError)


def test_a_changed_version_is_another_rater(monkeypatch):
    changed = replace(find_measured("piqe"), version=3)
    before = build_rater("baseline:piqe").id
    monkeypatch.setattr("zeroiqa.raters.baseline.find_measured", lambda _: changed)
    assert build_rater("baseline:piqe").id == before.replace("piqe 2", "piqe 3")
