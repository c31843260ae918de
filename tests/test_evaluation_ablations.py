"""Ablations: rows share runs, runs share segmentations and ratings, and nothing is computed twice."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from zeroiqa import runs
from zeroiqa.evaluation.ablations import (
    AblationRow,
    RunKey,
    common_arithmetic,
    common_settings,
    left_out,
    printed_row,
    run_ablation,
    table_rows,
)
from zeroiqa.evaluation.cache import CachedRater, CachedSegmenter, Calls, open_cache
from zeroiqa.images.find import find_images
from zeroiqa.raters.fake import FakeRater
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.settings import load_settings
from zeroiqa.standards import load_standard
from zeroiqa.types import Image, Region, View

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
    assert [len(table_rows(table, SETTINGS)) for table in ("3", "4", "5", "ours", "official")] == [
        8,
        4,
        4,
        14,
        16,
    ]
    assert [row.published for row in table_rows("3", SETTINGS)] == list("12345678")
    ensemble = load_settings("embedded", {"segmenter": "grid:2x2", "raters": ["fake", "fake:2"]})
    assert [row.published for row in table_rows("3", ensemble)] == [*"1234567812345678", "9"]
    sam = load_settings("embedded", {"granularity": "default-16"})
    assert [(row.label, row.published) for row in table_rows("5", sam)] == [
        ("default parameters", "Default"),
        ("segmenter sam2.1-tiny", "SAM Tiny"),
        ("coarse parameters", ""),
        ("no complement", "No Complement"),
        ("no complement, literal areas", "No Complement"),
        ("our setting", "Our Setting"),
        ("our setting, literal areas", "Our Setting"),
    ]


OVERRIDES = [
    {"preset": "embedded"},
    {"preset": "llm-iqa"},
    {"preset": "ensemble"},
    {"preset": "ensemble", "rater_weights": [2, 1, 1]},
    {"preset": "fast"},
    {"preset": "llm-iqa", "segmenter": "sam2.1-tiny"},
    {"preset": "llm-iqa", "segmenter": "sam2.1-large:own.pt"},
    {"preset": "llm-iqa", "segmenter": "hf-sam2:folder"},
    {"preset": "llm-iqa", "granularity": "default"},
    {"preset": "ensemble", "granularity": "tiny"},
    {"preset": "llm-iqa", "granularity": "no-complement"},
    {"preset": "llm-iqa", "granularity": "coarse"},
    {"preset": "llm-iqa", "granularity": "paper,points_per_side=8", "min_area": 0.02},
    {"preset": "embedded", "complement": False, "weighting": "mean", "normalize_areas": False},
    {"preset": "embedded", "raters": ["fake", "nss"], "readout": "expected", "lambda": 3.0},
]
NAMED = {
    "segmenter": r"segmenter",
    "granularity": r"parameters",
    "complement": r"complement",
    "complement_rule": r"complement",
    "formula": r"formula",
    "count_weight": r"count term",
    "min_area": r"least area",
    "crop": r"masks|boxes|whole",
    "lambda": r"lambda|boxes|masks|whole",
    "weighting": r"by area|by mean",
    "normalize_areas": r"literal areas",
    "readout": r"readout",
    "standard": r"standard|K =|free number|prompt",
}
"""Setting -> what a label says where it is about that setting."""


def settings_of(row, settings):
    """Everything that decides a row's scores: of its run, its standard, its raters and its arithmetic."""
    fields = {**settings.to_dict(), **dict(row.run.segmentation), "crop": row.run.crop}
    if row.run.crop == "whole":  # nothing is segmented; lambda leaves the regions out elsewhere
        fields["crop"] = "bbox"
    arithmetic = dict(common_arithmetic(row))
    fields["raters"] = tuple(arithmetic.pop("members", settings.raters))
    if len(fields["raters"]) == 1:
        fields["rater_weights"] = []
    return {**fields, **arithmetic, "standard": row.standard, "standards": None}


@pytest.mark.parametrize("table", ["3", "4", "5", "ours", "official"])
@pytest.mark.parametrize("overrides", OVERRIDES, ids=lambda each: "-".join(map(str, each.values())))
def test_two_rows_differ_only_in_what_their_labels_name(table, overrides):
    overrides = dict(overrides)
    settings = load_settings(overrides.pop("preset"), overrides)
    rows = table_rows(table, settings)
    assert len({row.label for row in rows}) == len(rows) > 1
    for first, second in itertools.combinations(rows, 2):
        one, other = settings_of(first, settings), settings_of(second, settings)
        labels = f"{first.label} / {second.label}"
        different = {key for key in one if one[key] != other[key]}
        if different & {"raters", "rater_weights"}:
            assert all(
                row.label.endswith(", ".join(each["raters"])) or "ensemble of" in row.label
                for row, each in ((first, one), (second, other))
            ), labels
        unnamed = [
            key for key in different - {"raters", "rater_weights"} if not re.search(NAMED[key], labels)
        ]
        assert not unnamed, f"{labels} differ in {unnamed}"
    alone = [row for row in rows if "ensemble of" not in row.label]
    assert all(len(settings_of(row, settings)["raters"]) == 1 for row in alone), "as the paper's numbers are"


def test_a_row_that_would_be_the_common_setting_is_left_out_with_a_word():
    tiny = load_settings("llm-iqa", {"segmenter": "sam2.1-tiny", "complement": False})
    labels = [row.label for row in table_rows("5", tiny)]
    assert labels == ["default parameters", "coarse parameters", "our setting", "our setting, literal areas"]
    assert left_out("5", tiny) == [
        f"Left out: {label}. That is the common setting here."
        for label in ("segmenter sam2.1-tiny", "no complement", "no complement, literal areas")
    ]
    assert left_out("5", SETTINGS) == []


def test_without_the_complement_literal_areas_give_other_scores_and_need_no_further_run():
    """The areas do not add up to 1 where a region is too small: literal, the others count what they cover."""
    paint_squares()
    settings = load_settings("embedded", {"segmenter": "graph", "raters": ["fake"], "min_area": 0.3})
    found = ablate(table_rows("5", settings), settings=settings)
    scores = {row.label: scores_of(row, found) for row in table_rows("5", settings)}
    assert len(found.runs) == 2
    assert all(
        literal < normalised
        for literal, normalised in zip(
            scores["no complement, literal areas"], scores["no complement"], strict=True
        )
    ), scores


def test_no_model_call_is_repeated_within_a_table():
    found = ablate(WORD_ROWS)
    images, cells = 5, 4
    assert found.ratings.computed == images * (1 + cells) * 3, (
        "the whole image and four boxes, three standards"
    )
    assert found.ratings.reused == images * (1 + cells), "a rectangle's mask shows what its box shows"
    assert found.segmentations.computed == images
    assert found.segmentations.reused == images


def test_the_official_table_rates_twice_and_rescores_the_rest():
    """One run under both prompts; without the complement nothing is rated again."""
    paint_squares()
    settings = load_settings("embedded", {"segmenter": "graph", "raters": ["fake"]})
    rows = table_rows("official", settings)
    found = ablate(rows, settings=settings)
    regions = [each.regions for each in runs.iter_scores(found.runs[RunKey("bbox")])]
    views = sum(1 + len(each) for each in regions)
    whole = sum(region.box == (0, 0, 80, 64) for each in regions for region in each)
    assert [key.name for key in found.runs] == [
        "bbox", "bbox-complement-True-complement_rule-remainder", "bbox-complement-False"
    ]  # fmt: skip
    assert found.ratings.computed == 2 * views - whole, "one of the two asks about crops in another way"
    assert (found.segmentations.computed, found.segmentations.reused) == (5, 10), "by any rule"
    assert len(rows) == 16 and len({(row.run, row.standard) for row in rows}) == 4
    scores = {row.label: scores_of(row, found) for row in rows}
    first = scores["formula dog-iqa-first, lambda 1"]
    assert scores["lambda 1"] == pytest.approx(first), "of one lambda they are multiples of each other"
    assert scores["formula mean, lambda 1"] == pytest.approx([score / 2 for score in first])
    counted = [0.1 * len(each) for each in regions]
    assert np.subtract(scores["official prompt and formula"], scores["count term 0"]) == pytest.approx(
        counted
    )
    assert scores["readout digit"] == scores["official prompt and formula"], (
        "the fake rater answers the likeliest level"
    )
    assert (
        scores["readout expected"] != scores["official prompt and formula"] != scores["prompt of the paper"]
    )


def test_the_official_row_is_the_preset_of_the_authors_code():
    """A rater that tells what it would say is read by that, as in the preset; the paper's reading is not."""
    settings = load_settings("embedded", {"segmenter": "grid:2x2", "raters": ["fake"]})
    first, *rows = table_rows("official", settings)
    preset = load_settings("dog-iqa").to_dict()
    assert dict(common_arithmetic(first)).items() <= preset.items()
    assert first.standard == preset["standards"][0]
    paper = dict(common_arithmetic(rows[-1]))
    assert paper.items() <= load_settings("llm-iqa").to_dict().items()
    assert rows[-1].label == "prompt of the paper, readout digit, formula mean, lambda 1, count term 0"
    assert common_settings("official", settings).startswith("readout greedy, formula dog-iqa, lambda 2")


def test_rows_that_read_what_a_rater_does_not_say_are_left_out_with_their_number():
    both = load_settings("embedded", {"segmenter": "graph", "raters": ["fake", "nss"]})
    labels = [row.label for row in table_rows("official", both)]
    assert "readout greedy, fake" in labels and "readout greedy, nss" not in labels
    assert (
        "Left out: readout greedy (1 of 17 rows). The rater nss answers no text, whose first token they read."
        in (left_out("official", both))
    )


def paint_squares():
    for number in range(5):
        pixels = np.full((64, 80, 3), 200, np.uint8)
        pixels[8:40, 8:40] = (20, 40 * number, 90)
        PIL.Image.fromarray(pixels).save(f"photos/{number}.png")


def scores_of(row, found):
    run = found.runs[row.run]
    results = runs.iter_scores(run, runs.reaggregation(run, dict(common_arithmetic(row))))
    return [each.scores[run.labels[row.standard]].score for each in results]


def test_a_second_table_uses_what_the_first_one_has_found():
    ablate(WORD_ROWS)
    found = ablate(table_rows("4", SETTINGS), "out4")
    again = ablate(table_rows("4", SETTINGS), "out4")
    assert found.ratings.computed == 5 * 5 * 3, "of K = 3, 5, 7 and 9 seven levels are known"
    assert found.segmentations.computed == 0
    assert (again.ratings.computed, again.segmentations.computed) == (0, 0)


def test_the_scores_are_those_of_plain_runs():
    same_as_plain(ablate(WORD_ROWS))


def test_masks_that_overlap_are_found_once_for_every_rule(tiny_sam2):
    """Least areas, union and remainder are applied to stored masks, as the segmenter itself would have."""
    granularity = "default-16,points_per_side=4,pred_iou_thresh=0.3,stability_score_thresh=0.3"
    settings = load_settings(
        "embedded",
        {"segmenter": f"sam2:{tiny_sam2}", "raters": ["fake"], "min_pixels": 40, "granularity": granularity},
    )
    found = ablate(
        [row for row in table_rows("official", settings) if row.run.segmentation], settings=settings
    )
    assert (found.segmentations.computed, found.segmentations.reused) == (5, 5)
    weights = {
        region.weight
        for run in found.runs.values()
        for each in runs.iter_scores(run)
        for region in each.regions
        if region.kind == "complement"
    }
    assert len(weights) == 5, "the remainder of each photo, as its masks overlap"
    same_as_plain(found)


def same_as_plain(found):
    for key, run in found.runs.items():
        settings = runs.load_run(run.folder).settings
        plain = runs.open_run(Path("plain") / key.name, settings, find_images(["photos"]), preset="x")
        list(LocalExecutor(1).execute(plain, runs.pending(plain), on_images=lambda _: None))
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
    assert found.ratings.computed == (5 - 3) * 5 * 3, "what was computed before the interruption is known"


def test_a_run_without_segmentation_segments_nothing():
    found = ablate([AblationRow("whole", RunKey("whole"))])
    assert (found.segmentations.computed, found.ratings.computed) == (0, 5)


def test_a_cached_rater_tells_views_standards_and_prompts_apart(tmp_path):
    words, match = load_standard("quality-word-7"), load_standard("correspondence-word-7")
    grey = np.full((20, 20, 3), 90, np.uint8)
    views = [View(grey, None, (20, 20), prompt) for prompt in ("a cat", "a dog", "a cat")]
    with open_cache(tmp_path / "memory.sqlite") as cache:
        calls = Calls()
        cached = CachedRater(FakeRater(), cache, calls)
        found = cached.rate(views, [words, match])
        assert found == FakeRater().rate(views, [words, match])
        assert (calls.computed, calls.reused) == (3, 3), "one for quality, one for each of two prompts"
        other = CachedRater(FakeRater("2"), cache, calls)
        assert other.rate(views[:1], [words]) != [row[:1] for row in found[:1]]
        crops = [views[0], replace(views[0], region=Region((0, 0, 20, 20), 1.0, "object"))]
        official = load_standard("dog-iqa-word-7")  # which asks about crops in another way
        assert cached.rate(crops, [words, official]) == FakeRater().rate(crops, [words, official])
        assert len({row[1] for row in cached.rate(crops, [words, official])}) == 2


def test_a_rating_that_was_kept_without_its_answer_is_rated_again(tmp_path):
    words, view = load_standard("quality-word-7"), View(np.full((20, 20, 3), 90, np.uint8), None, (20, 20))
    with open_cache(tmp_path / "memory.sqlite") as cache:
        (expected,) = CachedRater(FakeRater(), cache, Calls()).rate([view], [words])
    with sqlite3.connect(tmp_path / "memory.sqlite") as database:
        (text,) = database.execute("select value from known").fetchone()
        (record,) = json.loads(text)
        del record["answer"]
        database.execute("update known set value = ?", (json.dumps([record]),))
    database.close()
    with open_cache(tmp_path / "memory.sqlite") as cache:
        calls = Calls()
        assert CachedRater(FakeRater(), cache, calls).rate([view], [words]) == [expected]
        assert calls.computed == 1


@pytest.mark.parametrize(
    ("table", "row", "dataset", "numbers"),
    [
        ("3", "8", "spaq", {"SRCC": "0.886", "PLCC": "0.885"}),
        ("4", "7", "kadid10k", {"SRCC": "0.580", "PLCC": "0.589"}),
        ("5", "No Complement", "livec", {"SRCC": "0.425", "PLCC": "0.428"}),
        ("4", "7", "livec", {}),
        ("3", "8", "koniq10k", {}),
        ("ours", "", "spaq", {}),
    ],
)
def test_published_numbers_stand_beside_the_rows(table, row, dataset, numbers):
    """LLM-IQA, Tables 3, 4 and 5, as printed."""
    assert printed_row(table, row, dataset) == numbers


class Weighing:
    """Finds a region that weighs less than its area."""

    id, images_per_call = "weighing", 1

    def segment(self, image):
        return [Region((0, 0, 4, 4), 0.5, "complement", weight=0.25)]

    def segment_batch(self, images):
        return [self.segment(image) for image in images]


def test_weights_and_answers_are_kept_for_other_runs(tmp_path):
    image, standard = Image(np.zeros((8, 8, 3), np.uint8), "a"), load_standard("quality-word-7")
    found = []
    for _ in range(2):
        with open_cache(tmp_path / "memory.sqlite") as cache:
            segmented = CachedSegmenter(Weighing(), cache, Calls(), masks=False).segment(image)
            rated = CachedRater(FakeRater(), cache, Calls()).rate(
                [View(image.pixels, None, (8, 8))], [standard]
            )
            found.append((segmented, rated))
    assert found[0] == found[1] and found[1][0][0].weight == 0.25
    assert found[1][1] == FakeRater().rate([View(image.pixels, None, (8, 8))], [standard])
