"""Where chosen images go: below a folder, as they lie below the folder that all images of the run share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef


def parts_of(path: str, root: str, archive: str | None = None) -> list[str]:
    """The parts of an image's absolute path; of an object, those of its address.

    Args:
        path: As the run has it.
        root: What it counts from where it is relative; empty: the current folder.
        archive: In which it is; only what precedes its name in there is made absolute.
    """
    if "://" in path:
        return path.split("/")
    outer = archive or path
    return (os.path.abspath(os.path.join(root, outer)) + path[len(outer) :]).split("/")  # noqa: PTH100, PTH118


def shared_folder(paths: Iterable[str], root: str) -> list[str]:
    """The parts of the deepest folder that all images are in; empty for none."""
    shared: list[str] | None = None
    for path in paths:
        folder = parts_of(path, root)[:-1]
        if shared is None:
            shared = folder
        elif folder[: len(shared)] != shared:
            same = [one == other for one, other in zip(shared, folder, strict=False)]
            del shared[same.index(False) if False in same else len(same) :]
    return shared or []


def place_below(ref: ImageRef, shared: list[str]) -> str | None:
    """The path of an image's copy below the folder that it goes to; None where its name would lead out."""
    parts = parts_of(ref.path, ref.root, ref.archive)
    below = [part for part in (parts[len(shared) :] if parts[: len(shared)] == shared else parts) if part]
    if not below or {".", ".."} & {*below} or any("\0" in part or os.sep in part for part in below):
        return None
    return "/".join(below)


def parents_of(below: str) -> Iterator[str]:
    """The folders above a relative path, the outermost first."""
    parts = below.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))


def lies_in(folder: Path, shared: list[str]) -> bool:
    """Whether a folder is the one that all images share, or in it."""
    parts = str(folder.absolute().resolve()).split("/")
    return len(shared) > 1 and parts[: len(shared)] == shared
