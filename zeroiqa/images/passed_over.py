"""Count the files and folders that a search for images passes over, and name them in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from zeroiqa.errors import printable
from zeroiqa.images.containers import is_unread_picture

_KINDS = 8
_LONGEST = 200
"""Characters of a path."""


@dataclass
class PassedOver:
    """Counts of what there was besides wanted images."""

    others: Counter[str] = field(default_factory=Counter)
    """Suffix -> files that are no images."""
    folders: Counter[str] = field(default_factory=Counter)
    """Name -> folders that systems made, and runs of ours."""
    hidden: int = 0
    """Files called like images, but for a dot before the name."""
    unwanted: int = 0
    """Images that --include and --exclude leave out."""
    unwanted_folders: int = 0
    """Folders that --exclude leaves out."""
    unlisted: dict[str, str] = field(default_factory=dict)
    """Folder that cannot be listed -> why."""
    unlooked: int = 0
    """Files without a suffix that were not looked into, as too many others were no images."""

    def add(self, other: PassedOver) -> None:
        """Count what was passed over elsewhere, too."""
        self.others += other.others
        self.folders += other.folders
        self.hidden += other.hidden
        self.unwanted += other.unwanted
        self.unwanted_folders += other.unwanted_folders
        self.unlisted |= other.unlisted
        self.unlooked += other.unlooked

    @property
    def is_by_choice(self) -> bool:
        """Whether --include and --exclude have left something out."""
        return bool(self.unwanted or self.unwanted_folders)

    def __str__(self) -> str:
        """Numbers and names; empty if nothing was passed over."""
        number = self.others.total()
        files = _counted(number, "file that is no image", "files that are no images")
        return "; ".join(filter(None, (f"{files}: {self.kinds()}" if number else "", self.besides())))

    def kinds(self) -> str:
        """The files that are no images, the most frequent first: "9 .mp4, 2 .cr2, 1 without a suffix"."""
        ordered = sorted(self.others.items(), key=lambda each: (-each[1], not each[0], each[0]))
        shown = [f"{count} {suffix or 'without a suffix'}" for suffix, count in ordered[:_KINDS]]
        more = sum(count for _, count in ordered[_KINDS:])
        unread = " and ".join(suffix for suffix, _ in ordered if is_unread_picture(suffix))
        pictures = f" ({unread}: pictures in formats that are not read; convert them first)"
        return ", ".join([*shown, *([f"{more} of other kinds"] if more else [])]) + (
            pictures if unread else ""
        )

    def besides(self) -> str:
        """What there was but files that are no images."""
        return "; ".join(filter(None, (*self._files(), *self._folders())))

    def _files(self) -> Iterator[str]:
        if self.unlooked:
            yield f"{self.unlooked} without a suffix were not looked into, after so many that are no images"
        yield _counted(self.hidden, "hidden image", "hidden images")
        yield _counted(self.unwanted, "image", "images", " left out by --include and --exclude")

    def _folders(self) -> Iterator[str]:
        yield _counted(self.unwanted_folders, "folder", "folders", " left out by --exclude")
        if self.folders:
            named = ", ".join(f"{count} {printable(name)}" for name, count in sorted(self.folders.items()))
            yield f"folders that hold no photos: {named}"
        if self.unlisted:
            folder, reason = next(iter(self.unlisted.items()))
            number = _counted(len(self.unlisted), "folder", "folders")
            first = ": " if len(self.unlisted) == 1 else ", the first is "
            shown = printable(folder)
            shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
            yield f"{number} that cannot be listed{first}{shown} ({reason})"


def _counted(number: int, one: str, many: str, behind: str = "") -> str:
    return f"{number} {one if number == 1 else many}{behind}" if number else ""
