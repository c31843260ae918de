"""The files below a database's folder, listed once, and found by the names that score files give them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.types import some
from zeroiqa.images.sieve import EXTENSIONS
from zeroiqa.suggestions import did_you_mean_path


class File(NamedTuple):
    """One file."""

    path: str
    """Below the root, with / between its parts."""
    parts: tuple[str, ...]
    """The path's, without case."""


def _folded(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.replace("\\", "/").casefold().split("/") if part not in ("", "."))


@dataclass(frozen=True)
class FileTree:
    """All files below one folder; hidden ones are left out."""

    root: Path
    by_name: dict[str, list[File]]
    """By the file's own name without case."""
    unread: tuple[str, ...] = ()
    """Folders in it that cannot be listed."""

    @classmethod
    def scan(cls, root: Path, *, partly: bool = False) -> FileTree:
        """List a folder with everything in it; links to folders are followed, but not in a circle.

        Args:
            root: The folder.
            partly: Pass over folders that cannot be listed.

        Raises:
            UserError: it is no folder, or one in it cannot be listed and must be.
        """
        if not root.is_dir():
            what = "is no folder" if root.exists() else "does not exist"
            hint = did_you_mean_path(root)
            raise UserError(
                f"{printable(str(root))} {what}; give the folder that the database was unpacked to.{hint}"
            )
        found: dict[str, list[File]] = {}
        unread: list[str] | None = [] if partly else None
        for path in _walk(str(root), "", set(), unread):
            file = File(path, _folded(path))
            found.setdefault(file.parts[-1], []).append(file)
        return cls(root, found, tuple(unread or ()))

    def files(self) -> Iterator[File]:
        """Every file below the folder."""
        for same_name in self.by_name.values():
            yield from same_name

    def images(self) -> Iterator[File]:
        """Every file with an extension of an image."""
        return (file for file in self.files() if file.parts[-1].endswith(EXTENSIONS))

    def has_images_in(self, folder: str) -> bool:
        """Whether any image lies below a folder of this name, upper or lower case."""
        return any(folder.casefold() in file.parts[:-1] for file in self.images())

    def find(self, name: str, folder: str | None = None) -> str | None:
        """The file that a score file means.

        Case does not count unless two files differ in nothing else. A name with folders must agree with the
        path from its end on: the one that is longer may go on.

        Args:
            name: A file name, or a path.
            folder: Name of a folder that the file must lie in, at any depth.

        Returns:
            Its path below the root, or None.

        Raises:
            UserError: several files fit equally well.
        """
        wanted = _folded(name)
        fitting = []
        for path, parts in self.by_name.get(wanted[-1], ()) if wanted else ():
            shared = min(len(parts), len(wanted))
            inside = folder is None or folder.casefold() in parts[:-1]
            if inside and parts[-shared:] == wanted[-shared:]:
                fitting.append((not path.endswith(name), len(parts), path))
        fitting.sort()
        if len(fitting) > 1 and fitting[0][:2] == fitting[1][:2]:
            raise UserError(
                f"{printable(str(self.root))} has several files that may be {printable(name)}: "
                f"{printable(fitting[0][2])} and {printable(fitting[1][2])}; "
                "leave one of them, or name a folder further in."
            )
        return fitting[0][2] if fitting else None

    def summary(self) -> str:
        """What is there, for a message: how many files of which kind, in which folders."""
        kinds = Counter(Path(file.path).suffix.lower() or "without extension" for file in self.files())
        if not kinds:
            return "no files"
        counts = some((f"{count:,} {kind}" for kind, count in kinds.most_common()), 4)
        top = sorted({file.path.partition("/")[0] for file in self.files()})
        return f"{counts} (in it: {some(map(printable, top), 4)})"


def _walk(folder: str, below: str, seen: set[tuple[int, int]], unread: list[str] | None) -> Iterator[str]:
    """The files below a folder; adds what cannot be listed to a list, if there is one."""
    try:
        status = os.stat(folder)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as listing:
            entries = sorted((entry.name, entry.path, _is_folder(entry)) for entry in listing)
    except OSError as error:
        if unread is not None:
            unread.append(folder)
            return
        raise UserError(
            f"{printable(folder)} cannot be listed: {error.strerror}; change its mode or leave it out."
        ) from error
    for name, path, is_folder in entries:
        if name.startswith("."):
            continue
        if is_folder:
            yield from _walk(path, f"{below}{name}/", seen, unread)
        else:
            yield below + name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link onto itself
        return False
