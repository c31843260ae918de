"""Readers of the files of a run: what is damaged or of another place is a sentence, or changes nothing."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import random
import shutil
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scripts.mutations import BYTES, VALUES, places, with_value
from zeroiqa import runs
from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
from zeroiqa.runs import events, parts, plan, record
from zeroiqa.runs.checks import check_run
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.settings import load_settings

RATERS = ("fake", "fake:2")


def consumed(rows: Iterable[Any]) -> None:
    deque(rows, maxlen=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of twelve images, one of them broken, and one over other images."""
    folder = tmp_path_factory.mktemp("finished")
    pixels = np.random.default_rng(3).integers(0, 256, (24, 24, 32, 3), dtype=np.uint8)
    for name, own in (("run", pixels[:12]), ("more", pixels[12:])):
        images = folder / f"images of {name}"
        images.mkdir()
        for number, each in enumerate(own):
            Image.fromarray(each).save(images / f"{number:02}.png")
        (images / "05.png").write_bytes(b"no image")
        settings = load_settings("embedded", {"segmenter": "grid", "raters": RATERS, "lambda": 1.0})
        run = runs.open_run(folder / name, settings, find_images([str(images)]), preset="embedded")
        consumed(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
        runs.write_scores(run)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> runs.Run:
    shutil.copytree(finished / "run", tmp_path / "run")
    return runs.load_run(tmp_path / "run")


def test_any_value_at_any_place_of_run_json_is_said_or_changes_nothing(run, finished):
    path = run.folder / record.NAME
    whole = json.loads(path.read_bytes())
    right = [score.score for score in runs.iter_scores(run)]
    kinds = itertools.cycle([*VALUES.values(), None])
    refused = 0
    for place, raw in ((place, next(kinds)) for place in places(whole) for _ in range(2)):
        path.write_bytes(with_value(whole, place, raw))
        try:
            found = runs.load_run(run.folder)
            assert [score.score for score in runs.iter_scores(found)] == right, place
        except UserError as error:
            refused += 1
            assert "run.json" in str(error) or place == ("format",)
            assert "\n" not in str(error)
    assert refused > 100


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("settings", "lambda"), 0.5, "settings.lambda is 0.5, where arithmetic.lambda is 1.0"),
        (("settings", "complement"), 1, "settings.complement is 1, where"),
        (("identity", "settings", "min_area"), 0.5, "run_id is not the SHA-256 of identity"),
        (("identity", "inputs", "count"), 11, "run_id is not the SHA-256 of identity"),
        (("identity", "raters"), ["fake"], "identity.raters is a list of 1, not an object"),
        (("labels",), {"another": "quality"}, "labels are of other standards than identity.standards"),
        (("environment", "numpy"), None, "environment.numpy is None, not a text"),
        (("kinds",), {"quality-word-7": "dog"}, "kinds.quality-word-7 is 'dog', not one of"),
    ],
)
def test_an_edit_of_run_json_is_named_by_its_place(run, place, value, said):
    path = run.folder / record.NAME
    path.write_bytes(with_value(json.loads(path.read_bytes()), place, json.dumps(value)))
    with pytest.raises(UserError) as caught:
        runs.load_run(run.folder)
    assert said in str(caught.value)
    assert str(caught.value).endswith("put it back as it was, or score in another folder (-o).")


def test_bytes_of_plans_parts_and_scores_are_said_or_change_nothing(run):
    chance = random.Random(14)
    right = [(score.path, score.score, score.error) for score in runs.iter_scores(run)]
    names = ("plan", "scores", *(f"{stage}/part-00002" for stage in run.stages))
    tables = [run.folder / f"{name}.parquet" for name in names]
    for path, change in itertools.product(tables, BYTES.values()):
        whole = path.read_bytes()
        for _ in range(2):
            path.write_bytes(change(whole, chance))
            try:
                found = runs.load_run(run.folder)
                assert [(s.path, s.score, s.error) for s in runs.iter_scores(found)] == right, path
                consumed(check_run(found))
                runs.read_column(found, "score")
            except UserError as error:
                assert "\n" not in str(error)
        path.write_bytes(whole)


PART_OF_ANOTHER = [
    ("regions/part-00002.parquet", "run/regions/part-00001.parquet", "has 2 rows, where the plan has 4"),
    ("ratings/fake/part-00003.parquet", "run/ratings/fake/part-00002.parquet", "rows, where the plan has"),
    ("ratings/fake/part-00002.parquet", "run/regions/part-00002.parquet", "it has other columns than"),
    ("plan.parquet", "more/plan.parquet", "is missing or belongs to another run"),
    ("plan.parquet", "run/regions/part-00002.parquet", "is missing or belongs to another run"),
    ("scores.parquet", "more/scores.parquet", "it has other images than the plan"),
]


@pytest.mark.parametrize(("name", "other", "said"), PART_OF_ANOTHER)
def test_a_file_of_another_place_is_refused(run, finished, name, other, said):
    shutil.copy(finished / other, run.folder / name)
    with pytest.raises(UserError, match=said):
        loaded = runs.load_run(run.folder)
        consumed(runs.iter_scores(loaded))
        runs.read_column(loaded, "score")


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def edited(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[pa.Table], pa.Table]:
    def edit(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        change(rows)
        return pa.Table.from_pylist(rows, table.schema)

    return edit


def set_to(value: Any, *keys: str | int) -> Callable[[pa.Table], pa.Table]:
    def change(rows: list[dict[str, Any]]) -> None:
        holder: Any = rows[0]
        for key in keys[:-1]:
            holder = holder[key]
        holder[keys[-1]] = value

    return edited(change)


WRONG_ROWS = {
    "other image": ("regions", set_to(7, "image"), "it has other images"),
    "no image": ("regions", set_to(None, "image"), "it has other images"),
    "rows twice": ("regions", lambda t: pa.concat_tables([t[:1]] * t.num_rows), "it has other images"),
    "a row more": (
        "ratings/fake",
        lambda t: pa.concat_tables([t, t[:1]]),
        "rows, where the plan has 4 images",
    ),
    "no column": ("ratings/fake", lambda t: t.drop_columns(["error"]), "it has other columns"),
    "other type": (
        "regions",
        lambda t: t.set_column(0, "image", t["image"].cast(pa.float64())),
        "its column image is of another type",
    ),
    "no size": ("regions", set_to(None, "height"), "has neither a size nor an error"),
    "area": ("regions", set_to(math.nan, "regions", 0, "area"), "a region's area is nan"),
    "no area": ("regions", set_to(None, "regions", 0, "area"), "not supported between"),
    "box": ("regions", set_to(-1, "regions", 0, "x0"), "a region's box is"),
    "kind": ("regions", set_to("dog", "regions", 0, "kind"), "a region is of no kind"),
    "warning": ("regions", set_to([None], "warnings"), "a warning of image 3 is no text"),
    "a region less": ("regions", set_to([], "regions"), "are those of another run"),
    "log-probability": (
        "ratings/fake",
        set_to(1e4, "ratings", 0, "logprobs", 0),
        "the log-probability 10000",
    ),
    "no mass": ("ratings/fake", set_to(None, "ratings", 0, "mass"), "a rating lacks a number"),
    "no levels": ("ratings/fake", set_to([], "ratings", 0, "logprobs"), "neither levels nor a number"),
    "standard": ("ratings/fake", set_to("another", "ratings", 0, "standard"), "are those of another run"),
    "a rating less": (
        "ratings/fake",
        edited(lambda rows: rows[0]["ratings"].pop()),
        "are those of another run",
    ),
}


@pytest.mark.parametrize("case", WRONG_ROWS)
def test_rows_that_no_part_has_are_refused_though_their_checksums_are_right(run, case):
    stage, change, said = WRONG_ROWS[case]
    rewritten(parts.part_path(run.folder, stage, 2), change)
    with pytest.raises(UserError, match=said):
        consumed(runs.iter_scores(run))
    (run.folder / "events").rename(run.folder / ".events")
    assert any(check.damages for check in check_run(run))


def test_a_number_whose_square_is_none_is_an_error_of_its_image(run):
    rewritten(parts.part_path(run.folder, "ratings/fake", 2), set_to(1e300, "ratings", 0, "value"))
    (error,) = [s.error for s in runs.iter_scores(run, shards=[2]) if s.error and "unusable" in s.error]
    assert "A rating's number is 1e+300" in error


@pytest.mark.parametrize(
    ("column", "value"), [("image", 7), ("image", None), ("path", None), ("bytes", None), ("shard", None)]
)
def test_a_plan_with_other_rows_is_refused_or_found(run, column, value):
    table = pq.ParquetFile(run.folder / plan.NAME)
    groups = [table.read_row_group(number) for number in range(table.num_row_groups)]
    table.close()
    with pq.ParquetWriter(run.folder / plan.NAME, groups[0].schema) as writer:
        for number, group in enumerate(groups):
            writer.write_table(set_to(value, column)(group) if number == 1 else group)
    for read in (plan.all_planned, plan.by_naming, plan.paths, plan.read_tables):
        with suppress(UserError):
            consumed(read(run.folder))
    try:
        consumed(runs.iter_scores(run))
        found = [damage for check in check_run(run) for damage in check.damages]
        assert found or column == "bytes"
    except UserError as error:
        assert "plan.parquet cannot be read" in str(error)


def test_any_value_at_any_place_of_an_event_is_a_damaged_line_or_believed(run):
    (path,) = (run.folder / "events").iterdir()
    first, *rest = path.read_text().splitlines()
    whole = json.loads(first)
    right = runs.status(run)
    kinds = itertools.cycle([*VALUES.values(), None])
    for place, raw in ((place, next(kinds)) for place in places(whole) for _ in range(2)):
        path.write_bytes(b"\n".join([with_value(whole, place, raw), *(line.encode() for line in rest)]))
        found = events.read_events(run.folder)
        assert found.damaged in (0, 1)
        state = runs.status(run, found)
        assert (state.scored, state.finished) == (right.scored, right.finished), place


def test_an_event_that_speaks_of_images_of_other_shards_is_not_believed(run):
    (path,) = (run.folder / "events").iterdir()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        for part in line["parts"].values():
            part["errors"] = {"it is no image": list(range(100))}
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    state = runs.status(run)
    assert (state.scored, state.errors) == (11, 1)


def test_scores_with_more_cells_or_huge_ones_are_said(run):
    path = run.folder / "scores.csv"
    rows = list(csv.reader(io.StringIO(path.read_text())))
    for content in (f"{'x' * 200_000}\n", f"{','.join(rows[0])}\n{','.join(['1'] * 99)}\n", "\0\n"):
        path.write_text(content)
        assert any("scores.csv" in damage for check in check_run(run) for damage in check.damages)
