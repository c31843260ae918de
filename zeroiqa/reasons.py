"""Why an image scores as it does: what was measured of it in units that a photographer knows, and its tags.

Names, units, sentences and thresholds are data, in reasons.toml. No score is made of a reason.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

MOST_TAGS = 3
"""An image has no more tags than these, the worst ones."""
DECIMALS = 3
"""To which a reason is rounded; more were never measured."""


@dataclass(frozen=True)
class Reason:
    """One number that is said of an image."""

    name: str
    """That of its column."""
    unit: str
    text: str
    """What it is, for people."""


@dataclass(frozen=True)
class Tag:
    """What is said of an image whose reason lies beyond a threshold."""

    name: str
    reason: str
    """By whose value it is given."""
    starts: float
    """The value from which on it is given."""
    severe: float
    """The value that is as bad as any other tag's; on the side of `starts` to which things get worse."""
    hides: tuple[str, ...]
    """Tags that mean nothing where this one is given."""

    def badness(self, value: float) -> float:
        """0 where the tag starts, 1 where it is severe; negative on the good side."""
        return (value - self.starts) / (self.severe - self.starts)


def reasons_of(measures: Mapping[str, float]) -> dict[str, float]:
    """The reasons that can be told by what a rater measured of the whole image.

    Args:
        measures: `Rating.measures`, by the names of `zeroiqa.nss`; one that is missing leaves its reason out.

    Returns:
        Name of a reason -> value in its unit, in the order of `REASONS`.
    """
    return {
        name: round(_FROM[how](*(measures[source] for source in sources)), DECIMALS) + 0.0  # never -0.0
        for name, (sources, how) in _SOURCES.items()
        if all(source in measures for source in sources)
    }


def tags_of(measures: Mapping[str, float]) -> tuple[str, ...]:
    """What is wrong with an image by its reasons, the worst first; `MOST_TAGS` at most.

    Args:
        measures: From `reasons_of`; a tag whose reason is missing is not given.
    """
    given = {
        tag: tag.badness(measures[tag.reason])
        for tag in _TAGS
        if tag.reason in measures and tag.badness(measures[tag.reason]) >= 0
    }
    hidden = {name for tag in given for name in tag.hides}
    worst = sorted(given, key=lambda tag: -given[tag])
    return tuple(dict.fromkeys(tag.name for tag in worst if tag.name not in hidden))[:MOST_TAGS]


def _stops(light: float) -> float:
    """Light 0..1 against 18 % gray, in stops; a black picture has that of half a gray level."""
    return math.log2(max(light, 0.5 / 255 / 12.92) / 0.18)


def _level(value: float) -> float:
    """The mean level, 1 to 7, that a measure of sharpness stands for."""
    return 1 + sum(1 / (1 + math.exp((cut - value) / _LEVELS["width"])) for cut in _LEVELS["cuts"])


def _noise(flat: float, colours: float) -> float:
    """Fine texture looks like noise in gray levels, up to that of `_TEXTURE`, but hardly in colours."""
    return max(colours, flat - _TEXTURE)


_TEXTURE = 4.0
_FROM: Mapping[str, Callable[..., float]] = {
    "as it is": lambda value: value,
    "share": lambda value: 100 * value,
    "light": _stops,
    "sharpness": _level,
    "noise": _noise,
}
"""How a measure becomes a reason."""
_DATA: dict[str, Any] = tomllib.loads(
    (resources.files("zeroiqa") / "reasons.toml").read_text(encoding="utf-8")
)
_LEVELS: Mapping[str, Any] = _DATA["levels"]
_SOURCES = {
    name: (tuple(names if isinstance(names := fields["measure"], list) else [names]), fields["from"])
    for name, fields in _DATA["reasons"].items()
}
"""Reason -> the measures that it is made of, and how."""

MEASURES = frozenset(source for sources, _ in _SOURCES.values() for source in sources)
"""The measures of a whole image that reasons are made of."""


def _tags() -> Iterator[Tag]:
    for name, fields in _DATA["tags"].items():
        for limit in fields["when"]:
            yield Tag(name, limit["reason"], limit["starts"], limit["severe"], tuple(fields.get("hides", ())))


REASONS: Mapping[str, Reason] = MappingProxyType(
    {name: Reason(name, fields["unit"], fields["text"]) for name, fields in _DATA["reasons"].items()}
)
"""Name -> reason, in the order of the columns."""
_TAGS = tuple(_tags())
TAGS: tuple[str, ...] = tuple(_DATA["tags"])
"""All tags that there are."""
