"""Tables come back with all their columns and the scores, row for row, part for part."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import zeroiqa
from tests.command import zeroiqa as command
from zeroiqa.samples import folder

HUB = pa.struct({"bytes": pa.binary(), "path": pa.string()})
SAMPLES = sorted([*folder().glob("*.jpg"), *folder().glob("*.png")])
SCORES = [zeroiqa.score(path).score for path in SAMPLES]


def hub(rows: range = range(7)) -> pa.Array:
    return pa.array([{"bytes": SAMPLES[row].read_bytes(), "path": SAMPLES[row].name} for row in rows], HUB)


def write(path: Path, rows: range = range(7), **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": hub(rows), **more}), path, row_group_size=3, compression="zstd")


def test_a_table_comes_back_with_all_its_columns_and_the_scores(tmp_path: Path) -> None:
    label = pa.array([b"x", None, b"", b"y", b"\xff", b"z", b"0"])
    nested = pa.array([[{"a": row}] for row in range(7)])
    write(tmp_path / "t.parquet", label=label, nested=nested)
    done = command(tmp_path, "score", "t.parquet", "-o", "scored.parquet")
    assert done.returncode == 0, done.stderr
    assert "Written: scored.parquet (1 table with all columns, 7 rows)" in done.stderr
    given, found = (pq.read_table(tmp_path / name) for name in ("t.parquet", "scored.parquet"))
    assert found.select(given.schema.names).equals(given)
    assert found["score"].to_pylist() == SCORES
    assert "path" not in found.schema.names
    one, other = (pq.ParquetFile(tmp_path / name).metadata for name in ("t.parquet", "scored.parquet"))
    assert [other.row_group(number).num_rows for number in range(other.num_row_groups)] == [3, 3, 1]
    assert one.row_group(0).column(0).compression == other.row_group(0).column(0).compression == "ZSTD"
    assert other.schema.to_arrow_schema().metadata == one.schema.to_arrow_schema().metadata


def test_a_folder_comes_back_part_for_part(tmp_path: Path) -> None:
    for part, rows in enumerate((range(3), range(3, 4), range(4, 7))):
        write(tmp_path / f"hub/data/train-{part}.parquet", rows, n=list(rows))
    done = command(tmp_path, "score", "hub", "-o", "run", "--tables", "out", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "Written: out (3 tables with all columns, 7 rows)" in done.stderr
    parts = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert parts == [f"train-{part}.parquet" for part in range(3)]
    rows = [row for part in parts for row in pq.read_table(tmp_path / "out" / part).to_pylist()]
    assert [(row["n"], row["score"]) for row in rows] == list(enumerate(SCORES))
    first = (tmp_path / "out/train-1.parquet").read_bytes()
    assert command(tmp_path, "score", "hub", "-o", "run", "--tables", "out").returncode == 0
    assert (tmp_path / "out/train-1.parquet").read_bytes() == first
    assert command(tmp_path, "export", "tables", "run", "-o", "again").returncode == 0
    assert (tmp_path / "again/train-1.parquet").read_bytes() == first


def test_equal_paths_and_rows_without_an_image_come_back_row_for_row(tmp_path: Path) -> None:
    for path in SAMPLES[:2]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    names = [SAMPLES[0].name, None, SAMPLES[1].name, SAMPLES[0].name, "none.jpg", ""]
    table = pa.table({"id": list(range(6)), "file_name": names})
    pq.write_table(table, tmp_path / "l.parquet")
    done = command(tmp_path, "score", "l.parquet", "-o", "o.parquet")
    assert "Rows that name no image: 2 of 6; they have the status error." in done.stderr
    rows = pq.read_table(tmp_path / "o.parquet").to_pylist()
    assert [row["score"] for row in rows] == [SCORES[0], None, SCORES[1], SCORES[0], None, None]
    assert [row["status"] for row in rows] == ["ok", "error", "ok", "ok", "unreachable", "error"]
    assert rows[1]["error"] == "the row names no image"


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_text_comes_back_as_it_was(tmp_path: Path, suffix: str, delimiter: str) -> None:
    for path in SAMPLES[:2]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    lines = [
        ["id", "image", "note", "1e5"],
        ["007", SAMPLES[1].name, f'a "quoted"{delimiter} note', "0.10"],
        ["008", SAMPLES[0].name, "ünï\ncode", ""],
    ]
    with (tmp_path / f"l{suffix}").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)
    option = "-o" if suffix == ".csv" else "--tables"
    done = command(tmp_path, "score", f"l{suffix}", option, f"o{suffix}")
    assert done.returncode == 0, done.stderr
    with (tmp_path / f"o{suffix}").open(encoding="utf-8", newline="") as file:
        found = list(csv.reader(file, delimiter=delimiter))
    assert [row[:4] for row in found] == lines
    place = found[0].index("score")
    assert [row[place] for row in found[1:]] == [f"{SCORES[1]:.6f}", f"{SCORES[0]:.6f}"]


def test_lines_of_json_come_back(tmp_path: Path) -> None:
    lines = [{"image": str(SAMPLES[1]), "n": 1, "more": {"a": [1.50]}}, {"image": str(SAMPLES[0]), "x": None}]
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert command(tmp_path, "score", "l.jsonl", "-o", "o.jsonl").returncode == 0
    found = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [{key: row[key] for key in given} for row, given in zip(found, lines, strict=True)] == lines
    assert [row["score"] for row in found] == [SCORES[1], SCORES[0]]


def test_json_that_is_one_document_cannot_come_back(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text(json.dumps([{"image": str(SAMPLES[0])}], indent=1))
    done = command(tmp_path, "score", "l.jsonl", "-o", "o.jsonl")
    assert (done.returncode, "has not one object on each line" in done.stderr) == (1, True)
    assert not (tmp_path / "o.jsonl").exists()


def test_a_plain_list_has_no_columns_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text(f"{SAMPLES[0]}\n")
    done = command(tmp_path, "score", "l.txt", "-o", "o.csv")
    assert done.returncode == 0 and "columns alone" not in done.stderr


def test_another_kind_of_file_has_our_columns_alone(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet")
    done = command(tmp_path, "score", "t.parquet", "-o", "s.csv")
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(tmp_path / "s.csv")
    assert list(frame["path"]) == [f"t.parquet/{row}" for row in range(7)]
    assert "s.csv has our columns alone" in done.stderr


def test_a_column_of_ours_that_is_there_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", status=["success"] * 7, width=[1] * 7)
    done = command(tmp_path, "score", "t.parquet", "-o", "o.parquet")
    assert done.returncode == 1
    assert (
        "t.parquet has the column width already" in done.stderr or "the column status already" in done.stderr
    )
    assert "--column-prefix" in done.stderr
    assert not list(tmp_path.rglob("regions/*"))
    done = command(tmp_path, "score", "t.parquet", "-o", "o.parquet", "--column-prefix", "zeroiqa_")
    assert done.returncode == 0, done.stderr
    found = pq.read_table(tmp_path / "o.parquet")
    assert found["zeroiqa_score"].to_pylist() == SCORES
    assert found["status"].to_pylist() == ["success"] * 7


def test_rows_that_are_not_chosen_have_no_scores(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet")
    done = command(tmp_path, "score", "t.parquet", "--include", "[0-2]", "-o", "o.parquet")
    assert "Rows whose image is not in the run (--include, --exclude, --prune): 4 of 7" in done.stderr
    assert pq.read_table(tmp_path / "o.parquet")["score"].to_pylist() == [*SCORES[:3], *[None] * 4]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ["photos", "--tables", "out"],
            2,
            "--tables is of tables that come back, and none of PATHS is a table",
        ),
        (["photos", "--column-prefix", "x"], 2, "--column-prefix is of tables that come back"),
        (["t.parquet", "--tables", "t.parquet"], 1, "t.parquet is a table that is read"),
        (["t.parquet", "--tables", "."], 1, "t.parquet is a table that is read"),
        (["t.parquet", "--tables", "o.csv"], 1, "t.parquet comes back as .parquet; give o.csv that suffix"),
        (["t.parquet", "--tables", "other.parquet"], 1, "other.parquet exists and has no scores of ours"),
        (["l.xlsx.json", "--tables", "out"], 1, "l.xlsx.json cannot come back"),
        (["t.parquet", "--tables", "out", "--shard", "0/2"], 2, "--tables shall hold all rows"),
    ],
)
def test_what_cannot_come_back_is_refused_first(
    tmp_path: Path, arguments: list[str], code: int, sentence: str
) -> None:
    write(tmp_path / "t.parquet")
    write(tmp_path / "other.parquet")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(SAMPLES[0].read_bytes())
    (tmp_path / "l.xlsx.json").write_text(json.dumps([{"image": str(SAMPLES[0])}]))
    before = (tmp_path / "t.parquet").read_bytes(), (tmp_path / "other.parquet").read_bytes()
    done = command(tmp_path, "score", *arguments)
    assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr
    assert before == ((tmp_path / "t.parquet").read_bytes(), (tmp_path / "other.parquet").read_bytes())
    assert not list(tmp_path.rglob("regions/*"))


def test_export_tables_of_photos_or_of_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "d/t.parquet")
    command(tmp_path, "score", str(SAMPLES[0].parent), "-o", "photos")
    done = command(tmp_path, "export", "tables", "photos", "-o", "out")
    assert (done.returncode, "came from no table" in done.stderr) == (1, True)
    command(tmp_path, "score", "d", "-o", "run", "--plan-only")
    done = command(tmp_path, "export", "tables", "run", "-o", "out")
    assert (done.returncode, "7 of 7 images are not finished" in done.stderr) == (1, True)


def test_a_data_set_of_the_hub_stays_one(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    made = datasets.Dataset.from_dict(
        {"picture": list(map(str, SAMPLES)), "label": [0, 1, 0, 1, 0, 1, 0]},
        features=datasets.Features(
            {"picture": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
        ),
    )
    made.to_parquet(tmp_path / "t.parquet")
    done = command(tmp_path, "score", "t.parquet", "-o", "o.parquet")
    assert done.returncode == 0, done.stderr
    found = datasets.Dataset.from_parquet(str(tmp_path / "o.parquet"), cache_dir=str(tmp_path / "cache"))
    assert isinstance(found.features["picture"], datasets.Image)
    assert found.features["label"].names == ["a", "b"]
    assert found["score"][:] == SCORES
    assert found[0]["picture"].size == made[0]["picture"].size
    assert pd.read_parquet(tmp_path / "o.parquet")["score"].tolist() == SCORES


def test_tables_of_a_store_come_back_to_it(tmp_path: Path, bucket: Any) -> None:
    for part, rows in enumerate((range(2), range(2, 4))):
        write(tmp_path / f"p{part}.parquet", rows, n=list(rows))
        bucket.put(f"hub/p{part}.parquet", (tmp_path / f"p{part}.parquet").read_bytes())
    places = [bucket.address(name) for name in ("hub", "run", "out")]
    done = command(tmp_path, "score", places[0], "-o", places[1], "--tables", places[2], "--workers", "1")
    assert done.returncode == 0, done.stderr
    for part in range(2):
        (tmp_path / "back.parquet").write_bytes(bucket.get(f"out/p{part}.parquet"))
        assert (
            pq.read_table(tmp_path / "back.parquet")["score"].to_pylist() == SCORES[2 * part : 2 * part + 2]
        )
