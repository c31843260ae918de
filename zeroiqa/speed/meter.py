"""Watches a model at work: how long its forward passes take and how many tokens go through them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from zeroiqa.chat.caching import find_cache
from zeroiqa.speed.flops import TokenCounts

if TYPE_CHECKING:
    import torch


class _Text(NamedTuple):
    """What the language model was given in one call."""

    rows: int
    new: int
    mask: Any
    cached: int
    starts: Any
    """(rows, tokens), 1 where a picture begins; None where there are none, or they are tokens of the text."""


class Meter:
    """Counts while it is entered; needs no cooperation of whoever calls the model.

    Only the outermost call is timed: the whole model, or its vision encoder where that is called alone. A GPU
    is waited for at both ends, so times are those of the device, and a rater under the meter may be slightly
    slower than one without.
    """

    def __init__(self, model: torch.nn.Module, patch: int = 1) -> None:
        """Watch a model.

        Args:
            model: Of the kind image-text-to-text.
            patch: Side of the vision encoder's patches in pixels, for models that are given whole pictures.
        """
        self.seconds = 0.0
        """Time within forward passes."""
        self._model = model
        self._patch = patch
        self._depth = 0
        self._start = 0.0
        self._handles: list[Any] = []
        self._grids: list[tuple[int, int]] = []
        self._texts: list[_Text] = []
        self._positions = 0

    def __enter__(self) -> Meter:
        model = self._model
        vision, head = _part(model, "get_encoder", "image"), _part(model, "get_output_embeddings")
        outer = [model, base] if (base := getattr(model, "base_model", model)) is not model else [model]
        for module in (*outer, *([vision] if vision is not None else [])):
            self._watch(module, self._enter, self._leave)
        for module in outer:
            self._watch(module, self._see_text)
        if vision is not None:
            self._watch(vision, self._see_pictures)
        if head is not None:
            self._watch(head, self._see_head)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._depth = 0

    def counts(self) -> list[TokenCounts]:
        """The token counts of everything seen so far; rows are grouped by the length of their prefix."""
        groups: dict[int, list[_TokenRow]] = {}
        for text in self._texts:
            for row in _rows(text):
                groups.setdefault(row.prefix, []).append(row)
        counts = []
        for prefix, rows in groups.items():
            starts = tuple(row.starts for row in rows) if any(row.starts for row in rows) else ()
            lengths = tuple(row.new for row in rows)
            counts.append(TokenCounts(lengths=lengths, prefix=prefix, starts=starts, positions=0))
        return [TokenCounts(grids=tuple(self._grids), positions=self._positions), *counts]

    def padding(self) -> float:
        """Share of padding among the tokens that the language model was given."""
        given = sum(text.rows * text.new for text in self._texts)
        real = sum(sum(counts.lengths) for counts in self.counts())
        return 1 - real / given if given else 0.0

    def _watch(
        self, module: torch.nn.Module, before: Callable[..., None], after: Callable[..., None] | None = None
    ) -> None:
        self._handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        if after is not None:
            self._handles.append(module.register_forward_hook(after, always_call=True))

    def _enter(self, *_: object) -> None:
        if self._depth == 0:
            self._wait()
            self._start = time.perf_counter()
        self._depth += 1

    def _leave(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._wait()
            self.seconds += time.perf_counter() - self._start

    def _wait(self) -> None:
        import torch

        device = next(self._model.parameters()).device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()

    def _see_text(self, _: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        if self._depth > 1:
            return
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            ids = kwargs["inputs_embeds"]
        (_, cache), mask = find_cache(kwargs), kwargs.get("attention_mask")
        cached = 0 if cache is None else int(cache.get_seq_length())
        shown = kwargs.get("pixel_values") is not None or kwargs.get("mm_encoder_outputs")
        starts = kwargs.get("image_starts") if shown else None
        self._texts.append(_Text(ids.shape[0], ids.shape[1], mask, cached, starts))

    def _see_pictures(self, _: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self._grids += _grids([*args, *kwargs.values()], self._patch)

    def _see_head(self, _: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        hidden = args[0] if args else next(iter(kwargs.values()))
        self._positions += hidden.shape[:-1].numel()


def _part(model: torch.nn.Module, method: str, *arguments: str) -> torch.nn.Module | None:
    """A part of the model by transformers' own look-up; None where it has none."""
    part: torch.nn.Module | None = getattr(model, method)(*arguments)
    return None if part is model or part is getattr(model, "base_model", model) else part


def _grids(values: Sequence[Any], patch: int) -> Iterator[tuple[int, int]]:
    """Rows and columns of patches of the pictures among a vision encoder's arguments.

    They are told by their shape: a table of integers of three columns (frames, rows, columns) or two (rows,
    columns), else pictures (count, channels, height, width).
    """
    tensors = [value for value in values if hasattr(value, "is_floating_point")]
    for table in tensors:
        if table.ndim == 2 and table.shape[1] in (2, 3) and not table.is_floating_point():
            for *frames, rows, columns in table.tolist():
                yield from [(rows, columns)] * (frames[0] if frames else 1)
            return
    for pictures in tensors:
        if pictures.ndim == 4 and pictures.is_floating_point():
            count, _, height, width = pictures.shape
            yield from [(height // patch, width // patch)] * count
            return


class _TokenRow(NamedTuple):
    """One row of a call, without its padding."""

    prefix: int
    new: int
    starts: tuple[int, ...]
    """At which of its tokens pictures begin."""


def _rows(text: _Text) -> Iterator[_TokenRow]:
    mask = text.mask if text.mask is not None and text.mask.ndim == 2 else None
    marks = None if text.starts is None else text.starts.cpu()
    for row in range(text.rows):
        real = None if mask is None else mask[row].cpu()
        before = text.cached if real is None else int(real[: -text.new].sum())
        new = text.new if real is None else int(real[-text.new :].sum())
        columns = [] if marks is None else marks[row].nonzero()[:, 0].tolist()
        yield _TokenRow(before, new, tuple(c if real is None else int(real[:c].sum()) for c in columns))
