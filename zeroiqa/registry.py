"""Entries by name: those of this package, and those that installed packages offer as Python entry points.

A name such as "grid:3x2" is a key and, after the first colon, an argument. A key stands for an entry, which
says what it is and how it is built. An entry is imported once its key is asked for, never before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module, metadata
from logging import getLogger
from typing import Any, Generic, TypeVar

from zeroiqa.errors import UserError

_LOG = getLogger(__name__)
EntryT = TypeVar("EntryT")


@dataclass(frozen=True)
class Registry(Generic[EntryT]):
    """The entries of one kind: raters, segmenters, baselines or heads."""

    kind: str
    """What an entry is called in messages: "segmenter", "rater"."""
    group: str
    """The group of entry points in which other packages offer theirs: "zeroiqa.raters"."""
    entry: type[EntryT]
    """The class of the entries."""
    builtin: Mapping[str, EntryT | str]
    """Key -> the entry, or "module:attribute" of one that is imported when it is asked for."""

    def keys(self) -> tuple[str, ...]:
        """All keys, those of this package first; imports no entry."""
        return (*self.builtin, *self._offered)

    def find(self, name: str) -> tuple[EntryT, str | None]:
        """The entry that a name stands for, and the text after its first colon (None without a colon).

        Raises:
            UserError: there is no such entry; or another package offers it, and it cannot be loaded.
        """
        key, colon, argument = name.partition(":")
        return self._entry(key), argument if colon else None

    def entries(self) -> Iterator[tuple[str, EntryT]]:
        """Keys and entries; one of another package that cannot be loaded is left out, with a warning."""
        for key in self.keys():
            try:
                entry = self._entry(key)
            except UserError as error:
                if key in self.builtin:
                    raise
                _LOG.warning("%s", error)
                continue
            yield key, entry

    def origin(self, name: str) -> str | None:
        """The installed package that offers the entry of a name; None for this one."""
        key = name.partition(":")[0]
        return None if key in self.builtin or key not in self._offered else _package(self._offered[key][0])

    def _entry(self, key: str) -> EntryT:
        if key in self.builtin:
            known = self.builtin[key]
            entry: EntryT = import_attribute(known) if isinstance(known, str) else known
            return entry
        if key not in self._offered:
            known_keys = self.keys()
            raise UserError(
                f"unknown {self.kind} {key!r}{_suggestion(key, known_keys)} Known: {', '.join(known_keys)}."
            )
        return self._load(key, *self._offered[key])

    def _load(self, key: str, point: metadata.EntryPoint, *others: metadata.EntryPoint) -> EntryT:
        """Import an entry of another package."""
        package = _package(point)
        if others:
            packages = ", ".join(map(_package, (point, *others)))
            raise UserError(
                f"Several installed packages offer the {self.kind} {key} ({packages}); uninstall all but one."
            )
        try:
            entry = point.load()
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # whatever the code of others raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise UserError(
                f"The {self.kind} {key} of the package {package} cannot be loaded ({reason.rstrip(': ')}); "
                f"install {package} again, or uninstall it."
            ) from error
        if not isinstance(entry, self.entry):
            raise UserError(
                f"The {self.kind} {key} of the package {package} is no {self.entry.__name__} ({point.value} "
                f"is a {type(entry).__name__}); install another version of {package}, or uninstall it."
            )
        return entry

    @cached_property
    def _offered(self) -> dict[str, list[metadata.EntryPoint]]:
        """Key -> the entry points of that name, of which there should be one; asked for once a process."""
        found: dict[str, list[metadata.EntryPoint]] = {}
        for point in metadata.entry_points(group=self.group):
            if point.name in self.builtin or ":" in point.name:
                why = "is one of zeroiqa's own" if point.name in self.builtin else "may hold no colon"
                _LOG.warning(
                    "The %s %s of the package %s is passed over: the name %s.",
                    self.kind,
                    point.name,
                    _package(point),
                    why,
                )
                continue
            found.setdefault(point.name, []).append(point)
        return found


def import_attribute(place: str) -> Any:
    """What "module:attribute" stands for."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def resolve(kind: str, name: str, table: Mapping[str, str]) -> tuple[Any, str | None]:
    """What a name of a table of "module:attribute" stands for, and the text after its first colon."""
    return Registry(kind, "", object, dict(table)).find(name)


def _package(point: metadata.EntryPoint) -> str:
    """The name under which a package is installed."""
    return str(point.dist.name) if point.dist is not None else point.value.partition(":")[0]


def _suggestion(key: str, known: tuple[str, ...]) -> str:
    nearest = get_close_matches(key, known, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else "."
