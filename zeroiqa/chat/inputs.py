"""From a view and a prompt to a model's inputs, and from the inputs of several views to one batch."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import torch
from PIL import Image as PilImage

from zeroiqa.errors import ImageError, UserError, one_line

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

Tensors: TypeAlias = dict[str, torch.Tensor]

_LOG = logging.getLogger(__name__)
_LEAST_SIDE = 28  # pixels; what backends that refuse small pictures want at most
_LONGEST_RATIO = 100
_BEGINNING = 64  # characters that tell what the tokenizer puts around a text
_LESS_NARROW = (100, 30, 10, 3)  # ratios to try where the model itself refuses a view


class NotJoinableError(ValueError):
    """Views whose inputs have no common batch; each is run alone."""


class Shown(NamedTuple):
    """A picture of a prompt that shows several."""

    pixels: Pixels
    first_tiles: bool = False
    """Whether only its first two tiles are seen: see `MplugOwl3Processor.cut_picture`."""


class PromptInputs(NamedTuple):
    """One view under one prompt."""

    tensors: Tensors
    """Every output of the processor, a batch of one."""
    image_start: int
    """Tokens before anything that stands for the image: the same for every view under the prompt."""
    text_behind: int = 0
    """Tokens behind everything that stands for the image, at least."""

    @property
    def length(self) -> int:
        """Tokens of the prompt, those of the image included."""
        return int(self.tensors["input_ids"].shape[1])

    @property
    def ids(self) -> list[int]:
        """Token ids."""
        ids: list[int] = self.tensors["input_ids"][0].tolist()
        return ids


@dataclass(frozen=True)
class Preprocessor:
    """A processor, called one view at a time."""

    processor: Any
    """The family's processor; its tokenizer pads on the left."""
    model: str
    """Named in errors."""
    image_tokens: frozenset[int] = frozenset()
    """Ids of the tokens that stand for an image, from `find_image_tokens`."""
    least_side: int = 1
    """In pixels; smaller views are enlarged, as the model cannot rate them otherwise."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text in which nothing stands for an image yet."""
        ids: list[int] = self.processor.tokenizer(text, **self._specials(text))["input_ids"]
        return ids

    def prepare(self, pixels: Pixels, text: str) -> PromptInputs:
        """Make the inputs of one view.

        A view that is too small for the model is enlarged (pixels repeated). One that the processor refuses
        for its shape is enlarged to sides of at least 28 pixels and at most 1 : 100, and tried again.

        Raises:
            ImageError: it is refused even then.
        """
        if min(pixels.shape[:2]) < self.least_side:
            pixels = enlarged(pixels, self.least_side)
        try:
            return self._prepare([PilImage.fromarray(pixels)], text)
        except Exception as first:
            larger = enlarged(pixels, max(_LEAST_SIDE, self.least_side))
            if larger is pixels:
                raise self.refusal(pixels, first) from first
        _LOG.info("A view of %d x %d pixels is enlarged for %s.", *pixels.shape[1::-1], self.model)
        try:
            return self._prepare([PilImage.fromarray(larger)], text)
        except Exception as second:
            raise self.refusal(pixels, second) from second

    def read(self, picture: Shown) -> Any:
        """A picture in the form that the processor takes; one that cuts pictures cuts it here, once.

        Raises:
            ImageError: the processor does not take it.
        """
        pixels = picture.pixels
        if min(pixels.shape[:2]) < self.least_side:
            pixels = enlarged(pixels, self.least_side)
        image, cut = PilImage.fromarray(pixels), getattr(self.processor, "cut_picture", None)
        if cut is None:
            return image
        try:
            return cut(image, first_tiles=picture.first_tiles)
        except Exception as error:
            raise self.refusal(pixels, error) from error

    def prepare_several(self, images: Sequence[Any], text: str, pixels: Pixels) -> PromptInputs:
        """Make the inputs of a prompt that shows several pictures, or one that is read already.

        Args:
            images: From `read`.
            text: With as many placeholders.
            pixels: Named in the error.

        Raises:
            ImageError: the processor refuses them.
        """
        try:
            return self._prepare(images, text)
        except Exception as error:
            raise self.refusal(pixels, error) from error

    def batch(self, pixels: Sequence[Pixels], texts: Sequence[str]) -> Tensors:
        """What the processor itself makes of several views at once: the reference for `Collation`."""
        return self._process([[PilImage.fromarray(picture)] for picture in pixels], texts)

    def _process(self, images: Sequence[Sequence[Any]], texts: Sequence[str]) -> Tensors:
        outputs = self.processor(
            text=list(texts),
            images=[*map(list, images)],
            padding=True,
            return_tensors="pt",
            **self._specials(texts[0]),
        )
        return {name: value for name, value in outputs.items() if isinstance(value, torch.Tensor)}

    def _prepare(self, images: Sequence[Any], text: str) -> PromptInputs:
        tensors = self._process([images], [text])
        ids = tensors["input_ids"][0].tolist()
        plain = self.encode(text)
        start = _like_plain(ids, plain, self.image_tokens)
        behind = _like_plain(ids[::-1], plain[::-1], self.image_tokens)
        if "image_starts" in tensors:  # what stands for an image is text there, and tells nothing
            starts = tensors["image_starts"][0]
            start = min(start, int(starts.argmax()))
            behind = min(behind, int(starts.flip(0).argmax()))
        return PromptInputs(tensors, start, behind)

    def find_image_tokens(self, prepared: PromptInputs, text: str) -> frozenset[int]:
        """Ids of the special tokens that the processor put more often than they stand in the text."""
        expanded, plain = Counter(prepared.ids), Counter(self.encode(text))
        added = self.processor.tokenizer.added_tokens_decoder
        return frozenset(
            token for token, count in expanded.items() if count != plain[token] and token in added
        )

    def _specials(self, text: str) -> dict[str, bool]:
        """A template that begins with the start token has put it there itself.

        Told by the ids: a start token may have another name, or none, and an end token has no place before an
        answer.
        """
        beginning = text[:_BEGINNING]
        tokenizer = self.processor.tokenizer
        usual, bare = (tokenizer(beginning, add_special_tokens=add)["input_ids"] for add in (True, False))
        return {"add_special_tokens": False} if usual != bare and usual[:1] == bare[:1] else {}

    def refusal(self, pixels: Pixels, error: Exception) -> ImageError:
        """The sentence for a view that cannot be rated."""
        height, width = pixels.shape[:2]
        reason = one_line(error, kind=True)
        return ImageError(
            f"A view of {width} x {height} pixels cannot be rated by {self.model} ({reason}); leave the "
            "image out or use another model."
        )


def less_narrow(pixels: Pixels) -> Iterator[Pixels]:
    """A view enlarged along its short side, more and more; nothing for one that is not narrow.

    Some models have no place for a view that shrinks to one patch by many, and fail only when they run.
    """
    for ratio in _LESS_NARROW:
        larger = enlarged(pixels, 1, ratio)
        if larger is not pixels:
            yield larger


def enlarged(pixels: Pixels, least_side: int, longest_ratio: int = _LONGEST_RATIO) -> Pixels:
    """Repeat rows and columns until both sides have the least length and none is too many times the other.

    Returns:
        The very same array where nothing has to be done.
    """
    height, width = pixels.shape[:2]
    least = max(least_side, -(-max(height, width) // longest_ratio))
    rows, columns = -(-least // height), -(-least // width)
    if rows <= 1 and columns <= 1:
        return pixels
    return np.ascontiguousarray(pixels.repeat(max(rows, 1), axis=0).repeat(max(columns, 1), axis=1))


def _like_plain(ids: Sequence[int], plain: Sequence[int], image_tokens: frozenset[int]) -> int:
    """How many tokens come before the image: as long as the expanded prompt is like the plain one."""
    like = 0
    for token, same in zip(ids, plain, strict=False):
        if token != same or token in image_tokens:
            break
        like += 1
    return like


@dataclass(frozen=True)
class Collation:
    """How the inputs of single views become those of a batch, learned from the processor's own batches."""

    rules: Mapping[str, tuple[str, ...]]
    """Name of an input -> the ways of joining that agree with the processor; the first possible is used."""
    pad: int
    """Token id of padding."""

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the inputs with one value per token."""
        return tuple(name for name, rules in self.rules.items() if "row" in rules)

    def join(self, items: Sequence[Tensors]) -> Tensors:
        """One batch, padded on the left.

        Raises:
            NotJoinableError: no way that was learned fits.
        """
        if len(items) == 1:
            return dict(items[0])
        return {name: self._join(name, [item[name] for item in items]) for name in items[0]}

    def _join(self, name: str, parts: list[torch.Tensor]) -> torch.Tensor:
        for rule in self.rules[name]:
            joined = _JOINS[rule](parts, self.pad if name == "input_ids" else 0)
            if joined is not None:
                return joined
        raise NotJoinableError(f"views of different shapes have no common batch of {name}")


def learn_collation(singles: Sequence[PromptInputs], batch: Tensors, pad: int) -> Collation | None:
    """Find for every input the ways of joining that make the processor's batch out of the single views.

    Args:
        singles: Views of different size under prompts of different length.
        batch: What the processor makes of them together.
        pad: Token id of padding.

    Returns:
        None where some input's batch cannot be made from single views.
    """
    rules = {}
    for name, whole in batch.items():
        parts = [single.tensors[name] for single in singles]
        is_row = all(
            part.ndim > 1 and part.shape[1] == single.length
            for part, single in zip(parts, singles, strict=True)
        )
        fitting = tuple(
            rule
            for rule, join in _JOINS.items()
            if (rule != "row" or is_row) and _same(join(parts, pad if name == "input_ids" else 0), whole)
        )
        if not fitting:
            return None
        rules[name] = ("row",) if "row" in fitting else fitting
    return Collation(rules, pad)


def _same(joined: torch.Tensor | None, whole: torch.Tensor) -> bool:
    return joined is not None and joined.shape == whole.shape and bool(torch.equal(joined, whole))


def _row(parts: Sequence[torch.Tensor], pad: int) -> torch.Tensor | None:
    """Padded on the left to the longest."""
    longest = max(part.shape[1] for part in parts)
    return torch.cat([pad_left(part, longest, pad) for part in parts])


def pad_left(part: torch.Tensor, length: int, value: int) -> torch.Tensor:
    """Put `value` before the second axis until it has the length."""
    shape = list(part.shape)
    shape[1] = length - shape[1]
    return torch.cat([part.new_full(shape, value), part], dim=1)


def _cat(axis: int, parts: Sequence[torch.Tensor]) -> torch.Tensor | None:
    shapes = {(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts}
    return torch.cat(list(parts), dim=axis) if len(shapes) == 1 and parts[0].ndim > axis else None


def _padded(parts: Sequence[torch.Tensor], pad: int) -> torch.Tensor | None:
    """Zeros after every axis but the first, up to the largest."""
    if len({part.ndim for part in parts}) > 1:
        return None
    sizes = [max(sizes) for sizes in zip(*(part.shape for part in parts), strict=True)][1:]
    padded = []
    for part in parts:
        room = part.new_zeros((part.shape[0], *sizes))
        room[tuple(slice(size) for size in part.shape)] = part
        padded.append(room)
    return torch.cat(padded)


_JOINS = {
    "row": _row,
    "rows below each other": lambda parts, pad: _cat(0, parts),
    "second axis": lambda parts, pad: _cat(1, parts),
    "third axis": lambda parts, pad: _cat(2, parts),
    "fourth axis": lambda parts, pad: _cat(3, parts),
    "padded": _padded,
}


def check_reads_images(preprocessor: Preprocessor, prepared: PromptInputs) -> None:
    """Refuse a model whose inputs hold no picture.

    Raises:
        UserError: the processor makes nothing but tokens of a view.
    """
    if not any(tensor.is_floating_point() for tensor in prepared.tensors.values()):
        raise UserError(
            f"{preprocessor.model} reads no images (its processor gave {', '.join(prepared.tensors)}); "
            "choose a vision-language model."
        )
