"""Errors heal: a photo that is repaired or can be reached again is scored by the same command; nothing
else is computed twice, and nothing is overwritten."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from zeroiqa import reading, runs
from zeroiqa.cli import cli
from zeroiqa.errors import ImageError
from zeroiqa.inputs import find_images
from zeroiqa.runs import items, latest, plan, record, stages
from zeroiqa.runs.events import read_events
from zeroiqa.runs.executors.attempts import Attempts
from zeroiqa.runs.healing import find_changes
from zeroiqa.runs.run import revised
from zeroiqa.settings import load_settings

HOW = ("--segmenter", "grid", "--rater", "fake", "--format", "csv")
NUMBER = 7


def photo(number):
    pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def broken(name):
    Path(name).write_bytes(b"no image")


@pytest.fixture
def photos(here):
    """Seven photos, in shards of 1, 2 and 4; number 4 is broken, and number 1 leads nowhere."""
    Path("photos").mkdir()
    for number in range(NUMBER):
        photo(number).save(f"photos/{number:02}.png")
    broken("photos/04.png")
    shutil.move("photos/01.png", "away.png")
    Path("photos/01.png").symlink_to("../mount/01.png")
    return here / "photos"


def mount():
    Path("mount").mkdir()
    shutil.move("away.png", "mount/01.png")


def give(*arguments, code=0):
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    said = result.stderr + (f"{result.exception}" if result.exception else "")
    assert result.exit_code == code, said
    return said


def score(*more, code=0, run="run"):
    return give("score", "photos", "-o", run, *HOW, *more, code=code)


def rows(run="run"):
    with Path(run, "scores.csv").open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).stem: row for row in csv.DictReader(file)}


def statuses(run="run"):
    return {name: row["status"] for name, row in rows(run).items() if row["status"] != "ok"}


def parts(run="run"):
    return {
        str(path.relative_to(run)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in Path(run).rglob("part-*")
    }


def same_as_new(run="run"):
    """Whether the scores are, byte for byte, those of a new run over the photos as they are now."""
    score(run="new")
    assert Path(run, "scores.csv").read_bytes() == Path("new", "scores.csv").read_bytes()
    assert Path(run, "scores.parquet").read_bytes() == Path("new", "scores.parquet").read_bytes()
    return True


@pytest.fixture
def rated(monkeypatch):
    """The names of the images that raters are shown, each time anew."""
    seen = []
    rate = stages.rate_images

    def noted(images, rater, method):
        seen.extend(Path(image.name).stem for image, _ in images)
        return rate(images, rater, method)

    monkeypatch.setattr(stages, "rate_images", noted)
    return seen


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
    opened = reading._open_at_once

    def failing(path, flags):
        if path == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, flags)

    mount()
    with monkeypatch.context() as away:
        away.setattr(reading, "_open_at_once", failing)
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

    def failing(images, rater, method):
        if rater.id.endswith("=2") and images and images[0][0].name.endswith("/05.png"):
            raise ImageError("photos/05.png: the server is away.")
        return rate(images, rater, method)

    with monkeypatch.context() as broken_server:
        broken_server.setattr(stages, "rate_images", failing)
        score("--rater", "fake:2")
    assert statuses()["05"] == "error"
    asked = []
    with monkeypatch.context() as watched:
        watched.setattr(stages, "rate_images", lambda i, r, m: asked.append((len(i), r.id)) or rate(i, r, m))
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


def test_healed_runs_are_merged_evaluated_and_rescored_like_new_ones(photos):
    Path("more").mkdir()
    broken("more/a.png")
    for folder in ("photos", "more"):
        give("score", folder, "-o", f"run-{folder}", *HOW)
    photo(4).save("photos/04.png")
    photo(50).save("more/a.png")
    mount()
    for folder in ("photos", "more"):
        give("score", folder, "-o", f"run-{folder}", *HOW)
    give("merge", "run-photos", "run-more", "-o", "run")
    give("score", "photos", "more", "-o", "new", *HOW)
    assert Path("run/scores.csv").read_bytes() == Path("new/scores.csv").read_bytes()
    rows = {row.file: row for row in plan.all_planned(Path("run"))}
    assert rows["more/a.png"].bytes == Path("more/a.png").stat().st_size
    assert rows["photos/04.png"].modified == Path("photos/04.png").stat().st_mtime_ns
    for run in ("run", "run-photos"):
        assert CliRunner().invoke(cli, ["verify", run, "--deep"]).exit_code == 0
    rescored = [CliRunner().invoke(cli, ["rescore", run, "--lambda", "1"]).stdout for run in ("run", "new")]
    assert rescored[0] == rescored[1]


def test_run_of_an_older_format_heals(photos):
    """Written before there were revisions: no cause beside the errors, no generation in the events."""
    score()
    path = Path("run", record.NAME)
    path.write_text(path.read_text().replace('"format": 3', '"format": 2'))
    for part in Path("run").rglob("part-*"):
        older = pq.read_table(part).drop_columns("cause")
        pq.write_table(older, part)
    for log in Path("run/events").iterdir():
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        for event in lines:
            del event["generation"]
            for part in event["parts"].values():
                del part["causes"]
        log.write_text("".join(json.dumps(event) + "\n" for event in lines))
    photo(4).save("photos/04.png")
    mount()
    assert "2 images with an error are computed again" in score()
    assert json.loads(path.read_text())["format"] == 3
    assert same_as_new()


def test_status_and_limit_tell_unreachable_from_broken_and_count_both(photos):
    score()
    shown = CliRunner().invoke(cli, ["status", "run"]).stdout
    assert "5 of 7 images scored, 2 with an error, 1 of them unreachable" in shown
    assert "`zeroiqa score -o run` scores again what is repaired" in shown
    state = json.loads(CliRunner().invoke(cli, ["status", "run", "--format", "json"]).stdout)
    assert (state["errors"], state["unreachable"]) == (2, 1)
    assert "2 of 7 images have an error, more than --max-failures 1" in score("--max-failures", "1", code=1)
    photo(4).save("photos/04.png")
    score("--max-failures", "1")
    assert statuses() == {"01": "unreachable"}


def test_status_of_a_run_that_is_healing_counts_what_is_left(photos):
    score()
    photo(4).save("photos/04.png")
    score("--plan-only")
    run = runs.load_run(Path("run"))
    state = runs.status(run)
    assert (state.scored, state.errors, state.unreachable) == (5, 1, 1)
    assert (latest.all_left(run), runs.pending(run), state.finished) == (1, [2], dict.fromkeys(run.stages, 2))
    shown = CliRunner().invoke(cli, ["status", "run"]).stdout
    assert "1 images left" in shown and "complete" not in shown


def test_photo_that_kills_its_worker_is_tried_again_and_blamed_again(photos, monkeypatch):
    """The error of an image that killed is stored with its regions, as any other."""
    sources = find_images(["photos"])
    settings = load_settings("embedded", {"segmenter": "grid", "raters": ("fake",)})
    run = runs.open_run(Path("run"), settings, sources, preset="embedded")
    for shard in range(run.n_shards):
        stages.run_shard(run, stages.method_of(run), shard, lambda _: None, {6: "photos/06.png: killed"})
    runs.write_scores(run)
    assert statuses() == {"04": "error", "01": "unreachable", "06": "error"}
    run = revised(run, find_changes(run, sources, retry_errors=True).changes)
    tries = Attempts(runs.pending(run), lambda shard: {image.image: "" for image in run.planned(shard)})
    assert (run.count_images(runs.pending(run)), tries.left) == (2 + 4, 2)
    for shard in runs.pending(run):
        stages.run_shard(run, stages.method_of(run), shard, lambda _: None, {6: "killed again", 3: "never"})
    runs.write_scores(run)
    assert {name: row["error"] for name, row in rows().items() if name in ("06", "03")} == {
        "06": "killed again", "03": "",
    }  # fmt: skip
    score("--retry-errors")
    mount()
    photo(4).save("photos/04.png")
    score()
    assert same_as_new()


def test_regions_heal_and_their_overlays_too(photos):
    how = ("segment", "photos", "-o", "run", "--segmenter", "grid")
    give(*how)
    photo(4).save("photos/04.png")
    photo(5).resize((60, 50)).save("photos/05.png")
    mount()
    give(*how, "--refresh")
    give("segment", "photos", "-o", "new", "--segmenter", "grid")
    for name in ("regions.parquet", "coco.json"):
        assert Path("run", name).read_bytes() == Path("new", name).read_bytes()
    overlay = Path("run/overlays/00005-05-0001.jpg")
    assert overlay.read_bytes() == Path("new/overlays/00005-05.jpg").read_bytes()


def test_all_photos_that_are_copied_are_no_other_files(photos):
    score("--plan-only")
    for path in photos.iterdir():
        if path.exists():
            os.utime(path, ns=(1, 1))
    assert "have another modification time" in score(code=1)
    assert not list(Path("run").glob("revision-*"))
    mount()
    score("--ignore-times")
    assert statuses() == {"04": "error"}


def test_command_in_another_folder_does_not_make_all_errors_unreachable(photos, monkeypatch):
    score()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    said = give("score", "-o", "../run", "--retry-errors", code=1)
    assert "photos/00.png is not found from here" in said
    assert not list(Path("../run").glob("revision-*"))


def test_lost_revision_and_its_parts_are_named_and_healed_again(photos):
    score()
    photo(4).save("photos/04.png")
    score()
    Path("run/revision-0001.parquet").write_bytes(b"damaged")
    for command in ("verify", "status"):
        assert "revision-0001.parquet cannot be read" in give(command, "run", code=1)
    Path("run/revision-0001.parquet").unlink()
    checked = CliRunner().invoke(cli, ["verify", "run"])
    assert checked.exit_code == 1 and "part-00002-0001.parquet is no part of this run" in checked.stderr
    assert "1 other files now" in score()
    assert Path("run/revision-0002.parquet").exists() and statuses() == {"01": "unreachable"}
