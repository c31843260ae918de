"""Scores and opinions brought together: which images count, and that none is left out silently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zeroiqa.errors import UserError
from zeroiqa.evaluation.agreement import join, measure, outliers
from zeroiqa.evaluation.datasets.types import Dataset, Sample, Scale
from zeroiqa.metrics.measures import plcc, srcc


def dataset(names, values, *, direction=1, groups=None):
    samples = [
        Sample(name, Path("/data") / name, {"quality": value}, groups=(groups or {}).get(name, {}))
        for name, value in zip(names, values, strict=True)
    ]
    kind = "MOS" if direction == 1 else "DMOS"
    return Dataset("mine", tuple(samples), {"quality": Scale(0, 10, direction, kind)}, ())


NAMES = [f"{letter}.png" for letter in "abcdef"]


def test_images_are_those_that_both_have_in_the_dataset_s_order():
    people = dataset(NAMES, [1, 2, 3, 4, 5, 6])
    run = [(f"photos/{name}", value) for name, value in zip(reversed(NAMES), range(6), strict=True)]
    joined = join(run, people, "quality")
    assert joined.names == tuple(NAMES)
    assert joined.scores.tolist() == [5, 4, 3, 2, 1, 0]
    assert joined.notes == ()


def test_what_is_left_out_is_counted_and_named():
    people = dataset(NAMES, [1, 2, 3, 4, 5, 6])
    run = [
        ("a.png", 1),
        ("b.png", 2),
        ("c.png", 3),
        ("d.png", None),
        ("x.png", 1),
    ]
    joined = join(run, people, "quality")
    assert len(joined) == 3
    assert joined.notes == (
        "Left out: 1 image with an error or no score (d.png); 1 image of the run without an opinion (x.png); "
        "2 opinions whose images are not in the run (e.png, f.png)",
    )
    assert measure(joined).notes[0] == f"{joined.notes[0]}."


def test_dmos_is_negated_and_said():
    run = [(name, value) for name, value in zip(NAMES, range(6), strict=True)]
    joined = join(run, dataset(NAMES, [6, 5, 4, 3, 2, 1], direction=-1), "quality")
    found = measure(joined)
    assert found.measures["SRCC"] == pytest.approx(1)
    assert any("lower is better: they were negated" in note for note in found.notes)


def test_a_strongly_negative_correlation_is_suspicious():
    run = [(name, value) for name, value in zip(NAMES, range(6), strict=True)]
    found = measure(join(run, dataset(NAMES, [6, 5, 4, 3, 2, 1]), "quality"))
    assert any("are the opinions DMOS" in note for note in found.notes)


def test_files_of_one_name_are_told_apart_by_their_folders():
    names = [f"{model}/{number}.png" for model in ("dalle", "flux") for number in (1, 2)]
    run = [(f"/elsewhere/{name}", float(place)) for place, name in enumerate(names)]
    joined = join(run, dataset(names, [1, 2, 3, 4]), "quality")
    assert joined.names == tuple(names) and joined.scores.tolist() == [0, 1, 2, 3]


def test_an_image_that_the_run_has_twice_is_refused():
    run = [(f"{folder}/{name}", 1.0) for folder in ("one", "two") for name in NAMES]
    with pytest.raises(UserError, match=r"has a\.png of mine twice"):
        join(run, dataset(NAMES, range(6)), "quality")


def test_hardly_any_image_in_common_is_refused_with_the_counts():
    run = [("a.png", 1), ("x.png", 1)]
    with pytest.raises(
        UserError, match="Only 1 image has a score and an opinion.*5 opinions whose images are not in the run"
    ):
        join(run, dataset(NAMES, range(6)), "quality")


def test_measures_are_those_of_the_metrics_and_come_with_intervals():
    random = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(60)]
    opinions = random.normal(size=60)
    scores = opinions + random.normal(size=60)
    run = [(name, float(value)) for name, value in zip(names, scores, strict=True)]
    found = measure(join(run, dataset(names, opinions), "quality"), resamples=200)
    assert found.measures["SRCC"] == srcc(scores, opinions)
    assert found.measures["PLCC"] == plcc(scores, opinions)
    interval = found.intervals["SRCC"]
    assert interval is not None and interval.low < found.measures["SRCC"] < interval.high
    assert all(value is not None for value in found.measures.values())


def test_constant_scores_have_no_correlation_and_it_is_said():
    run = [(name, 3.0) for name in NAMES]
    found = measure(join(run, dataset(NAMES, range(6)), "quality"))
    assert found.measures["SRCC"] is None
    assert "All images have the same score or opinion: no correlation exists." in found.notes


def test_groups_are_measured_and_small_ones_are_named():
    groups = {name: {"model": "flux" if name < "e" else "dalle"} for name in NAMES}
    run = [(name, value) for name, value in zip(NAMES, range(6), strict=True)]
    found = measure(join(run, dataset(NAMES, range(6), groups=groups), "quality"), by="model")
    assert list(found.groups) == ["flux"] and found.groups["flux"].images == 4
    assert "Groups under 3 images are left out: dalle (2)." in found.notes
    with pytest.raises(UserError, match="No image has a group distortion; the dataset's groups: model"):
        measure(join(run, dataset(NAMES, range(6), groups=groups), "quality"), by="distortion")


def test_every_group_has_the_measures_of_its_own_images():
    names = [f"{place:02}.png" for place in range(9)]
    opinions = [1, 2, 3, 1, 2, 3, 1, 2, 3]
    values = [1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 7.0, 7.0, 7.0]
    groups = {name: {"kind": ("noise", "blur", "dark")[place // 3]} for place, name in enumerate(names)}
    joined = join(zip(names, values, strict=True), dataset(names, opinions, groups=groups), "quality")
    found = measure(joined, by="kind").groups
    assert {name: group.measures["SRCC"] for name, group in found.items()} == {
        "blur": pytest.approx(-1), "dark": None, "noise": pytest.approx(1)
    }  # fmt: skip
    assert list(found) == ["blur", "dark", "noise"]


def test_outliers_are_the_largest_differences_of_ranks():
    run = [(name, value) for name, value in zip(NAMES, [0, 1, 2, 3, 4, -5], strict=True)]
    (worst, *_) = outliers(join(run, dataset(NAMES, range(6)), "quality"), 3)
    assert worst[0] == "f.png" and worst[3] == pytest.approx(-1)
