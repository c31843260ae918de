"""The K-level upper bound, against values computed from public score lists (LLM-IQA, Table 1)."""

import csv
from pathlib import Path

import numpy as np
import pytest

from zeroiqa.errors import UserError
from zeroiqa.evaluation.upper_bound import quantise, upper_bound

GRID = np.linspace(0, 1, 2001)


@pytest.mark.parametrize("k", [3, 5, 7, 9])
@pytest.mark.parametrize(("variant", "extra"), [("official", 1), ("eq1", 1), ("text", 0), ("bins", 0)])
def test_equation_one_gives_one_level_too_many(k: int, variant: str, extra: int) -> None:
    assert len(np.unique(quantise(GRID, k, variant))) == k + extra


@pytest.mark.parametrize("variant", ["official", "eq1", "text", "bins"])
def test_levels_never_fall_as_scores_rise(variant: str) -> None:
    assert (np.diff(quantise(GRID, 7, variant)) >= 0).all()


@pytest.mark.parametrize("variant", ["official", "eq1", "text", "bins"])
def test_more_levels_agree_better_and_never_perfectly(variant: str) -> None:
    mos = np.random.default_rng(0).normal(50, 15, 3000)
    bounds = [upper_bound(mos, k, variant) for k in (3, 5, 7, 9)]
    assert bounds == sorted(bounds)
    assert bounds[-1] < 1


def test_equal_scores_and_too_few_levels_are_refused() -> None:
    with pytest.raises(UserError, match="cannot be put into"):
        quantise(np.ones(5), 7)
    with pytest.raises(UserError, match="1 levels"):
        quantise(GRID, 1)


# Recomputed by the readings named, from the public score lists; printed to 3 or 4 digits: tolerance 5e-4.
@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("live_challenge", "score", (0.902, 0.964, 0.982, 0.989)),
        ("kadid10k", "score", (0.951, 0.977, 0.988, 0.993)),
        ("agiqa3k", "mos_quality", (0.890, 0.964, 0.981, 0.988)),
    ],
)
def test_equation_one_on_public_score_lists(
    dev_data: Path, name: str, column: str, values: tuple[float, ...]
) -> None:
    with (dev_data / "mos_lists" / f"{name}.csv").open(newline="") as file:
        mos = np.array([float(row[column]) for row in csv.DictReader(file)])
    assert [upper_bound(mos, k, "eq1") for k in (3, 5, 7, 9)] == pytest.approx(values, abs=5e-4)


def test_official_reading_subtracts_no_minimum() -> None:
    scores = np.array([1.0, 2.0, 3.0, 5.0])  # 7 s / 4 = 1.75, 3.5, 5.25, 8.75; halves to even
    assert quantise(scores, 7, "official").tolist() == [2, 4, 5, 9]


# The paper's Table 1 as printed, recomputed by the authors' formula from the public score lists, to the
# third decimal; of K = 3 on LIVE Challenge, .91549, it prints .915.
@pytest.mark.parametrize(
    ("name", "values"),
    [("live_challenge", (0.9155, 0.9639, 0.9817, 0.9888)), ("kadid10k", (0.9419, 0.9795, 0.9884, 0.9930))],
)
def test_official_reading_gives_what_the_paper_prints(
    dev_data: Path, name: str, values: tuple[float, ...]
) -> None:
    with (dev_data / "mos_lists" / f"{name}.csv").open(newline="") as file:
        mos = np.array([float(row["score"]) for row in csv.DictReader(file)])
    bounds = [upper_bound(mos, k, "official") for k in (3, 5, 7, 9)]
    assert bounds == pytest.approx(values, abs=1e-4)
