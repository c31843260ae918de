"""Healed runs are runs like others: merged, evaluated, looked at, segmented, damaged."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pyarrow.parquet as pq
from click.testing import CliRunner

from tests.healing import (
    HOW,
    broken,
    give,
    mount,
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
from zeroiqa import runs
from zeroiqa.cli import cli
from zeroiqa.images.find import find_images
from zeroiqa.runs import healing, latest, plan, record, stages
from zeroiqa.runs.executors.attempts import Attempts
from zeroiqa.runs.healing import find_changes
from zeroiqa.runs.run import revised
from zeroiqa.settings import load_settings


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
    rows = {row.ref.path: row for row in plan.all_planned(Path("run"))}
    assert rows["more/a.png"].ref.bytes == Path("more/a.png").stat().st_size
    assert rows["photos/04.png"].ref.modified == Path("photos/04.png").stat().st_mtime_ns
    for run in ("run", "run-photos"):
        assert CliRunner().invoke(cli, ["verify", run, "--deep"]).exit_code == 0
    rescored = [CliRunner().invoke(cli, ["rescore", run, "--lambda", "1"]).stdout for run in ("run", "new")]
    assert rescored[0] == rescored[1]


def test_run_of_an_older_format_heals(photos):
    """Written before there were revisions: no cause beside the errors, no generation in the events."""
    score()
    path = Path("run", record.NAME)
    path.write_text(path.read_text().replace(f'"format": {record.FORMAT}', '"format": 2'))
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
    assert json.loads(path.read_text())["format"] == record.FORMAT
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


def test_a_file_that_hangs_what_looks_at_it_stays_as_it_is(photos, monkeypatch):
    score()
    monkeypatch.setattr(healing, "look", lambda source: time.sleep(30))
    monkeypatch.setattr(healing, "_LOOK_SECONDS", 0.05)
    score()
    assert sorted(statuses().values()) == ["error", "unreachable"]
