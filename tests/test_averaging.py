"""Standards that are averaged: the arithmetic, what is refused, and the probes that it was made for."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import zeroiqa
from tests.command import zeroiqa as give
from zeroiqa.aggregate import Aggregation
from zeroiqa.averaging import score_labels
from zeroiqa.errors import UserError
from zeroiqa.results import ImageScore, score_rated
from zeroiqa.settings import load_settings
from zeroiqa.standards import Kind, load_standard
from zeroiqa.types import RatedImage, Rating, Region

NEVER = float("-inf")
REGIONS = (Region((0, 0, 4, 4), 0.25, "object"), Region((4, 0, 8, 4), 0.75, "object"))
PROBES = load_settings("probes")


def sure(level: int, k: int = 7) -> Rating:
    return Rating(tuple(0.0 if each == level else NEVER for each in range(1, k + 1)), 1.0)


def scored(ratings: dict[str, dict[str, Sequence[Rating | None]]], **choices: Any) -> ImageScore:
    """Ratings: rater -> standard -> one per view."""
    names = dict.fromkeys(standard for each in ratings.values() for standard in each)
    views = {rater: {name: tuple(views) for name, views in each.items()} for rater, each in ratings.items()}
    n = max(len(views) for each in ratings.values() for views in each.values()) - 1
    kinds: dict[str, Kind] = dict.fromkeys(names, "word")
    labels = choices.pop("labels", {name: name for name in names})
    rated = RatedImage(REGIONS[:n], views)
    return score_rated("a.jpg", rated, labels, Aggregation(**choices), kinds=kinds)


def test_every_number_of_the_score_is_the_weighted_mean_and_its_parts_add_up():
    ratings = {
        "one": {"x": [sure(7), sure(1), sure(5)], "y": [sure(3), sure(4), sure(2)]},
        "two": {"x": [sure(5), sure(2), sure(6)], "y": [sure(2), sure(7), sure(1)]},
    }
    choices = {"lam": 2.0, "member_weights": (1.0, 3.0), "count_weight": 0.1, "formula": "dog-iqa"}
    alone = scored(ratings, **choices)
    both = scored(ratings, **choices, standard_weights=(1.0, 2.0))
    x, y, mean = alone.scores["x"], alone.scores["y"], both.scores["mean"]
    assert (both.scores["x"], both.scores["y"]) == (x, y)
    assert list(both.scores) == ["mean", "x", "y"] and both.score == mean.score
    for name in ("score", "s_global", "s_local"):
        assert getattr(both, name) == pytest.approx((getattr(x, name) + 2 * getattr(y, name)) / 3)
    for rater, own in mean.raters.items():
        assert own.score == pytest.approx((x.raters[rater].score + 2 * y.raters[rater].score) / 3)
    one, two = (each.score for each in mean.raters.values())
    assert both.disagreement == pytest.approx(math.sqrt(3) / 4 * abs(one - two))
    total = mean.global_contribution + math.fsum(mean.region_contributions)
    assert total == pytest.approx(mean.score, abs=1e-9)
    record = json.loads(json.dumps(both.to_record()))
    assert record["x_score"] == x.score and record["score_two"] == two
    assert record["regions"][0]["levels"] == {"mean": pytest.approx((1.75 + 12.5) / 3), "x": 1.75, "y": 6.25}


def test_the_mean_of_one_standard_and_of_the_same_one_twice_is_that_standard():
    uneven = Rating(tuple(math.log(p) for p in (0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1)), 1.0)
    ratings = {rater: {"x": [uneven, sure(level)]} for rater, level in (("one", 1), ("two", 6))}
    twice = {rater: {**each, "y": each["x"]} for rater, each in ratings.items()}
    alone = scored(ratings, readout="expected")
    assert scored(ratings, readout="expected", standard_weights=(3.0,)).to_dict() == alone.to_dict()
    mean = scored(twice, readout="expected", standard_weights=(0.3, 0.7))
    assert {key: mean.to_dict()[key] for key in alone.to_dict()} == alone.to_dict()


def test_a_region_without_an_answer_under_one_standard_has_no_level_in_the_mean():
    result = scored({"one": {"x": [sure(4), None], "y": [sure(4), sure(2)]}}, standard_weights=(1.0, 1.0))
    assert [score.region_levels for score in result.scores.values()] == [(None,), (None,), (2.0,)]
    assert result.score == pytest.approx((4 + 3) / 2)


@pytest.mark.parametrize("missing", [{"y": [None, sure(2)]}, {}], ids=["no answer", "not asked"])
def test_where_one_standard_has_no_score_there_is_none_of_fewer(missing):
    ratings = {"one": {"x": [sure(4), sure(2)], **missing}}
    labels = {"x": "x", "y": "y"}
    result = scored(ratings, labels=labels, standard_weights=(1.0, 1.0))
    assert (result.status, result.score, result.scores) == ("error", None, {})
    assert "y" in missing or "The standard y compares the image with its text prompt" in str(result.error)
    if not missing:
        assert scored(ratings, labels=labels).score == 3.0  # without weights the first one is there


def test_as_many_weights_as_standards_are_needed():
    ratings = {"one": {"x": [sure(4)], "y": [sure(2)]}}
    with pytest.raises(UserError, match="There are 3 weights for 2 standards; give one for each"):
        scored(ratings, standard_weights=(1.0, 1.0, 1.0))


def test_the_mean_has_a_name_that_no_standard_has():
    weights = Aggregation(standard_weights=(1.0, 1.0))
    assert score_labels(["x", "y"], Aggregation()) == ("x", "y")
    assert score_labels(["x", "y"], weights) == ("mean", "x", "y")
    assert score_labels(["mean", "mean_mean"], weights) == ("mean_mean_mean", "mean", "mean_mean")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            {"standard_weights": [1, 1, 1]},
            r"3 standard_weights for 2 standards \(preset embedded\); give one",
        ),
        ({"standard_weights": [1, 0]}, r"weights of the standards are \(1.0, 0.0\); each must be positive"),
        ({"standard_weights": [1, -1]}, "each must be positive"),
        ({"standard_weights": [1, float("nan")]}, "each must be positive"),
        ({"standard_weights": [1, "x"]}, "must be a list of float values"),
    ],
)
def test_weights_that_make_no_mean_are_refused(overrides, sentence):
    standards = ["quality-word-7", "quality-number-7"]
    with pytest.raises(UserError, match=sentence):
        load_settings("embedded", {"standards": standards, **overrides})


@pytest.mark.parametrize(
    ("standards", "scales"),
    [
        (["quality-word-7", "quality-word-5"], r"quality-word-7 \(levels 1 to 7\) and quality-word-5"),
        (["q-align", "q-bench"], r"levels 1 to 5\) and q-bench \(levels 1 to 2"),
        (["quality-word-7", "quality-sentence-7", "quality-float"], "quality-float .numbers up to 7"),
        (["sep-iqa", "sep-iaa"], r"sep-iqa \(numbers of its own\) and sep-iaa \(numbers of its own\)"),
    ],
)
def test_different_scales_have_no_mean(standards, scales):
    weights = [1] * len(standards)
    with pytest.raises(UserError, match=f"There is no mean of .*{scales}.*; give weights to"):
        zeroiqa.load_method(raters=["qwen3-vl-4b"], standards=standards, standard_weights=weights)


def test_other_standards_than_the_presets_do_not_have_its_weights():
    assert PROBES.standard_weights == (1.0,) * 10
    assert load_settings("probes", {"standards": ["quality-word-7"]}).standard_weights == ()
    assert load_settings("probes", {"readout": "digit"}).standard_weights == (1.0,) * 10


def probed(letters: dict[str, Sequence[float]]) -> ImageScore:
    """The score by the shipped files of a model that answers their letters A to E with such probabilities."""
    views = {}
    for name in PROBES.standards:
        order = load_standard(name).levels
        probabilities = [letters[name]["ABCDE".index(letter)] for letter in order]
        views[name] = [Rating(tuple(map(math.log, probabilities)), 1.0)]
    return scored({"model": views}, readout="expected", standard_weights=PROBES.standard_weights)


def test_a_liking_for_a_letter_cancels_and_the_order_of_the_options_does_not_matter():
    uniform = dict.fromkeys(PROBES.standards, (0.2,) * 5)
    assert probed(uniform).score == 3.0
    assert probed(dict.fromkeys(PROBES.standards, (0.6, 0.1, 0.1, 0.1, 0.1))).score == 3.0
    some = {
        name: np.random.default_rng(seed).dirichlet([1] * 5) for seed, name in enumerate(PROBES.standards)
    }
    turned = {_other(name): letters[::-1] for name, letters in some.items()}
    assert probed(turned).score == pytest.approx(probed(some).score, abs=1e-12)
    assert probed(turned).reasons == pytest.approx(probed(some).reasons)


def _other(name: str) -> str:
    return name[:-2] + {"ab": "ba", "ba": "ab"}[name[-2:]]


def test_the_probes_ask_the_same_in_both_orders():
    assert len(PROBES.standards) == 10
    for name in PROBES.standards:
        mine, other = load_standard(name), load_standard(_other(name))
        question, *options, request = mine.user.splitlines()
        assert other.user.splitlines()[0] == question and other.user.splitlines()[-1] == request
        texts = [option.removeprefix(f"{letter}. ") for letter, option in zip("ABCDE", options, strict=True)]
        there = [option[3:] for option in other.user.splitlines()[1:-1]]
        assert texts == there[::-1] and len(set(texts)) == 5
        assert "".join(mine.levels) == ("EDCBA" if name.endswith("-ab") else "ABCDE")
        assert mine.fill().answer == "The answer is" and mine.fill().system == ""


def test_the_reasons_are_the_questions_the_worst_first():
    sure_of = {"sharpness": "A", "noise": "E", "exposure": "C", "colour": "B", "artefacts": "D"}
    best_first = {
        name: [0.96 if each == sure_of[name.split("-")[1]] else 0.01 for each in "ABCDE"]
        for name in PROBES.standards
    }
    letters = {name: best_first[name][:: 1 if name.endswith("ab") else -1] for name in PROBES.standards}
    result = probed(letters)
    assert [*result.reasons] == [f"probe-{each}" for each in sorted(sure_of, key=sure_of.__getitem__)][::-1]
    assert result.reasons["probe-noise"] == pytest.approx(result.scores["probe-noise-ba"].score)
    shown = str(result).splitlines()
    assert shown[1].startswith("  mean of probe-noise 1.10, probe-artefacts 2.05, probe-exposure 3.00, ")
    assert any(line.startswith("  probe-colour-ba: whole image 3.95") for line in shown)
    assert scored({"one": {"x": [sure(4)], "y": [sure(2)]}}).reasons == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, opinions, and a run of the probes by two raters."""
    here = tmp_path_factory.mktemp("averaged")
    (here / "photos").mkdir()
    drawn = np.random.default_rng(0)
    for number in range(5):
        pixels = drawn.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(here / "photos" / f"{number}.png")
    (here / "mos.csv").write_text("image,mos\n" + "".join(f"{each}.png,{each}\n" for each in range(5)))
    done = give(here, "score", "photos", "-o", "run", *RUN)
    assert done.returncode == 0, done.stderr
    assert "alone" not in done.stderr
    return here


RUN = ("--preset", "probes", "--rater", "fake", "--rater", "fake:2", "--crop", "bbox", "--segmenter", "grid")


def test_a_run_has_the_mean_everywhere_and_each_answer_beside_it(folder: Path):
    with (folder / "run" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    parquet = pq.read_table(folder / "run" / "scores.parquet").to_pylist()
    for row, there in zip(rows, parquet, strict=True):
        answers = [there[f"{name}_score"] for name in PROBES.standards]
        assert there["score"] == pytest.approx(np.mean(answers), abs=1e-9)
        assert there["score_fake:2"] == pytest.approx(
            np.mean([there[f"{name}_score_fake:2"] for name in PROBES.standards])
        )
        assert there["mass"] == min(there[f"{name}_mass"] for name in PROBES.standards)
        assert row["score"] == f"{there['score']:.6f}"
    columns = list(rows[0])
    assert columns[:2] == ["path", "score"] and columns.index("probe-sharpness-ab_score") < columns.index(
        "probe-artefacts-ba_score"
    )
    printed = json.loads(give(folder, "rescore", "run", "--format", "json").stdout)
    assert [row["score"] for row in printed] == [row["score"] for row in parquet]
    assert set(printed[0]["regions"][0]["levels"]) == {"mean", *PROBES.standards}
    assert "scores                   5 rows compared" in give(folder, "verify", "run").stdout
    assert json.loads(give(folder, "status", "run", "--format", "json").stdout)["scored"] == 5


def test_other_weights_are_arithmetic_on_stored_ratings(folder: Path):
    weights = ("--standard-weight", 3, *("--standard-weight", 1) * 9)
    listed = json.loads(give(folder, "rescore", "run", *weights, "--format", "json").stdout)
    again = give(folder, "score", "photos", "-o", "run", *RUN, *weights, "--format", "json", "--save")
    assert "by standard weights 3 1 1 1" in again.stderr and "own standard weights 1 1 1" in again.stderr
    assert json.loads(again.stdout) == listed
    assert (folder / "run" / "scores-standard-weights-3-1-1-1-1-1-1-1-1-1.csv").exists()
    for row in listed:
        answers = [row[f"{name}_score"] for name in PROBES.standards]
        assert row["score"] == pytest.approx(np.average(answers, weights=[3, *[1] * 9]))
    run = zeroiqa.load_run(folder / "run")
    first = [result.score for result in run.scores(standard_weights=[])]
    assert first == [row["probe-sharpness-ab_score"] for row in listed]
    refused = give(folder, "rescore", "run", "--standard-weight", 1)
    assert "There are 1 standard_weights for 10 standards" in refused.stderr


def test_opinions_are_compared_with_the_mean_or_with_one_answer(folder: Path):
    def agreement(*more: object) -> list[dict[str, Any]]:
        done = give(folder, "evaluate", "run", "--mos", "mos.csv", "--root", "photos", "--resamples", 0,
                    "--format", "json", *more)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout)["rows"])

    run = zeroiqa.load_run(folder / "run")
    mos = list(range(5))
    for more, scores in [
        ((), [result.score for result in run.scores()]),
        (("--standard", "probe-noise-ba"), [each.scores["probe-noise-ba"].score for each in run.scores()]),
        (("--readout", "digit"), [each.score for each in run.scores(readout="digit")]),
    ]:
        [plcc] = [row["value"] for row in agreement(*more) if row["measure"] == "PLCC"]
        assert plcc == pytest.approx(np.corrcoef(scores, mos)[0, 1], abs=1e-6)
    compared = give(folder, "compare", "run", "--mos", "mos.csv=photos", "--format", "json", "--resamples", 0,
                    "--members")  # fmt: skip
    [plcc] = [
        row["value"]
        for row in json.loads(compared.stdout)["rows"]
        if row["measure"] == "PLCC" and row["method"] == "run: fake:2"
    ]
    theirs = [result.scores["mean"].raters["fake:2"].score for result in run.scores()]
    assert plcc == pytest.approx(np.corrcoef(theirs, mos)[0, 1], abs=1e-6)


def test_without_weights_the_first_of_one_aspect_leads_and_that_is_said_once(folder: Path):
    two = ("--rater", "fake", "--standard", "quality-word-7", "--standard", "quality-number-7")
    done = give(folder, "score", "photos", "-o", "two", *two)
    line = (
        "score is that of quality-word-7 alone; 1 other standard has columns of its own; --standard-weight "
        "makes a mean."
    )
    assert done.stderr.splitlines().count(line) == 1
    weighted = give(folder, "score", "photos", "-o", "two", *two, *("--standard-weight", 1) * 2)
    assert line not in weighted.stderr and "the run's own standard weights none" in weighted.stderr
    assert line in give(folder, "rescore", "two").stderr
    evaluated = give(folder, "evaluate", "two", "--mos", "mos.csv", "--root", "photos", "--resamples", 0,
                     "--format", "json", *("--standard-weight", 1) * 2)  # fmt: skip
    means = [result.score for result in zeroiqa.load_run(folder / "two").scores(standard_weights=[1, 1])]
    [plcc] = [row["value"] for row in json.loads(evaluated.stdout)["rows"] if row["measure"] == "PLCC"]
    assert plcc == pytest.approx(np.corrcoef(means, range(5))[0, 1], abs=1e-6)
    scales = ("--standard", "quality-word-7", "--standard", "quality-word-5", "--standard", "q-bench")
    apart = give(folder, "score", "photos", "-o", "apart", "--rater", "fake", *scales)
    assert "quality-word-7 alone; 2 other standards have columns of their own.\n" in apart.stderr
    refused = give(folder, "rescore", "apart", *("--standard-weight", 1) * 3)
    assert "There is no mean of quality-word-7" in refused.stderr and "Traceback" not in refused.stderr
    aspects = ("--aspect", "quality", "--aspect", "authenticity")
    assert "alone" not in give(folder, "score", "photos", "-o", "aspects", "--rater", "fake", *aspects).stderr


def test_a_run_of_an_older_version_keeps_the_first_score_in_its_table(folder: Path):
    """Its run.json names no weights of standards: a command that gives some shows their table, no more."""
    command = ("score", "photos", "-o", "older", "--rater", "fake", "--standard", "quality-word-7",
               "--standard", "quality-number-7")  # fmt: skip
    assert give(folder, *command).returncode == 0
    record = json.loads((folder / "older" / "run.json").read_text())
    for fields in (record["settings"], record["arithmetic"]):
        del fields["standard_weights"]
    (folder / "older" / "run.json").write_text(json.dumps(record))
    before = (folder / "older" / "scores.csv").read_bytes()
    done = give(folder, *command, *("--standard-weight", 1) * 2, "--format", "json")
    assert done.returncode == 0 and (folder / "older" / "scores.csv").read_bytes() == before
    row = json.loads(done.stdout)[0]
    assert row["score"] == pytest.approx((row["quality-word-7_score"] + row["quality-number-7_score"]) / 2)


def test_an_image_that_one_standard_cannot_be_asked_about_is_an_error_until_it_can(folder: Path):
    rows = "".join(f"photos/{each}.png,{'a cat' if each else ''}\n" for each in range(5))
    (folder / "list.csv").write_text("image,prompt\n" + rows)
    both = ("--aspect", "quality", "--aspect", "correspondence", *("--standard-weight", 1) * 2)
    command = ("score", "list.csv", "-o", "prompts", "--rater", "fake", *both)
    assert give(folder, *command).returncode == 0
    run = zeroiqa.load_run(folder / "prompts")
    first, *others = run.scores()
    assert first.error is not None and "no mean of fewer than all 2 standards" in first.error
    for each in others:
        assert each.score == pytest.approx(np.mean([own.score for own in list(each.scores.values())[1:]]))
    assert (run.status().errors, run.status().scored) == (1, 4)
    assert next(run.scores(standard_weights=[])).score is not None
    assert "DAMAGED" not in give(folder, "verify", "prompts").stdout
    opinions = ("--mos", "mos.csv", "--root", "photos", "--resamples", 0)
    evaluated = give(folder, "evaluate", "prompts", *opinions)
    assert "mean over quality and correspondence, which no opinions are of" in evaluated.stdout
    (folder / "list.csv").write_text("image,prompt\n" + rows.replace("0.png,", "0.png,a dog"))
    again = give(folder, *command, "--refresh")
    assert again.returncode == 0 and zeroiqa.load_run(folder / "prompts").status().errors == 0
    assert all(result.score is not None for result in zeroiqa.load_run(folder / "prompts").scores())
