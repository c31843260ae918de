"""Walk folders on the disk: all files below one, or those that match a pattern, each by its shortest path.

Links are followed. A folder that several paths lead to, as links that form a loop do, is visited once for
each part of the pattern; so a walk ends whatever the links are, and no depth is too much for it.
"""
# ruff: noqa: PTH112, PTH116, PTH118

from __future__ import annotations

import fnmatch
import functools
import glob
import heapq
import os
import re
from collections.abc import Iterator
from typing import TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.images.sieve import HEAD, Sieve

DirEntry: TypeAlias = "os.DirEntry[str]"

ALL = ("**", "*")
"""The pattern of all files below a folder."""
_RUN = {"run.json", "plan.parquet"}
"""What a folder that holds a run holds."""


def split_pattern(pattern: str) -> tuple[str, tuple[str, ...]]:
    """The folder that a pattern begins with ("" for the current one), and the parts that follow.

    `**` at the end, and a "/" there, mean all files below.
    """
    pattern = pattern.replace(os.sep, "/")
    sign = re.search(r"[*?[]", pattern)
    cut = pattern.rfind("/", 0, sign.start() if sign else None) + 1
    parts = [part for part in pattern[cut:].split("/") if part]
    if parts[-1] == "**" or pattern.endswith("/"):
        parts += ALL
    return pattern[:cut], tuple(
        part for number, part in enumerate(parts) if part != "**" or parts[number - 1 : number] != ["**"]
    )


class Walk:
    """The wanted images that a pattern of paths means."""

    def __init__(self, top: str, parts: tuple[str, ...], sieve: Sieve, *, also: tuple[str, ...] = ()) -> None:
        """Describe the walk; nothing is read yet.

        Args:
            top: The folder where it begins; "" is the current one.
            parts: Of the pattern, as from `split_pattern`; `ALL` for every file.
            sieve: Tells what is an image, and counts the rest and the folders that cannot be listed.
            also: Suffixes of files that are taken whatever is in them: archives.
        """
        self._top = top
        self._parts = parts
        self._sieve = sieve
        self._also = also
        self._seen: set[tuple[int, int, int]] = set()
        self._listed: tuple[str | None, list[DirEntry]] = (None, [])

    def files(self) -> Iterator[tuple[str, DirEntry]]:
        """The files with their paths, those in folders of short paths first.

        Raises:
            UserError: the folder where the walk begins cannot be listed.
        """
        due = [(len(self._top), self._top, 0)]
        while due:
            _, place, index = heapq.heappop(due)
            if self._is_new(place, index):
                for below, following in self._folders(place, index):
                    heapq.heappush(due, (len(below), below, following))
                if index == len(self._parts) - 1:
                    yield from self._files(place, self._parts[index])

    def below(self, path: str) -> str:
        """A path as the sieve has it: from the folder where the walk began, with "/"."""
        return path[len(self._top) :].replace(os.sep, "/").lstrip("/")

    def _is_new(self, place: str, index: int) -> bool:
        """Whether a folder has not been visited for this part of the pattern."""
        try:
            status = os.stat(place or os.curdir)
        except OSError as error:
            self._refused(place, error)
            return False
        key = (status.st_dev, status.st_ino, index)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _folders(self, place: str, index: int) -> Iterator[tuple[str, int]]:
        """Where the walk goes on from a folder, and with which part of the pattern."""
        part = self._parts[index]
        if part == "**":
            yield place, index + 1
        elif index == len(self._parts) - 1:
            return
        elif not glob.has_magic(part):
            if os.path.isdir(below := os.path.join(place, part)):
                yield below, index + 1
            return
        for entry in self._entries(place):
            if _is_folder(entry) and (part == "**" or _fits(entry.name, part)):
                below = os.path.join(place, entry.name)
                if self._sieve.enters(self.below(below), hidden=part.startswith(".")):
                    yield below, index + (part != "**")

    def _files(self, place: str, part: str) -> Iterator[tuple[str, DirEntry]]:
        hidden = part.startswith(".")
        for entry in self._entries(place):
            if _is_folder(entry) or not (part == "*" or _fits(entry.name, part)):
                continue
            path = os.path.join(place, entry.name)
            if entry.name.lower().endswith(self._also):
                taken = self._sieve.enters(self.below(path), hidden=hidden)
            else:
                head = functools.partial(_head, entry)
                taken = self._sieve.keeps(self.below(path), head, hidden=hidden)
            if taken:
                yield path, entry

    def _entries(self, place: str) -> list[DirEntry]:
        """What is in a folder, sorted; nothing if it holds a run, or is not to be listed."""
        if self._listed[0] != place:
            self._listed = (place, self._list(place))
        return self._listed[1]

    def _list(self, place: str) -> list[DirEntry]:
        try:
            with os.scandir(place or os.curdir) as listing:
                entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            self._refused(place, error)
            return []
        if place != self._top and {entry.name for entry in entries} >= _RUN:
            self._sieve.leave_run(self.below(place))
            return []
        return entries

    def _refused(self, place: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        if place == self._top:
            raise UserError(
                f"{printable(place or os.curdir)} cannot be listed: {reason}; change its mode or leave it "
                "out."
            ) from error
        self._sieve.leave_unlisted(place, reason)


def _is_folder(entry: DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link onto itself
        return False


def _fits(name: str, part: str) -> bool:
    return fnmatch.fnmatch(name, part) and name.startswith(".") <= part.startswith(".")


def _head(entry: DirEntry) -> bytes:
    """What a regular file begins with; nothing if it cannot be read."""
    try:
        if not entry.is_file():
            return b""
        with open(entry.path, "rb", buffering=0, opener=_open_at_once) as file:
            return file.read(HEAD) or b""
    except OSError:
        return b""


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
