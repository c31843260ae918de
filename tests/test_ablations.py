"""Ablations: rows share runs, runs share segmentations and ratings, and nothing is computed twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from zeroiqa import runs
from zeroiqa.evaluation.ablations import TABLES, Row, RunKey, published_row, run_ablation, table_rows
from zeroiqa.evaluation.reuse import Calls, RememberingRater, open_memory
from zeroiqa.inputs import find_images
from zeroiqa.raters.fake import FakeRater
from zeroiqa.runs.executors.local import execute
from zeroiqa.settings import load_settings
from zeroiqa.standards import load_standard
from zeroiqa.types import View

SETTINGS = load_settings("embedded", {"segmenter": "grid:2x2", "raters": ["fake"]})
WORD_ROWS = [row for row in table_rows("3", SETTINGS) if row.standard != "quality-float"]


@pytest.fixture(autouse=True)
def in_folder_of_photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        PIL.Image.fromarray(random.integers(0, 256, (64, 80, 3), np.uint8)).save(f"photos/{number}.png")


def ablate(rows, folder="out", settings=SETTINGS):
    return run_ablation(rows, settings, find_images(["photos"]), Path(folder), Path("memory.sqlite"))


def test_every_table_has_rows_and_those_of_the_paper_its_names():
    assert [len(table_rows(table, SETTINGS)) for table in TABLES] == [8, 4, 2, 14]
    assert [row.published for row in table_rows("3", SETTINGS)] == list("12345678")
    ensemble = load_settings("embedded", {"segmenter": "grid:2x2", "raters": ["fake", "fake:2"]})
    assert [row.published for row in table_rows("3", ensemble)][-1] == "9"
    sam = load_settings("embedded", {"granularity": "paper"})
    assert [row.published for row in table_rows("5", sam)] == [
        "Default",
        "SAM Tiny",
        "",
        "No Complement",
        "Our Setting",
    ]


def test_no_model_call_is_repeated_within_a_table():
    found = ablate(WORD_ROWS)
    images, cells = 5, 4
    assert found.ratings.asked == images * (1 + cells) * 3, "the whole image and four boxes, three standards"
    assert found.ratings.reused == images * (1 + cells), "a rectangle's mask shows what its box shows"
    assert found.segmentations.asked == images
    assert found.segmentations.reused == images


def test_a_second_table_uses_what_the_first_one_has_found():
    ablate(WORD_ROWS)
    found = ablate(table_rows("4", SETTINGS), "out4")
    again = ablate(table_rows("4", SETTINGS), "out4")
    assert found.ratings.asked == 5 * 5 * 3, "of K = 3, 5, 7 and 9 seven levels are known"
    assert found.segmentations.asked == 0
    assert (again.ratings.asked, again.segmentations.asked) == (0, 0)


def test_the_scores_are_those_of_plain_runs():
    found = ablate(WORD_ROWS)
    for key, run in found.runs.items():
        settings = runs.load_run(run.folder).settings
        plain = runs.open_run(Path("plain") / key.name, settings, find_images(["photos"]), preset="x")
        list(execute(plain, runs.pending(plain), workers=1, on_images=lambda _: None))
        runs.write_scores(plain)
        assert (plain.folder / "scores.csv").read_bytes() == (run.folder / "scores.csv").read_bytes()


def test_an_interrupted_ablation_goes_on_where_it_was():
    done = []

    def stop(_):
        done.append(1)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ablation(
            WORD_ROWS, SETTINGS, find_images(["photos"]), Path("out"), Path("memory.sqlite"), lambda _: stop
        )
    found = ablate(WORD_ROWS)
    assert found.ratings.asked == (5 - 3) * 5 * 3, "what was computed before the interruption is known"


def test_a_run_without_segmentation_segments_nothing():
    found = ablate([Row("whole", RunKey("whole"))])
    assert (found.segmentations.asked, found.ratings.asked) == (0, 5)


def test_a_remembering_rater_tells_views_standards_and_prompts_apart(tmp_path):
    words, match = load_standard("quality-word-7"), load_standard("correspondence-word-7")
    grey = np.full((20, 20, 3), 90, np.uint8)
    views = [View(grey, None, (20, 20), prompt) for prompt in ("a cat", "a dog", "a cat")]
    with open_memory(tmp_path / "memory.sqlite") as memory:
        calls = Calls()
        remembering = RememberingRater(FakeRater(), memory, calls)
        found = remembering.rate(views, [words, match])
        assert found == FakeRater().rate(views, [words, match])
        assert (calls.asked, calls.reused) == (3, 3), "one for quality, one for each of two prompts"
        other = RememberingRater(FakeRater("2"), memory, calls)
        assert other.rate(views[:1], [words]) != [row[:1] for row in found[:1]]


@pytest.mark.parametrize(
    ("table", "row", "dataset", "numbers"),
    [
        ("3", "8", "spaq", (0.886, 0.885)),
        ("4", "7", "kadid10k", (0.580, 0.589)),
        ("5", "No Complement", "livec", (0.425, 0.428)),
        ("4", "7", "livec", (None, None)),
        ("3", "8", "koniq10k", (None, None)),
        ("ours", "", "spaq", (None, None)),
    ],
)
def test_published_numbers_stand_beside_the_rows(table, row, dataset, numbers):
    """LLM-IQA, Tables 3, 4 and 5, to the printed precision."""
    assert published_row(table, row, dataset) == numbers
