"""Errors heal: a photo that is repaired or can be reached again is scored by the same command; nothing
else is computed twice, and nothing is overwritten."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from tests.healing import (
    HOW,
    NUMBER,
    give,
    mount,
    parts,
    photo,
    rows,
    same_as_new,
    score,
    statuses,
)
from tests.healing import (
    photos as photos,
)
from tests.healing import (
    rated as rated,
)
from zeroiqa.cli import cli
from zeroiqa.errors import ImageError
from zeroiqa.images import read
from zeroiqa.runs import items, stages
from zeroiqa.runs.events import read_events


def test_broken_photo_that_is_replaced_and_one_that_can_be_reached_again_are_scored_by_the_same_command(
    photos, rated
):
    said = score()
    assert statuses() == {"04": "error", "01": "unreachable"}
    last = said.splitlines()[-1]
    assert last.startswith("7 images, 2 with an error, 1 of them unreachable. Scores and ratings: run. ")
    assert "`zeroiqa score -o run` scores again what is repaired" in last and "--retry-errors" in last
    before = parts()
    rated.clear()
    assert "computed again" not in score() and (parts(), rated) == (before, [])  # nothing has changed
    photo(4).save("photos/04.png")
    mount()
    said = score()
    listed = "1 other files now, 1 can be reached again"
    assert f"2 images with an error are computed again: {listed}." in said
    assert said.splitlines()[-1] == "7 images, 0 with an error. Scores and ratings: run"
    assert sorted(rated) == ["01", "04"]
    assert before.items() < parts().items()
    new = {"part-00002-0001.parquet", "part-00001-0001.parquet"}
    assert {Path(name).name for name in parts().keys() - before.keys()} == new
    assert len(parts()) == 2 * 3 + 2 * len(new)
    assert same_as_new()
    assert "revision" not in score() and len(list(Path("run").glob("revision-*"))) == 1
    checked = CliRunner().invoke(cli, ["verify", "--deep", "run"])
    assert checked.exit_code == 0 and "3 of 3 parts and 2 of earlier generations" in checked.stdout
    assert "the newest revision is 1" in checked.stdout and "other files              none" in checked.stdout


def test_run_named_alone_looks_at_the_files_of_its_errors(photos, rated):
    score()
    mount()
    rated.clear()
    said = give("score", "-o", "run", "--format", "csv")
    assert "1 image with an error is computed again: 1 can be reached again." in said and rated == ["01"]
    assert statuses() == {"04": "error"}
    photo(4).save("photos/04.png")
    give("score", "-o", "run")
    assert same_as_new()


@pytest.mark.parametrize("name", ["photos/04.png", "photos/01.png", "photos/00.png"])
def test_file_that_cannot_be_opened_for_a_while_is_unreachable_and_comes_back(
    photos, rated, monkeypatch, name
):
    """As on a disk with errors: the file is listed with its size and time, and opening fails."""
    opened = read._open_at_once

    def failing(path, flags):
        if path == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, flags)

    mount()
    with monkeypatch.context() as away:
        away.setattr(read, "_open_at_once", failing)
        score()
        assert statuses() == {"04": "error", Path(name).stem: "unreachable"}
        assert "cannot be read: Input/output error" in rows()[Path(name).stem]["error"]
        rated.clear()
        assert "computed again" not in score()
    said = score()
    assert "1 image with an error is computed again: 1 can be reached again." in said
    assert rated == [stem for stem in [Path(name).stem] if stem != "04"]
    assert statuses() == {"04": "error"}


def test_errors_are_tried_again_on_request_and_stay_if_they_fail_again(photos, rated):
    score()
    rated.clear()
    os.utime("photos/04.png", ns=(1, 1))  # it is said to be another file, and is as broken as before
    assert "1 other files now" in score() and rated == []
    for generation in (2, 3):
        said = score("--retry-errors")
        assert "2 images with an error are computed again: 2 tried again." in said
        assert statuses() == {"04": "error", "01": "unreachable"}
        assert f"regions/part-00002-000{generation}.parquet" in parts()
    photo(4).save("photos/04.png")
    assert "2 images with an error are computed again: 1 other files now, 1 tried again." in score(
        "--retry-errors"
    )
    mount()
    score("-o", "run")
    assert same_as_new()


@pytest.mark.parametrize("how", [["--workers", "2"], ["--shard"]])
def test_workers_and_slices_heal_alike(photos, how):
    def everything():
        if how != ["--shard"]:
            return [score(*how)]
        return [score("--shard", f"{index}/2") for index in (0, 1)]

    score() if how != ["--shard"] else everything()
    before = parts()
    photo(4).save("photos/04.png")
    mount()
    said = everything()
    assert sum(
        "with an error" in line and "computed again" in line for text in said for line in text.splitlines()
    )
    assert before.items() < parts().items() and len(parts()) == 10
    assert same_as_new()
    healed = [event for event in read_events(Path("run")).found if event.generation]
    assert sorted((event.shard, event.images) for event in healed) == [(1, 1), (2, 1)]


def test_rater_added_before_or_after_healing_rates_everything(photos, rated):
    score()
    photo(4).save("photos/04.png")
    more = ("--rater", "fake:2")
    rated.clear()
    assert "computed again" in score(*more)  # healed and added at once
    assert Counter(rated) == Counter(
        {f"{number:02}": 1 for number in range(NUMBER) if number != 1} | {"04": 2}
    )
    mount()
    score(*more)
    assert Counter(rated)["01"] == 2
    rated.clear()
    score(*more, "--rater", "fake:3")
    assert Counter(rated) == Counter(f"{number:02}" for number in range(NUMBER))
    score(*more, "--rater", "fake:3", run="new")
    assert Path("run/scores.csv").read_bytes() == Path("new/scores.csv").read_bytes()


def test_only_what_failed_of_an_ensemble_is_tried_again(photos, monkeypatch):
    """An image that one of the raters could not rate keeps its regions and what the others said."""
    rate = stages.rate_images

    def failing(images, rater, method, *known):
        if rater.id.endswith("=2") and images and images[0][0].name.endswith("/05.png"):
            raise ImageError("photos/05.png: the server is away.")
        return rate(images, rater, method, *known)

    with monkeypatch.context() as broken_server:
        broken_server.setattr(stages, "rate_images", failing)
        score("--rater", "fake:2")
    assert statuses()["05"] == "error"
    asked = []
    with monkeypatch.context() as watched:
        watched.setattr(
            stages, "rate_images", lambda i, r, *more: asked.append((len(i), r.id)) or rate(i, r, *more)
        )
        watched.setattr(items, "find_regions", lambda *_: pytest.fail("regions were found again"))
        said = score("--rater", "fake:2", "--retry-errors")
    assert "3 images with an error are computed again: 3 tried again." in said
    assert [each for each in asked if each[0]] == [(1, "fake 1 number=2")]
    score("--rater", "fake:2", run="new")
    assert Path("run/scores.csv").read_bytes() == Path("new/scores.csv").read_bytes()


def test_image_that_a_server_has_refused_is_tried_again(photos, server):
    Image.new("RGB", (32, 24)).save("photos/05.png")
    server.script(refuses_dark=413)
    rater = ("--rater", f"openai:{server.url}")
    score(*rater)
    assert statuses() == {"01": "unreachable", "04": "error", "05": "error"}
    server.script()
    mount()
    said = score(*rater, "--retry-errors")
    assert "3 images with an error are computed again: 1 can be reached again, 2 tried again." in said
    asked = len(server.requests())
    assert statuses() == {"04": "error"}
    server.script()
    score(*rater, run="new")
    assert Path("run/scores.csv").read_bytes() == Path("new/scores.csv").read_bytes()
    assert 0 < asked < len(server.requests()) / 2


def test_objects_of_a_store_heal_in_a_run_that_is_there(here, bucket):
    def upload(number):
        content = io.BytesIO()
        photo(number).save(content, "PNG")
        bucket.put(f"in/{number}.png", content.getvalue())

    upload(0)
    bucket.put("in/1.png", b"no image")
    Path("list.txt").write_text("".join(f"{bucket.address('in')}/{number}.png\n" for number in range(3)))
    run = bucket.address("run")
    give("score", "list.txt", "-o", run, *HOW)
    assert "1 of them unreachable" in CliRunner().invoke(cli, ["status", run]).stdout
    give(
        "score", "list.txt", "-o", run, *HOW
    )  # lists say no sizes: after this, that of the broken one is known
    assert "computed again" not in give("score", "list.txt", "-o", run, *HOW)
    upload(1)
    upload(2)
    said = give("score", "-o", run)
    listed = "1 other files now, 1 can be reached again"
    assert f"2 images with an error are computed again: {listed}." in said and "3 images, 0 with" in said
    assert "run/regions/part-00001-0002.parquet" in bucket.names()
    give("score", "list.txt", "-o", "new", *HOW)
    assert bucket.get("run/scores.csv") == Path("new/scores.csv").read_bytes()


def test_image_that_has_changed_before_it_was_scored_is_taken_as_it_is(photos):
    score("--max-failures", "0", code=1)
    assert parts() and not Path("run/scores.csv").exists()
    photo(99).save("photos/06.png")
    os.utime("photos/06.png", ns=(1, 1))
    assert "1 image has changed before the first score; the files of now are taken." in score()
    assert same_as_new()


def test_scores_of_images_that_have_changed_stay_until_they_are_refreshed(photos, rated):
    score()
    before, old = parts(), rows()
    photo(77).save("photos/00.png")
    os.utime("photos/02.png", ns=(1, 1))
    rated.clear()
    said = score()
    assert "Warning: 2 images have changed since the last score, by size or time (first: photos/0" in said
    assert "--refresh scores those of now" in said and (parts(), rows(), rated) == (before, old, [])
    assert "2 images have changed since the last score; the files of now are scored." in score("--refresh")
    assert rated == ["00", "02"] and before.items() < parts().items()
    assert rows()["00"] != old["00"] and same_as_new()
    assert "changed" not in score("--refresh")


def test_prompt_that_has_changed_is_refused_until_it_is_refreshed(here):
    photo(1).save("a.png")
    photo(2).save("b.png")
    how = ("score", "list.csv", "-o", "run", *HOW, "--aspect", "correspondence")
    Path("list.csv").write_text("path,prompt\na.png,a cat\nb.png,a dog\n")
    give(*how)
    old = rows()
    Path("list.csv").write_text("path,prompt\na.png,a cat\nb.png,a sheep\n")
    said = give(*how, code=1)
    assert "the prompt of b.png is 'a dog' there and 'a sheep' here" in said and "--refresh" in said
    give(*how, "--refresh")
    assert rows()["a"] == old["a"] and rows()["b"]["score"] != old["b"]["score"]
    assert "changed" not in give(*how)
    assert CliRunner().invoke(cli, ["verify", "run"]).exit_code == 0


def test_archive_that_is_packed_again_heals(here):
    def pack(good):
        with tarfile.open("photos.tar", "w") as archive:
            for number in range(4):
                data = io.BytesIO()
                photo(number).save(data, "PNG")
                content = data.getvalue() if good or number != 1 else b"no image"
                member = tarfile.TarInfo(f"{number}.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    pack(good=False)
    give("score", "photos.tar", "-o", "run", *HOW)
    assert statuses() == {"1": "error"}
    pack(good=True)
    os.utime("photos.tar", ns=(1, 1))
    assert "1 image with an error is computed again: 1 other files now." in give("score", "-o", "run")
    give("score", "photos.tar", "-o", "new", *HOW)
    assert Path("run/scores.csv").read_bytes() == Path("new/scores.csv").read_bytes()
