"""Find the file that each path of a list means, also if it has blanks or backslashes or lacks its suffix."""
# ruff: noqa: PTH112, PTH118, PTH119, PTH120, PTH208

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from zeroiqa.errors import UserError, printable
from zeroiqa.images.folders import ALL, Walk
from zeroiqa.images.members import NamedMembers
from zeroiqa.images.selection import Selection
from zeroiqa.images.sieve import Sieve
from zeroiqa.names import meanings

_FILE_URL = re.compile(r"file:(?://(?:localhost)?)?(/.*)", re.IGNORECASE | re.DOTALL)
_NAMED = 3
"""Examples in a note."""


def spellings(text: str) -> tuple[str, ...]:
    r"""What a path may mean: itself, without escapes or blanks around it, with / for \, the path of a URL."""
    stripped = text.strip()
    return tuple(
        dict.fromkeys((*meanings(text), stripped, stripped.replace("\\", "/"), _path_of_url(stripped)))
    )


def _path_of_url(text: str) -> str:
    """The path of a file:// URL; what is none stays as it is."""
    url = _FILE_URL.fullmatch(text)
    return unquote(url[1], errors="surrogateescape") if url else text


class ListedImages:
    """The images of one list.

    Args:
        folder: That of the list; empty for the current one.
        suffixes: Of images, in lower case.
        members: Tells members of archives; without it no path leads into one.
    """

    def __init__(self, folder: str, suffixes: tuple[str, ...], members: NamedMembers | None = None) -> None:
        self._folder = folder
        self._suffixes = suffixes
        self._members = members
        self._listed = cache(self._without_suffix)
        self._guessed: list[str] = []

    def place(self, path: str) -> str:
        """Where a path leads: beside the list, or from the current folder.

        Every character of it counts as long as a file is called so; then the other `spellings` do. Where
        there is no such file it may lack the suffix of the one image that is called so; and a bare name may
        be that of the one image below the list's folder.

        Raises:
            UserError: two images are called so.
        """
        written = [each for each in spellings(path) if each]
        places = [place for each in written for place in (os.path.join(self._folder, each), each)]
        for place in places:
            if os.path.lexists(place) and not os.path.isdir(place):
                return place
        if self._members is not None:
            for place in filter(self._members.find, places):
                return place
        guesses = chain(
            (self._listed(os.path.dirname(place)).get(os.path.basename(place)) for place in places),
            (self._below.get(each) for each in written if "/" not in each),
        )
        for found in filter(None, guesses):
            return self._only(path, found)
        return os.path.join(self._folder, _path_of_url(path.strip()) or path)

    def notes(self, shown: str) -> tuple[str, ...]:
        """A sentence on the names that were told without their suffixes or folders, if there are any.

        Args:
            shown: The list, for a message.
        """
        if not self._guessed:
            return ()
        more = f" and {len(self._guessed) - _NAMED:,} more" if len(self._guessed) > _NAMED else ""
        return (
            f"Names of {shown} that lack a suffix or a folder: {len(self._guessed):,}; each means the one "
            f"image that is called so ({', '.join(self._guessed[:_NAMED])}{more}).",
        )

    def _only(self, path: str, found: Sequence[str]) -> str:
        if len(found) > 1:
            raise UserError(
                f"{printable(path)} may be {printable(found[0])} or {printable(found[1])}; "
                "write their whole paths."
            )
        self._guessed.append(f"{printable(path.strip())} is {printable(found[0])}")
        return found[0]

    def _without_suffix(self, folder: str) -> Mapping[str, list[str]]:
        """The images of a folder by their names without suffix; none where it cannot be listed."""
        stems: dict[str, list[str]] = defaultdict(list)
        try:
            names = sorted(os.listdir(folder or "."))
        except (OSError, ValueError):
            return {}
        for name in names:
            if name.lower().endswith(self._suffixes):
                stems[name.rpartition(".")[0]].append(os.path.join(folder, name))
        return stems

    @cached_property
    def _below(self) -> Mapping[str, list[str]]:
        """The images that the list's folder itself would give, by their names, with and without suffix."""
        found: dict[str, list[str]] = defaultdict(list)
        with suppress(UserError):  # it cannot be listed
            for path, entry in Walk(self._folder, ALL, Sieve(Selection(), prompts=False)).files():
                for key in {entry.name, Path(entry.name).stem}:
                    found[key].append(path)
        return found
