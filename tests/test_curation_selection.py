from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zeroiqa
from zeroiqa.curation.selection import Amount, parse_amount
from zeroiqa.errors import UserError

COUNT = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in two folders; two of them are the same, so that their scores are equal, and one is broken."""
    photos = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(COUNT):
        place = photos / f"{'ab'[number % 2]}" / f"{number:02}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(place)
    (photos / "a" / "same.png").write_bytes((photos / "a" / "00.png").read_bytes())
    (photos / "b" / "bad.png").write_bytes(b"no image")
    return photos


@pytest.fixture(scope="module")
def run(folder: Path) -> zeroiqa.Run:
    return zeroiqa.run(
        folder,
        folder.parent / "two",
        segmenter="grid",
        raters=["fake:1", "fake:2"],
        readout="expected",
        crop="whole",
    )


@pytest.fixture(scope="module")
def rows(run: zeroiqa.Run) -> list[zeroiqa.ImageScore]:
    return [result for result in run.scores() if result.score is not None]


def names(results: zeroiqa.ImageScores) -> list[str]:
    return [result.path for result in results]


@pytest.mark.parametrize("amount", [1, 7, COUNT + 50, "5%", "33.3%", "100%"])
@pytest.mark.parametrize("rank", ["worst", "best"])
def test_ranks_are_those_of_a_stable_sort(run, rows, amount, rank) -> None:
    scores = np.array([result.score for result in rows])
    order = np.argsort(scores if rank == "worst" else -scores, kind="stable")
    text = str(amount)
    number = math.ceil(float(text[:-1]) / 100 * len(rows)) if "%" in text else int(text)
    assert names(zeroiqa.select(run, **{rank: amount})) == [rows[place].path for place in order[:number]]


def test_conditions_come_before_the_rank_and_a_percentage_is_of_what_they_leave(run, rows) -> None:
    scores = np.array([result.score for result in rows])
    low = float(np.median(scores))
    chosen = zeroiqa.select(run, below=low, where="path like '*/a/*'", best="50%")
    fitting = [result for result in rows if result.score < low and "/a/" in result.path]
    fitting.sort(key=lambda result: -result.score)
    assert names(chosen) == [result.path for result in fitting[: math.ceil(len(fitting) / 2)]]
    everything = zeroiqa.select(run, above=0)
    assert names(everything) == [result.path for result in rows]  # in the order of the run


def test_of_each_group_so_many_are_taken(run, rows) -> None:
    chosen = zeroiqa.select(run, worst=2, per_group=True)
    expected = []
    for group in ("/a/", "/b/"):
        own = sorted((each for each in rows if group in each.path), key=lambda each: each.score)
        expected += [each.path for each in own[:2]]
    assert names(chosen) == expected


def test_the_most_doubtful_are_those_without_an_answer_and_then_those_on_which_raters_disagree(run, rows):
    limit = run.settings.mass_threshold
    low = sorted((each for each in rows if each.mass < limit), key=lambda each: each.mass)
    others = sorted((each for each in rows if each.mass >= limit), key=lambda each: -each.disagreement)
    expected = [each.path for each in (*low, *others)]
    assert names(zeroiqa.select(run, doubtful="100%")) == expected
    assert zeroiqa.load_run(run.folder) and len(low) < len(rows)


def test_of_one_rater_the_widest_answers_are_the_most_doubtful(folder, tmp_path) -> None:
    run = zeroiqa.run(folder, tmp_path / "one", segmenter="grid", raters=["fake:3"], crop="whole")
    chosen = zeroiqa.select(run, where="mass > 0.5", doubtful=5)
    from zeroiqa.runs import iter_scored

    widths = {}
    for planned, rated, score in iter_scored(run):
        if score.mass is not None and score.mass > 0.5:
            shares = np.exp(rated.ratings["fake:3"][next(iter(run.labels))][0].logprobs)
            levels = np.arange(1, len(shares) + 1)
            mean = (levels * shares).sum()
            widths[planned.ref.path] = math.sqrt(((levels - mean) ** 2 * shares).sum())
    assert [widths[path] for path in names(chosen)] == pytest.approx(sorted(widths.values())[:-6:-1])


def test_what_says_nothing_of_its_doubts_has_no_doubtful_scores(folder, tmp_path) -> None:
    run = zeroiqa.run(folder / "b" / "01.png", tmp_path / "nss")
    with pytest.raises(UserError, match="nss alone gives no probabilities"):
        zeroiqa.select(run, doubtful=1)


def test_lower_is_better_where_the_run_says_so(folder, tmp_path) -> None:
    run = zeroiqa.run(folder, tmp_path / "run", raters=["baseline:piqe"], crop="whole", include=["a/"])
    scored = [each for each in run.scores() if each.score is not None]
    worst = max(scored, key=lambda each: each.score)
    assert worst.lower_is_better
    assert names(zeroiqa.select(run, worst=1)) == [worst.path]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "No images are asked for"),
        ({"worst": 1, "best": 1}, "Both the worst and the best images are asked for"),
        ({"per_group": True, "below": 3}, "not which"),
        ({"worst": 0}, "'0' is neither a number of images from 1 on nor a percentage"),
        ({"worst": ""}, "'' is neither a number of images from 1 on nor a percentage above 0 and up to 100"),
        ({"worst": "0%"}, "neither"),
        ({"worst": "101%"}, "neither"),
        ({"worst": "-3"}, "neither"),
        ({"worst": "1e9%"}, "neither"),
        ({"below": math.nan}, "nan is no score"),
        ({"tags": ["blured"]}, "'blured' is no tag; did you mean blurred? the tags are blurred, noisy"),
        ({"tags": ["blurred"]}, "No image of"),
        ({"where": ["scor < 3"]}, "did you mean score?"),
        ({"worst": 1, "group_by": "no.csv:x"}, "no.csv"),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_a_sentence(run, asked, sentence) -> None:
    with pytest.raises(UserError) as error:
        zeroiqa.select(run, **asked)
    assert sentence in str(error.value)


def test_a_share_is_rounded_up_but_not_by_the_rounding_of_floats() -> None:
    assert parse_amount("5%") == Amount(0.05, is_share=True)
    assert [parse_amount("5%").of(images) for images in (1, 19, 20, 21, 100, 1200)] == [1, 1, 1, 2, 5, 60]
    assert parse_amount("7%").of(100) == 7
    assert parse_amount(" 12 ").of(3) == 12
