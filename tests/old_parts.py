"""Parts as older versions wrote them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

BEFORE_MEASURES = frozenset({"measures", "description"})
BEFORE_ANSWERS = BEFORE_MEASURES | {"weight", "answer"}


def as_version_1(path: Path, *, without: frozenset[str] = BEFORE_ANSWERS) -> None:
    """Write a part again without some fields of its regions or ratings, and without its version."""
    _write_without(path, without, None)


def without_measures(path: Path) -> None:
    """Write a part again as version 2 was before ratings had measures and descriptions."""
    _write_without(path, BEFORE_MEASURES, {b"zeroiqa.part": b"2"})


def _write_without(path: Path, without: frozenset[str], said: dict[bytes, bytes] | None) -> None:
    table = pq.read_table(path)
    name = "regions" if "regions" in table.schema.names else "ratings"
    place = table.schema.get_field_index(name)
    fields = [field for field in table.schema.field(name).type.value_type if field.name not in without]
    schema = table.schema.set(place, pa.field(name, pa.list_(pa.struct(fields)))).with_metadata(said)
    pq.write_table(pa.Table.from_pylist(table.to_pylist(), schema), path)


def with_version(path: Path, version: bytes) -> None:
    """Write a part again that says to be of a version."""
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"zeroiqa.part": version}), path)


def run_as_version_1(folder: Path) -> None:
    """Turn all parts of a run into older ones; what its log says of them is gone."""
    for path in folder.rglob("part-*.parquet"):
        as_version_1(path)
    for path in (folder / "events").iterdir():
        path.unlink()
