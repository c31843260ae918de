"""What a run is of: the folders, patterns and lists that its command names, however they are spelled.

A name is canonical if it is relative to the current folder where it lies in it (without ./ and / at its
end), else absolute; addresses of object stores are as they are. Relative names and paths of a run count from
its root: the folder in which it was begun, or the one to which it was moved or copied with its images.
"""
# ruff: noqa: PTH109, PTH112, PTH117, PTH118, PTH121

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroiqa.files.schema import TEXT, TRUTH, ListOf, Shape
from zeroiqa.files.storage import Location, is_remote, location
from zeroiqa.images import archives, lists
from zeroiqa.images.members import NamedMembers
from zeroiqa.images.selection import Selection
from zeroiqa.images.sieve import EXTENSIONS

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef

NAMED: dict[str, Shape] = {
    **dict.fromkeys(("named", "include", "exclude"), ListOf(TEXT)),
    "sidecar_prompts": TRUTH,
    "texts": TEXT,
    "image_column": TEXT,
}
"""What `Naming.to_dict` gives, in a parsed file."""
_ANY = Selection()
_LOOKED_FOR = 16
"""Images of a run that tell where its relative paths count from."""


@dataclass(frozen=True)
class Naming:
    """What a command names, and which images of that it takes: new ones come in, missing ones are gone."""

    names: tuple[str, ...]
    """Canonical, sorted, each once."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sidecar_prompts: bool = False
    texts: str = ""
    """The canonical name of a table of prompts or questions beside."""
    image_column: str = ""
    """The column of tables that is the image, where that was said."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without what says nothing."""
        filters = {"include": list(self.include), "exclude": list(self.exclude)}
        return {
            "named": list(self.names),
            **{key: value for key, value in filters.items() if value},
            **({"sidecar_prompts": True} if self.sidecar_prompts else {}),
            **({"texts": self.texts} if self.texts else {}),
            **({"image_column": self.image_column} if self.image_column else {}),
        }

    @property
    def how(self) -> tuple[object, ...]:
        """All but the names."""
        return self.include, self.exclude, self.sidecar_prompts, self.texts, self.image_column

    def covers(self, other: Naming | None) -> bool:
        """Whether all that the other one takes is looked for by this one, too."""
        return other is not None and self.how == other.how and set(other.names) <= set(self.names)

    def seen_from(self, here: str, root: str) -> Naming:
        """The same, its names canonical for another folder."""

        def turned(name: str) -> str:
            return canonical(name if is_remote(name) else os.path.join(here, name), root)

        return replace(
            self, names=tuple(sorted(set(map(turned, self.names)))), texts=self.texts and turned(self.texts)
        )


def naming_of(
    arguments: Sequence[str],
    *,
    selection: Selection = _ANY,
    sidecar_prompts: bool = False,
    texts: Path | None = None,
    image_column: str | None = None,
    exact: bool = False,
) -> Naming | None:
    """What arguments of `zeroiqa.images.find.find_images` name; None if they mean these images and no others.

    They do where `exact` says so, with standard input, and where images are named one by one.
    """
    if exact or "-" in arguments or not any(map(_follows, arguments)):
        return None
    here = os.getcwd()
    names = sorted({canonical(argument, here) for argument in arguments})
    table = "" if texts is None else canonical(str(texts), here)
    return Naming(
        tuple(names), selection.include, selection.exclude, sidecar_prompts, table, image_column or ""
    )


def naming_from(fields: Mapping[str, Any] | None) -> Naming | None:
    """What a run.json or a plan says was named; None for an exact set of images."""
    if not fields or "named" not in fields:
        return None
    return Naming(
        tuple(fields["named"]),
        tuple(fields.get("include", ())),
        tuple(fields.get("exclude", ())),
        bool(fields.get("sidecar_prompts")),
        str(fields.get("texts", "")),
        str(fields.get("image_column", "")),
    )


def canonical(name: str, base: str) -> str:
    """A name or path as it is spelled from a folder."""
    if name.lower().startswith("file://"):
        name = str(location(name))
    if is_remote(name):
        return name.rstrip("/")
    path = os.path.normpath(os.path.join(base, name))
    if path == base:
        return "."
    if path.startswith(base.rstrip(os.sep) + os.sep):
        return path[len(base.rstrip(os.sep)) + 1 :]
    return _inside(path, base) or path


def spelled_from(origin: str, base: str) -> Callable[[str], str]:
    """A function for paths of files, from `origin`: canonical for `base`. It looks at a folder once."""

    @functools.cache
    def place(folder: str) -> str:
        return canonical(os.path.join(origin, folder), base)

    def spelled(path: str) -> str:
        if "://" in path:
            return path
        folder, slash, name = path.replace(os.sep, "/").rpartition("/")
        found = place(folder or slash)
        return name if found == "." else path if found == folder else f"{found.rstrip('/')}/{name}"

    return spelled


def root_of(folder: Location, origin: Mapping[str, str], paths: Sequence[str]) -> str:
    """What the relative paths of a run's images count from now.

    Args:
        folder: Of the run.
        origin: Its `zeroiqa.runs.record.origin_here`.
        paths: Some of its images.
    """
    here = os.getcwd()
    known = [origin["cwd"]] if "cwd" in origin else []
    if isinstance(folder, Path) and "from_run" in origin:
        known.insert(0, os.path.normpath(os.path.join(folder.absolute(), origin["from_run"])))
    relative = [path for path in paths if "://" not in path and not os.path.isabs(path)][:_LOOKED_FOR]
    if not relative or here in known:
        return here
    for base in known:
        if any(os.path.lexists(os.path.join(base, path)) for path in relative):
            return base
    return here


def as_planned(sources: Sequence[ImageRef], planned: Sequence[str], root: str) -> list[ImageRef]:
    """The sources in the spelling of a run, so that an image has one path, however it is named.

    Args:
        sources: As they are found from the current folder.
        planned: The paths of the run's images, which count from `root`.
        root: Of the run.
    """
    here = os.getcwd()
    known = set(planned)
    if here == root and all(source.path in known for source in sources):
        return list(sources)
    theirs, ours = spelled_from(root, root), spelled_from(here, root)
    by_key = {theirs(path): path for path in planned}
    folders = _spelled_folders(by_key)
    archive = functools.cache(lambda path: folders.get(ours(path)) or _below(ours(path), folders))
    found = []
    for source in sources:
        key = ours(source.path)
        path = by_key.get(key) or _below(key, folders)
        held = None if source.archive is None else archive(source.archive)
        found.append(source if path == source.path else source._replace(path=path, archive=held))
    return found


def _spelled_folders(by_key: Mapping[str, str]) -> dict[str, str]:
    """Canonical folder -> how the run spells it, for the folders of its images and those above them."""
    folders: dict[str, str] = {}
    for key, path in by_key.items():
        canon, written = key.rpartition("/")[0], path.rpartition("/")[0]
        while canon not in folders and canon != written:
            folders[canon] = written
            (canon, _, one), (written, _, other) = canon.rpartition("/"), written.rpartition("/")
            if one != other:
                break
    return folders


def _below(key: str, folders: Mapping[str, str]) -> str:
    """A new path in the spelling of the folders above it."""
    above, rest = key, ""
    while above and not (rest and key.startswith("/") and "/" not in above.lstrip("/")):
        above, _, name = above.rpartition("/")
        rest = f"{name}/{rest}" if rest else name
        if above in folders:
            return f"{folders[above]}/{rest}"
    return key


def _inside(path: str, base: str) -> str | None:
    """The path as seen from `base` if it leads into it by another way, such as a link above both."""
    rest: list[str] = []
    while True:
        with suppress(OSError, ValueError):
            if os.path.samefile(path, base):
                return "/".join(reversed(rest)) or "."
        above, name = os.path.split(path)
        if above == path:
            return None
        rest.append(name)
        path = above


def is_list(name: str) -> bool:
    """Whether a name is that of a list of images."""
    return name.lower().endswith(lists.SUFFIXES)


def _follows(argument: str) -> bool:
    """Whether an argument may mean other images tomorrow: it is no single image."""
    endings = (*lists.SUFFIXES, archives.SUFFIX, *archives.COMPRESSED)
    if argument.lower().endswith(endings):
        return True
    if is_remote(argument):
        return "*" in argument or not argument.lower().endswith(EXTENSIONS)
    exists = os.path.lexists(argument) or NamedMembers().archive_of(argument) is not None
    return os.path.isdir(argument) or not exists
