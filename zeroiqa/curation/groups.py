"""Which group an image is of: its folder, a part of its path, or what a table says of it."""
# ruff: noqa: PTH100, PTH113, PTH117, PTH118, PTH122

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location, location
from zeroiqa.files.tables.read import IMAGE_COLUMNS, Table, read_table
from zeroiqa.images.listed_paths import spellings
from zeroiqa.images.sieve import EXTENSIONS
from zeroiqa.results import ImageScore

NO_GROUP = ""
"""Of an image whose path does not fit the expression, or of which the table says nothing."""
FOLDER = "folder"
PATTERN = "re:"
"""What a regular expression begins with."""
HOW = "folder, FILE:COLUMN or re:EXPRESSION"

Grouping: TypeAlias = Callable[[ImageScore], str]


def grouping(by: str, folders: Sequence[str] = (".",)) -> Grouping:
    """A function from an image to the name of its group; `NO_GROUP` where it has none.

    Args:
        by: "folder": the folder of the image (or its place in an archive). "re:EXPRESSION": what the first
            group of a regular expression (the whole of it, if it has none) finds in the path. "FILE:COLUMN":
            what a table says, read as all tables are. Its rows name images by their paths as they are in the
            run or from the table's folder, by the ends of these, by bare names, or without suffix.
        folders: What relative paths of the images count from.

    Raises:
        UserError: it is none of these, the expression is none, or the table cannot be read, lacks the column
            or says two things of one image. The function raises it where a row fits two images.
    """
    if by == FOLDER:
        return folder_of
    if by.startswith(PATTERN) and by != PATTERN:
        return _PartOfPath(_compiled(by.removeprefix(PATTERN)))
    file, column = _file_and_column(by)
    return _TableGroups.of(read_table(file, strict=False, ragged=True), column, tuple(folders))


def folder_of(image: ImageScore) -> str:
    """What precedes the last "/" of an image's path; "." where there is none."""
    folder, slash, _ = image.path.rpartition("/")
    return folder or slash or "."


def unused_rows(group: Grouping) -> int:
    """Images of a table of groups that nobody has asked for yet; 0 where there is no table."""
    return len({*group.exact.values()} - group.used) if isinstance(group, _TableGroups) else 0


@dataclass(frozen=True)
class _PartOfPath:
    expression: re.Pattern[str]

    def __call__(self, image: ImageScore) -> str:
        found = self.expression.search(image.path)
        return (found[min(1, self.expression.groups)] or NO_GROUP) if found else NO_GROUP


def _compiled(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(
            f"{printable(text)} is no regular expression ({error}); write one such as '{PATTERN}([^_/]+)_'."
        ) from error


def _file_and_column(by: str) -> tuple[Location, str]:
    """The two ends of FILE:COLUMN; of several colons, the last one before which a file is."""
    splits = [(by[: found.start()], by[found.end() :]) for found in re.finditer(":", by)][::-1]
    splits = [(file, column) for file, column in splits if file and column]
    if not splits:
        raise UserError(f"{printable(by)!r} groups nothing; give {HOW}.")
    for file, column in splits if len(splits) > 1 else ():
        if "://" not in file and os.path.isfile(file):
            return location(file), column
    return location(splits[0][0]), splits[0][1]


@dataclass(frozen=True)
class _TableGroups:
    """What the rows of a table say of images."""

    shown: str
    """The table, for a message."""
    folders: tuple[str, ...]
    exact: dict[str, int]
    """Path as it is written, or from the table's folder -> row."""
    ends: dict[str, int]
    """Relative path, or end of an absolute one that is not here -> row; -1: of several that differ."""
    groups: tuple[str, ...]
    """Of each row."""
    claimed: dict[int, str] = field(default_factory=dict)
    """Row -> the image that it was found for by an end of its path."""
    used: set[int] = field(default_factory=set)
    """Rows of images that were asked for."""

    @classmethod
    def of(cls, table: Table, column: str, folders: tuple[str, ...]) -> _TableGroups:
        """The groups in a column of a table.

        Raises:
            UserError: there is no such column or none of images, or two rows of one image differ.
        """
        images = table.column(IMAGE_COLUMNS, "images")
        if images is None:
            raise UserError(
                f"{table.shown} has no column of images; one called {', '.join(IMAGE_COLUMNS[:4])} or the "
                "like is expected."
            )
        [place] = table.require([column])
        found = cls(table.shown, folders, {}, {}, tuple(cells[place].strip() for cells in table.rows))
        beside = str(table.path.parent)
        for row, cells in enumerate(table.rows):
            for text in filter(None, spellings(cells[images])):
                found._add(text, beside, row, table)
        return found

    def __call__(self, image: ImageScore) -> str:
        row = self._row(image.path)
        if row is None:
            return NO_GROUP
        self.used.add(row)
        return self.groups[row]

    def _add(self, text: str, beside: str, row: int, table: Table) -> None:
        key = _normal(text)
        joined = key if "://" in key or os.path.isabs(key) else _normal(f"{beside}/{key}")
        for path in {key, joined, joined if "://" in joined else os.path.abspath(joined)}:
            other = self.exact.setdefault(path, row)
            if self.groups[other] != self.groups[row]:
                raise UserError(
                    f"{table.shown} says both {printable(self.groups[other][:40])!r} and "
                    f"{printable(self.groups[row][:40])!r} of {printable(text[:200])}; leave one of them."
                )
        if "://" in joined or os.path.lexists(joined):
            return  # it means this file and no other that is called alike
        for end in _ends(key, least=2) if os.path.isabs(key) else (key,):
            self._add_end(end, row)

    def _add_end(self, end: str, row: int) -> None:
        other = self.ends.setdefault(end, row)
        if other >= 0 and self.groups[other] != self.groups[row]:
            self.ends[end] = -1

    def _row(self, path: str) -> int | None:
        """The row of an image: by its path, or the longest end of it; with its suffix or else without."""
        stem, suffix = os.path.splitext(path)
        for written in (path, *([stem] if suffix.lower() in EXTENSIONS else [])):
            key = _normal(written)
            places = [key] if "://" in key else [key, *(_absolute(folder, key) for folder in self.folders)]
            row = next((self.exact[place] for place in places if place in self.exact), None)
            row = self._by_end(path, places[-1]) if row is None else row
            if row is not None:
                return row
        return None

    def _by_end(self, path: str, place: str) -> int | None:
        for end in _ends(place):
            row = self.ends.get(end)
            if row is None:
                continue
            other = self.claimed.setdefault(row, path)
            if row < 0 or other != path:
                which = "several rows" if row < 0 else f"a row that fits {printable(other)}, too"
                raise UserError(
                    f"{self.shown} has for {printable(path)} {which}, by the end {printable(end)}; write "
                    "whole paths there."
                )
            return row
        return None


def _normal(path: str) -> str:
    return path if "://" in path else os.path.normpath(path)


def _absolute(folder: str, path: str) -> str:
    return os.path.abspath(os.path.join(folder, path))


def _ends(path: str, least: int = 1) -> Iterator[str]:
    """The last parts of a path, the longest first, down to as many as are asked for."""
    parts = [part for part in path.split("/") if part]
    return ("/".join(parts[first:]) for first in range(len(parts) - least + 1))
