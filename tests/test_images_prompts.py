"""Text prompts from a file beside the images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import zeroiqa
from tests.command import zeroiqa as command
from zeroiqa.errors import UserError
from zeroiqa.images.prompts import COLUMNS, with_prompts
from zeroiqa.images.ref import ImageRef
from zeroiqa.samples import folder

IMAGES = [ImageRef("photos/a.png"), ImageRef("photos/sub/b.png", prompt="own"), ImageRef("photos/c.png")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prompts(text: str, name: str = "p.csv") -> list[str | None]:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)
    return [each.prompt for each in with_prompts(IMAGES, Path(name))]


@pytest.mark.parametrize("column", [*COLUMNS, "Text Prompt", "PROMPT"])
def test_the_column_may_be_called_as_people_do(here: Path, column: str) -> None:
    assert prompts(f"image,{column}\na.png,a cat\nphotos/c.png,two dogs\n") == ["a cat", "own", "two dogs"]


@pytest.mark.parametrize(
    "named", ["photos/c.png", "./photos/c.png", "c.png", "c", "elsewhere/c.png", "'c.png'"]
)
def test_images_are_told_by_path_or_by_a_name_that_fits_one(here: Path, named: str) -> None:
    if named.startswith("'"):
        named = named.strip("'") + " "
    assert prompts(f"file_name,text\n{named},x\n") == [None, "own", "x"]


def test_paths_count_from_the_table_first(here: Path) -> None:
    assert prompts("image,prompt\nsub/b.png,new\n", "photos/metadata.csv") == [None, "new", None]


def test_lines_and_rows_without_names_go_by_order(here: Path) -> None:
    assert prompts("a cat\n\n two dogs \n", "p.txt") == ["a cat", None, "two dogs"]
    assert prompts("prompt\nx\ny\nz\n", "p2.csv") == ["x", "y", "z"]
    lines = [{"file_name": f"{name}.png", "text": name} for name in "abc"]
    assert prompts("\n".join(map(json.dumps, lines)), "p.jsonl") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        ("image,mos\na.png,1\n", "p.csv", "p.csv has no column of prompts; its columns are image, mos"),
        ("image,prompt,caption\na.png,x,y\n", "p.csv", "2 columns of prompts, prompt and caption"),
        ("image,path,prompt\na.png,b,x\n", "p.csv", "2 columns of images"),
        ("image,prompt\nz.png,x\n", "p.csv", "a prompt for none of the 3 images; it names z.png"),
        ("one\ntwo\n", "p.txt", "2 lines for 3 images; one for each image is needed"),
        ("prompt\nx\n", "p.csv", "1 rows for 3 images"),
    ],
)
def test_what_does_not_fit_is_refused(here: Path, text: str, name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        prompts(text, name)
    with pytest.raises(UserError, match="none.txt cannot be read"):
        with_prompts(IMAGES, Path("none.txt"))


def test_a_name_that_two_images_have_is_none(here: Path) -> None:
    twice = [ImageRef("x/a.png"), ImageRef("y/a.png"), ImageRef("b.png")]
    Path("p.csv").write_text("image,prompt\na.png,which\nb.png,this\n")
    assert [each.prompt for each in with_prompts(twice, Path("p.csv"))] == [None, None, "this"]


def test_score_takes_them_and_the_same_command_goes_on(here: Path) -> None:
    for name in ("cat.jpg", "coffee.jpg"):
        (here / name).write_bytes((folder() / name).read_bytes())
    Path("p.csv").write_text("image,caption\ncat.jpg,a cat\nnone.jpg,x\n")
    line = ("score", "cat.jpg", "coffee.jpg", "--rater", "fake", "--aspect", "correspondence", "-o", "run")
    done = command(here, *line, "--prompts", "p.csv")
    assert done.returncode == 0, done.stderr
    assert "p.csv names 1 images that are not among those found" in done.stderr
    assert "p.csv has no prompt for 1 of 2 images" in done.stderr
    assert "1 of 2 images have no text prompt" in done.stderr
    assert "Nothing was to do" in command(here, *line, "--prompts", "p.csv").stderr
    run = zeroiqa.run(
        ["cat.jpg", "coffee.jpg"], "python", raters="fake", aspects="correspondence", prompts="p.csv"
    )
    assert [each.score for each in run.scores()] == [each.score for each in zeroiqa.load_run("run").scores()]


@pytest.mark.parametrize("rater", [[], ["--baseline", "piqe"]])
def test_correspondence_names_the_raters_that_judge_it(here: Path, rater: list[str]) -> None:
    (here / "cat.jpg").write_bytes((folder() / "cat.jpg").read_bytes())
    done = command(here, "score", "cat.jpg", "--aspect", "correspondence", *rater)
    assert done.returncode == 1
    for name in ("`zeroiqa models`", "openai:URL#MODEL", "head:lmm4lmm:correspondence:FOLDER", "clipscore"):
        assert name in done.stderr, done.stderr
    done = command(here, "score", "cat.jpg", "--aspect", "correspondence", "--rater", "fake")
    assert "--prompts FILE" in done.stderr
