from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny.lmm4lmm import write_heads_and_photos, write_lmm4lmm
from zeroiqa.errors import UserError
from zeroiqa.heads.lmm4lmm.head import Head
from zeroiqa.images.decode import decode
from zeroiqa.raters import build_rater, find_rater
from zeroiqa.runs import load_run, read_rated
from zeroiqa.standards import load_standard
from zeroiqa.weights.options import ModelOptions

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = write_heads_and_photos(tmp_path_factory.mktemp("heads"))
    (base / "prompts.txt").write_text("a cat\n two dogs \nnothing\n")
    return base


@pytest.fixture
def head(give):
    here = ("--workers", "1", "--device", "cpu")
    return lambda folder, *arguments: give(folder, "head", "score", *arguments, *here)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_perception_is_a_run_like_any_other(folder, head):
    done = head(folder, "lmm4lmm:perception", "photos", "--weights", "scores", "-o", "run")
    assert done.returncode == 0, done.stderr
    images = [decode(str(folder / "photos" / f"{number}.png")) for number in range(3)]
    judged = Head("perception", folder / "scores", ModelOptions(device="cpu")).score(images)
    for row, one in zip(rows(folder / "run/scores.csv"), judged, strict=True):
        assert float(row["score"]) == pytest.approx(one.score, abs=1e-4)
        assert row["level_head:lmm4lmm:perception:scores"] == str(1 + one.levels.index(max(one.levels)))
    (rated, *_) = (rated for _, rated in read_rated(load_run(folder / "run"), 0))
    (rating,) = rated.ratings["head:lmm4lmm:perception:scores"]["quality-word-7"]
    assert [math.exp(share) for share in rating.logprobs] == pytest.approx(judged[0].levels, abs=1e-4)
    again = head(folder, "lmm4lmm:perception", "photos", "--weights", "scores", "-o", "run")
    assert again.returncode == 0 and again.stdout == done.stdout


def test_correspondence_takes_a_line_for_each_image(folder, head):
    command = ("lmm4lmm:correspondence", "photos", "--weights", "scores", "-o", "matches")
    done = head(folder, *command, "--prompts", "prompts.txt")
    assert done.returncode == 0, done.stderr
    images = [decode(str(folder / "photos" / f"{number}.png")) for number in range(3)]
    judged = Head("correspondence", folder / "scores", ModelOptions(device="cpu")).score(
        images, prompts=["a cat", "two dogs", "nothing"]
    )
    for row, one in zip(rows(folder / "matches/scores.csv"), judged, strict=True):
        assert float(row["score"]) == pytest.approx(one.score, abs=1e-4)


def test_answers_are_probabilities(folder, head):
    command = ("lmm4lmm:qa", "photos", "--weights", "answers", "-o", "answered")
    done = head(folder, *command, "--questions", "prompts.txt", "--format", "csv")
    assert done.returncode == 0, done.stderr
    answered = rows(folder / "answered/scores.csv")
    assert all(0 < float(row["score"]) < 1 for row in answered)
    assert not any(column.startswith("level_") for column in answered[0])


def test_an_image_without_a_prompt_is_a_row_with_an_error(folder, head):
    (folder / "photos/1.txt").write_text("two dogs")
    command = ("lmm4lmm:correspondence", "photos", "--weights", "scores", "-o", "bare")
    done = head(folder, *command, "--sidecar-prompts")
    assert "3 images, 2 with an error" in done.stderr
    without, with_prompt, _ = rows(folder / "bare/scores.csv")
    assert (
        "has no text prompt" in without["error"] and without["level_head:lmm4lmm:correspondence:scores"] == ""
    )
    matches = rows(folder / "matches/scores.csv")[1]
    assert float(with_prompt["score"]) == pytest.approx(float(matches["score"]), abs=1e-4)


def test_a_head_is_a_rater_with_weights_and_an_aspect(folder):
    name = f"head:lmm4lmm:perception:{folder / 'scores'}"
    assert find_rater(name).needs_weights
    rater = build_rater(name)
    assert rater.id.startswith("head lmm4lmm perception ")
    rater.check(load_standard("quality-word-7"))
    with pytest.raises(UserError, match="rates quality, but the standard correspondence-word-7"):
        rater.check(load_standard("correspondence-word-7"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("head", "There is no head ''"),
        ("head:other:perception:x", "There is no head 'other:perception:x'"),
        ("head:lmm4lmm:beauty:x", "DIMENSION one of perception"),
        ("head:lmm4lmm:perception", "lacks its weights"),
    ],
)
def test_an_unknown_head_is_said(name, said):
    with pytest.raises(UserError, match=said):
        build_rater(name)


def test_training_ends_in_a_checkpoint_that_scores(tmp_path, give, head):
    write_lmm4lmm(tmp_path / "start", regression=False, rank=0)
    lines = ["image,mos"]
    for number in range(14):
        Image.new("RGB", (32, 24), (18 * number,) * 3).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{1 + number / 4}")
    (tmp_path / "ratings.csv").write_text("\n".join(lines) + "\n")
    command = ["head", "train", "lmm4lmm", "--stage", "2", "--data", "ratings.csv", "--start", "start"]
    command += ["-o", "trained", "--epochs", "1", "--batch-size", "4", "--validation", "share:0.3"]
    command += ["--device", "cpu"]
    done = give(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("validation SRCC ") and "step 3/3, loss " in done.stderr
    scored = head(tmp_path, "lmm4lmm:perception", "0.png", "--weights", "trained", "-o", "run")
    assert scored.returncode == 0, scored.stderr
    assert rows(tmp_path / "run/scores.csv")[0]["status"] == "ok"
    again = give(tmp_path, *command)
    assert again.returncode == 1 and "holds a finished training" in again.stderr
