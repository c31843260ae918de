"""Batches under a budget of padded tokens, and what happens when memory runs out: pure logic, no torch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from zeroiqa.errors import UserError

AnswerT = TypeVar("AnswerT")

BUSY = 2048
"""Tokens that keep any device busy: a batch that has them takes only items that add little padding."""
ALIKE = 0.9
"""Least length of such an item, as a share of the batch's longest."""


@dataclass
class TokenBudget:
    """How many tokens, padding included, go through the model at once. It only ever shrinks."""

    tokens: int

    def shrink(self, failed: int) -> None:
        """Allow half of what has just failed for want of memory.

        Args:
            failed: Padded tokens of the batch that did not fit.
        """
        self.tokens = max(1, min(self.tokens, failed) // 2)


def make_batches(
    lengths: Sequence[int], budget: int, kinds: Sequence[Hashable] | None = None
) -> list[list[int]]:
    """Put items of similar length together.

    Padding is work for nothing: of the views of mixed photos it would be a fifth of all tokens, were batches
    as large as memory allows. A batch that keeps the device busy therefore ends where lengths fall off.

    Args:
        lengths: Tokens of each item; a batch is padded to its longest one.
        budget: Padded tokens of a batch; an item that is longer than that is a batch of its own.
        kinds: Only items of one kind share a batch; None where all may.

    Returns:
        The batches, each a list of positions in `lengths`; long items first: what does not fit fails early.
    """
    order = sorted(range(len(lengths)), key=lambda item: (-lengths[item], item))
    if kinds is not None:  # items of a kind next to each other, the kinds in the order of their longest item
        first = {kind: place for place, kind in reversed([(p, kinds[item]) for p, item in enumerate(order)])}
        order.sort(key=lambda item: first[kinds[item]])
    batches: list[list[int]] = []
    for item in order:
        if batches and _fits(item, batches[-1], lengths, budget, kinds):
            batches[-1].append(item)
        else:
            batches.append([item])
    return batches


def run_in_batches(
    lengths: Sequence[int],
    budget: TokenBudget,
    run: Callable[[list[int]], Sequence[AnswerT]],
    ran_out: Callable[[BaseException], bool],
    kinds: Sequence[Hashable] | None = None,
) -> list[AnswerT]:
    """Run every item once, in batches that fit; after running out of memory go on with smaller ones.

    Args:
        lengths: Tokens of each item.
        budget: Shrinks where it turns out to be too large, and stays so.
        run: Takes positions in `lengths` and returns one answer for each.
        ran_out: Whether an error means that memory ran out; it also frees what it can.
        kinds: As in `make_batches`.

    Returns:
        The answers in the order of `lengths`; they do not depend on the batches if those of `run` do not.

    Raises:
        UserError: there is no memory for a batch of one.
    """
    answers: dict[int, AnswerT] = {}
    waiting = make_batches(lengths, budget.tokens, kinds)
    while waiting:
        batch = waiting[0]
        found = _attempt(batch, run, ran_out)
        if found is not None:
            answers.update(zip(batch, found, strict=True))
            waiting.pop(0)
            continue
        if len(batch) == 1:
            raise UserError(
                f"There is not enough memory for even one view of {lengths[batch[0]]} tokens; choose a "
                "smaller model, 8-bit weights (--load-in-8bit) or another device (--device)."
            )
        budget.shrink(len(batch) * max(lengths[item] for item in batch))
        waiting = _again(waiting, lengths, budget.tokens, kinds)
    return [answers[item] for item in range(len(lengths))]


def _again(
    waiting: list[list[int]], lengths: Sequence[int], budget: int, kinds: Sequence[Hashable] | None
) -> list[list[int]]:
    """The items that are left, in batches under another budget."""
    rest = [item for batch in waiting for item in batch]
    kinds = None if kinds is None else [kinds[item] for item in rest]
    batches = make_batches([lengths[item] for item in rest], budget, kinds)
    return [[rest[place] for place in batch] for batch in batches]


def _attempt(
    batch: list[int],
    run: Callable[[list[int]], Sequence[AnswerT]],
    ran_out: Callable[[BaseException], bool],
) -> Sequence[AnswerT] | None:
    """The answers, or None where memory ran out; the failed pass's tensors die with the exception here."""
    try:
        return run(batch)
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        return None


def _fits(
    item: int,
    batch: list[int],
    lengths: Sequence[int],
    budget: int,
    kinds: Sequence[Hashable] | None,
) -> bool:
    longest = lengths[batch[0]]  # items come in falling order
    if kinds is not None and kinds[item] != kinds[batch[0]]:
        return False
    if longest * len(batch) >= BUSY and lengths[item] < ALIKE * longest:
        return False
    return longest * (len(batch) + 1) <= budget
