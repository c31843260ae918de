"""The tables that a run's images came from, with all their columns and the scores behind, row for row."""

from __future__ import annotations

import functools
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError, printable
from zeroiqa.export import table_files
from zeroiqa.files.storage import Location, is_remote, location
from zeroiqa.images.find import find_images
from zeroiqa.images.listed_rows import paths_of_rows
from zeroiqa.images.ref import ImageRef
from zeroiqa.images.selection import Selection
from zeroiqa.runs import plan
from zeroiqa.runs.latest import all_left
from zeroiqa.runs.naming import as_planned, naming_from
from zeroiqa.runs.presentation import Presentation, presentation
from zeroiqa.runs.scores import read_scored, score_columns

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation
    from zeroiqa.runs import Run

_SHARDS = 64
"""Shards whose scores stay in memory: rows come in the order of the run for the most part."""
_SPELLED = 65_536
"""Rows whose paths are looked up at once."""
_NO_IMAGE = {"status": "error", "error": "the row names no image"}


@dataclass
class Returned:
    """What came back."""

    tables: int = 0
    rows: int = 0
    nameless: int = 0
    """Rows that name no image."""
    foreign: int = 0
    """Rows whose image is not among those of the run."""

    def sentences(self) -> Iterator[str]:
        """What is to be said of rows without a score of their own."""
        if self.nameless:
            yield f"Rows that name no image: {self.nameless:,} of {self.rows:,}; they have the status error."
        if self.foreign:
            yield (
                f"Rows whose image is not in the run (--include, --exclude, --prune): {self.foreign:,} of "
                f"{self.rows:,}; they have no scores."
            )


@dataclass(frozen=True)
class TablesOf:
    """The tables of a run, and what goes into them.

    Args:
        run: The run.
        tables: Their paths or addresses, from the current folder.
        prefix: Stands before the names of our columns.
        image_column: That of the images, where several could be.
        aggregation: How scores are computed; the run's own way if left out.
    """

    run: Run
    tables: Sequence[str]
    prefix: str = ""
    image_column: str | None = None
    aggregation: Aggregation | None = None

    @functools.cached_property
    def columns(self) -> list[str]:
        """Ours, as the tables have them."""
        names = self._shown.header(score_columns(self.run, self.aggregation))
        return [f"{self.prefix}{name}" for name in names if name != "path"]

    @functools.cached_property
    def _shown(self) -> Presentation:
        return presentation(self.run, self.aggregation)

    def check(self) -> None:
        """Refuse tables that have a column of ours already.

        Raises:
            UserError: one has, or is of a kind that cannot come back.
        """
        ours = set(self.columns)
        for table in self.tables:
            if there := [name for name in table_files.header(table) if name in ours]:
                raise UserError(
                    f"{printable(table)} has the column {printable(there[0])} already, and so has the table "
                    "that comes back; put a word before our columns with --column-prefix, such as zeroiqa_."
                )

    def write(self, places: Sequence[Location], advance: Callable[[int], None] = lambda _: None) -> Returned:
        """Write each table to its place, which one of an earlier time is replaced in.

        Args:
            places: One for each table.
            advance: Is told how many more rows are written.

        Raises:
            UserError: images are left to do, a table has changed or cannot be read, or a place be written.
        """
        if left := all_left(self.run):
            raise UserError(
                f"{left:,} of {self.run.n_images:,} images are not finished, so no table can come back; "
                f"`zeroiqa score -o {self.run.folder}` goes on with them."
            )
        self.check()
        found = Returned()
        rows_of = _Rows(self.run, self.aggregation, self._shown, self.prefix)
        for table, place in zip(self.tables, places, strict=True):

            def rows(table: str = table) -> Iterator[dict[str, Any]]:
                for row in rows_of.of(paths_of_rows(table, self.image_column), found):
                    advance(1)
                    yield row

            table_files.write(table, place, self.columns, self.prefix, rows())
            found.tables += 1
        return found


def tables_of_run(run: Run) -> tuple[list[str], str | None]:
    """The tables that a run's images came from, as they are found now from the current folder.

    With them the column that is the image, where that was said.

    Raises:
        UserError: there are none, or it is not known which.
    """
    inputs = plan.all_inputs(run.folder)
    naming = naming_from(inputs)
    tables: list[str] = []
    if naming is not None:
        naming = naming.seen_from(run.root or str(Path.cwd()), str(Path.cwd()))
        selection = Selection.of(naming.include, naming.exclude)
        find_images(
            naming.names, selection=selection, image_column=naming.image_column or None, tables=tables
        )
    if not tables:
        raise UserError(
            f"The images of {run.folder} came from no table, or one by one; give the tables to `zeroiqa "
            "score` with --tables."
        )
    return tables, None if naming is None else naming.image_column or None


def places_of(tables: Sequence[str], output: Location, *, folder: bool = False) -> list[Location]:
    """Where tables go: one into the file that is named, several below the folder, as they lie now.

    Args:
        tables: Their paths or addresses.
        output: A file, or a folder.
        folder: Whether it is a folder though it is called like a file.

    Raises:
        UserError: two would be one file, one is the table itself, or a file is there that is none of ours.
    """
    if (
        len(tables) == 1
        and not folder
        and output.suffix.lower() in table_files.SUFFIXES
        and not output.is_dir()
    ):
        places = [output]
    else:
        places = [_below(output, name) for name in _names(tables)]
    for table, place in zip(tables, places, strict=True):
        table_files.check_place(table, place, tables)
    return places


def _names(tables: Sequence[str]) -> list[str]:
    """The paths of the tables below the deepest folder that they share."""
    paths = [table if is_remote(table) else os.path.abspath(table) for table in tables]  # noqa: PTH100
    parts = [path.replace(os.sep, "/").split("/") for path in paths]
    shared = min(len(each) for each in parts) - 1
    while len({tuple(each[:shared]) for each in parts}) > 1:
        shared -= 1
    return ["/".join(each[shared:]) for each in parts]


def _below(folder: Location, name: str) -> Location:
    return folder / name if isinstance(folder, Path) else location(f"{folder}/{name}")


class _Rows:
    """Finds the rows of scores by the paths of images.

    Args:
        run: The run.
        aggregation: How scores are computed.
        shown: What stands beside them.
        prefix: Stands before the names of columns.
    """

    def __init__(self, run: Run, aggregation: Aggregation | None, shown: Presentation, prefix: str) -> None:
        self._run = run
        self._planned = plan.paths(run.folder)
        self._numbers = {path: number for number, path in enumerate(self._planned)}
        self._ends = list(accumulate(run.shards))

        def read(shard: int) -> dict[int, dict[str, Any]]:
            scored = list(read_scored(run, shard, aggregation))
            results = shown.of(each.score for each in scored)
            return {
                each.planned.image: {
                    f"{prefix}{name}": value for name, value in result.to_dict().items() if name != "path"
                }
                for each, result in zip(scored, results, strict=True)
            }

        self._read = functools.lru_cache(_SHARDS)(read)
        self._nameless = {f"{prefix}{name}": value for name, value in _NO_IMAGE.items()}

    def of(self, paths: Iterator[str | None], found: Returned) -> Iterator[dict[str, Any]]:
        """The row of each path's image; empty where the run has none."""
        while chunk := [path for path, _ in zip(paths, range(_SPELLED), strict=False)]:
            for number in self._spelled(chunk):
                found.rows += 1
                if number is None:
                    found.nameless += 1
                    yield self._nameless
                    continue
                row = self._row(number) if number >= 0 else None
                found.foreign += row is None
                yield row or {}

    def _row(self, number: int) -> dict[str, Any] | None:
        return self._read(bisect_right(self._ends, number)).get(number)

    def _spelled(self, paths: Sequence[str | None]) -> Iterator[int | None]:
        """The numbers of images by their paths from here; -1 for one that the run has not."""
        if any(path is not None and path not in self._numbers for path in paths):
            root = self._run.root or str(Path.cwd())
            refs = [ImageRef(path) for path in paths if path is not None]
            spelled = iter(as_planned(refs, self._planned, root))
            paths = [None if path is None else next(spelled).path for path in paths]
        return (None if path is None else self._numbers.get(path, -1) for path in paths)
