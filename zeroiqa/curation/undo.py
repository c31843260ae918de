"""Take back what a selection has copied, linked or moved, as far as it is still what the log tells."""
# ruff: noqa: PTH103, PTH106, PTH108, PTH110, PTH113, PTH114, PTH115, PTH119, PTH120, PTH121

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from zeroiqa.curation.log import Entry, Read, flush_folder, hand_over, logs_in, read_log
from zeroiqa.curation.places import parents_of
from zeroiqa.curation.single_files import LeftError, move, sha256_at
from zeroiqa.errors import UserError, printable

BACK = "taken back"
EDITED = "left, which have changed since"
OCCUPIED = "left, where something else is at the old place"
LOST = "left, which are neither here nor at the old place"
LAST = "left, which are the last that there is of an image"
STUCK = "left, which cannot be removed or moved back"


@dataclass
class Undone:
    """What came of it."""

    logs: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """Outcome -> the first image of it."""
    kept: list[Path] = field(default_factory=list)
    """Logs that are needed further on."""

    def sentences(self) -> Iterator[str]:
        """Counts, and what is left."""
        number = self.counts[BACK]
        yield f"{number:,} image{'' if number == 1 else 's'} taken back."
        for outcome, example in self.examples.items():
            if outcome != BACK:
                yield f"{self.counts[outcome]:,} {outcome} (such as {printable(example)})."


def undo(place: Path) -> Undone | None:
    """Take back what a log tells of, or all logs of a folder, the newest first; None where there is none.

    Copies and links are removed if they are unchanged, moved files go back where nothing has taken their
    place, folders that were made and are empty are removed, and so is the log once nothing of it is left.

    Args:
        place: A log, or the folder that images were copied, linked or moved into.

    Raises:
        UserError: it is no log, or damaged.
    """
    try:
        logs = logs_in(place) if place.is_dir() else [place] if os.path.lexists(place) else []
        found = Undone()
        for log in map(read_log, logs):
            _undo_log(log, found)
    except OSError as error:
        raise UserError(f"{printable(str(place))} cannot be read ({error.strerror or error}).") from error
    return found if logs else None


def _undo_log(log: Read, found: Undone) -> None:
    folder, complete = log.path.parent, True
    found.logs += 1
    for entry in reversed(log.entries):
        with suppress(OSError):
            os.unlink(folder / entry.temporary)
        try:
            outcome = _undo_entry(log, entry, folder)
        except LeftError as left:
            outcome, complete = str(left), False
        except OSError:
            outcome, complete = STUCK, False
        if outcome:
            found.counts[outcome] += 1
            found.examples.setdefault(outcome, entry.path)
    for below in reversed(log.folders):
        with suppress(OSError):  # something else is in it by now, or it is gone
            os.rmdir(folder / below)
    if not complete:
        found.kept.append(log.path)
        return
    hand_over(log, [below for below in log.folders if (folder / below).is_dir()], log.made)
    log.path.unlink()
    flush_folder(folder)
    if log.made[-1:] == (os.path.abspath(folder),):  # noqa: PTH100
        for place in reversed(log.made):
            with suppress(OSError):
                os.rmdir(place)


def _undo_entry(log: Read, entry: Entry, folder: Path) -> str:
    """Take one image back: `BACK`, or "" where nothing of it is there."""
    target = str(folder / entry.path)
    if any(os.path.islink(folder / parent) for parent in parents_of(entry.path)):
        raise LeftError(EDITED)  # that is another folder by now
    there = os.path.lexists(target)
    if log.operation == "move":
        return _move_back(log, entry, target) if there else _stays_back(entry)
    if not there:
        return ""
    if log.operation == "copy":
        _check_copy(target, entry, log.done.get(entry.path))
    elif log.operation == "hard-link":
        if not os.path.exists(entry.source):
            raise LeftError(LAST)
        if not os.path.samefile(target, entry.source):
            raise LeftError(EDITED)
    elif not os.path.islink(target) or os.readlink(target) != entry.source:
        raise LeftError(EDITED)
    os.unlink(target)
    return BACK


def _check_copy(target: str, entry: Entry, digest: str | None) -> None:
    """Refuse to remove what is no copy any more; one that the log does not know yet equals its original."""
    if os.path.islink(target) or not os.path.isfile(target):
        raise LeftError(EDITED)
    if not os.path.isfile(entry.source) and (digest is None or "://" not in entry.source):
        raise LeftError(LAST)  # objects of a store are taken to be there
    if sha256_at(target) != (digest or sha256_at(entry.source)):
        raise LeftError(EDITED)


def _stays_back(entry: Entry) -> str:
    if os.path.lexists(entry.source):
        return ""
    raise LeftError(LOST)


def _move_back(log: Read, entry: Entry, target: str) -> str:
    if os.path.islink(target) or not os.path.isfile(target):
        raise LeftError(EDITED)
    if os.path.lexists(entry.source):
        if entry.path in log.done or not _is_same(target, entry.source):
            raise LeftError(OCCUPIED)
        os.unlink(target)  # the original had not been removed yet
        return BACK
    os.makedirs(os.path.dirname(entry.source), exist_ok=True)
    move(target, entry.source, f"{os.path.dirname(entry.source)}/{os.path.basename(entry.temporary)}")
    return BACK


def _is_same(target: str, source: str) -> bool:
    if os.path.islink(source) or not os.path.isfile(source):
        return False
    return os.path.samefile(target, source) or sha256_at(target) == sha256_at(source)
