"""The options that let the tables of the images come back with their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.options import Command, with_options
from zeroiqa.errors import printable
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation
    from zeroiqa.runs import Run


@dataclass(frozen=True)
class TablesBack:
    """Which tables come back, and where to."""

    output: Location | None = None
    """A folder, or the file of the one table; None: where -o names a file of the same kind."""
    prefix: str = ""
    """Stands before the names of our columns."""
    image_column: str | None = None
    """The column of the tables that is the image, where that was said."""
    tables: Sequence[str] = ()
    """Those that were read."""

    def check(self) -> None:
        """Refuse options that nothing comes of.

        Raises:
            click.UsageError: there is no table.
        """
        if not self.tables and (self.output is not None or self.prefix):
            option = "--tables" if self.output is not None else "--column-prefix"
            raise click.UsageError(f"{option} is of tables that come back, and none of PATHS is a table.")

    @property
    def may_come_back(self) -> bool:
        """Whether any of the tables is of a kind that is written."""
        from zeroiqa.export.table_files import comes_back

        return any(map(comes_back, self.tables))

    def takes(self, file: Location | None, paths: Sequence[str]) -> TablesBack | None:
        """What comes back, where a file was named with -o; None where nothing does.

        A table comes back into a file of its own kind, if it is all that was named.
        """
        from zeroiqa.export.table_files import comes_back

        if self.output is not None:
            return self
        if file is None or len(paths) != 1 or list(self.tables) != [str(location(paths[0]))]:
            return None
        same = file.suffix.lower() == location(paths[0]).suffix.lower()
        return (
            TablesBack(file, self.prefix, self.image_column, self.tables)
            if same and comes_back(paths[0])
            else None
        )

    def check_run(self, run: Run, aggregation: Aggregation | None) -> None:
        """Refuse, before anything is scored, what could not be written.

        Raises:
            UserError: a table has a column of ours already, or cannot come back to its place.
        """
        assert self.output is not None
        from zeroiqa.export.tables import TablesOf, places_of

        places_of(self.tables, self.output)
        TablesOf(run, self.tables, self.prefix, self.image_column, aggregation).check()

    def write(self, run: Run, aggregation: Aggregation | None = None) -> list[str]:
        """Write them; sentences on what was done."""
        assert self.output is not None
        from zeroiqa.export.tables import TablesOf, places_of

        places = places_of(self.tables, self.output)
        found = TablesOf(run, self.tables, self.prefix, self.image_column, aggregation).write(places)
        what = "1 table" if found.tables == 1 else f"{found.tables:,} tables"
        return [
            *found.sentences(),
            f"Written: {printable(str(self.output))} ({what} with all columns, {found.rows:,} rows)",
        ]


def column_prefix_option(command: Command) -> Command:
    """What our columns are called."""
    return click.option(
        "--column-prefix",
        default="",
        metavar="TEXT",
        help="Put this before the names of our columns in tables that come back, such as zeroiqa_.",
    )(command)


def tables_options(command: Command) -> Command:
    """Where tables come back to; the command gets a `TablesBack` without its tables as `back`."""

    @wraps(command)
    def bundled(
        *arguments: Any, image_column: str | None, tables: Location | None, column_prefix: str, **options: Any
    ) -> Any:
        return command(*arguments, back=TablesBack(tables, column_prefix, image_column), **options)

    wrapped: Any = bundled
    decorated: Command = with_options(
        wrapped,
        image_column_option,
        click.option(
            "--tables",
            type=location,
            metavar="FOLDER|FILE",
            help="Where the tables of the images come back to, each with all its columns and ours, row for "
            "row; a single one also by -o with a file of its kind.",
        ),
        column_prefix_option,
    )
    return decorated


def image_column_option(command: Command) -> Command:
    """Which column of a table is the image."""
    return click.option(
        "--image-column",
        metavar="NAME",
        help="The column of lists and tables that is the image: its path, or its bytes.",
    )(command)
