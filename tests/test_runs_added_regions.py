"""Runs without regions: what is not computed, how they get regions, and what is refused until then."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

import zeroiqa
from tests.healing import broken, parts, photo
from zeroiqa import runs
from zeroiqa.cli import cli
from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
from zeroiqa.raters.fake import FakeRater
from zeroiqa.runs import record, revisions
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.segmenters.grid import GridSegmenter
from zeroiqa.settings import load_settings

HOW = ("--segmenter", "grid:2x1", "--rater", "fake", "--rater", "fake:2")
SAME = "photos", *HOW
CHOICES = {"segmenter": "grid:2x1", "raters": ("fake", "fake:2")}


def give(*arguments, code=0):
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == code, f"{result.output}{result.exception!r}"
    return result


def refused(*arguments):
    """The sentence of a command that refuses."""
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def scores(run="run"):
    return Path(run, "scores.csv").read_bytes()


def rows(run="run"):
    with Path(run, "scores.csv").open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).stem: row for row in csv.DictReader(file)}


@pytest.fixture(autouse=True)
def photos(here):
    """Five photos in shards of 1, 2 and 2, of which one is broken."""
    Path("photos").mkdir()
    for number in range(5):
        photo(number).save(f"photos/{number}.png")
    broken("photos/3.png")


@pytest.fixture
def calls(monkeypatch):
    """What is computed: segmenters built and used, and views rated, whole images and regions."""
    counts: Counter[str] = Counter()
    build, segment, rate = GridSegmenter.__init__, GridSegmenter.segment, FakeRater.rate

    def built(self, *arguments, **named):
        counts["built"] += 1
        build(self, *arguments, **named)

    def segmented(self, image):
        counts["segmented"] += 1
        return segment(self, image)

    def rated(self, views, standards):
        for view in views:
            counts["whole" if view.region is None else "region"] += 1
        return rate(self, views, standards)

    monkeypatch.setattr(GridSegmenter, "__init__", built)
    monkeypatch.setattr(GridSegmenter, "segment", segmented)
    monkeypatch.setattr(FakeRater, "rate", rated)
    return counts


# with lambda 0


def test_regions_move_no_score_and_are_not_made(calls):
    said = give("score", *SAME, "-o", "run")
    assert calls == {"whole": 4 * 2}
    assert said.stdout.startswith("score  whole  image\n")
    shown = give("score", *SAME, "-o", "with", "--regions")
    assert shown.stdout.startswith("score  whole  regions  n   image\n")
    without, asked = rows(), rows("with")
    for column in ("score", "s_global", "score_fake", "score_fake:2", "disagreement"):
        assert [row[column] for row in without.values()] == [row[column] for row in asked.values()]
    assert {(row["s_local"], row["n_regions"]) for row in without.values()} == {("", "")}
    assert {row["n_regions"] for row in asked.values()} == {"2", ""}  # of the broken one
    (record,) = json.loads(give("score", "photos/0.png", *HOW, "--format", "json").stdout)
    assert (record["s_local"], record["n_regions"], record["regions"]) == (None, None, [])


def test_weights_of_a_segmenter_are_not_needed_but_for_regions():
    sam = "--segmenter", "sam2.1-tiny", "--offline", "--rater", "fake"
    said = give("score", "photos", *sam, "-o", "run").stderr
    assert "--segmenter does nothing here: no regions are made, since lambda is 0; --regions" in said
    assert "sam2.1-tiny" in refused("score", "photos", *sam, "--regions", "-o", "other")
    assert "segmenter  none" in give("score", "photos", *sam, "--dry-run").stdout


def test_a_crop_that_shows_no_regions_is_no_way_to_ask_for_them():
    assert "choose the crop bbox or mask" in refused("score", "photos", "--regions", "--crop", "whole")
    give("score", "photos", "--rater", "fake", "--crop", "whole", "-o", "run")
    assert "choose the crop bbox or mask" in refused("score", "-o", "run", "--regions")
    assert "Lambda 1 weighs nothing: run shows whole" in give("rescore", "run", "--lambda", "1").stderr
    assert "weighs nothing" not in give("rescore", "run").stderr
    assert "crop is whole; give --crop" in (
        give("score", "photos", "--crop", "whole", "--segmenter", "grid", "--rater", "fake").stderr
    )


def test_in_python_nothing_stands_for_what_is_not_there():
    pixels = photo(1)
    without = zeroiqa.score(pixels, method=zeroiqa.load_method(segmenter="grid", raters=["fake"]))
    assert (without.s_local, without.n_regions, without.disagreement) == (None, None, None)
    assert "regions" not in str(without)
    asked = zeroiqa.load_method(segmenter="grid", raters=["fake"], regions=True)
    found = zeroiqa.score(pixels, method=asked)
    assert (found.score, found.n_regions) == (without.score, len(found.regions)) and found.s_local
    none = zeroiqa.load_method(raters=["fake"], regions=True, min_area=1.0, complement=False)
    assert (zeroiqa.score(pixels, method=none).n_regions, zeroiqa.score(pixels, method=none).s_local) == (
        0,
        None,
    )


# a run that has regions


@pytest.fixture
def older():
    """A run in the default folder as the version before began it: lambda 0, and regions all the same."""
    give("score", *SAME, "--regions")
    (folder,) = Path("zeroiqa-runs").iterdir()
    path = folder / record.NAME
    said = json.loads(path.read_text())
    assert said["settings"].pop("regions") is True
    path.write_text(json.dumps({**said, "format": 3}))
    return folder


def test_an_older_run_is_found_and_goes_on_with_its_regions(older, calls):
    before = scores(older)
    photo(9).save("photos/9.png")
    said = give("score", *SAME).stderr
    assert f"1 image is new in {older}" in said and "gets regions" not in said
    assert [*Path("zeroiqa-runs").iterdir()] == [older]
    assert calls["segmented"] == 1 and calls["region"] == 2 * 2
    assert scores(older).startswith(before) and rows(older)["9"]["n_regions"] == "2"
    by_one = give("rescore", older, "--lambda", "1", "--format", "csv").stdout
    give("score", *SAME, "--lambda", "1", "-o", "new")
    assert by_one.encode() == scores("new")
    give("verify", older)


def test_an_older_table_still_says_what_the_parts_say():
    give("score", "photos", "--rater", "fake", "-o", "run")
    for regions, code in (("0", 0), ("2", 1)):
        table = rows()
        for row in table.values():
            if row["score"]:
                row |= {"s_local": row["s_global"], "n_regions": regions, "disagreement": "0.000000"}
        with Path("run/scores.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, next(iter(table.values())))
            writer.writeheader()
            writer.writerows(table.values())
        assert ("column n_regions" in give("verify", "run", code=code).output) is bool(code)


def test_regions_that_are_found_are_rated():
    give("segment", "photos", "--segmenter", "grid:2x1", "-o", "run")
    give("score", *SAME, "--crop", "mask", "-o", "run")
    assert rows()["0"]["n_regions"] == "2" and rows()["0"]["s_local"]


# a run that gets regions


def test_what_needs_regions_is_refused_by_a_sentence_whose_command_works():
    give("score", *SAME, "-o", "run")
    sentence = refused("rescore", "run", "--formula", "dog-iqa", "--lambda", "2")
    with pytest.raises(UserError, match="has no regions, which lambda 2 weighs"):
        list(zeroiqa.load_run("run").scores(lam=2.0, readout="digit"))
    command = re.search("`(.*)`", sentence)[1]
    assert command == "zeroiqa score -o run --lambda 2"
    before = rows()
    said = give(*shlex.split(command)[1:]).stderr
    assert "run gets regions and their ratings; what it has is kept." in said
    assert "The table is by lambda 2; scores.csv stays by the run's own lambda 0" in said
    assert [row["score"] for row in rows().values()] == [row["score"] for row in before.values()]
    give("score", *SAME, "--lambda", "2", "--formula", "dog-iqa", "-o", "new")
    found = give("rescore", "run", "--formula", "dog-iqa", "--lambda", "2", "--format", "csv").stdout
    assert found.encode() == scores("new")
    give("verify", "run", "--deep")


@pytest.mark.parametrize(("ask", "workers"), [(("--regions",), 1), (("--lambda", "1"), 2)])
def test_they_are_those_of_a_run_that_had_them_from_the_start(ask, workers, calls):
    give("score", *SAME, "-o", "run")
    kept = parts()
    calls.clear()
    photo(7).save("photos/7.png")
    photo(3).save("photos/3.png")
    give("score", *SAME, *ask, "--workers", workers, "-o", "run")
    if workers == 1:  # of the images that are new and repaired alone, the whole is rated
        assert (calls["segmented"], calls["whole"], calls["region"]) == (6, 2 * 2, 6 * 2 * 2)
    assert kept.items() < parts().items()
    give("score", *SAME, "--regions", "-o", "new")
    assert scores() == scores("new")
    assert runs.load_run(Path("run")).run_id == runs.load_run(Path("new")).run_id
    done = parts()
    assert "Nothing was to do" in give("score", *SAME, "-o", "run").stderr
    assert parts() == done


def test_a_run_in_the_default_folder_is_found_by_either_lambda(calls):
    give("score", *SAME)
    (folder,) = Path("zeroiqa-runs").iterdir()
    assert f"{folder} gets regions" in give("score", *SAME, "--lambda", "1").stderr
    assert "(exists: would be resumed; 0 images left to do)" in give("score", *SAME, "--dry-run").stdout
    assert "Nothing was to do" in give("score", *SAME).stderr
    assert [*Path("zeroiqa-runs").iterdir()] == [folder]
    give("score", *SAME, "--min-area", "0.5")
    assert len([*Path("zeroiqa-runs").iterdir()]) == 2


def test_a_dry_run_says_what_a_run_would_get():
    give("score", *SAME, "-o", "run")
    said = give("score", *SAME, "--regions", "-o", "run", "--dry-run").stdout
    assert "(exists: would be resumed; would get regions, 5 images left to do)" in said
    assert not runs.load_run(Path("run")).has_regions


def begin(**choices):
    settings = load_settings("embedded", CHOICES | choices)
    return runs.open_run(Path("run"), settings, find_images(["photos"]), preset="embedded")


def test_an_unfinished_run_can_get_them_and_be_interrupted_then():
    run = begin()
    next(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    run = begin(regions=True)
    assert (run.gets_regions, runs.pending(run)) == (True, [0, 1, 2])
    next(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    again = begin()  # of whatever lambda the command is
    assert (again.gets_regions, again.has_regions, runs.pending(again)) == (False, True, [1, 2])
    give("score", "-o", "run")
    give("score", *SAME, "--regions", "-o", "new")
    assert rows() == rows("new")


def test_whoever_is_killed_before_the_run_says_so_has_changed_nothing(monkeypatch):
    give("score", *SAME, "-o", "run")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(record, "extend", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        begin(lam=1.0)
    assert revisions.read(Path("run")).segmented == {*range(5)}
    assert runs.pending(runs.load_run(Path("run"))) == []
    photo(8).save("photos/8.png")
    give("score", *SAME, "-o", "run")
    give("score", "-o", "run", "--lambda", "1")
    assert {row["n_regions"] for row in rows().values()} == {"2", ""}
    assert sorted(path.name for path in Path("run").glob("revision-*")) == [
        "revision-0001.parquet",
        "revision-0002.parquet",  # the image that came between
    ]


def test_who_knows_of_no_regions_leaves_the_scores_to_the_one_that_does():
    old = begin()
    give("score", *SAME, "--regions", "-o", "run")
    list(LocalExecutor(1).execute(old, runs.pending(old), on_images=lambda _: None))
    with pytest.raises(UserError, match="meanwhile"):
        runs.write_scores(old)
    assert {row["n_regions"] for row in rows().values()} == {"2", ""}


def test_regions_and_ratings_of_the_whole_are_of_one_file():
    give("score", *SAME, "-o", "run")
    photo(22).save("photos/2.png")
    give("score", "-o", "run", "--regions")
    assert "it is not the file that was rated; give the same command again" in rows()["2"]["error"]
    give("score", "-o", "run", "--regions")
    give("score", *SAME, "--regions", "-o", "new")
    assert rows() == rows("new")


def test_slices_add_them_and_merge_compares():
    give("score", *SAME, "-o", "run")
    give("score", *SAME, "-o", "other")
    for index in range(2):
        give("score", *SAME, "--regions", "-o", "run", "--shard", f"{index}/2")
    give("merge", "run")
    assert rows()["0"]["n_regions"] == "2"
    sentence = refused("merge", "run", "other", "-o", "both")
    assert sentence.startswith("run has regions and other has none")
    give(*shlex.split(re.search("`(.*)`", sentence)[1])[1:])
    give("merge", "run", "other", "-o", "both")
    assert rows("both") == rows()


def test_in_python_a_run_gets_them_too():
    run = zeroiqa.run("photos", "run", workers=1, **CHOICES)
    told: list[str] = []
    run = zeroiqa.run(None, "run", workers=1, lam=1.0, on_message=told.append)
    assert told[0] == "run gets regions and their ratings; what it has is kept."
    assert [each.n_regions for each in run.scores(lam=1.0)] == [2, 2, 2, None, 2]
    assert all(each.score == each.s_global for each in run.scores())


def test_raters_may_come_with_them():
    give("score", "photos", "--segmenter", "grid:2x1", "--rater", "fake", "-o", "run")
    said = give("score", *SAME, "--regions", "-o", "run").stderr
    assert "run gets regions and their ratings, and ratings by fake:2; what it has is kept." in said
    give("score", *SAME, "--regions", "-o", "new")
    assert rows() == rows("new")


def test_a_preset_of_ones_own_asks_for_them():
    preset = Path(zeroiqa.__file__).parent / "presets" / "embedded.toml"
    Path("own.toml").write_text(preset.read_text() + "regions = true\n")
    give("score", "photos", "--preset", "own.toml", *HOW, "-o", "run")
    assert rows()["0"]["n_regions"] == "2"
