"""`score_table`: the rows of a table are images, and it comes back with their scores behind its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pyarrow as pa

from zeroiqa.errors import UserError, printable
from zeroiqa.files.tables.columns import first_names, names_images, prompt_column
from zeroiqa.files.tables.image_column import image_column as find_image_column
from zeroiqa.images.arrays import is_array, is_tensor
from zeroiqa.images.members import NamedMembers
from zeroiqa.pipeline import Method
from zeroiqa.results import ImageScore
from zeroiqa.runs.score_files import table_schema
from zeroiqa.runs.scores import columns_of
from zeroiqa.scoring.images import score_each
from zeroiqa.scoring.method import load_method
from zeroiqa.scoring.workers import workers_of
from zeroiqa.standards import check_prompts

if TYPE_CHECKING:
    import pandas as pd

Table = TypeVar("Table")

_BATCH = 64
"""Rows that are taken out of Arrow at once."""


def score_table(
    table: Table,
    *,
    method: Method | None = None,
    image_column: str | None = None,
    column_prefix: str = "",
    workers: int | str = 1,
    on_progress: Callable[[int], None] | None = None,
) -> Table:
    """Score the rows of a table; it comes back with all its columns and the scores behind, row for row.

    Args:
        table: A pandas.DataFrame, a pyarrow.Table or RecordBatch, a pyarrow.RecordBatchReader (which stays a
            stream), a datasets.Dataset or DatasetDict.
        method: From `load_method`; the embedded preset if left out.
        image_column: The column of the images: paths, bytes of files, or the hub's struct of both; in pandas
            also arrays and PIL images. If left out, it is told by its name and type.
        column_prefix: Stands before the names of the new columns.
        workers: Processes, as for `score_images`.
        on_progress: Is told how many rows are done, after each.

    Returns:
        The same kind of table. New are the columns of scores.csv but `path`; a row whose image is broken or
        missing has the status "error" or "unreachable" and no score. A column `prompt`, if there is one, has
        the images' text prompts.

    Raises:
        UserError: it is no such table, has no rows, no column of images or several, or a column of that name
            already.

    Example:
        >>> import pandas, zeroiqa
        >>> from zeroiqa.samples import folder
        >>> frame = pandas.DataFrame({"id": [7], "image": [str(folder() / "coffee.jpg")]})
        >>> list(zeroiqa.score_table(frame).columns[:3])
        ['id', 'image', 'score']
    """
    kind: Any = type(table)
    how = _How(method or load_method(), image_column, column_prefix, workers, on_progress)
    given: Any = table
    found: Any
    if isinstance(given, pa.Table):
        found = _arrow(given, how)
    elif isinstance(given, pa.RecordBatch):
        found = _arrow(pa.Table.from_batches([given]), how).combine_chunks().to_batches()[0]
    elif isinstance(given, pa.RecordBatchReader):
        found = _stream(given, how)
    elif kind.__module__.split(".")[0] == "pandas" and hasattr(given, "iloc") and hasattr(given, "columns"):
        found = _frame(given, how)
    elif _is_of_datasets(given) and isinstance(given, dict):
        found = kind({split: score_table(each, **how.again()) for split, each in given.items()})
    elif _is_of_datasets(given) and hasattr(given, "with_format") and hasattr(given, "num_rows"):
        found = _data_set(given, how)
    else:
        raise UserError(_refusal(given))
    return found  # type: ignore[no-any-return]


class _How(NamedTuple):
    """The arguments besides the table."""

    method: Method
    image_column: str | None
    prefix: str
    workers: int | str
    on_progress: Callable[[int], None] | None

    def again(self) -> dict[str, Any]:
        """For another call."""
        return {
            "method": self.method,
            "image_column": self.image_column,
            "column_prefix": self.prefix,
            "workers": self.workers,
            "on_progress": self.on_progress,
        }

    @property
    def schema(self) -> pa.Schema:
        """Of the new columns."""
        method = self.method
        columns = columns_of(
            method.raters,
            method.labels,
            method.aggregation,
            kinds=method.kinds,
            lower_is_better=method.lower_is_better,
            describes=method.describe,
        )
        schema = table_schema([name for name in columns if name != "path"])
        return pa.schema([field.with_name(f"{self.prefix}{field.name}") for field in schema])


def _arrow(table: pa.Table, how: _How) -> pa.Table:
    column = find_image_column(table.schema, "The table", how.image_column).name
    batches = table.select([column]).to_batches(_BATCH)
    images = (value for batch in batches for value in batch[0].to_pylist())
    prompts = _prompts_of(table.schema.names, lambda name: table[name].to_pylist())
    new = _scored(images, prompts, table.schema.names, table.num_rows, how)
    for field, values in zip(new.schema, new.columns, strict=True):
        table = table.append_column(field, values)
    return table


def _stream(reader: pa.RecordBatchReader, how: _How) -> pa.RecordBatchReader:
    """Each batch is scored when it is asked for."""
    find_image_column(reader.schema, "The table", how.image_column)
    _check_columns(reader.schema.names, how)
    schema = reader.schema
    for field in how.schema:
        schema = schema.append(field)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            if batch.num_rows:
                yield from _arrow(pa.Table.from_batches([batch]), how).cast(schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _frame(frame: pd.DataFrame, how: _How) -> pd.DataFrame:
    import pandas as pd

    names = list(map(str, frame.columns))
    column = _column_of_frame(frame, how.image_column)
    images = (None if _is_missing(value) else value for value in frame.iloc[:, column])
    prompts = _prompts_of(names, lambda name: [
        value if isinstance(value, str) else None for value in frame.iloc[:, names.index(name)]
    ])  # fmt: skip
    new = _scored(images, prompts, names, len(frame), how)

    def mapped(kind: pa.DataType) -> Any:
        """Whole numbers stay so, where one is missing, too."""
        return pd.Int32Dtype() if pa.types.is_int32(kind) else None

    added = new.to_pandas(types_mapper=mapped)
    added.index = frame.index
    return pd.concat([frame, added], axis=1)


def _data_set(data_set: Any, how: _How) -> Any:
    """A `datasets.Dataset`, of which no image is decoded: the new columns are put beside its own."""
    import datasets

    stored = data_set.with_format("arrow")
    schema = data_set.features.arrow_schema
    column = find_image_column(schema, "The data set", how.image_column).name
    names = schema.names

    def images() -> Iterator[Any]:
        for batch in stored.select_columns([column]).iter(_BATCH):
            yield from batch[column].to_pylist()

    prompts = _prompts_of(names, lambda name: stored.select_columns([name])[:][name].to_pylist())
    new = _scored(images(), prompts, names, data_set.num_rows, how)
    beside = datasets.Dataset(new.combine_chunks())
    joined = datasets.concatenate_datasets([data_set.with_format(None), beside], axis=1)
    return joined.with_format(**data_set.format) if data_set.format["type"] else joined


def _scored(
    images: Iterable[Any], prompts: Sequence[str | None] | None, names: Sequence[str], rows: int, how: _How
) -> pa.Table:
    """The new columns of a table.

    Raises:
        UserError: it has no rows, or a column of that name already.
    """
    if not rows:
        raise UserError("The table has no rows, so no images; give another one.")
    _check_columns(names, how)
    named = [(f"row {row}", None if prompts is None else prompts[row]) for row in range(rows)]
    check_prompts(how.method.standards, named)
    asked = (
        (_image(value, row), None if prompts is None else prompts[row]) for row, value in enumerate(images)
    )
    workers = workers_of(how.workers, how.method, rows)
    schema, found = how.schema, []
    for done, result in enumerate(score_each(asked, how.method, workers, NamedMembers()), 1):
        row = {f"{how.prefix}{name}": value for name, value in result.to_dict().items()}
        found.append(row)
        if how.on_progress is not None:
            how.on_progress(done)
    return pa.Table.from_pylist(found, schema)


def _image(value: Any, row: int) -> Any:
    """The image of a row; its result where it has none."""
    missing = value is None or (isinstance(value, str) and not value.strip())
    if isinstance(value, Mapping):
        missing = value.get("bytes") is None and not value.get("path")
        if not missing and not value.get("path"):
            value = {**value, "path": None}
    return ImageScore(f"row {row}", error=f"Row {row} names no image.") if missing else value


def _check_columns(names: Sequence[str], how: _How) -> None:
    there = [name for name in how.schema.names if name in set(names)]
    if there:
        raise UserError(
            f"The table has the column {printable(there[0])} already, and so has what comes back; put a word "
            "before the new columns, such as column_prefix='zeroiqa_'."
        )


def _prompts_of(names: Sequence[str], read: Callable[[str], list[Any]]) -> list[str | None] | None:
    place = prompt_column(names, "The table")
    if place is None:
        return None
    values = read(names[place])
    return [value or None for value in values] if all(isinstance(v, str | None) for v in values) else None


def _column_of_frame(frame: pd.DataFrame, wanted: str | None) -> int:
    """The place of the column of images, by its name and its first value."""
    names = list(map(str, frame.columns))
    if wanted is not None:
        if names.count(wanted) != 1:
            known = first_names(names) or "none"
            raise UserError(f"The table has no single column {printable(wanted)}; its columns are {known}.")
        return names.index(wanted)
    firsts = [next((each for each in frame[name] if not _is_missing(each)), None) if names.count(name) == 1
              else None for name in frame.columns]  # fmt: skip
    files = [
        place
        for place, first in enumerate(firsts)
        if (isinstance(first, Mapping) and "bytes" in first)
        or (names_images(names[place]) and _is_file(first))
    ]
    paths = [
        place
        for place, first in enumerate(firsts)
        if names_images(names[place]) and (first is None or isinstance(first, str | Path))
    ]
    fitting = files or paths
    if len(fitting) > 1:
        found = " and ".join(printable(names[place]) for place in fitting[:5])
        raise UserError(
            f"The table has {len(fitting)} columns that could be the image, {found}; say which is, with "
            "image_column."
        )
    if not fitting:
        raise UserError(
            f"The table has no column of images; its columns are {first_names(names) or 'none'}; say which "
            "it is, with image_column."
        )
    return fitting[0]


def _is_file(value: object) -> bool:
    pixels = is_array(value) or is_tensor(value) or hasattr(value, "getbands")
    return pixels or isinstance(value, bytes | bytearray | memoryview)


def _is_missing(value: Any) -> bool:
    """None, NaN or pandas' NA."""
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and value != value)
    )


def _is_of_datasets(table: object) -> bool:
    return type(table).__module__.split(".")[0] == "datasets"


def _refusal(table: Any) -> str:
    what = f"{type(table).__module__.split('.')[0]}.{type(table).__name__}"
    if _is_of_datasets(table):
        return (
            f"The table is a {what}, whose rows come one by one; score them by its own map, with "
            "zeroiqa.score_images on each batch."
        )
    hint = "; give its to_arrow()" if hasattr(table, "to_arrow") else ""
    return (
        f"The table is a {what}; a pandas.DataFrame, a pyarrow.Table, RecordBatch or RecordBatchReader, or a "
        f"datasets.Dataset is taken{hint}."
    )
