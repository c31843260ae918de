"""Entries by name: those of this package, and those that installed packages offer as Python entry points.

A name such as "grid:3x2" is a key and, after the first colon, an argument. A key stands for an entry, which
says what it is and how it is built. An entry is imported once its key is asked for, never before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module, metadata
from inspect import getattr_static
from logging import getLogger
from typing import Any, Generic, TypeVar

from zeroiqa.errors import UnknownNameError, UserError, one_line
from zeroiqa.suggestions import alternatives, nearest

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
    reserved: tuple[str, ...] = ()
    """Keys that mean something else, which no package may offer."""

    def keys(self) -> tuple[str, ...]:
        """All keys, those of this package first; imports no entry."""
        return (*self.builtin, *self._offered)

    def __contains__(self, key: str) -> bool:
        return key in self.builtin or key in self._offered

    def find(self, name: str) -> tuple[EntryT, str | None]:
        """The entry that a name stands for, and the text after its first colon (None without a colon).

        Raises:
            UserError: there is no such entry; or another package offers it, and it cannot be loaded.
        """
        key, colon, argument = name.partition(":")
        try:
            return self._entry(key), argument if colon else None
        except UnknownNameError as error:
            raise UnknownNameError(str(error), self.kind, name) from None

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

    @contextmanager
    def code_of(self, name: str, trouble: str) -> Iterator[None]:
        """Inside the block runs code of the package that offers an entry: its errors become a sentence.

        Args:
            name: Of the entry; errors in the code of this package pass.
            trouble: What an error means: "cannot be built".

        Raises:
            UserError: that of the code, or one for whatever else it raises.
        """
        package = self.origin(name)
        try:
            yield
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            if package is None:
                raise
            reason = one_line(error, kind=True)
            raise UserError(
                f"The {self.kind} {name.partition(':')[0]} of the package {package} {trouble} ({reason}); "
                f"install {package} again, or uninstall it."
            ) from error

    def check_parts(self, name: str, built: object, *parts: str) -> None:
        """Refuse what the code of another package built, if it lacks what every such thing has.

        Raises:
            UserError: the message names what is missing.
        """
        package = self.origin(name)
        lacking = [part for part in parts if getattr_static(built, part, None) is None]
        if package is not None and lacking:
            raise UserError(
                f"The {self.kind} {name.partition(':')[0]} of the package {package} lacks "
                f"{', '.join(lacking)}; install another version of {package}, or uninstall it."
            )

    def _entry(self, key: str) -> EntryT:
        offered = self._offered  # even for a name of ours: what is passed over is said
        if key in self.builtin:
            known = self.builtin[key]
            entry: EntryT = import_attribute(known) if isinstance(known, str) else known
            return entry
        if key not in offered:
            known_keys = self.keys()
            near = alternatives(map(repr, nearest(key, known_keys)))
            hint = f"; did you mean {near}?" if near else "."
            raise UnknownNameError(
                f"unknown {self.kind} {key!r}{hint} Known: {', '.join(known_keys)}.", self.kind, key
            )
        return self._load(key, *offered[key])

    def _load(self, key: str, point: metadata.EntryPoint, *others: metadata.EntryPoint) -> EntryT:
        """Import an entry of another package."""
        package = _package(point)
        if others:
            packages = ", ".join(map(_package, (point, *others)))
            raise UserError(
                f"Several installed packages offer the {self.kind} {key} ({packages}); uninstall all but one."
            )
        with self.code_of(key, "cannot be loaded"):
            entry = point.load()
        if not isinstance(entry, self.entry):
            raise UserError(
                f"The {self.kind} {key} of the package {package} is no {self.entry.__name__} ({point.value} "
                f"is a {type(entry).__name__}); install another version of {package}, or uninstall it."
            )
        return entry

    @cached_property
    def _offered(self) -> dict[str, list[metadata.EntryPoint]]:
        """Key -> the entry points of that name, of which there should be one."""
        found: dict[str, list[metadata.EntryPoint]] = {}
        for point in metadata.entry_points(group=self.group):
            ours = point.name in (*self.builtin, *self.reserved)
            if ours or ":" in point.name:
                why = "is one of zeroiqa's own" if ours else "may hold no colon"
                facts = (self.kind, point.name, _package(point), why)
                _LOG.warning("The %s %s of the package %s is passed over: the name %s.", *facts)
                continue
            found.setdefault(point.name, []).append(point)
        return found


def import_attribute(place: str) -> Any:
    """What "module:attribute" stands for.

    Raises:
        UserError: the module, or what it imports, is missing, or it has no such attribute.
    """
    module, _, attribute = place.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{place} cannot be imported ({error}); install its package again.") from error


def _package(point: metadata.EntryPoint) -> str:
    """The name under which a package is installed."""
    return str(point.dist.name) if point.dist is not None else point.value.partition(":")[0]
