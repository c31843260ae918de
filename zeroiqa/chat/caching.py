"""How a model is handed the keys and values of earlier tokens, whatever its argument for them is called.

transformers calls it `past_key_values` up to 5.23 and `cache` from 5.24 on, and a model that takes any
keyword ignores a wrong one without a word. So no name is looked up in a signature: a model takes its cache by
the name under which it gives it back, and it has used a cache if the cache has grown.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroiqa.chat.inputs import Tensors

_USUAL = ("cache", "past_key_values")
"""Names to try where a model, mostly one with code of its own, gives its cache back under another name."""


class CacheError(RuntimeError):
    """A model gives no cache, or does not use the one that it is given; says which, in a phrase."""


@dataclass(frozen=True)
class Seen:
    """Tokens that a model has seen."""

    cache: Any
    """Their keys and values, in one row."""
    arguments: tuple[str, ...]
    """Names by which the model may take it back, the likeliest first."""

    @property
    def length(self) -> int:
        """Tokens."""
        return int(self.cache.get_seq_length())

    def repeated(self, rows: Any) -> Any:
        """A copy of the cache for rows that all begin with these tokens.

        Args:
            rows: A tensor of as many zeros on the device of the model.
        """
        cache = copied(self.cache)
        cache.reorder_cache(rows)
        return cache


def copied(cache: Any) -> Any:
    """The same keys, values and states once more: a pass behind them changes them in place."""
    return copy.deepcopy(cache)


def see(model: Any, tokens: Tensors, **options: Any) -> Seen:
    """Let a model compute tokens and keep what it knows of them.

    Args:
        model: Of the kind image-text-to-text, or a language model.
        tokens: Its inputs, `input_ids` (1, tokens) among them.
        options: Further arguments.

    Raises:
        CacheError: it gives no cache back, or one of other tokens.
    """
    name, cache = find_cache(model(**tokens, **options, use_cache=True))
    if cache is None:
        raise CacheError("the model gives no cache back")
    seen = Seen(cache, tuple(dict.fromkeys((name, *_USUAL))))
    wanted = tokens["input_ids"].shape[1]
    if seen.length != wanted:
        raise CacheError(f"the model gives back a cache of {seen.length} tokens for {wanted}")
    return seen


def find_cache(named: Mapping[str, Any]) -> tuple[str, Any]:
    """The cache among a model's arguments or outputs, and its name; ("", None) where there is none.

    A cache is known by what it can do: it tells how many tokens it holds.
    """
    return next(
        ((name, value) for name, value in named.items() if hasattr(value, "get_seq_length")), ("", None)
    )


def check_used(cache: Any, tokens: int, name: str) -> None:
    """See that a model has added to a cache what it was to compute behind it.

    Args:
        cache: As it is after the pass.
        tokens: That it has to hold now.
        name: Under which the model was given it.

    Raises:
        CacheError: the model has ignored it.
    """
    if cache.get_seq_length() != tokens:
        raise CacheError(f"the model ignores the cache that it is given as {name!r}")
