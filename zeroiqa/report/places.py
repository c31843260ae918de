"""Where the images of a run are now, and how a page links to them."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from zeroiqa.images.ref import ImageRef

if TYPE_CHECKING:
    from zeroiqa.runs import Run


class Places:
    """Finds the images of a run, which may have been moved together with it.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def find(self, ref: ImageRef) -> ImageRef:
        """The reference seen from the first folder in which something is there; as it is where nothing is."""
        if ref.content is not None or "://" in ref.place:
            return ref
        for folder in self._folders:
            there = ref._replace(root=folder, modified=None)
            if os.path.lexists(there.place):
                return there
        return ref._replace(root=self._folders[0], modified=None)

    @cached_property
    def _folders(self) -> tuple[str, ...]:
        """What relative paths may count from, the likeliest first."""
        run, folders = self._run, []
        if isinstance(run.folder, Path) and "from_run" in run.origin:
            folders.append(str(run.folder.absolute() / run.origin["from_run"]))
        folders += [run.origin["cwd"]] if "cwd" in run.origin else []
        return tuple(dict.fromkeys(map(os.path.normpath, (*folders, str(Path.cwd())))))


def absolute(ref: ImageRef) -> str:
    """The path of an image as one text, by which images of two runs are told to be the same."""
    path = ref.path
    if "://" in path:
        return path
    return os.path.normpath(os.path.join(ref.root or str(Path.cwd()), path))  # noqa: PTH118


def link(ref: ImageRef, page: Path) -> str | None:
    """The address of the file as seen from a page: relative where possible; None where nothing can be opened.

    Args:
        ref: From `Places.find`.
        page: Where the page will be.
    """
    if ref.content is not None or ref.archive is not None or "://" in ref.path:
        return None
    file = Path(absolute(ref))
    folder = page.absolute().parent
    if file.drive != folder.drive:
        return file.as_uri()
    relative = os.path.relpath(file, folder).replace(os.sep, "/")
    return "./" + quote(os.fsencode(relative), safe="/")
