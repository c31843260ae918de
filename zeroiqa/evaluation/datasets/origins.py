"""Where the images of a run or of another tool's table are: what their paths count from."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.named_images import Found
from zeroiqa.images.sieve import EXTENSIONS


@dataclass(frozen=True)
class Origin:
    """Where the paths of scored images come from."""

    folders: tuple[str, ...] = (".",)
    """What relative paths count from: the first of these in which something is at the path, or the first."""
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Path -> its spelling for opening the file, and the file's size when it was scored (0: not known)."""
    names: bool = False
    """Whether a name without a folder means the one image that is called so, below the first of `folders` or
    else below the dataset's root."""
    by_name: bool = False
    """Whether the file's name alone says which image it is, wherever both are: for copies of the images."""
    what: str = "the run"
    """Who names the images, for a message."""


class RunImages:
    """The images of some runs by their paths as they were given to them, relative or absolute.

    Args:
        origins: Of the runs.
    """

    def __init__(self, origins: Iterable[Origin]) -> None:
        self._files: dict[str, tuple[str, Origin]] = {}
        self._without_suffix: dict[str, set[str]] = defaultdict(set)
        for origin in origins:
            for path, (file, _) in origin.files.items():
                absolute = (os.path.abspath(os.path.join(folder, file)) for folder in origin.folders)  # noqa: PTH100, PTH118
                for key in (os.path.normpath(path), *absolute):
                    self._files.setdefault(key, (file, origin))
                    stem, suffix = os.path.splitext(key)  # noqa: PTH122
                    if suffix.lower() in EXTENSIONS:
                        self._without_suffix[stem].add(key)

    def at(self, text: str) -> Found | None:
        """The image whose path was given as a text, perhaps without its suffix.

        Raises:
            UserError: two images differ from it in nothing but their suffixes.
        """
        key = os.path.normpath(text)
        if key in self._files:
            return Found(self._place(*self._files[key]), "same")
        fitting = sorted(self._without_suffix.get(key, ()))
        if len(fitting) > 1:
            raise UserError(
                f"{printable(text)} may be {printable(fitting[0])} or {printable(fitting[1])}; "
                "write the names with their suffixes."
            )
        return Found(self._place(*self._files[fitting[0]]), "stem") if fitting else None

    @staticmethod
    def _place(file: str, origin: Origin) -> str:
        places = [os.path.abspath(os.path.join(folder, file)) for folder in origin.folders]  # noqa: PTH100, PTH118
        return next(filter(os.path.lexists, places), places[0])
