"""Which image a path or a name means, among those of a folder.

A path means the file there. A bare name means the one image of that name. A path of another machine, where
nothing is at it here, means the image whose path ends alike. A name may lack its suffix, where no image has
just this name and one has it with a suffix. Upper and lower case differ.
"""
# ruff: noqa: PTH100, PTH112, PTH114, PTH117, PTH118, PTH119, PTH120, PTH122, PTH202

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from pathlib import PurePath
from typing import Literal, NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.types import some
from zeroiqa.images.sieve import EXTENSIONS

_ELSEWHERE = re.compile(r"[A-Za-z]:/|//")
"""How absolute paths of Windows begin, with / between their parts."""


class Found(NamedTuple):
    """Where a path leads."""

    path: str
    """One of the images, as it was given; or the absolute path of another file that is there."""
    how: Literal["same", "other", "end", "stem"]
    """One of the images; a file that is none of them; one of the images by the end of its path, or without
    its suffix."""


class NamedImages:
    """Images by their paths.

    Args:
        paths: Of all images.
        root: The folder that they are below; None if there is none.
    """

    def __init__(self, paths: Iterable[str], root: str | None) -> None:
        self._root = None if root is None else os.path.abspath(root)
        self._given = {os.path.abspath(path): path for path in paths}
        self._real_folder = cache(os.path.realpath)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._by_path_stem: dict[str, list[str]] = defaultdict(list)
        for path in self._given:
            name = os.path.basename(path)
            self._by_name[name].append(path)
            if name.lower().endswith(EXTENSIONS):
                self._by_stem[os.path.splitext(name)[0]].append(path)
                self._by_path_stem[os.path.splitext(path)[0]].append(path)

    def at(self, text: str, folders: Sequence[str]) -> Found | None:
        """What a path means that counts from the first of the folders in which something is there."""
        for folder in folders:
            place = os.path.abspath(os.path.join(folder, text))
            same = place if place in self._given else None
            if same is None and os.path.lexists(place) and not os.path.isdir(place):
                same = self._by_real_path.get(self._real(place))
                if same is None:
                    return Found(place, "other")
            if same is not None:
                return Found(self._given[same], "same")
        return None

    def without_suffix(self, text: str, folders: Sequence[str]) -> Found | None:
        """What a path means that lacks its suffix and counts from the first folder in which such an image is.

        Raises:
            UserError: two images differ from it in nothing but their suffixes.
        """
        for folder in folders:
            fitting = self._by_path_stem.get(os.path.abspath(os.path.join(folder, text))) or []
            if len(fitting) > 1:
                raise UserError(
                    f"{printable(text)} may be {printable(fitting[0])} or {printable(fitting[1])}; "
                    "write the names with their suffixes."
                )
            if fitting:
                return Found(self._given[fitting[0]], "stem")
        return None

    def called(
        self, name: str, what: str, folder: str | None = None, advice: str = "write their paths instead"
    ) -> Found | None:
        """The image of a bare name.

        Args:
            name: Without a folder.
            what: Who names the image, for a message.
            folder: Images below it come first; those elsewhere count only if none of them is called so.
            advice: What to do about two of them, for a message.

        Raises:
            UserError: two images have it.
        """
        how: Literal["same", "stem"] = "same" if name in self._by_name else "stem"
        named = sorted(self._by_name.get(name) or self._by_stem.get(name) or (), reverse=True)
        below = "" if folder is None else os.path.join(os.path.abspath(folder), "")
        named = [place for place in named if place.startswith(below)] or named
        places = {self._real(place): place for place in named}
        if len(places) > 1:
            one, other = sorted(places.values())[:2]
            raise UserError(
                f"{what} names {printable(name)}, which {len(places)} images are called, such as "
                f"{printable(one)} and {printable(other)}; {advice}."
            )
        return Found(self._given[next(iter(places.values()))], how) if places else None

    def ending_like(self, text: str, size: int = 0) -> Found | None:
        """The image that an absolute path of elsewhere means: below the root it is called as the path ends.

        A folder of theirs must have the same name, that of the root itself where no other lies between, and
        the sizes must be equal if both are known. Without a root the names suffice.

        Args:
            text: A path at which nothing is here.
            size: Of its file in bytes; 0 if not known.

        Raises:
            UserError: two images fit equally well.
        """
        wanted = PurePath(os.path.normpath(text)).parts
        fitting: dict[int, list[str]] = defaultdict(list)
        last = wanted[-1] if wanted else ""
        for path in self._by_name.get(last) or self._by_stem.get(last) or ():
            shared = 1 + _common_end(wanted[:-1], PurePath(path).parts[:-1])
            if self._is_end(path, shared, size):
                fitting[shared].append(path)
        if not fitting:
            return None
        best = sorted(fitting[max(fitting)])
        if len(best) > 1:
            raise UserError(
                f"{printable(text)} is not here, and may be {printable(best[0])} or {printable(best[1])}; "
                "name a folder further in."
            )
        return Found(self._given[best[0]], "end")

    def _is_end(self, path: str, shared: int, size: int) -> bool:
        if self._root is None:
            return shared > 0
        below = len(PurePath(os.path.relpath(path, self._root)).parts)
        return shared > 1 and shared >= below and not (size and os.path.getsize(path) != size)

    @cached_property
    def _by_real_path(self) -> dict[str, str]:
        """Images by where links lead to; several at one place count by their own paths alone."""
        places: dict[str, str] = {}
        twice = set()
        for path in self._given:
            real = self._real(path)
            if real in places:
                twice.add(real)
            places[real] = path
        return {real: path for real, path in places.items() if real not in twice}

    def _real(self, path: str) -> str:
        if os.path.islink(path):
            return os.path.realpath(path)
        return os.path.join(self._real_folder(os.path.dirname(path)), os.path.basename(path))


def without_suffix_note(names: list[str], what: str) -> str:
    """A sentence on names that lack their suffixes."""
    return (
        f"Names of {what} without suffix: {len(names):,} ({some(map(printable, names), 3)}); each means the "
        "one image that is called so."
    )


def is_bare(text: str) -> bool:
    """Whether a name has no folder."""
    return "/" not in text and not os.path.isabs(text)


def is_of_elsewhere(text: str) -> bool:
    """Whether a path is absolute, here or on Windows."""
    return os.path.isabs(text) or _ELSEWHERE.match(text) is not None


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine != theirs:
            break
        count += 1
    return count
