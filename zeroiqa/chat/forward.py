"""One prefill, last position: the reference by `generate`, and the fast paths that are held against it."""

from __future__ import annotations

import inspect
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from zeroiqa.chat.caching import CacheError, Seen, check_used, copied, find_cache, see
from zeroiqa.chat.inputs import Collation, PromptInputs, Tensors, pad_left
from zeroiqa.chat.paths import Paths, PrefixPlan
from zeroiqa.chat.trunk import Fork, Trunk, find_forks
from zeroiqa.weights.checks import transformers
from zeroiqa.weights.devices import is_device_gone

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
        tokens = self._few(item)
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
    def cache_names(self, item: PromptInputs) -> tuple[str, ...]:
        """Names by which the model may take a cache, by what it gives back for a few tokens of text.

        Raises:
            CacheError: the model gives no cache back.
            Exception: whatever the model raises.
        """
        return see(self._model, self._few(item), **self._keeping).arguments

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
        output, _, _ = self._run(items, paths, features)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    @torch.inference_mode()
    def logits_of_fork(
        self, rows: Sequence[Sequence[PromptInputs]], fork: Fork, paths: Paths, features: Any = None
    ) -> Iterator[torch.Tensor]:
        """For each prompt of a fork what `logits` gives, by one pass over what they begin with.

        Args:
            rows: [view][prompt], one batch.
            fork: From `forks`.
            paths: How; with `trunk`.
            features: As in `logits`.

        Raises:
            CacheError: the model gives no cache, or does not use the one that it is given.
        """
        first, *_, last = fork.prompts
        trunk = self._trunk([row[first] for row in rows], fork.ends, paths, features)
        for prompt in fork.prompts:
            own = trunk if prompt == last else trunk._replace(cache=copied(trunk.cache))
            yield self._branch(own, [row[prompt] for row in rows], fork.ends, paths, features)

    def forks(self, rows: Sequence[Sequence[PromptInputs]]) -> list[Fork]:
        """The prompts of a batch that could share a pass; [view][prompt]."""
        return find_forks(rows, self._row_names())

    @property
    def without_cache(self) -> dict[str, bool]:
        """The argument for a pass whose keys and values nobody needs; empty where the model knows none."""
        return {name: value for name, value in self._lean.items() if name == "use_cache"}

    def inputs(self, items: Sequence[PromptInputs], paths: Paths) -> Tensors:
        """Whole rows as the model's arguments, on its device, padded on the left.

        Raises:
            NotJoinableError: the views have no common batch.
        """
        return self._inputs(items, paths, pixels=True)

    def _inputs(self, items: Sequence[PromptInputs], paths: Paths, *, pixels: bool) -> Tensors:
        """The same; without the pixels where something stands for them."""
        tensors = [
            {
                name: value
                for name, value in item.tensors.items()
                if pixels or not name.startswith("pixel_values")
            }
            for item in items
        ]
        inputs = self._to_device(self._join(tensors))
        if paths.positions:
            inputs["position_ids"] = _counted(inputs["attention_mask"])
        return inputs

    def uses_prefix(self, items: Sequence[PromptInputs], paths: Paths) -> bool:
        """Whether a batch would run behind a shared prefix."""
        return self._shared(items, paths) > 0

    @property
    def _keeping(self) -> dict[str, Any]:
        """Options of a lean pass whose keys and values are kept."""
        return {name: value for name, value in self._lean.items() if name != "use_cache"}

    def _few(self, item: PromptInputs) -> Tensors:
        """A few tokens of text, as a model's inputs."""
        ids = item.tensors["input_ids"][:, -_FEW:]
        return self._to_device({"input_ids": ids, "attention_mask": torch.ones_like(ids)})

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
            differing = (item.tensors["input_ids"][0, :length] != first[:length]).nonzero()
            length = min(length, int(differing[0]) if len(differing) else length)
        return length if length >= LEAST_PREFIX else 0

    def _run(
        self, items: Sequence[PromptInputs], paths: Paths, features: Any, **options: bool
    ) -> tuple[Any, Any, Tensors]:
        """A pass over whole rows, behind a shared prefix where there is one: output, its cache, the rows."""
        shared = self._shared(items, paths)
        whole = self._inputs(items, paths, pixels=features is None)
        rows = self._lay(items, shared) if shared else self._of_rows(whole)
        inputs: dict[str, Any] = {**whole, **_as_input(features), **options}
        if shared:
            row = torch.zeros(len(items), dtype=torch.long, device=self._device)
            cache = self._prefix(items[0], shared).repeated(row)
            inputs |= self._behind(rows, whole, shared, paths, cache)
        output = self._model(**{**self._lean, **inputs})
        if shared:
            check_used(inputs[paths.cache], shared + inputs["input_ids"].shape[1], paths.cache)
        return output, inputs.get(paths.cache), rows

    def _trunk(
        self, items: Sequence[PromptInputs], ends: Sequence[int], paths: Paths, features: Any
    ) -> Trunk:
        """What the views' prompts begin with, computed."""
        begun = [self._cut(item, slice(end)) for item, end in zip(items, ends, strict=True)]
        output, given, rows = self._run(begun, paths, features, use_cache=True)
        cache = find_cache(output)[1] if given is None else given
        if cache is None:
            raise CacheError("the model gives no cache back")
        return Trunk(cache, rows)

    def _branch(
        self, trunk: Trunk, items: Sequence[PromptInputs], ends: Sequence[int], paths: Paths, features: Any
    ) -> torch.Tensor:
        """Logits behind a trunk, whose cache is filled up."""
        tails = self._lay(
            [self._cut(item, slice(end, None)) for item, end in zip(items, ends, strict=True)], 0
        )
        rows = {name: torch.cat([trunk.rows[name], tail], dim=1) for name, tail in tails.items()}
        looks = paths.trunk == "picture"
        whole = self._inputs(items, paths, pixels=looks and features is None)
        inputs = self._behind(rows, whole, trunk.rows["input_ids"].shape[1], paths, trunk.cache)
        if looks:
            inputs = {**whole, **_as_input(features), **inputs}
        logits: torch.Tensor = self._model(**{**self._lean, **inputs}).logits[:, -1].float()
        check_used(inputs[paths.cache], rows["input_ids"].shape[1], paths.cache)
        return logits

    def _behind(self, rows: Tensors, whole: Tensors, cached: int, paths: Paths, cache: Any) -> dict[str, Any]:
        """Inputs for what follows cached tokens.

        Args:
            rows: Inputs with one value per token, cached ones included, as they are laid out.
            whole: All inputs of the same prompts, padded on the left.
            cached: Tokens and padding of each row that are in the cache.
            paths: How.
            cache: Whose keys and values are filled up.
        """
        new = rows["input_ids"].shape[1] - cached
        inputs: dict[str, Any] = {
            name: laid if name == "attention_mask" or paths.full_rows else laid[:, -new:]
            for name, laid in rows.items()
        }
        inputs["input_ids"] = rows["input_ids"][:, -new:]
        if self._rope is not None:
            inputs["position_ids"] = self._axes(whole)[..., -new:]
        elif paths.positions:
            inputs["position_ids"] = _counted(rows["attention_mask"])[:, -new:]
        return {**inputs, paths.cache: cache, "use_cache": True}

    def _lay(self, items: Sequence[PromptInputs], shared: int) -> Tensors:
        """Inputs with one value per token, as rows of [shared][padding][rest]."""
        longest = max(item.length for item in items) - shared
        laid = {}
        for name in self._of_rows(items[0].tensors):
            padding = self._pad if name == "input_ids" else 0
            parts = [item.tensors[name] for item in items]
            rests = [pad_left(part[:, shared:], longest, padding) for part in parts]
            begun = [part[:, :shared] for part in parts]
            laid[name] = torch.cat([torch.cat(begun), torch.cat(rests)], dim=1)
        return self._to_device(laid)

    def _cut(self, item: PromptInputs, tokens: slice) -> PromptInputs:
        """The same view under a part of its prompt."""
        rows = {name: value[:, tokens] for name, value in self._of_rows(item.tensors).items()}
        return item._replace(tensors={**item.tensors, **rows})

    def _of_rows(self, tensors: Tensors) -> Tensors:
        """Those with one value per token."""
        return {name: tensors[name] for name in self._row_names() & tensors.keys()}

    def _axes(self, inputs: Tensors) -> torch.Tensor:
        """Positions of several axes, for left-padded rows."""
        wanted = set(inspect.signature(self._rope).parameters)
        positions: torch.Tensor = self._rope(**{k: v for k, v in inputs.items() if k in wanted})[0]
        return positions

    def _prefix(self, item: PromptInputs, shared: int) -> Seen:
        """The first tokens, computed; the last few prefixes are kept."""
        key = tuple(item.ids[:shared])
        if key not in self._prefixes:
            rows = self._of_rows(self._cut(item, slice(shared)).tensors)
            self._prefixes[key] = see(self._model, self._to_device(rows), **self._keeping)
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


def _as_input(features: Any) -> dict[str, Any]:
    """How a model takes the vision encoder's output."""
    return {} if features is None else {"mm_encoder_outputs": {"image": features}}


def _counted(mask: torch.Tensor) -> torch.Tensor:
    """Positions that padding does not move: 0 at the first real token of each row."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
