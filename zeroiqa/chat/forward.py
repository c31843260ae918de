"""One prefill, last position: the reference by `generate`, and the fast paths that are held against it.

A path is a way of computing the same numbers: several views in one batch, positions given or left to the
model, the vision encoder run once for several prompts, the tokens before the image run once for all views.
"""

from __future__ import annotations

import inspect
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import torch

from zeroiqa.chat.caching import Seen, check_used, see
from zeroiqa.chat.inputs import Collation, PromptInputs, Tensors, pad_left
from zeroiqa.weights.checks import transformers
from zeroiqa.weights.devices import is_device_gone

PrefixUse: TypeAlias = Literal["off", "equal", "any"]
_KEPT_PREFIXES = 8
LEAST_PREFIX = 8
"""Tokens; below that a cache costs more than it saves."""
_FEW = 8  # tokens that options are tried on
_LEAN: tuple[dict[str, Any], ...] = (
    {"use_cache": False, "logits_to_keep": 1},
    {"use_cache": False},
    {"logits_to_keep": 1},
    {},
)
"""Options of a pass that computes no more than is read, as many as a model may know."""
_INDIFFERENT = {"full_attention", "sliding_attention", "chunked_attention", "linear_attention", "conv"}
"""Kinds of layers that compute the same wherever a row begins: padding before it is masked."""


@dataclass(frozen=True)
class Paths:
    """Which paths are in use."""

    forward: bool = False
    """One forward pass instead of `generate`."""
    batch: bool = False
    """Several views in one pass."""
    positions: bool = False
    """Positions are given (left padding otherwise moves numbers in bfloat16) or left to the model."""
    features: bool = False
    """The vision encoder runs once for all prompts."""
    prefix: PrefixUse = "off"
    """The tokens before the image run once; "equal": only where all rows of a batch are of one length."""
    full_rows: bool = True
    """Beside a prefix, further inputs of one value per token cover the whole row or only what is new."""
    cache: str = ""
    """The model's argument for the keys and values of the prefix."""


class PrefixPlan(NamedTuple):
    """How a prefix might be shared."""

    most: PrefixUse
    """The most that may be tried: windows, blocks and recurrent states see padding behind a prefix."""
    arguments: tuple[str, ...]
    """Names by which the model may take the cache, the likeliest first."""


class Forward:
    """Runs a model on prepared views; holds no path to be right before it is checked."""

    def __init__(self, model: Any, collation: Collation | None, device: torch.device, pad: int) -> None:
        self.collation = collation
        self._model, self._device, self._pad = model, device, pad
        self._dtype: torch.dtype = model.dtype
        self._base = getattr(model, "base_model", model)
        self._lean: dict[str, Any] = {}
        self.last_only = False
        """Whether logits are computed at the last position only; see `learn_options`."""
        self._prefixes: OrderedDict[tuple[int, ...], Seen] = OrderedDict()

    @property
    def dtype(self) -> torch.dtype:
        """Of the activations."""
        return self._dtype

    @property
    def takes_positions(self) -> bool:
        """Whether positions of one axis may be given: never where the model makes its own of several axes."""
        return self._rope is None

    @property
    def takes_features(self) -> bool:
        """Whether the vision encoder can be run apart, so that its output may be given in place of pixels."""
        return hasattr(self._base, "get_image_features")

    @property
    def pads_freely(self) -> bool:
        """Whether rows of different lengths may share a batch.

        Not where attention goes by blocks, counted from the beginning of a row with its padding: which blocks
        are looked at differs only in rows so long that not all are, and the check's rows need not be.
        """
        kinds = getattr(self._model.config.get_text_config(), "layer_types", None) or ()
        return set(kinds) <= _INDIFFERENT

    @torch.inference_mode()
    def learn_options(self, item: PromptInputs) -> None:
        """Find out which options of a lean pass the model knows, on a few tokens of text.

        A model that raises whatever is tried needs more than text; then the options are left to the check of
        the paths.
        """
        ids = item.tensors["input_ids"][:, -_FEW:]
        tokens = self._to_device({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        for options in _LEAN:
            try:
                logits = self._model(**tokens, **options).logits
            except Exception as error:
                if is_device_gone(error):
                    raise
                continue
            self._lean, self.last_only = options, logits.shape[1] == 1
            return
        self._lean = _LEAN[0]

    @torch.inference_mode()
    def plan_prefix(self, item: PromptInputs, paths: Paths) -> PrefixPlan:
        """How the tokens before an image might be shared; they are computed once for it.

        Padding between them and the rest moves the positions of the rest, unless those are given.

        Raises:
            CacheError: the model gives no cache back.
            Exception: whatever the model raises.
        """
        seen = self._prefix(item, item.image_start)
        special = any(seen.cache.is_sliding) or any(seen.cache.is_linear)
        free = self.pads_freely and not special and (paths.positions or self._rope is not None)
        return PrefixPlan("any" if free else "equal", seen.arguments)

    @torch.inference_mode()
    def reference(self, item: PromptInputs) -> torch.Tensor:
        """Logits of the next token, float32, shape (1, vocabulary), by `generate` on one view."""
        with _silent("transformers.generation.utils"):  # the settings that it comments on are ours
            answer = self._model.generate(
                **self._to_device(item.tensors),
                generation_config=self._greedy(1, output_logits=True, return_dict_in_generate=True),
            )
        logits: torch.Tensor = answer.logits[0]
        return logits.float()

    @torch.inference_mode()
    def answer(self, item: PromptInputs, most_tokens: int) -> list[int]:
        """Token ids of the greedy answer, by `generate` on one view."""
        ids = self._model.generate(
            **self._to_device(item.tensors), generation_config=self._greedy(most_tokens)
        )
        apart = getattr(self._model.config, "is_encoder_decoder", False)  # from the prompt
        new: list[int] = ids[0, 0 if apart else item.length :].tolist()
        return new

    @torch.inference_mode()
    def features(self, items: Sequence[PromptInputs]) -> Any:
        """The vision encoder's output for a batch, in the form that the model takes it back."""
        inputs = self._join([item.tensors for item in items])
        function = self._base.get_image_features
        wanted = set(inspect.signature(function).parameters)
        given = {name: value for name, value in inputs.items() if name in wanted}
        return function(**self._to_device(given), return_dict=True)

    @torch.inference_mode()
    def logits(self, items: Sequence[PromptInputs], paths: Paths, features: Any = None) -> torch.Tensor:
        """Logits of the next token, float32, shape (views, vocabulary).

        Args:
            items: One batch.
            paths: How; `forward` has to be on.
            features: From `features` for the same views in the same order; None runs the vision encoder here.
        """
        shared = self._shared(items, paths)
        inputs: dict[str, Any] = (
            self._after_prefix(items, shared, paths) if shared else self.inputs(items, paths)
        )
        if features is not None:
            inputs = {name: value for name, value in inputs.items() if not name.startswith("pixel_values")}
            inputs["mm_encoder_outputs"] = {"image": features}
        logits: torch.Tensor = self._model(**{**self._lean, **inputs}).logits[:, -1].float()
        if shared:
            check_used(inputs[paths.cache], shared + inputs["input_ids"].shape[1], paths.cache)
        return logits

    @property
    def without_cache(self) -> dict[str, bool]:
        """The argument for a pass whose keys and values nobody needs; empty where the model knows none."""
        return {name: value for name, value in self._lean.items() if name == "use_cache"}

    def inputs(self, items: Sequence[PromptInputs], paths: Paths) -> Tensors:
        """Whole rows as the model's arguments, on its device, padded on the left.

        Raises:
            NotJoinableError: the views have no common batch.
        """
        inputs = self._to_device(self._join([item.tensors for item in items]))
        if paths.positions:
            inputs["position_ids"] = _counted(inputs["attention_mask"])
        return inputs

    def uses_prefix(self, items: Sequence[PromptInputs], paths: Paths) -> bool:
        """Whether a batch would run behind a shared prefix."""
        return self._shared(items, paths) > 0

    @property
    def _rope(self) -> Any:
        """The model's own rule for positions of several axes; None where positions are plain."""
        return getattr(self._base, "get_rope_index", None)

    def _shared(self, items: Sequence[PromptInputs], paths: Paths) -> int:
        """Length of the prefix that all items share and that is worth sharing; 0 for none."""
        if paths.prefix == "off" or (paths.prefix == "equal" and len({item.length for item in items}) > 1):
            return 0
        length = min(item.image_start for item in items)
        first = items[0].tensors["input_ids"][0, :length]
        for item in items[1:]:
            differing = (item.tensors["input_ids"][0, :length] != first).nonzero()
            length = min(length, int(differing[0]) if len(differing) else length)
        return length if length >= LEAST_PREFIX else 0

    def _after_prefix(self, items: Sequence[PromptInputs], shared: int, paths: Paths) -> dict[str, Any]:
        """Inputs for what follows the prefix: rows are laid out as [prefix][padding][rest]."""
        whole = self._to_device(self._join([item.tensors for item in items]))
        new = whole["input_ids"].shape[1] - shared
        rows = self._row_names()
        inputs: dict[str, Any] = {name: value for name, value in whole.items() if name not in rows}
        for name in rows & whole.keys():
            laid = torch.cat(
                [
                    torch.cat(
                        [tensor[:, :shared], pad_left(tensor[:, shared:], new, self._padding(name))], dim=1
                    )
                    for tensor in (item.tensors[name] for item in items)
                ]
            ).to(self._device)
            inputs[name] = laid if name == "attention_mask" or paths.full_rows else laid[:, -new:]
        inputs["input_ids"] = inputs["input_ids"][:, -new:]
        if self._rope is not None:
            inputs["position_ids"] = self._axes(whole)[..., -new:]
        elif paths.positions:
            inputs["position_ids"] = _counted(inputs["attention_mask"])[:, -new:]
        row = torch.zeros(len(items), dtype=torch.long, device=self._device)
        return {**inputs, paths.cache: self._prefix(items[0], shared).repeated(row), "use_cache": True}

    def _axes(self, inputs: Tensors) -> torch.Tensor:
        """Positions of several axes, for left-padded rows."""
        wanted = set(inspect.signature(self._rope).parameters)
        positions: torch.Tensor = self._rope(**{k: v for k, v in inputs.items() if k in wanted})[0]
        return positions

    def _prefix(self, item: PromptInputs, shared: int) -> Seen:
        """The first tokens, computed; the last few prefixes are kept."""
        key = tuple(item.ids[:shared])
        if key not in self._prefixes:
            rows = {name: item.tensors[name][:, :shared] for name in self._row_names() & item.tensors.keys()}
            keep = {name: value for name, value in self._lean.items() if name != "use_cache"}
            self._prefixes[key] = see(self._model, self._to_device(rows), **keep)
        self._prefixes.move_to_end(key)
        while len(self._prefixes) > _KEPT_PREFIXES:
            self._prefixes.popitem(last=False)
        return self._prefixes[key]

    def _greedy(self, most_tokens: int, **outputs: bool) -> Any:
        """Greedy decoding; the checkpoint's own settings (sampling, penalties) stay out."""
        own = self._model.generation_config
        return transformers().GenerationConfig(
            max_new_tokens=most_tokens,
            do_sample=False,
            pad_token_id=self._pad,
            eos_token_id=own.eos_token_id,
            bos_token_id=own.bos_token_id,
            **outputs,
        )

    def _row_names(self) -> set[str]:
        return set(self.collation.rows if self.collation else ("input_ids", "attention_mask"))

    def _padding(self, name: str) -> int:
        return self._pad if name == "input_ids" else 0

    def _join(self, items: Sequence[Tensors]) -> Tensors:
        if len(items) == 1:
            return dict(items[0])
        assert self.collation is not None, "batches need a collation"
        return self.collation.join(items)

    def _to_device(self, tensors: Tensors) -> Tensors:
        return {
            name: value.to(self._device, self._dtype if value.is_floating_point() else None)
            for name, value in tensors.items()
        }


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Nothing below an error from one logger."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _counted(mask: torch.Tensor) -> torch.Tensor:
    """Positions that padding does not move: 0 at the first real token of each row."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
