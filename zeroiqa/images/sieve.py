"""Tell the user's images from other files in a folder, a store or an archive."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from zeroiqa.images.containers import file_format, unsupported_kind
from zeroiqa.images.passed_over import PassedOver
from zeroiqa.images.selection import Selection

EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".avif", ".avifs", ".heic", ".heif", ".hif",
)  # fmt: skip
"""What makes a file in a folder an image, in lower case; files named one by one may be called anything."""

SYSTEM_FOLDERS = frozenset(
    (
        "@eadir", "#recycle", "#snapshot", "@tmp",  # Synology
        "@recycle", "@recently-snapshot", "@transcode", "@__thumb",  # QNAP
        "~snapshot", "network trash folder", "temporary items", "thevolumesettingsfolder",  # NetApp, netatalk
        "$recycle.bin", "recycler", "recycled", "system volume information", "found.000",  # Windows
        "lost+found", "lost.dir", "__macosx",  # Linux, Android, archives of macOS
        "zeroiqa-runs",  # ours
    )
)  # fmt: skip
"""Folders of systems and their recycle bins and thumbnails, in lower case; most others begin with a dot."""

HEAD = 64
"""Bytes that tell what a file without a suffix is."""
HEADS = 10_000
"""Files without a suffix that are looked into in vain, then no more: a mail folder may hold a million."""
_SUFFIX = re.compile(r".*[^/](\.(?=[^.]*[a-z])[\w~+-]{1,12})", re.DOTALL | re.IGNORECASE)
_BMP = re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)


def suffix_of(name: str) -> str:
    """The suffix in lower case, as .jpg; numbers and what has blanks in it are none (`scan.0001`)."""
    found = _SUFFIX.fullmatch(name)
    return found[1].lower() if found else ""


def is_nameless(path: str) -> bool:
    """Whether what a file is can be told by its bytes only."""
    name = path.rpartition("/")[2]
    return not name.startswith(".") and not suffix_of(name)


def begins_like_an_image(head: bytes) -> bool:
    """Whether the first `HEAD` bytes are those of a format that is read; no text begins so."""
    kind = file_format(head)
    if kind is None or unsupported_kind(head, "") is not None:
        return False
    if kind == "BMP":
        return _BMP.match(head) is not None
    return min(head) < 9  # which no text has, but a name may begin with GIF89a


class Sieve:
    """Tells the images below one argument from what else there is, which it counts.

    Paths are those below what was named, with "/".
    """

    def __init__(self, selection: Selection, *, prompts: bool) -> None:
        """Begin without anything passed over.

        Args:
            selection: What is wanted.
            prompts: Whether a text beside an image is its prompt, and so nothing that is passed over.
        """
        self.selection = selection
        self.prompts = prompts
        self.found = 0
        """Files that were looked at, images or not."""
        self._passed = PassedOver()
        self._vain = 0
        self._entered: dict[str, bool] = {}
        self._keys: set[str] = set()
        self._texts: list[str] = []

    @property
    def passed(self) -> PassedOver:
        """What was passed over until now."""
        prompts = Counter({".txt": sum(text in self._keys for text in self._texts)})
        return replace(self._passed, others=self._passed.others - prompts)

    def enters(self, folder: str, *, hidden: bool = False) -> bool:
        """Whether to look into a folder; one that is left out is counted once.

        Args:
            folder: Its path.
            hidden: Enter one whose name begins with a dot, too.
        """
        if folder not in self._entered:
            self._entered[folder] = self._is_users(folder, hidden)
        return self._entered[folder]

    def _is_users(self, folder: str, hidden: bool) -> bool:
        name = folder.rpartition("/")[2]
        if name.startswith(".") and not hidden:
            return False
        if name.lower() in SYSTEM_FOLDERS:
            self._passed.folders[name] += 1
            return False
        if not self.selection.enters(folder):
            self._passed.unwanted_folders += 1
            return False
        return True

    def reaches(self, path: str) -> bool:
        """Whether every folder that a file is in is entered."""
        ends = (place for place, sign in enumerate(path) if sign == "/")
        return all(self.enters(path[:end]) for end in ends)

    def leave_run(self, folder: str) -> None:
        """Enter no more a folder that holds a run, whose pictures are ours."""
        if self._entered.get(folder, True):
            self._entered[folder] = False
            self._passed.folders["runs of zeroiqa"] += 1

    def leave_unlisted(self, folder: str, reason: str) -> None:
        """Count a folder that cannot be listed, by its whole path."""
        self._passed.unlisted[folder] = reason

    def wants(self, path: str) -> bool:
        """Whether an image that is named itself is wanted, whatever it is called."""
        wanted = self.selection.wants(path)
        self._passed.unwanted += not wanted
        return wanted

    def passed_elsewhere(self, passed: PassedOver) -> None:
        """Count what another one has passed over, too."""
        self._passed.add(passed)

    def takes(self, suffix: str) -> None:
        """Count no more the files of a kind that are taken after all, as there are no images."""
        del self._passed.others[suffix]

    def keeps(self, path: str, head: Callable[[], bytes], *, hidden: bool = False) -> bool:
        """Whether a file is a wanted image.

        Args:
            path: Its path.
            head: Reads its first `HEAD` bytes; asked only where the name has no suffix.
            hidden: Take one whose name begins with a dot, too.
        """
        self.found += 1
        name = path.rpartition("/")[2]
        called_so = name.lower().endswith(EXTENSIONS)
        if name.startswith(".") and not hidden:
            self._passed.hidden += called_so and not name.startswith("._")  # macOS has one beside each file
            return False
        if not self.selection.wants(path):
            self._passed.unwanted += called_so
            return False
        if not called_so and (suffix_of(name) or not self._is_image(head)):
            self._passed.others[suffix_of(name)] += 1
            if self.prompts and name.lower().endswith(".txt"):
                self._texts.append(path[:-4])
            return False
        if self.prompts:
            self._keys.update(keys_of(path))
        return True

    def _is_image(self, head: Callable[[], bytes]) -> bool:
        if self._vain >= HEADS:
            self._passed.unlooked += 1
            return False
        found = begins_like_an_image(head())
        self._vain += not found
        return found


def keys_of(path: str) -> tuple[str, str]:
    """What the text beside an image may be called: by its last suffix, or by all of them (WebDataset)."""
    folder, slash, file = path.rpartition("/")
    return path.rpartition(".")[0], f"{folder}{slash}{file.partition('.')[0]}"
