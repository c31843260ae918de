from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.old_parts import run_as_version_1
from zeroiqa import runs
from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
from zeroiqa.runs import parts as stored
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.merge import merge_runs
from zeroiqa.settings import load_settings


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        folder = Path("abc"[number // 4])
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (20 * number, 90, 200)).save(folder / f"{number:02}.png")
    Path("b/broken.png").write_bytes(b"no image")


def begin(folder, *paths, add=False, **choices):
    settings = load_settings(
        "embedded", {"segmenter": "grid", "raters": ("fake", "fake:2"), "lambda": 1.0} | choices
    )
    return runs.open_run(Path(folder), settings, find_images(paths), preset="embedded", add=add)


def finish(folder, *paths, **choices):
    run = begin(folder, *paths, **choices)
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    runs.write_scores(run)
    return run


def scores(folder):
    return (Path(folder) / "scores.csv").read_bytes()


def test_merged_runs_are_the_run_over_all_images():
    whole = finish("whole", "a", "b", "c")
    merged, repeated = merge_runs([finish(name + "-run", name) for name in "abc"], Path("merged"))
    runs.write_scores(merged)
    assert repeated == 0
    assert merged.run_id == whole.run_id and merged.shards == whole.shards
    assert scores("merged") == scores("whole")
    assert begin("merged", "a", "b", "c").n_images == 13
    for stage in whole.stages:
        for shard in range(whole.n_shards):
            name = f"{stage}/part-{shard:05d}.parquet"
            assert pq.read_table(Path("merged") / name).equals(pq.read_table(Path("whole") / name))


def test_an_image_of_several_runs_is_taken_once_from_the_first():
    runs_ = [finish("one", "a", "b"), finish("two", "c", "b/04.png", "a/00.png")]
    merged, repeated = merge_runs(runs_, Path("merged"))
    runs.write_scores(merged)
    finish("whole", "a", "b", "c")
    assert repeated == 2 and scores("merged") == scores("whole")


def test_runs_with_older_parts_are_merged_but_not_read_greedily():
    older, newer = finish("one", "a"), finish("two", "b", "c")
    run_as_version_1(older.folder)
    with pytest.raises(UserError, match=r"3 of 3 parts with ratings by fake in one are of an older zeroiqa"):
        older.scores(readout="greedy")
    merged, _ = merge_runs([older, newer], Path("merged"))
    runs.write_scores(merged)
    finish("whole", "a", "b", "c")
    assert scores("merged") == scores("whole")
    with pytest.raises(UserError, match="no stored answer"):  # its parts are of today, though not all answers
        list(merged.scores(readout="greedy"))


def test_an_interrupted_merge_goes_on(monkeypatch):
    parts = [finish("one", "a", "b"), finish("two", "c")]
    really, written = stored.write_part, []

    def stopped(*arguments):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(arguments)
        really(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stored, "write_part", stopped)
        with pytest.raises(KeyboardInterrupt):
            merge_runs(parts, Path("merged"))
    before = {path: path.stat().st_mtime_ns for path in Path("merged").rglob("part-*")}
    assert len(before) == 5
    merged, _ = merge_runs(parts, Path("merged"))
    runs.write_scores(merged)
    finish("whole", "a", "b", "c")
    assert scores("merged") == scores("whole")
    assert before.items() <= {p: p.stat().st_mtime_ns for p in Path("merged").rglob("part-*")}.items()


def test_runs_with_other_settings_are_not_merged():
    with pytest.raises(UserError, match=r"one and two have other settings, segmenter is grid and grid:2x2"):
        merge_runs([finish("one", "a"), finish("two", "b", segmenter="grid:2x2")], Path("merged"))
    assert not Path("merged").exists()


def test_unfinished_runs_are_not_merged():
    with pytest.raises(UserError, match=r"5 of 5 images of two are not finished; `zeroiqa score -o two`"):
        merge_runs([finish("one", "a"), begin("two", "b")], Path("merged"))


def test_another_run_is_not_overwritten_by_a_merge():
    finish("there", "c")
    with pytest.raises(UserError, match="there holds another run"):
        merge_runs([finish("one", "a"), finish("two", "b")], Path("there"))


def test_added_images_give_the_scores_of_a_run_over_all():
    finish("grown", "a")
    before = {path: path.stat().st_mtime_ns for path in Path("grown").rglob("part-*")}
    run = begin("grown", "b", "c", add=True)
    assert (run.followed.new, run.n_images) == (9, 13)
    assert begin("grown", "b", add=True).followed.new == 0
    finish("grown", "a", "b", "c")  # all images together are that run, in shards of another size
    finish("whole", "a", "b", "c")
    assert scores("grown") == scores("whole")
    assert before.items() <= {p: p.stat().st_mtime_ns for p in Path("grown").rglob("part-*")}.items()


def test_a_grown_run_merges_like_others():
    finish("grown", "a")
    finish("grown", "b", add=True)
    merged, _ = merge_runs([runs.load_run(Path("grown")), finish("c-run", "c")], Path("merged"))
    runs.write_scores(merged)
    finish("whole", "a", "b", "c")
    assert scores("merged") == scores("whole")


def test_images_are_added_only_when_asked_to():
    finish("run", "a")
    with pytest.raises(UserError, match=r"0 are only there, 5 only here: .*; .* new ones with --add"):
        begin("run", "a", "b")


def test_a_process_that_does_not_know_of_added_images_leaves_the_scores_to_one_that_does():
    old = finish("run", "a")
    begin("run", "b", add=True)
    with pytest.raises(UserError, match="more raters or images meanwhile"):
        runs.write_scores(old)


def test_images_and_a_rater_come_to_a_run_one_after_the_other():
    finish("run", "a", raters=("fake",))
    finish("run", "b", "c", raters=("fake",), add=True)
    finish("run", "a", "b", "c")
    finish("whole", "a", "b", "c")
    assert scores("run") == scores("whole")


def test_a_vanished_part_is_named():
    one, two = finish("one", "a"), finish("two", "b")
    shutil.rmtree("two/ratings/fake")
    with pytest.raises(UserError, match="not finished"):
        merge_runs([one, two], Path("merged"))


def test_rows_of_broken_images_are_copied():
    merged, _ = merge_runs([finish("one", "a"), finish("two", "b")], Path("merged"))
    runs.write_scores(merged)
    with Path("merged/scores.csv").open(newline="") as file:
        (broken,) = (row for row in csv.DictReader(file) if row["status"] == "error")
    assert broken["path"] == "b/broken.png"
