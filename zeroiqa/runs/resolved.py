"""What the names in some settings stand for, found out once in a command for all who need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from zeroiqa.guards.budget import IMAGE_SECONDS
from zeroiqa.pipeline import Method, assemble, new_rater, new_segmenter
from zeroiqa.raters import find_rater
from zeroiqa.runs.identity import going_on, method_identity
from zeroiqa.segmenters import find_segmenter
from zeroiqa.settings import Settings, check_describers
from zeroiqa.types import Rater, Segmenter
from zeroiqa.weights.options import ModelOptions
from zeroiqa.weights.replies import Replies

T = TypeVar("T")
_Built: TypeAlias = dict[tuple[Any, ...], T]
"""Name and all other choices that it depends on -> what is built."""


@runtime_checkable
class Releasable(Protocol):
    """A rater or segmenter that can let go of its weights, and loads them again when it is next used."""

    def release(self) -> None:
        """Let go of the weights."""


class Builder:
    """Builds each rater and segmenter once, and asks the hub once about each repository.

    A copy (pickle) for another process builds its own, of the same commits: it has the replies of hubs and
    servers, and asks for none of them again.
    """

    def __init__(self) -> None:
        self._replies = Replies()
        self._raters: _Built[Rater] = {}
        self._segmenters: _Built[Segmenter | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what is built, which may hold weights."""
        return {"_replies": self._replies, "_raters": {}, "_segmenters": {}}

    def method(
        self,
        settings: Settings,
        raters: Sequence[str] | None = None,
        *,
        image_seconds: float = IMAGE_SECONDS,
    ) -> Method:
        """The method of some settings; as `zeroiqa.pipeline.build_method`, of what is built already.

        Raises:
            UserError: a name is unknown, or a rater cannot rate under a standard.
        """
        options = replace(settings.model_options, replies=self._replies)
        wanted = settings.raters if raters is None else raters
        built = {name: self._rater(name, settings, options) for name in wanted}
        return assemble(settings, built, self._segmenter(settings), image_seconds=image_seconds)

    def release(self) -> bool:
        """Let go of all weights; whether there may have been any.

        What holds some and cannot let go is built again when it is next needed.
        """
        of_raters = _release(self._raters, lambda name: find_rater(name).needs_weights)
        return _release(self._segmenters, lambda name: find_segmenter(name).needs_weights) or of_raters

    def _rater(self, name: str, settings: Settings, options: ModelOptions) -> Rater:
        choices = (name, options, settings.readout == "digit")
        return _once(self._raters, choices, lambda: new_rater(name, settings, options))

    def _segmenter(self, settings: Settings) -> Segmenter | None:
        if not settings.makes_regions:
            return None
        choices = (settings.segmenter, settings.segmenter_options())
        return _once(self._segmenters, choices, lambda: new_segmenter(settings, self._replies))


@dataclass(frozen=True)
class Resolved:
    """Settings, and what their names stand for today: raters, segmenter, and the commits of their weights."""

    settings: Settings
    builder: Builder = field(default_factory=Builder, compare=False, repr=False)
    """Has built what they name; for all further work of the command."""

    @property
    def method(self) -> Method:
        """The method, put together of what is built.

        Raises:
            UserError: a name is unknown, or a rater cannot rate under a standard.
        """
        return self.builder.method(self.settings)

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """What of a run's id the settings decide; see `zeroiqa.runs.identity.method_identity`.

        Raises:
            UserError: as `method`; or weights are neither on this machine nor to be had.
        """
        check_describers(self.settings)
        return method_identity(self.settings, self.method)

    def going_on(self, there: Mapping[str, Any]) -> Resolved:
        """The same for a run that is there, by its record; see `zeroiqa.runs.identity.going_on`."""
        settings = going_on(self.settings, there)
        return self if settings == self.settings else replace(self, settings=settings)


def resolve(settings: Settings | Resolved) -> Resolved:
    """What settings stand for, to be found out when it is first needed; what is resolved stays as it is."""
    return settings if isinstance(settings, Resolved) else Resolved(settings)


def _once(built: _Built[T], choices: tuple[Any, ...], build: Callable[[], T]) -> T:
    if choices not in built:
        built[choices] = build()
    return built[choices]


def _release(built: _Built[T], needs_weights: Callable[[str], bool]) -> bool:
    found = False
    for choices, each in list(built.items()):
        if isinstance(each, Releasable):
            each.release()
        elif needs_weights(choices[0]):
            del built[choices]
        else:
            continue
        found = True
    return found
