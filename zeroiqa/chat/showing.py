"""Prompts that show several pictures: each picture is read and encoded once, for all prompts that show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch

from zeroiqa.chat.forward import Forward
from zeroiqa.chat.inputs import NotJoinableError, Preprocessor, PromptInputs, Shown
from zeroiqa.chat.paths import Paths

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

Join: TypeAlias = Callable[[Sequence[Any]], Any]
"""What the vision encoder gives for each of several pictures -> what it gives for all of them at once."""
_NOT_JOINED = "the features of two pictures are not made of those of each"


@dataclass(frozen=True)
class PairPaths:
    """How prompts of two pictures are computed; see `zeroiqa.chat.pair_check`."""

    paths: Paths
    join: Join | None = None
    """With `paths.features`."""
    alone: str = ""
    """A prompt of one picture, as sent: the one that each is encoded under, with `paths.features`."""
    why: Mapping[str, str] = field(default_factory=dict)
    """Name of a path -> why it is not, or not fully, in use."""


class Showing(NamedTuple):
    """What the prompts of a call show of a view, where that is not the view alone."""

    make: Callable[[Pixels], Sequence[Shown]]
    """All pictures, from the view; one that stands there twice is the same array."""
    shown: Sequence[tuple[int, ...]]
    """For each prompt the places of its pictures, in their order; none: it shows the view itself."""
    ways: Sequence[PairPaths | None]
    """For each prompt of several pictures, how it is computed."""


class PreparedPictures(NamedTuple):
    """The prompts of several pictures, of one view."""

    items: Mapping[int, PromptInputs]
    """Prompt -> its inputs; without pixels, where these are encoded apart."""
    alone: Mapping[int, PromptInputs]
    """Place of a picture -> its inputs under a prompt of its own; one object for one picture."""


def prepare_pictures(
    preprocessor: Preprocessor, pixels: Pixels, texts: Sequence[str], showing: Showing
) -> PreparedPictures:
    """Make the inputs of the prompts that show several pictures of a view.

    Raises:
        ImageError: a picture cannot be made or prepared.
    """
    pictures = showing.make(pixels)
    first = {place: _first_like(pictures, place) for place in range(len(pictures))}
    read = {place: preprocessor.read(pictures[place]) for place in set(first.values())}
    items: dict[int, PromptInputs] = {}
    alone: dict[int, PromptInputs] = {}
    for prompt, (shown, way) in enumerate(zip(showing.shown, showing.ways, strict=True)):
        if way is None:
            continue
        images = [read[first[place]] for place in shown]
        item = preprocessor.prepare_several(images, texts[prompt], pixels)
        if way.paths.features:
            for place in {first[place] for place in shown} - alone.keys():
                alone[place] = preprocessor.prepare_several([read[place]], way.alone, pixels)
            item = without_pixels(item)
        items[prompt] = item
    return PreparedPictures(items, {place: alone[first[place]] for place in first if first[place] in alone})


def without_pixels(item: PromptInputs) -> PromptInputs:
    """The inputs without the pictures, whose features are given in their place."""
    kept = {name: value for name, value in item.tensors.items() if not name.startswith("pixel_values")}
    return item._replace(tensors=kept)


class Encoder:
    """Encodes the pictures of one batch, each once."""

    def __init__(self, forward: Forward, rows: Sequence[PreparedPictures]) -> None:
        self._forward, self._rows = forward, rows
        self._features: dict[int, Any] = {}

    def logits(self, prompt: int, shown: Sequence[int], way: PairPaths) -> torch.Tensor:
        """Logits of the batch's rows under one prompt, float32, shape (rows, vocabulary)."""
        items = [row.items[prompt] for row in self._rows]
        if not way.paths.forward:
            return torch.cat([self._forward.reference(item) for item in items])
        if not way.paths.features:
            return self._forward.logits(items, way.paths)
        assert way.join is not None, "features are joined"
        parts = [self._encoded(row.alone[place]) for row in self._rows for place in shown]
        return self._forward.logits(items, way.paths, way.join(parts))

    def _encoded(self, item: PromptInputs) -> Any:
        if id(item) not in self._features:
            self._features[id(item)] = self._forward.features([item])
        return self._features[id(item)]


def learn_join(parts: Sequence[Any], whole: Any) -> Join:
    """How features of single pictures make those of all, told by the shapes of a trial.

    Args:
        parts: For each picture what the vision encoder gives for it alone.
        whole: What it gives for all of them, in the same order.

    Raises:
        NotJoinableError: there is no way.
    """
    if whole is None:
        return lambda parts: None
    if isinstance(whole, torch.Tensor):
        return _learn_axis(parts, whole)
    if isinstance(whole, Mapping):
        joins = {name: learn_join([part[name] for part in parts], value) for name, value in whole.items()}
        return lambda parts: type(whole)(
            **{name: join([part[name] for part in parts]) for name, join in joins.items()}
        )
    if isinstance(whole, list | tuple):
        counts = [len(part) for part in parts]
        if len(whole) == sum(counts):  # an entry for each picture
            return lambda parts: [each for part in parts for each in part]
        if set(counts) == {len(whole)}:  # an entry for each layer
            layers = [learn_join([part[at] for part in parts], value) for at, value in enumerate(whole)]
            return lambda parts: [join([part[at] for part in parts]) for at, join in enumerate(layers)]
    raise NotJoinableError(_NOT_JOINED)


def _learn_axis(parts: Sequence[torch.Tensor], whole: torch.Tensor) -> Join:
    for axis in range(whole.ndim):
        try:
            joined = torch.cat(list(parts), dim=axis)
        except RuntimeError:  # they differ along another axis
            continue
        if joined.shape == whole.shape:
            return partial(_along, axis)
    raise NotJoinableError(_NOT_JOINED)


def _along(axis: int, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(parts), dim=axis)


def _first_like(pictures: Sequence[Shown], place: int) -> int:
    own = pictures[place]
    return next(
        at
        for at, each in enumerate(pictures)
        if each.pixels is own.pixels and each.first_tiles == own.first_tiles
    )
