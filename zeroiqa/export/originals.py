"""The files of a run's images: where they are now, whether they are what was scored, and copies of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from zeroiqa.errors import ImageError
from zeroiqa.files.atomic import created, writing
from zeroiqa.files.storage import is_remote
from zeroiqa.images.read import pieces
from zeroiqa.images.ref import ImageRef

MOVED = "not where they were scored"
UNREADABLE = "that cannot be read now"
_LONGEST = 100
"""Characters of a name; file systems take 255 bytes."""

State = Literal["there", "moved", "changed"]


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
        with writing(path):
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
