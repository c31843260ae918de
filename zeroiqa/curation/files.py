"""Copy, link or move chosen images into a folder. Nothing is overwritten, and every step can be taken back.

A file appears under its name complete or not at all. What may happen is in the log (`zeroiqa.curation.log`)
before it happens: `zeroiqa.curation.undo` takes it back, wherever the process was ended.
"""
# ruff: noqa: PTH100, PTH102, PTH110, PTH112, PTH113, PTH114, PTH115, PTH116, PTH120, PTH121, PTH202, PTH211

from __future__ import annotations

import errno
import os
import secrets
import shlex
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.curation.log import Log, Operation, flush_folder
from zeroiqa.curation.places import parents_of, place_below
from zeroiqa.curation.single_files import (
    CHANGED,
    LeftError,
    hard_link,
    move,
    put,
    sha256_at,
    sha256_of,
    source_of,
)
from zeroiqa.errors import UserError, printable
from zeroiqa.files.atomic import TEMPORARY
from zeroiqa.runs.record import NAME

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef

DONE = {"copy": "copied", "link": "linked", "hard-link": "hard-linked", "move": "moved"}
THERE = "there already"
BOTH = "there already, and also where they were: these stay"
IN_THE_WAY = "left, where something else is in the way"
MISSING = "left, which are not at their places any more"
PACKED = "left, which are in archives or object stores: only --copy takes them out"
A_LINK = "left, which are symbolic links: --copy copies what they lead to"
LEADS_OUT = "left, whose names lead out of the folder"
TOUCHED = "of these written again since they were scored, at the same size"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _has_moved(source: str, target: str, size: int) -> bool:
    """Whether an earlier command has moved a file."""
    return not os.path.lexists(source) and os.path.isfile(target) and os.path.getsize(target) == size


def _link(source: str, target: str, _: str) -> str:
    os.symlink(source, target)
    return ""


_RENAMED: dict[Operation, Callable[[str, str, str], str]] = {
    "link": _link,
    "hard-link": hard_link,
    "move": move,
}
"""What gives a file a further path or another one: source, target, temporary path -> SHA-256 of a copy."""


class Step(NamedTuple):
    """What became of one image, or would become of it."""

    outcome: str
    source: str
    """As the run has it."""
    target: str
    """From where the folder is named."""

    @property
    def plan(self) -> str:
        """The outcome as what is to be done."""
        return next((todo for todo, done in DONE.items() if done == self.outcome), self.outcome)


@dataclass
class Transfer:
    """Takes images into a folder, one by one, inside a `with` block.

    Raises:
        UserError: the folder is a file or cannot be written, or the disk is full; what is done is in the log.
    """

    operation: Operation
    folder: Path
    shared: list[str]
    """The folder that all images of the run are in, as `zeroiqa.curation.places.shared_folder` has it."""
    max_pixels: int
    """Of an image in an archive."""
    dry: bool = False
    """Only say what would be done."""
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """Outcome -> the first image of it."""
    log: Log | None = None
    _made: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Refuse a folder that is none."""
        self._given = self.folder
        self.folder = Path(os.path.abspath(self.folder))
        if os.path.lexists(self.folder) and not self.folder.is_dir():
            raise UserError(f"{printable(str(self.folder))} is no folder; name one, or a new one.")
        if os.path.isfile(self.folder / NAME):  # a name that is too long is none
            raise UserError(f"{printable(str(self.folder))} is the folder of a run; name another one.")

    def take(self, ref: ImageRef) -> Step:
        """Take one image, and count what became of it."""
        below = place_below(ref, self.shared)
        with self._explained():
            try:
                outcome = LEADS_OUT if below is None else self._take(ref, below)
            except LeftError as left:
                outcome = str(left)
        self.counts[outcome] += 1
        self.examples.setdefault(outcome, ref.name)
        return Step(outcome, ref.path, str(self._given / (below or "")))

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, *_: object) -> None:
        if self.log is not None:
            self.log.close()

    def _take(self, ref: ImageRef, below: str) -> str:
        is_packed = ref.archive is not None or "://" in ref.place
        source = ref.place if "://" in ref.place else os.path.abspath(ref.place)  # of a member, the archive
        if is_packed and self.operation != "copy":
            raise LeftError(PACKED)
        target = str(self.folder / below)
        if self.operation == "move" and _has_moved(source, target, ref.bytes):
            raise LeftError(THERE)
        touched = False if is_packed else self._look(source, ref)
        if os.path.lexists(target):
            raise LeftError(self._found(ref, source, target))
        if self.dry:
            self._check_folders(below)
        else:
            self._make_folders(below)
            self._transfer(ref, source, below, target)
        self.counts[TOUCHED] += touched
        return DONE[self.operation]

    def _look(self, source: str, ref: ImageRef) -> bool:
        """Whether a file that is as large as planned was written again since."""
        try:
            found = os.lstat(source)
            if stat.S_ISLNK(found.st_mode):
                if self.operation == "move":
                    raise LeftError(A_LINK)
                found = os.stat(source)
        except OSError as error:
            raise LeftError(MISSING) from error
        if not stat.S_ISREG(found.st_mode):
            raise LeftError(MISSING)
        if ref.bytes not in (0, found.st_size):
            raise LeftError(CHANGED)
        return ref.modified not in (None, found.st_mtime_ns)

    def _found(self, ref: ImageRef, source: str, target: str) -> str:
        """What to say of what is at the target."""
        if not self._is_there(ref, source, target):
            return IN_THE_WAY
        is_both = self.operation == "move" and os.path.realpath(target) != os.path.realpath(source)
        return BOTH if is_both else THERE

    def _is_there(self, ref: ImageRef, source: str, target: str) -> bool:
        """Whether what is at the target is what would be put there."""
        if self.operation == "link" and os.path.islink(target) and os.readlink(target) == source:
            return True
        if not os.path.isfile(target):
            return False
        with source_of(ref, source, self.max_pixels) as (content, size):
            if os.path.exists(source) and os.path.samefile(source, target):
                return True
            if self.operation in ("link", "hard-link") or os.path.getsize(target) != size:
                return False
            return sha256_of(content) == sha256_at(target)

    def _check_folders(self, below: str) -> None:
        """Nothing but folders, no links to others, may lie between the folder and the target."""
        for parent in parents_of(below):
            place = self.folder / parent
            if os.path.lexists(place) and (os.path.islink(place) or not os.path.isdir(place)):
                raise LeftError(IN_THE_WAY)

    def _make_folders(self, below: str) -> None:
        self._check_folders(below)
        self._begun()
        for parent in parents_of(below):
            if parent not in self._made and not os.path.lexists(self.folder / parent):
                self._begun().write("folder", path=parent)
                with suppress(FileExistsError):
                    os.mkdir(self.folder / parent)
            self._made.add(parent)

    def _begun(self) -> Log:
        """The log; with the first image that is taken it is begun, and the folder made."""
        if self.log is None:
            made = []
            for place in reversed((self.folder, *self.folder.parents)):
                if not os.path.lexists(place):
                    os.mkdir(place)
                    made.append(str(place))
            self.log = Log(self.folder, self.operation, made)
        return self.log

    def _transfer(self, ref: ImageRef, source: str, below: str, target: str) -> None:
        log = self._begun()
        temporary = f"{os.path.dirname(below)}/{TEMPORARY}select-{secrets.token_hex(8)}".lstrip("/")
        place = str(self.folder / temporary)
        try:
            if self.operation == "copy":
                with source_of(ref, source, self.max_pixels) as (content, size):  # or nothing is begun
                    log.write("file", path=below, source=source, temporary=temporary)
                    like = None if ref.archive is not None or "://" in ref.place else source
                    digest = put(content, size, target, place, like)
            else:
                log.write("file", path=below, source=source, temporary=temporary)
                digest = _RENAMED[self.operation](source, target, place)
        except (LeftError, FileExistsError):
            log.write("left", path=below)
            raise
        flush_folder(Path(target).parent)
        log.write("done", path=below, sha256=digest)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the system says about the folder into a sentence that says how far the work is."""
        try:
            yield
        except OSError as error:
            if isinstance(error, FileExistsError) and self.log is not None:
                raise UserError(
                    f"{printable(str(error.filename2 or error.filename))} has come meanwhile, and nothing is "
                    f"overwritten; {self.progress()}."
                ) from error
            why = (
                "the disk is full"
                if error.errno in _FULL
                else f"it could not be written ({error.strerror or error})"
            )
            raise UserError(f"{printable(str(self.folder))}: {why}; {self.progress()}.") from error

    def progress(self) -> str:
        """How many images are done, and how that is taken back; no full stop."""
        done = DONE[self.operation]
        number = self.counts[done]
        back = (
            ""
            if self.log is None
            else f"; `zeroiqa select --undo {shlex.quote(str(self.log.path))}` takes that back"
        )
        return f"{number:,} image{'' if number == 1 else 's'} {'would be ' * self.dry}{done}{back}"

    @property
    def brought(self) -> int:
        """Images that are in the folder now, by this command or by one before it."""
        return sum(self.counts[outcome] for outcome in (DONE[self.operation], THERE, BOTH))

    def sentences(self) -> Iterator[str]:
        """What became of all images, with counts."""
        yield f"{self.progress()}."
        order = (TOUCHED, THERE, BOTH, *(each for each in self.examples if each.startswith("left")))
        for outcome in order:
            if number := self.counts[outcome]:
                example = self.examples.get(outcome)
                yield f"{number:,} {outcome}" + (f" (such as {printable(example)})." if example else ".")
