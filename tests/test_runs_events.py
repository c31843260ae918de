"""The log of a run: who did which shard when, and what was committed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zeroiqa import runs
from zeroiqa.images.find import find_images
from zeroiqa.runs import parts as store
from zeroiqa.runs.events import FOLDER, read_events
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.settings import load_settings
from zeroiqa.version import __version__

SETTINGS = {"segmenter": "grid", "raters": ("fake", "fake:2"), "lambda": 1.0}


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 40, 50, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{number}.png")
    (folder / "5.png").write_bytes(b"no image")
    return folder


def opened(folder, images):
    return runs.open_run(
        folder, load_settings("embedded", SETTINGS), find_images([str(images)]), preset="embedded"
    )


def done(folder, images, workers=1):
    run = opened(folder, images)
    list(LocalExecutor(workers).execute(run, runs.pending(run), on_images=lambda _: None))
    runs.write_scores(run)
    return run


def log(run):
    (path,) = (run.folder / FOLDER).iterdir()
    return path


def test_every_shard_has_one_line_that_says_who_did_what_and_when(tmp_path, images):
    before = datetime.now(UTC)
    run = done(tmp_path / "run", images)
    lines = log(run).read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["shard"] for record in records] == list(range(run.n_shards))
    assert [record["images"] for record in records] == list(run.shards)
    assert {(r["host"], r["pid"], r["zeroiqa"]) for r in records} == {
        (platform.node(), os.getpid(), __version__)
    }
    assert all(record["raters"] == ["fake", "fake:2"] for record in records)
    assert all(record["seconds"] > 0 for record in records)
    events = read_events(run.folder)
    assert events.damaged == 0
    times = [event.time for event in events.found]
    assert times == sorted(times)
    assert abs((times[0] - before).total_seconds()) < 60


def test_parts_are_recorded_as_they_are_on_the_disk(tmp_path, images):
    run = done(tmp_path / "run", images)
    parts = read_events(run.folder).parts()
    assert parts.keys() == {(stage, shard, 0) for stage in run.stages for shard in range(run.n_shards)}
    for (stage, shard, _), part in parts.items():
        content = store.part_path(run.folder, stage, shard).read_bytes()
        assert (part.bytes, part.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_errors_are_recorded_without_the_path_where_they_happened(tmp_path, images):
    run = done(tmp_path / "run", images)
    failed = {key: part.errors for key, part in read_events(run.folder).parts().items() if part.errors}
    (shard,) = (event.shard for event in read_events(run.folder).found if event.errors == 1)
    ((kind, numbers),) = failed[store.REGIONS, shard, 0].items()
    assert failed.keys() == {(store.REGIONS, shard, 0)}
    assert numbers == (5,)
    assert kind.startswith("is not an image") and str(images) not in kind


def test_workers_write_files_of_their_own(tmp_path, images):
    run = done(tmp_path / "run", images, workers=2)
    found = read_events(run.folder).found
    assert sorted(event.shard for event in found) == list(range(run.n_shards))
    files = list((run.folder / FOLDER).iterdir())
    assert {path.stem for path in files} == {"-".join(map(str, event.process)) for event in found}
    assert os.getpid() not in {event.pid for event in found}


def test_only_what_was_missing_is_recorded(tmp_path, images):
    run = done(tmp_path / "run", images)
    log(run).unlink()
    store.part_path(run.folder, "ratings/fake", 1).unlink()
    done(tmp_path / "run", images)
    done(tmp_path / "run", images)
    (event,) = read_events(run.folder).found
    assert (event.shard, list(event.parts)) == (1, ["ratings/fake"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text + text[:100],
        lambda text: text.replace('"seconds"', '"second"', 1),
        lambda text: text + '{"time": 5}\nnull\n[]\n\x00\xff\n',
        lambda text: text.replace('"shard": 0', '"shard": -1'),
        lambda text: text.replace('"seconds": ', '"seconds": 1e999', 1),
    ],
)
def test_damaged_lines_are_counted_and_skipped(tmp_path, images, damage):
    run = done(tmp_path / "run", images)
    whole = read_events(run.folder)
    log(run).write_text(damage(log(run).read_text()))
    events = read_events(run.folder)
    assert events.damaged > 0
    assert set(whole.found) >= set(events.found) and events.found
    scores = (run.folder / "scores.csv").read_bytes()
    assert (done(tmp_path / "run", images).folder / "scores.csv").read_bytes() == scores


def test_later_versions_may_say_more(tmp_path, images):
    run = done(tmp_path / "run", images)
    whole = read_events(run.folder)
    log(run).write_text(log(run).read_text().replace('"shard"', '"colour": "red", "shard"'))
    assert read_events(run.folder) == whole


def test_run_without_a_log_has_no_events(tmp_path, images):
    assert read_events(opened(tmp_path / "run", images).folder).found == ()


@pytest.mark.skipif(os.name != "posix", reason="needs a folder that is a file")
def test_log_that_cannot_be_written_stops_no_run(tmp_path, images):
    run = opened(tmp_path / "run", images)
    (run.folder / FOLDER).write_text("in the way")
    assert done(tmp_path / "run", images).n_images == 9
    assert (run.folder / "scores.csv").is_file()


def test_label_says_which_device_and_task_the_process_was_given(tmp_path, images, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    events = read_events(done(Path(tmp_path / "run"), images).folder)
    assert {event.worker for event in events.found} == {"task 7, GPU 3"}
