"""Which column of a table is the image."""

from __future__ import annotations

import pyarrow as pa
import pytest

from zeroiqa.errors import UserError
from zeroiqa.files.tables.image_column import ImageColumn, image_column

HUB = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def columns(**types: pa.DataType) -> pa.Schema:
    return pa.schema(types)


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (columns(path=pa.string()), ImageColumn("path", "paths")),
        (columns(File_Name=pa.large_string(), label=pa.int64()), ImageColumn("File_Name", "paths")),
        (columns(image=pa.dictionary(pa.int32(), pa.string())), ImageColumn("image", "paths")),
        (columns(image=pa.large_binary(), note=pa.binary()), ImageColumn("image", "bytes")),
        (columns(picture=HUB, note=pa.binary()), ImageColumn("picture", "struct")),
        (columns(x=pa.struct({"path": pa.null(), "bytes": pa.binary_view()})), ImageColumn("x", "struct")),
        (columns(image=HUB, file_name=pa.string()), ImageColumn("image", "struct", ("file_name",))),
    ],
)
def test_the_column_of_images_is_found(schema: pa.Schema, found: ImageColumn) -> None:
    assert image_column(schema, "t.parquet") == found


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        (columns(a=pa.int64(), b=pa.list_(HUB)), "t.parquet has no column of images; its columns are a, b;"),
        (columns(), "its columns are none;"),
        (columns(image=pa.int64()), "has no column of images"),
        (columns(image=pa.struct({"bytes": pa.string()})), "has no column of images"),
        (columns(before=HUB, after=HUB), "2 columns that could be the image, before and after; say which"),
        (columns(image=pa.binary(), file=pa.binary()), "2 columns that could be the image, image and file"),
        (columns(path=pa.string(), filename=pa.string()), "could be the image, path and filename"),
    ],
)
def test_none_and_several_are_refused(schema: pa.Schema, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        image_column(schema, "t.parquet")
    assert sentence in str(raised.value)


def test_the_caller_says_which() -> None:
    schema = columns(before=HUB, after=HUB, n=pa.int64())
    assert image_column(schema, "t", "after") == ImageColumn("after", "struct")
    with pytest.raises(UserError, match="has no column behind; its columns are before, after, n"):
        image_column(schema, "t", "behind")
    with pytest.raises(UserError, match="column n of type int64, which holds no images"):
        image_column(schema, "t", "n")
    twice = pa.schema([("a", HUB), ("a", HUB)])
    with pytest.raises(UserError, match="has 2 columns called a"):
        image_column(twice, "t", "a")
