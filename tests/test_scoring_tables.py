"""Tables in Python come back as what they are, with the scores behind their columns."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image as PilImage

import zeroiqa
from zeroiqa.errors import UserError
from zeroiqa.samples import folder

datasets = pytest.importorskip("datasets")
HUB = pa.struct({"bytes": pa.binary(), "path": pa.string()})
SAMPLES = sorted([*folder().glob("*.jpg"), *folder().glob("*.png")])[:4]
SCORES = [zeroiqa.score(path).score for path in SAMPLES]
ROWS = [{"bytes": path.read_bytes(), "path": path.name} for path in SAMPLES]


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_a_data_frame_keeps_index_columns_and_types() -> None:
    frame = pd.DataFrame(
        {
            "id": np.array([3, 1, 2, 0], np.int8),
            "image": list(map(str, SAMPLES)),
            "day": pd.Timestamp("2026-1-1"),
        },
        index=["d", "a", "c", "a"],
    )
    before = frame.copy()
    found = zeroiqa.score_table(frame)
    pd.testing.assert_frame_equal(found[list(frame.columns)], before)
    pd.testing.assert_frame_equal(frame, before)
    assert found["score"].tolist() == SCORES
    expected = zeroiqa.score_images(SAMPLES).to_pandas().drop(columns="path")
    assert list(found.columns[3:]) == list(expected.columns)


@pytest.mark.parametrize(
    "values",
    [
        SAMPLES,
        [path.read_bytes() for path in SAMPLES],
        ROWS,
        [np.asarray(PilImage.open(path).convert("RGB")) for path in SAMPLES],
        [PilImage.fromarray(np.asarray(PilImage.open(path).convert("RGB"))) for path in SAMPLES],
    ],
    ids=["paths", "bytes", "structs", "arrays", "pictures"],
)
def test_a_data_frame_may_hold_images_in_any_form(values: list[Any]) -> None:
    assert zeroiqa.score_table(pd.DataFrame({"image": values}))["score"].tolist() == SCORES


@pytest.mark.parametrize("chunks", [1, 3])
def test_an_arrow_table_comes_back(chunks: int) -> None:
    table = pa.table({"picture": pa.array(ROWS, HUB), "n": [1, 2, 3, 4]}, metadata={"a": "b"})
    parts = pa.concat_tables([table.slice(start, 3) for start in range(0, 4, 3)]) if chunks > 1 else table
    found = zeroiqa.score_table(parts)
    assert found.select(["picture", "n"]).equals(table)
    assert found.schema.metadata == {b"a": b"b"}
    assert found["score"].to_pylist() == SCORES
    [batch] = table.to_batches()
    assert isinstance(zeroiqa.score_table(batch), pa.RecordBatch)


def test_a_stream_stays_one() -> None:
    table = pa.table({"image": pa.array(ROWS, HUB)})
    taken = []

    def batches() -> Any:
        for batch in table.to_batches(2):
            taken.append(batch.num_rows)
            yield batch

    reader = zeroiqa.score_table(pa.RecordBatchReader.from_batches(table.schema, batches()))
    assert isinstance(reader, pa.RecordBatchReader) and taken == []
    assert reader.read_next_batch()["score"].to_pylist() == SCORES[:2]
    assert taken == [2]
    assert reader.read_all()["score"].to_pylist() == SCORES[2:]


def test_broken_and_missing_images_are_rows_and_types_stay() -> None:
    frame = pd.DataFrame({"image": [str(SAMPLES[0]), None, "none.jpg", float("nan"), " "]})
    found = zeroiqa.score_table(frame)
    assert found["status"].tolist() == ["ok", "error", "unreachable", "error", "error"]
    assert found["error"][1] == "Row 1 names no image."
    assert list(zeroiqa.score_table(frame.iloc[1:]).dtypes) == list(found.dtypes)
    table = pa.table({"image": pa.array([None, {"bytes": b"x", "path": None}, ROWS[0]], HUB)})
    assert zeroiqa.score_table(table)["status"].to_pylist() == ["error", "error", "ok"]


def test_prompts_are_those_of_the_column() -> None:
    method = zeroiqa.load_method(raters="fake", aspects="correspondence")
    frame = pd.DataFrame({"image": SAMPLES, "prompt": ["a cat", None, "a dog", ""]})
    found = zeroiqa.score_table(frame, method=method)
    expected = zeroiqa.score_images(SAMPLES, prompts=["a cat", None, "a dog", None], method=method)
    assert found["score"].notna().tolist() == [each.score is not None for each in expected]
    with pytest.raises(UserError, match="none of the 4 images has one"):
        zeroiqa.score_table(frame[["image"]], method=method)


def data_set() -> Any:
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    return datasets.Dataset.from_dict(
        {"image": list(map(str, SAMPLES)), "label": [0, 1, 1, 0]}, features=datasets.Features(features)
    )


def test_a_data_set_keeps_its_features_and_no_image_is_decoded() -> None:
    given = data_set()
    found = zeroiqa.score_table(given)
    assert {name: found.features[name] for name in given.features} == given.features
    assert found["score"][:] == SCORES
    assert found.data.column("image").to_pylist() == given.data.column("image").to_pylist()
    shuffled = zeroiqa.score_table(given.select([2, 0]))
    assert shuffled["score"][:] == [SCORES[2], SCORES[0]]
    assert shuffled["label"][:] == [1, 0]
    splits = zeroiqa.score_table(datasets.DatasetDict(train=given, test=given.select([1])))
    assert isinstance(splits, datasets.DatasetDict) and splits["test"]["score"][:] == SCORES[1:2]
    with pytest.raises(UserError, match="whose rows come one by one; score them by its own map"):
        zeroiqa.score_table(given.to_iterable_dataset())


def test_a_data_set_is_scored_by_its_own_map() -> None:
    method = zeroiqa.load_method()

    def scored(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        results = zeroiqa.score_images(rows["image"], method=method)
        return {"score": [each.score for each in results], "status": [each.status for each in results]}

    raw = data_set().cast_column("image", datasets.Image(decode=False))
    found = raw.map(scored, batched=True, batch_size=2).cast_column("image", datasets.Image())
    assert found["score"][:] == SCORES
    decoded = data_set().map(scored, batched=True, batch_size=2)
    assert decoded["score"][:] == SCORES
    stream = data_set().to_iterable_dataset().map(scored, batched=True, batch_size=2)
    assert [row["score"] for row in stream] == SCORES


@pytest.mark.parametrize(
    ("table", "choices", "sentence"),
    [
        (pd.DataFrame({"image": []}), {}, "The table has no rows"),
        (pd.DataFrame({"a": [1]}), {}, "has no column of images; its columns are a; say which"),
        (pd.DataFrame({"x": [ROWS[0]], "y": [ROWS[1]]}), {}, "2 columns that could be the image, x and y"),
        (
            pd.DataFrame({"path": ["a"], "file": ["b"]}),
            {},
            "2 columns that could be the image, path and file",
        ),
        (pd.DataFrame({"image": ["a"], "width": [1]}), {}, "has the column width already, .* column_prefix"),
        (pd.DataFrame({"image": ["a"]}), {"image_column": "b"}, "no single column b; its columns are image"),
        (pa.table({"image": pa.array([], HUB)}), {}, "The table has no rows"),
        (pa.table({"a": [1]}), {}, "has no column of images"),
        (pa.table({"x": pa.array(ROWS, HUB), "y": pa.array(ROWS, HUB)}), {}, "could be the image, x and y"),
        (pa.table({"image": ["a"], "status": ["b"]}), {}, "has the column status already"),
        ([{"image": "a.jpg"}], {}, "The table is a builtins.list; a pandas.DataFrame"),
        ("t.parquet", {}, "The table is a builtins.str"),
    ],
)
def test_what_is_no_such_table_is_refused(table: Any, choices: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        zeroiqa.score_table(table, **choices)


def test_a_prefix_makes_room_and_workers_change_nothing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": [shutil.copy(path, tmp_path) for path in SAMPLES], "score": 1})
    done: list[int] = []
    found = zeroiqa.score_table(frame, column_prefix="q_", workers=2, on_progress=done.append)
    assert found["q_score"].tolist() == SCORES
    assert done == [1, 2, 3, 4]
