"""Parts as they were before regions had weights of their own and ratings had answers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_LATER = {"weight", "answer"}


def as_version_1(path: Path, *, without: frozenset[str] = frozenset(_LATER)) -> None:
    """Write a part again without some fields of its regions or ratings, and without its version."""
    table = pq.read_table(path)
    name = "regions" if "regions" in table.schema.names else "ratings"
    place = table.schema.get_field_index(name)
    fields = [field for field in table.schema.field(name).type.value_type if field.name not in without]
    schema = table.schema.set(place, pa.field(name, pa.list_(pa.struct(fields)))).remove_metadata()
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
