"""The table that a command requests: by other arithmetic than the run's own, or in another file."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.tables import TablesBack
from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation
    from zeroiqa.runs import Run
    from zeroiqa.runs.presentation import Presentation
    from zeroiqa.settings import Settings

STYLES = {".csv": "csv", ".parquet": "parquet", ".json": "json", ".jsonl": "jsonl"}
"""Suffix of a file -> how a table is written to it."""
_OTHER_TABLES = (".tsv", ".txt", ".xls", ".xlsx", ".ods", ".html", ".md")
_OF_RUNS = re.compile(
    r"run\.json|(plan(-\d+)?|revision-\d+)\.parquet|(scores|regions)\.(csv|parquet)"
    r"|(ratings|regions|events)/.*"
)
"""What a run folder holds, by the path in it; tables by other arithmetic are not among them."""
_DEEPEST = 3
"""Folders from a file of a run up to the run's own."""
_HEAD = 64
"""Bytes in which a table of ours names its first column."""


@dataclass(frozen=True)
class RequestedTable:
    """The table of a run that a command is to show, and where else it is written."""

    settings: Settings | None = None
    """Whose arithmetic counts; None: the run's own."""
    file: Location | None = None
    """Gets every row."""
    save: bool = False
    """Whether a table by other arithmetic is kept beside scores.csv."""
    back: TablesBack | None = None
    """Which tables of the images get our columns."""

    def changes(self, run: Run) -> dict[str, Any]:
        """Setting -> its value, where the arithmetic is not that of the run."""
        from zeroiqa.runs.identity import ARITHMETIC

        own = run.settings.to_dict()
        wanted = own if self.settings is None else self.settings.to_dict()
        return {key: wanted[key] for key in ARITHMETIC if wanted[key] != own[key]}

    def aggregation(self, run: Run) -> Aggregation | None:
        """None: the run's own way.

        Raises:
            UserError: what the run has stored does not allow it.
        """
        from zeroiqa.runs import reaggregation

        changes = self.changes(run)
        return reaggregation(run, changes) if changes else None

    def keep(self, run: Run) -> list[str]:
        """Write what shall be kept; sentences on what the table that is printed is."""
        changes = self.changes(run)
        sentences = []
        if changes:
            sentences = [
                f"The table is by {_phrase(changes)}; scores.csv stays by the run's own {_own(run, changes)}."
            ]
            if self.save:
                path = run.folder / f"scores-{_name(changes)}.csv"
                write_table(run, self.aggregation(run), path)
                sentences.append(f"Written: {path}")
            elif self.file is None and self.back is None:
                sentences[0] = sentences[0].removesuffix(".") + " (--save keeps this one beside it)."
        if self.file is not None:
            write_table(run, self.aggregation(run), self.file)
            sentences.append(f"Written: {printable(str(self.file))}")
        if self.back is not None:
            sentences += self.back.write(run, self.aggregation(run))
        return sentences


def table_file(output: Location | None, paths: Sequence[str]) -> Location | None:
    """The file that -o names; None if that is a run folder.

    Raises:
        UserError: it is a folder of something else, the list of the images, or of a kind that is not written.
    """
    suffix = "" if output is None else output.suffix.lower()
    if output is None or suffix not in (*STYLES, *_OTHER_TABLES):
        return None
    shown = printable(str(output))
    if output.is_dir():
        if (output / "run.json").is_file():  # older versions made run folders of such names
            return None
        raise UserError(f"{shown} is a folder, and a table is asked for there; give another name with -o.")
    if suffix not in STYLES:
        raise UserError(
            f"{shown} is the name of a file; tables are written as {', '.join(STYLES)}, and a run folder has "
            "another name."
        )
    if any(str(output) == path or _is_same(output, path) for path in paths):
        raise UserError(f"{shown} says which images to score; give another name with -o.")
    check_place(output)
    return output


def check_place(output: Location) -> None:
    """Refuse a table in the place of what cannot be had back; another table may be replaced.

    Raises:
        UserError: it is a folder, a file that a run keeps, a calibration, or no table at all.
    """
    from zeroiqa.calibration_file import is_calibration
    from zeroiqa.files.atomic import is_stream

    shown = printable(str(output))
    if output.is_dir():
        raise UserError(f"{shown} is a folder; give the name of a file with -o, such as scores.csv.")
    place = output.resolve() if isinstance(output, Path) else output  # a link is followed
    folder = place
    for _ in range(_DEEPEST):
        folder = folder.parent
        inside = str(place).removeprefix(str(folder)).replace("\\", "/").strip("/")
        if _OF_RUNS.fullmatch(inside) and (folder / "run.json").is_file():
            raise UserError(f"{shown} belongs to the run {folder.name}; give another name with -o.")
    if not isinstance(output, Path) or not output.is_file() or is_stream(output):
        return
    if is_calibration(output):
        raise UserError(f"{shown} is a calibration; give another name with -o.")
    if output.suffix.lower() not in STYLES and not _is_table(output):
        raise UserError(f"{shown} exists and is no table; give another name with -o.")


def folder_only(output: Location) -> None:
    """Raise `UserError` where the name of a table is given for a folder."""
    if output.suffix.lower() in (*STYLES, *_OTHER_TABLES) and not output.is_dir():
        raise UserError(f"{printable(str(output))} is the name of a file; give that of a folder with -o.")


def write_table(
    run: Run,
    aggregation: Aggregation | None,
    path: Location,
    style: str = "",
    shown: Presentation | None = None,
) -> None:
    """Write every row to a file, in the way that its suffix says.

    Args:
        run: The run.
        aggregation: How; the run's own way if None.
        path: Of the file.
        style: One of `csv_writer.STYLES`, for a file of separated values.
        shown: What it has beside the scores; if left out, what the run's settings say.

    Raises:
        UserError: it cannot be written.
    """
    from zeroiqa.cli.output import write_rows
    from zeroiqa.files.atomic import replaced
    from zeroiqa.runs.presentation import presented
    from zeroiqa.runs.score_files import write_parquet

    kind = STYLES.get(path.suffix.lower(), "csv")
    columns, results = presented(run, aggregation, shown)
    with replaced(path) as file:
        if kind == "parquet":
            write_parquet(results, columns, file)
            return
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        write_rows(results, style if kind == "csv" and style else kind, columns, text)
        text.detach()


save_option = click.option(
    "--save", is_flag=True, help="Keep a table by other arithmetic than the run's beside its scores.csv."
)


def _is_table(path: Path) -> bool:
    """Whether a file of any name holds a table of ours, or nothing."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return not head or b"path" in head


def _is_same(output: Location, path: str) -> bool:
    try:
        return isinstance(output, Path) and output.samefile(path)
    except (OSError, ValueError):
        return False


def _own(run: Run, changes: dict[str, Any]) -> str:
    own = run.settings.to_dict()
    return _phrase({key: own[key] for key in changes})


def _phrase(changes: dict[str, Any]) -> str:
    return ", ".join(f"{what} {value}" for what, value in _words(changes))


def _name(changes: dict[str, Any]) -> str:
    return "-".join(f"{what}-{value}".replace(" ", "-") for what, value in _words(changes))


def _words(changes: dict[str, Any]) -> list[tuple[str, str]]:
    """As people say it, and as options are called."""
    words = []
    for key, value in changes.items():
        if key == "normalize_areas":
            words.append(("areas", "normalized" if value else "literal"))
        elif key == "rater_weights":
            words.append(("weights", " ".join(f"{weight:g}" for weight in value) or "equal"))
        elif key == "standard_weights":
            words.append(("standard weights", " ".join(f"{weight:g}" for weight in value) or "none"))
        else:
            words.append((key, f"{value:g}" if isinstance(value, float) else str(value)))
    return words
