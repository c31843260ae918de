"""The log of a selection that was copied, linked or moved: a file of JSON lines beside the images.

Each line is on the disk before the next step is done, so that the log tells of all that may have happened,
whatever has ended the process:

    {"step": "begin", "operation": "copy", "made": [folders that were made for it], ...}
    {"step": "folder", "path": "sub"}                              is made next
    {"step": "file", "path": "sub/a.png", "source": "/photos/sub/a.png", "temporary": "sub/.zeroiqa-..."}
    {"step": "left", "path": "sub/a.png"}      nothing was done, and what is there is of somebody else
    {"step": "done", "path": "sub/a.png", "sha256": "..."}         of a copy, or of what was moved by copying

A log that is taken back while others are there leaves them the folders that still hold something: as further
lines of the first kind, and as {"step": "made", "made": [...]}.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.version import __version__

Operation: TypeAlias = Literal["copy", "link", "hard-link", "move"]
OPERATIONS: tuple[Operation, ...] = ("copy", "link", "hard-link", "move")
_NAME = re.compile(r"zeroiqa-select-(\d{1,9})\.jsonl", re.ASCII)
_STEPS = {"folder", "file", "left", "done", "made"}
_BEGIN = b'{"step": "begin", '


class Log:
    """A log that is being written.

    Args:
        folder: Where the images go; it is there.
        operation: What is done with them.
        made: Folders that were made for it, the outermost first.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, operation: Operation, made: list[str]) -> None:
        number = max(map(_number_of, logs_in(folder)), default=0) + 1
        while True:
            self.path = folder / f"zeroiqa-select-{number}.jsonl"
            try:
                self._file = self.path.open("xb")
                break
            except FileExistsError:  # another command was first
                number += 1
        now = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            self.write("begin", operation=operation, made=made, zeroiqa=__version__, time=now)
            flush_folder(folder)
        except OSError:  # such as on a full disk: nothing was done that it could tell of
            with suppress(OSError):  # what is still buffered has no room either
                self._file.close()
            self.path.unlink(missing_ok=True)
            raise

    def write(self, step: str, **facts: Any) -> None:
        """Write a line; it is on the disk when this returns."""
        self._file.write(json.dumps({"step": step, **facts}).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Entry(NamedTuple):
    """A file that was begun."""

    path: str
    """Below the folder of the log."""
    source: str
    temporary: str
    """Below that folder, too; may be left over."""


@dataclass(frozen=True)
class Read:
    """A log as it was found."""

    path: Path
    operation: Operation
    made: tuple[str, ...]
    folders: tuple[str, ...] = ()
    """Below the folder of the log, in the order in which they were made."""
    entries: tuple[Entry, ...] = ()
    done: Mapping[str, str] = field(default_factory=dict)
    """Path -> SHA-256 of a copy, "" where there is none."""


def logs_in(folder: Path) -> list[Path]:
    """The logs in a folder, the newest first."""
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=_number_of, reverse=True)


def read_log(path: Path) -> Read:
    """Read a log; a last line that was not finished is left out. Before the first one is, nothing was done.

    Raises:
        UserError: it is no log, or damaged.
        OSError: it cannot be read.
    """
    try:
        content = path.read_bytes()
        if _NAME.fullmatch(path.name) and b"\n" not in content and _begins(content):
            return Read(path, "copy", ())
        *lines, _ = content.decode().split("\n")
        if not lines:
            raise ValueError("it has no line")
        first, *others = map(json.loads, lines)
        operation, made = first["operation"], tuple(map(str, first["made"]))
        if first["step"] != "begin" or operation not in OPERATIONS:
            raise ValueError("its first line is none of a log")
        if unknown := {str(each["step"]) for each in others} - _STEPS:
            raise ValueError(f"it has a step {min(unknown)[:40]!r}, which this version does not know")
        made += tuple(str(place) for each in others if each["step"] == "made" for place in each["made"])
        folders = tuple(_inside(each["path"]) for each in others if each["step"] == "folder")
        left = {each["path"] for each in others if each["step"] == "left"}
        entries = tuple(
            Entry(_inside(each["path"]), str(each["source"]), _inside(each["temporary"]))
            for each in others
            if each["step"] == "file" and each["path"] not in left
        )
        done = {_inside(each["path"]): str(each["sha256"]) for each in others if each["step"] == "done"}
        if lost := done.keys() - {entry.path for entry in entries}:
            raise ValueError(f"the line in which {min(lost)[:80]!r} begins is missing")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"a line lacks {error}" if isinstance(error, KeyError) else f"{error}"
        raise UserError(
            f"{printable(str(path))} is no log of `zeroiqa select`, or damaged ({printable(why)}); give the "
            "folder into which it copied, linked or moved."
        ) from error
    return Read(path, operation, made, folders, entries, done)


def hand_over(log: Read, folders: Sequence[str], made: Sequence[str]) -> None:
    """Let another log of the folder tell of folders that still hold something; it takes them back then.

    Raises:
        OSError: it cannot be written.
    """
    lines: list[dict[str, Any]] = [{"step": "folder", "path": below} for below in folders]
    if made:
        lines.append({"step": "made", "made": [*made]})
    heirs = (other for other in logs_in(log.path.parent) if other != log.path)
    heir = next((other for other in heirs if other.read_bytes().endswith(b"\n")), None)
    if heir is None or not lines:
        return
    with heir.open("ab") as file:
        file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """See that the names in a folder are on the disk."""
    if os.name != "posix":
        return  # a folder cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _begins(content: bytes) -> bool:
    """Whether this is the beginning of a log, or nothing."""
    return content.startswith(_BEGIN) or _BEGIN.startswith(content)


def _number_of(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def _inside(path: str) -> str:
    """The path itself, if it leads to something below a folder; else ValueError."""
    if not path or path.startswith("/") or {"", ".", ".."} & {*path.split("/")} or "\0" in path:
        raise ValueError(f"{path[:80]!r} leads out of its folder")
    return path
