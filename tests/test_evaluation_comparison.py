"""Comparisons: one record for each number, marks by full values, tests that can find something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zeroiqa.errors import UserError
from zeroiqa.evaluation.comparison import compare_methods
from zeroiqa.evaluation.datasets.types import Dataset, Sample, Scale
from zeroiqa.evaluation.methods import ComparedMethod, Direction, published_methods
from zeroiqa.evaluation.published import published_numbers
from zeroiqa.metrics.measures import bootstrap_interval, plcc, srcc
from zeroiqa.metrics.significance import holm, paired_bootstraps

IMAGES = 60
RANDOM = np.random.default_rng(5)
MOS = RANDOM.normal(size=IMAGES)


def dataset(name="mine", opinions=MOS, notes=("Read from column mos.",)):
    samples = tuple(
        Sample(f"{n}.png", Path(f"/{name}/{n}.png"), {"quality": float(each)})
        for n, each in enumerate(opinions)
    )
    return Dataset(name, samples, {"quality": Scale(-9, 9, 1, "MOS")}, notes)


def method(name, scores, sign=1, said_by=""):
    scored = tuple((f"x/{n}.png", float(score)) for n, score in enumerate(scores))
    return ComparedMethod(name, "measured", "somewhere", scored, Direction(sign, said_by))


def noisy(seed, noise):
    return MOS + np.random.default_rng(seed).normal(size=IMAGES) * noise


def compare(*arguments, **options):
    return compare_methods(*arguments, **options).report()


def by_key(report):
    return {(row.method, row.database, row.measure): row for row in report.records}


def test_two_databases_have_a_record_for_each_number_and_a_column_of_their_own():
    methods = [method("a", noisy(1, 0.5)), method("b", noisy(2, 1))]
    report = compare(methods, [dataset(), dataset("other", -MOS)], "quality", resamples=200)
    found = by_key(report)
    assert len(found) == len(report.records) == 2 * 2 * 2
    row = found["a", "mine", "PLCC"]
    scores = noisy(1, 0.5)
    assert row.value == plcc(scores, MOS)
    assert (row.low, row.high) == bootstrap_interval(plcc, scores, MOS, 200, np.random.default_rng(0))
    assert (row.n, row.left_out, row.protocol, row.source) == (IMAGES, 0, "measured", "somewhere")
    (table,) = report.tables
    assert len(set(table.columns)) == len(table.columns) == 8
    assert "Read from column mos." in row.notes and "Read from column mos." in table.notes


def test_p_is_that_of_the_paired_bootstrap_corrected_for_the_comparisons():
    methods = [method(name, noisy(seed, seed)) for seed, name in enumerate("abc", 1)]
    found = by_key(compare(methods, [dataset()], "quality"))
    raw = [
        paired_bootstraps(srcc, noisy(1, 1), [noisy(seed, seed)], MOS, 1000, np.random.default_rng(0))[0].p
        for seed in (2, 3)
    ]
    assert (found["b", "mine", "SRCC"].p, found["c", "mine", "SRCC"].p) == holm(raw)
    assert found["a", "mine", "SRCC"].p is None and found["b", "mine", "SRCC"].resamples == 1000


def test_resamples_grow_with_the_comparisons_so_that_a_clear_difference_is_found():
    """1,000 resamples find no p under 2/1001, and Holm makes that 27 times larger here."""
    methods = [method("good", MOS), *(method(f"bad {n}", noisy(100 + n, 40)) for n in range(27))]
    report = compare(methods, [dataset()], "quality")
    tested = [row for row in report.records if row.p is not None]
    assert len(tested) == 27 and max(row.p for row in tested) < 0.01
    assert {row.resamples for row in tested} == {5400}
    (note,) = (note for note in report.tables[0].notes if note.startswith("p on mine"))
    assert "5,400 resamples" in note and "27 comparisons" in note
    few = compare(methods, [dataset()], "quality", resamples=100)
    assert all("<" in row[3].text for row in few.tables[0].rows[1:] if row[3].text != "1.000")
    assert any("leave --resamples out for more" in note for note in few.tables[0].notes)


def test_marks_compare_full_values():
    """Both are shown as 0.998 or so; one is better in the fourth decimal."""
    close = MOS.copy()
    close[np.argsort(MOS)[[0, 1]]] = close[np.argsort(MOS)[[1, 0]]]
    methods = [method("close", close), method("same", MOS), method("twin", 2 * MOS + 1)]
    report = compare(methods, [dataset()], "quality", resamples=0)
    marks = {row.method: row.mark for row in report.records if row.measure == "SRCC"}
    assert marks == {"close": "second", "same": "best", "twin": "best"}


@pytest.mark.parametrize(
    ("sign", "said_by", "scores", "said"),
    [
        (None, "", -MOS, "give --lower-is-better 'the tool'"),
        (-1, "--lower-is-better", MOS, "leave --lower-is-better out"),
        (-1, "`zeroiqa baselines niqe`", MOS, "say so in its column better"),
        (1, "", -MOS, "are the opinions DMOS"),
    ],
)
def test_a_strongly_negative_correlation_is_named_with_what_to_do(sign, said_by, scores, said):
    methods = [method("the tool", scores, sign, said_by)]
    report = compare(methods, [dataset()], "quality", resamples=0)
    (named,) = (note for note in report.tables[0].notes if "strongly negatively" in note)
    assert named.startswith("the tool correlates strongly negatively with mine (SRCC -1.000)")
    assert said in named and named in report.records[0].notes


def test_scores_of_which_lower_is_better_are_turned_and_said():
    report = compare([method("niqe", -MOS, -1)], [dataset()], "quality", resamples=0)
    row = by_key(report)["niqe", "mine", "SRCC"]
    assert (row.value, row.better) == (1.0, "lower")
    assert "niqe: lower is better, so its scores were turned." in row.notes


def test_a_method_without_an_image_of_a_database_is_said():
    stranger = ComparedMethod("far", "measured", "", tuple((f"far{n}.png", float(n)) for n in range(9)))
    elsewhere = tuple(
        Sample(f"far{n}.png", Path(f"/far/far{n}.png"), {"quality": float(n)}) for n in range(9)
    )
    both = [dataset(), Dataset("away", elsewhere, {"quality": Scale(-9, 9, 1, "MOS")}, ())]
    report = compare([stranger, method("a", MOS)], both, "quality", resamples=0)
    assert "far has no image of mine." in report.tables[0].notes
    with pytest.raises(UserError, match=r"None of the 9 images .* is one of the 60 of mine"):
        compare([stranger, method("a", MOS)], [dataset()], "quality", resamples=0)


def test_published_numbers_keep_their_printed_decimals_and_their_signs():
    """SeP-IQA's notebook prints four decimals; on LIVE, against DMOS, -1 is best."""
    methods = published_methods(["live"], "quality")
    live = Dataset("live", (), {}, ())
    report = compare(methods, [live], "quality", resamples=0)
    printed = {
        (each.method, f"{each.value:.{each.decimals}f}")
        for each in published_numbers("live")
        if each.metric == "srcc" and each.aspect == "quality" and not each.setting and each.value is not None
    }
    shown = {(row[0].text, row[1].text) for row in report.tables[0].rows} - {
        (row[0].text, "-") for row in report.tables[0].rows
    }
    assert shown == printed and any(len(text.partition(".")[2]) == 4 for _, text in printed)
    ranks = [row for row in report.records if row.measure == "SRCC" and row.value is not None]
    (best, *_) = (row for row in ranks if row.mark == "best")
    assert abs(best.value) == max(abs(row.value) for row in ranks)
