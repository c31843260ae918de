"""The files of a run's images: where they are now, whether they are what was scored, and copies of them."""

from __future__ import annotations

import itertools
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from zeroiqa.errors import ImageError
from zeroiqa.files.atomic import created
from zeroiqa.files.storage import is_remote
from zeroiqa.images.archives import parts_of
from zeroiqa.images.read import pieces
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs import Run, plan
from zeroiqa.runs.naming import root_of

MOVED = "not where they were scored"
UNREADABLE = "that cannot be read now"
_LOOKED_AT = 100
"""Images that say whether the run has moved with its images."""
_LONGEST = 100
"""Characters of a name; file systems take 255 bytes."""

State = Literal["there", "moved", "changed"]


def located(run: Run) -> Run:
    """The run with the folder from which relative paths of its images count from here.

    Raises:
        UserError: the plan cannot be read.
    """
    paths = [row.ref.path for row in itertools.islice(plan.all_planned(run.folder), _LOOKED_AT)]
    root = root_of(run.folder, run.origin, paths)
    return run if root == str(Path.cwd()) else replace(run, root=root)


def state_of(ref: ImageRef, *, ignore_times: bool = False) -> State:
    """Whether an image's file, or the archive that it is in, is the one that was planned, by size and time.

    Objects of a store are taken to be there: each would be a request.
    """
    if is_remote(ref.place):
        return "there"
    try:
        status = Path(ref.place).stat()
    except (OSError, ValueError):
        return "moved"
    if ref.archive is None and ref.bytes not in (0, status.st_size):
        return "changed"
    same = ignore_times or ref.modified in (None, status.st_mtime_ns)
    return "there" if same else "changed"


def copied(ref: ImageRef, path: Path, *, link: bool = False) -> str | None:
    """Copy an image's file, or the member of an archive; why that cannot be done, in a few words.

    Args:
        ref: The image.
        path: Of the copy, in a folder that need not exist.
        link: Make a symbolic link to it where it is a file of its own on a disk.

    Raises:
        UserError: the copy cannot be written, or an object store refuses everything.
    """
    if state_of(ref) == "moved":
        return MOVED
    if link and ref.archive is None and not is_remote(ref.place):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(Path(ref.place).absolute())
        return None
    try:
        with created(path) as file:
            for piece in pieces(ref):
                file.write(piece)
    except ImageError:
        return UNREADABLE
    return None


def parts_above(run: Run) -> tuple[str, ...]:
    """What the paths of all of a run's images begin with, part by part; their names do not count.

    Raises:
        UserError: the plan cannot be read.
    """
    every = (_parts(run.now(row).ref)[:-1] for row in plan.all_planned(run.folder))
    above = next(every, ())
    for parts in every:
        pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(above, parts, strict=False))
        above = tuple(part for part, _ in pairs)
    return above


def parts_below(ref: ImageRef, above: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of an image's path that follow those of `parts_above`; none of them leads upwards."""
    return _parts(ref)[len(above) :]


def _parts(ref: ImageRef) -> tuple[str, ...]:
    if is_remote(ref.place):
        return tuple(parts_of(ref.path.replace("://", "/")))
    place = Path(os.path.abspath(ref.place)).parts  # noqa: PTH100 -- links stay what they are called
    return place if ref.member is None else (*place, *parts_of(ref.member))


def name_of_copy(number: int, images: int, ref: ImageRef) -> str:
    """A name that no other image of the run has, and that nothing reads as anything else than a name.

    Args:
        number: Of the image in the plan.
        images: Of the plan.
        ref: The image.
    """
    plain = re.sub(r"[^\w.-]|^\.+", "-", Path(ref.name.replace("\\", "-")).name)
    stem, dot, suffix = plain.rpartition(".")
    short = f"{stem[:_LONGEST]}{dot}{suffix[:10]}" if stem else plain[:_LONGEST]
    return f"{number:0{len(str(max(images - 1, 0)))}d}-{short}"
