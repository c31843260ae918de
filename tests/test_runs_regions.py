"""A run without raters, and its regions as one table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest

from zeroiqa import runs
from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.part_records import RegionsRow
from zeroiqa.runs.regions import RegionStatistics, read_segmented, region_table
from zeroiqa.settings import load_segmentation_settings, load_settings
from zeroiqa.types import Region


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Four images, one of them broken, cut into quarters."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("a", "c", "d"):
        PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(f"photos/{name}.png")
    Path("photos/b.png").write_text("hello")
    settings = load_segmentation_settings({"segmenter": "grid:2x2"})
    return runs.open_run(Path("run"), settings, find_images(["photos"]), preset="segment")


def finished(run, workers=1):
    told = []
    assert sorted(LocalExecutor(workers).execute(run, runs.pending(run), on_images=told.append)) == list(
        range(run.n_shards)
    )
    assert sum(told) == run.n_images
    return run


def rows(run):
    return [each for shard in range(run.n_shards) for each in read_segmented(run, shard)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_without_raters_finds_regions_and_is_finished(run, workers):
    assert runs.pending(run) == [0, 1, 2]
    found = rows(finished(run, workers))
    assert [planned.ref.path for planned, _ in found] == [f"photos/{name}.png" for name in "abcd"]
    assert [len(row.regions) for _, row in found] == [4, 0, 4, 4]
    assert "not an image" in found[1][1].error
    assert all(region.mask is not None for _, row in found for region in row.regions)
    assert runs.pending(run) == []
    assert (runs.status(run).scored, runs.status(run).errors) == (3, 1)


def test_its_regions_can_be_rated_later_and_stay(run):
    part = Path("run/regions/part-00000.parquet")
    before = (finished(run), part.stat().st_ino, part.stat().st_mtime_ns)[1:]
    settings = load_settings("embedded", {"segmenter": "grid:2x2", "crop": "mask", "raters": ["fake"]})
    rated = runs.open_run(Path("run"), settings, find_images(["photos"]), preset="embedded")
    assert rated.added == ("fake",)
    finished(rated)
    assert [result.status for result in runs.iter_scores(rated)] == ["ok", "error", "ok", "ok"]
    assert (part.stat().st_ino, part.stat().st_mtime_ns) == before


def test_it_has_nothing_to_score_again(run):
    with pytest.raises(UserError, match="holds regions without ratings.*`zeroiqa score --crop mask`"):
        runs.reaggregation(finished(run), {"lambda": 1})


def test_settings_without_raters_are_for_segmenting_alone():
    with pytest.raises(UserError, match="raters is empty"):
        load_settings("embedded", {"raters": []})


def test_the_table_has_a_row_per_region_and_every_image(run):
    with region_table(Path("regions.parquet")) as add:
        for planned, row in rows(finished(run)):
            add(planned, row)
    table = pq.read_table("regions.parquet").to_pylist()
    assert [(row["path"][7], row["region"], row["status"]) for row in table] == [
        *(("a", index, "ok") for index in range(4)),
        ("b", None, "error"),
        *((name, index, "ok") for name in "cd" for index in range(4)),
    ]
    assert [table[1][key] for key in ("x0", "y0", "x1", "y1", "area")] == [15, 0, 30, 10, 0.25]
    assert (table[0]["width"], table[0]["height"], table[0]["kind"]) == (30, 20, "object")
    assert "not an image" in table[4]["error"] and table[4]["area"] is None


def test_statistics_count_masks_complements_and_errors():
    def row(*kinds):
        return RegionsRow(0, (2, 2), tuple(Region((0, 0, 1, 1), 0.25, kind) for kind in kinds))

    found = RegionStatistics()
    for each in (row("object", "object", "complement"), row("complement"), row("object"), row()):
        found.add(each)
    found.add(RegionsRow(4, error="broken"))
    assert (found.images, found.mean, found.complements, found.errors) == (4, 0.75, 2, 1)
