"""`zeroiqa compare A B`: two folders, two runs, or one of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

import zeroiqa
from tests.command import zeroiqa as command
from zeroiqa.errors import UserError
from zeroiqa.samples import folder

NAMES = ("cat", "coffee", "astronaut", "coffee_compressed", "astronaut_dark_noisy", "cat_blurred")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for place in ("sharp", "soft"):
        (tmp_path / place).mkdir()
    for name in NAMES:
        with Image.open(folder() / f"{name}.jpg") as photo:
            photo.convert("RGB").save(tmp_path / "sharp" / f"{name}.png")
            photo.convert("RGB").filter(ImageFilter.GaussianBlur(2)).save(tmp_path / "soft" / f"{name}.jpg")
    (tmp_path / "soft" / "broken.jpg").write_bytes(b"no image")
    return tmp_path


def test_two_folders_are_scored_and_compared(here: Path) -> None:
    done = command(here, "compare", "sharp", "soft")
    assert done.returncode == 0, done.stderr
    for text in (
        "A    sharp  6       0",
        "B    soft   6       1",
        "B better by, within pairs",
        "B wins of 6 pairs by name",
        "p (Wilcoxon's signed ranks)",
        "1 images of B have no score and are left out.",
        "score         A: sharp",
    ):
        assert text in done.stdout, done.stdout
    again = command(here, "compare", "soft", "sharp")
    assert "Nothing was to do" in again.stderr
    assert again.stdout.count("cat.png") == 1


def test_numbers_are_those_of_python_in_full_precision(here: Path) -> None:
    done = command(here, "compare", "sharp", "soft", "--format", "jsonl", "--resamples", "100")
    records = {row["measure"]: row for row in map(json.loads, done.stdout.splitlines()[2:])}
    runs = [next((here / "zeroiqa-runs").glob(f"{name}-*")) for name in ("sharp", "soft")]
    found = zeroiqa.compare_sets(*runs, resamples=100)
    assert records["better by"]["value"] == found.difference.value
    assert records["win rate"]["value"] == found.pairs.win_rate.value
    assert (records["win rate"]["wins"], records["win rate"]["n"]) == (found.pairs.counts[0], 6)
    assert records["better by"]["p"] == found.pairs.p


def test_a_run_and_a_folder_and_lower_is_better(here: Path) -> None:
    command(here, "score", "sharp", "-o", "run", "--baseline", "piqe")
    done = command(here, "compare", "run", "soft", "--baseline", "piqe")
    assert done.returncode == 0, done.stderr
    assert "Lower scores are better." in done.stdout
    refused = command(here, "compare", "run", "soft")
    assert refused.returncode == 1
    assert "were scored by different methods: their" in refused.stderr


def test_nothing_in_common(here: Path) -> None:
    (here / "other").mkdir()
    for number, path in enumerate(sorted((here / "soft").glob("c*.jpg"))):
        path.rename(here / "other" / f"{number}.jpg")
    done = command(here, "compare", "sharp", "other")
    assert done.returncode == 0, done.stderr
    assert "No name and no prompt is common to both" in done.stdout
    assert "B better by, between the means" in done.stdout
    for by in ("name", "prompt"):
        done = command(here, "compare", "sharp", "other", "--pair-by", by)
        assert done.returncode == 1
        assert f"sharp and other have no common {by}" in done.stderr


def test_none_says_nothing_of_names_and_options_of_databases_are_refused(here: Path) -> None:
    done = command(here, "compare", "sharp", "soft", "--pair-by", "none", "--resamples", "0")
    assert done.returncode == 0 and "No name" not in done.stdout and "bootstrap" not in done.stdout
    done = command(here, "compare", "sharp", "soft", "--members", "--by-name")
    assert (done.returncode, "--members, --by-name is of methods on databases" in done.stderr) == (2, True)


def test_prompts_pair_what_generators_made(here: Path) -> None:
    for place, end in (("sharp", ".png"), ("soft", ".jpg")):
        for number, path in enumerate(sorted((here / place).glob(f"*{end}"))):
            if path.stem != "broken":
                path.rename(here / place / f"{place}-{number}{end}")
        images = sorted((here / place).glob(f"{place}-*"))
        lines = [f"{place}/{path.name},prompt {number}" for number, path in enumerate(images)]
        (here / f"{place}.csv").write_text("\n".join(["image,prompt", *lines]))
    done = command(here, "compare", "sharp.csv", "soft.csv", "--top", "1")
    assert done.returncode == 0, done.stderr
    assert "B wins of 6 pairs by prompt" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sharp"], "Give two folders or runs"),
        (["sharp", "soft", "sharp"], "Give two folders or runs"),
        ([], "Give two folders or runs"),
        (["sharp", "soft", "--baseline", "piqe", "--baseline", "niqe"], "compared by one method"),
    ],
)
def test_other_numbers_of_sets_or_methods_are_wrong_usage(
    here: Path, arguments: list[str], sentence: str
) -> None:
    done = command(here, "compare", *arguments)
    assert (done.returncode, sentence in done.stderr) == (2, True), done.stderr


def test_python_refuses_a_run_without_scores(here: Path) -> None:
    command(here, "score", "sharp", "-o", "run", "--plan-only")
    with pytest.raises(UserError, match="has no scores yet"):
        zeroiqa.compare_sets(here / "run", here / "run")
