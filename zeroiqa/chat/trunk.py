"""What the prompts of a view begin with alike: such prompts share one pass over it, the picture included.

The tokens of a picture are most of a prompt. Under ten questions about it they are computed once, as a trunk,
and the ten ends behind them are its branches.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from zeroiqa.chat.inputs import PromptInputs, Tensors

_LEAST_BRANCH = 8
"""Tokens; ends of one or two tokens would go ways in a model that nobody has checked."""


@dataclass(frozen=True)
class Fork:
    """Prompts that part at one place of each view."""

    prompts: tuple[int, ...]
    """Which of them, at least two."""
    ends: tuple[int, ...]
    """Tokens of each view's prompts that are alike; behind them comes text, equally long for all views."""


class Trunk(NamedTuple):
    """The beginning of several prompts, computed for a batch of views."""

    cache: Any
    """What the model knows of it; a branch fills it up."""
    rows: Tensors
    """Inputs with one value per token, as they were laid out: (views, padding and tokens)."""


def find_forks(rows: Sequence[Sequence[PromptInputs]], per_token: Collection[str]) -> list[Fork]:
    """Prompts that can share a pass.

    Args:
        rows: [view][prompt], one batch.
        per_token: Names of the inputs with one value per token; all others are of the picture.

    Returns:
        Disjoint groups of prompts; of a prompt that is in none, nothing worth sharing is like another's.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for prompt, item in enumerate(rows[0]):
        picture = tuple(id(value) for name, value in item.tensors.items() if name not in per_token)
        groups.setdefault((*item.ids[: item.image_start], picture), []).append(prompt)
    forks = []
    for prompts in groups.values():
        ends = [_end([row[prompt] for prompt in prompts]) for row in rows]
        if len(prompts) > 1 and all(_is_text([row[prompt] for row in rows], ends) for prompt in prompts):
            forks.append(Fork(tuple(prompts), tuple(ends)))
    return forks


def _end(items: Sequence[PromptInputs]) -> int:
    """How many tokens the prompts of a view begin with alike, with enough left for a branch of each."""
    ids = [item.ids for item in items]
    alike = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*ids, strict=False)))
    return min(alike, min(map(len, ids)) - _LEAST_BRANCH)


def _is_text(items: Sequence[PromptInputs], ends: Sequence[int]) -> bool:
    """Whether all that follows the ends is text, of one length."""
    behind = [item.length - end for item, end in zip(items, ends, strict=True)]
    return len(set(behind)) == 1 and all(
        new <= item.text_behind for item, new in zip(items, behind, strict=True)
    )
