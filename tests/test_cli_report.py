"""`zeroiqa report`: what it writes, and what it says of runs, images and files that are amiss."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command import zeroiqa
from tests.pagedata import RATED, block, column, draw, scored
from zeroiqa.report import make

NAMES = tuple(f"{letter}/{number}.png" for letter in "ab" for number in range(3))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of regions, one without, and one of other numbers."""
    folder = tmp_path_factory.mktemp("report")
    scored(folder, NAMES)
    (folder / "photos" / "b" / "broken.png").write_bytes(
        (folder / "photos" / "a" / "0.png").read_bytes()[:200]
    )
    scored(folder, NAMES, run="run")
    scored(folder, NAMES, *RATED[:4], run="whole")
    scored(folder, NAMES, "--rater", "baseline:piqe", run="piqe")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """A copy of it, together with its images."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_a_page_has_the_scores_of_the_run_and_what_they_are_made_of(made: Path) -> None:
    done = zeroiqa(made, "report", "run")
    assert done.returncode == 0 and done.stderr.startswith("Written: report.html (7 images")
    with (made / "run" / "scores.csv").open(newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    data = block(made / "report.html")
    assert data["paths"] == list(rows)
    scores = column(made / "report.html", "score")
    assert scores == [
        pytest.approx(float(row["score"]), abs=1e-5) if row["score"] else None for row in rows.values()
    ]
    assert data["status"]["names"] == ["ok", "error"] and "broken.png" in data["errors"]["names"][0]
    assert sorted(data["groups"]["names"]) == ["photos/a", "photos/b"]
    assert data["links"][0] == "./photos/a/0.png"
    for place, score in enumerate(scores):
        [detail] = block(made / "report.html", f"image-{place}")["runs"]
        if score is not None:
            assert f"{sum(detail['shares']):.2f}" == f"{score:.2f}"
            assert len(detail["shares"]) == len(detail["levels"]) == 1 + len(detail["regions"])
            assert [sum(view["levels"]) for view in detail["answers"][0]["views"]] == pytest.approx(
                [1] * 5, abs=1e-3
            )


def test_regions_are_made_of_the_worst_and_the_best_of_a_run_that_has_none(made: Path) -> None:
    before = sorted(path.name for path in (made / "whole").rglob("*"))
    done = zeroiqa(
        made, "report", "whole", "-o", "whole.html", "--group-by", "re:^photos/(.)", "--regions", "1"
    )
    assert "those of 2 images" in done.stderr
    advised = done.stderr.split("`")[1]
    assert advised == "zeroiqa report whole -o whole.html --group-by 're:^photos/(.)' --regions 2"
    more = zeroiqa(made, *shlex.split(advised)[1:], "-o", "more.html")
    assert "those of 4 images" in more.stderr
    assert "regions" not in zeroiqa(made, "report", "whole", "-o", "more.html", "--regions", "3").stderr
    scores = column(made / "whole.html", "score")
    details = [block(made / "whole.html", f"image-{place}")["runs"][0] for place in range(7)]
    worst_and_best = {scores.index(min(filter(None, scores))), scores.index(max(filter(None, scores)))}
    assert {place for place, each in enumerate(details) if each["regions"]} == worst_and_best
    for place in worst_and_best:
        assert details[place]["shares"] == [pytest.approx(scores[place], abs=0.006), 0, 0, 0, 0]
        assert all(
            region["outline"] and None not in details[place]["levels"] for region in details[place]["regions"]
        )
    assert sorted(path.name for path in (made / "whole").rglob("*")) == before
    assert "regions" not in zeroiqa(made, "report", "whole", "-o", "none.html", "--regions", "0").stderr


@pytest.mark.parametrize(("scale", "name"), [("0-100", "score_0_100"), ("percentile", "percentile")])
def test_the_scale_that_is_shown_is_a_column(made: Path, tmp_path: Path, scale: str, name: str) -> None:
    scored(tmp_path, NAMES[:3], "--rater", "fake", "--scale", scale)
    done = zeroiqa(tmp_path, "report", "run", "--regions", "0")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run" / "scores.csv").open(newline="") as file:
        expected = [float(row[name]) for row in csv.DictReader(file)]
    assert column(tmp_path / "report.html", name) == pytest.approx(expected, rel=1e-5)
    assert f"{name} is " in (tmp_path / "report.html").read_text()


def test_two_runs_have_both_scores_and_their_difference(made: Path) -> None:
    assert zeroiqa(made, "report", "run", "whole", "-o", "two.html").returncode == 0
    page = made / "two.html"
    a, b, difference = (column(page, key) for key in ("score", "other", "difference"))
    assert difference == [
        pytest.approx(y - x, abs=1e-5) if x is not None else None for x, y in zip(a, b, strict=True)
    ]
    assert [len(each["runs"]) for each in (block(page, "image-0"), block(page))] == [2, 2]


def test_scores_of_two_scales_have_no_difference(made: Path) -> None:
    done = zeroiqa(made, "report", "run", "piqe", "-o", "scales.html")
    assert "Scores of run and piqe are not of one scale: there is no difference." in done.stderr
    assert column(made / "scales.html", "difference") is None


def test_opinions_are_compared_as_evaluate_compares_them(made: Path) -> None:
    rows = [f"photos/{name},{10 * number}" for number, name in enumerate(NAMES)]
    (made / "mos.csv").write_text("\n".join(["image,mos", *rows]) + "\n")
    done = zeroiqa(made, "report", "run", "-o", "opinions.html", "--opinions", "mos.csv")
    evaluated = zeroiqa(made, "evaluate", "run", "--mos", "mos.csv", "--resamples", "0", "--outliers", "0")
    srcc = next(line.split()[2] for line in evaluated.stdout.splitlines() if line.startswith("SRCC"))
    text = (made / "opinions.html").read_text()
    assert f"SRCC {srcc}, PLCC " in text and done.returncode == 0
    assert column(made / "opinions.html", "opinion") == [0, 10, 20, 30, 40, 50, None]
    (made / "others.csv").write_text("image,mos\nx.png,1\ny.png,2\nz.png,3\n")
    failed = zeroiqa(made, "report", "run", "-o", "no.html", "--opinions", "others.csv")
    assert failed.returncode == 1 and failed.stderr.startswith("Error: None of the 3 images that others.csv")
    assert not (made / "no.html").exists()


def test_more_images_than_pictures_are_a_table(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "MOST_PICTURES", 5)
    done = zeroiqa(made, "report", "run", "-o", "table.html")
    assert "7 images are more than the 5 that a page shows pictures of" in done.stderr
    assert block(made / "table.html", "image-0") is None and block(made / "table.html")["links"][0]


def test_a_page_is_replaced_and_nothing_else(made: Path) -> None:
    (made / "mine.html").write_text("<!doctype html><p>mine")
    (made / "folder").mkdir(exist_ok=True)
    for name, sentence in (("mine.html", "is no report of zeroiqa"), ("folder", "is a folder")):
        done = zeroiqa(made, "report", "run", "-o", name)
        assert done.returncode == 1 and sentence in done.stderr and done.stderr.count("\n") == 1
    assert (made / "mine.html").read_text() == "<!doctype html><p>mine"
    os.mkfifo(made / "pipe")
    reader = subprocess.Popen(["cat", made / "pipe"], stdout=subprocess.PIPE)
    assert zeroiqa(made, "report", "whole", "-o", "pipe", "--regions", "0").returncode == 0
    assert b"</html>" in reader.communicate()[0] and (made / "pipe").is_fifo()
    (made / "pipe").unlink()
    for _ in range(2):
        assert zeroiqa(made, "report", "whole", "-o", "again.html", "--regions", "0").returncode == 0


def test_a_page_goes_where_a_link_leads_and_not_into_a_file_called_minus(made: Path, tmp_path: Path) -> None:
    link, page = (tmp_path / name for name in ("link.html", "page.html"))
    link.symlink_to(page.name)
    for _ in range(2):
        assert zeroiqa(made, "report", "run", "-o", str(link)).returncode == 0
    assert link.is_symlink() and block(page)
    done = zeroiqa(made, "report", "run", "-o", "-")
    assert done.returncode == 1 and "give its name with -o" in done.stderr and not (made / "-").exists()


def test_a_run_is_known_again_by_any_name_of_its_folder(made: Path) -> None:
    done = zeroiqa(made, "report", "run", str(made / "run"), "-o", "no.html")
    assert done.returncode == 1 and "given twice" in done.stderr


def test_levels_are_called_as_their_own_standard_calls_them(tmp_path: Path) -> None:
    standards = [part for name in ("quality", "authenticity") for part in ("--standard", f"{name}-word-7")]
    scored(tmp_path, NAMES[:2], "--rater", "fake", *standards)
    assert zeroiqa(tmp_path, "report", "run", "--regions", "0").returncode == 0
    words = block(tmp_path / "report.html")["runs"][0]["words"]
    assert {label: each[0] for label, each in words.items()} == {
        "quality": "Very Bad",
        "authenticity": "Completely Artificial",
    }


def test_a_run_that_has_moved_with_its_images_finds_them(here: Path) -> None:
    done = zeroiqa(here.parent, "report", "copy/run", "-o", "copy/page/report.html")
    assert done.returncode == 0 and "no picture" not in done.stderr
    assert block(here / "page" / "report.html")["links"][0] == "./../photos/a/0.png"


def test_images_that_are_gone_or_others_have_a_word_and_are_counted_once(tmp_path: Path) -> None:
    here = tmp_path
    scored(here, NAMES[:3])
    (here / "photos" / "a" / "0.png").unlink()
    draw(here / "photos" / "a" / "1.png", 9, size=(300, 200))
    done = zeroiqa(here, "report", "run")
    assert "2 of 3 images have no picture here: 1 not found, 1 changed." in done.stderr
    thumbnails = block(here / "report.html", "thumbnails-0")
    assert thumbnails[:2] == [["not found"], ["changed"]] and isinstance(thumbnails[2], str)


def test_an_unfinished_run_shows_what_is_there(here: Path) -> None:
    for part in sorted((here / "run" / "ratings").rglob("*.parquet"))[1:]:
        part.unlink()
    done = zeroiqa(here, "report", "run")
    assert done.returncode == 0 and "of 7 images are not scored yet" in done.stderr
    assert 0 < len(block(here / "report.html")["paths"]) < 7
    assert "not finished" in (here / "report.html").read_text()
    for part in (here / "run" / "ratings").rglob("*.parquet"):
        part.unlink()
    done = zeroiqa(here, "report", "run", "-o", "no.html")
    assert done.returncode == 1 and "has no image that is scored yet" in done.stderr


def test_a_run_in_which_every_image_has_an_error_is_shown(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    assert zeroiqa(tmp_path, "score", "photos", "-o", "run", "--workers", "1").returncode == 0
    done = zeroiqa(tmp_path, "report", "run")
    assert done.returncode == 0 and done.stderr.startswith("Written: report.html (1 image, ")
    assert column(tmp_path / "report.html", "score") is None
    assert block(tmp_path / "report.html")["status"]["names"] == ["error"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["photos"], "has no run.json, so it is no run"),
        (["nowhere"], "does not exist, so it is no run"),
        (["run", "whole", "run"], "A report is of one run or of two, found 3."),
        (["run", "--by-name"], "say how --opinions FILE is read"),
        (["run", "--opinions", "no.csv"], "no.csv"),
        (["run", "--group-by", "no.csv:place"], "no.csv does not exist; give the path of a table."),
        (["run", "--group-by", "re:("], "is no regular expression"),
        (["run", "run"], "given twice"),
        (["run", "-o", "photos/a/0.png/x.html"], "photos/a/0.png"),
    ],
)
def test_what_cannot_be_reported_is_said_in_a_sentence(
    made: Path, arguments: list[str], sentence: str
) -> None:
    done = zeroiqa(made, "report", *arguments)
    assert done.returncode in (1, 2) and sentence in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_run_is_said_in_a_sentence(here: Path) -> None:
    part = next((here / "run" / "ratings").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    done = zeroiqa(here, "report", "run")
    assert done.returncode == 1 and "cannot be read" in done.stderr and done.stderr.count("\n") == 1


def test_a_run_of_regions_alone_has_no_scores_to_show(here: Path) -> None:
    assert (
        zeroiqa(
            here, "segment", "photos", "-o", "regions", "--workers", "1", "--segmenter", "grid"
        ).returncode
        == 0
    )
    done = zeroiqa(here, "report", "regions")
    assert done.returncode == 1 and "holds regions without ratings" in done.stderr
