"""Batches under a budget of padded tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.chat.batching import ALIKE, BUSY, TokenBudget, make_batches, run_in_batches
from zeroiqa.errors import UserError

LENGTHS = st.lists(st.integers(1, 500), max_size=40)


def padded(batch, lengths):
    return len(batch) * max(lengths[item] for item in batch)


@given(LENGTHS, st.integers(1, 3000))
def test_every_item_is_in_exactly_one_batch(lengths, budget):
    batches = make_batches(lengths, budget)
    assert sorted(item for batch in batches for item in batch) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 3000))
def test_a_batch_of_several_stays_within_the_budget(lengths, budget):
    for batch in make_batches(lengths, budget):
        assert len(batch) == 1 or padded(batch, lengths) <= budget


@given(LENGTHS, st.integers(1, 3000))
def test_long_items_come_first_and_neighbours_in_length_share_a_batch(lengths, budget):
    order = [lengths[item] for batch in make_batches(lengths, budget) for item in batch]
    assert order == sorted(lengths, reverse=True)


@given(st.lists(st.tuples(st.integers(1, 500), st.sampled_from("abc")), max_size=40), st.integers(1, 3000))
def test_items_of_different_kinds_never_share_a_batch(items, budget):
    lengths, kinds = [length for length, _ in items], [kind for _, kind in items]
    batches = make_batches(lengths, budget, kinds)
    assert all(len({kinds[item] for item in batch}) == 1 for batch in batches)
    assert sorted(item for batch in batches for item in batch) == list(range(len(items)))


def test_items_of_one_kind_fill_batches_even_if_others_lie_between_in_length():
    assert make_batches([5, 4, 3, 2], 100, ["a", "b", "a", "b"]) == [[0, 2], [1, 3]]


def test_a_budget_that_nothing_fits_gives_batches_of_one():
    assert make_batches([30, 10, 20], 1) == [[0], [2], [1]]


def test_a_batch_that_keeps_the_device_busy_takes_no_much_shorter_item():
    lengths = [BUSY // 2, BUSY // 2, int(BUSY * ALIKE / 2) + 1, BUSY // 4]
    assert make_batches(lengths, 10 * BUSY) == [[0, 1, 2], [3]]


def test_a_batch_too_small_for_the_device_takes_shorter_items():
    assert make_batches([BUSY // 2, BUSY // 8, 1, 1], 10 * BUSY) == [[0, 1], [2, 3]]


def test_nothing_gives_no_batches():
    assert make_batches([], 100) == []
    assert run_in_batches([], TokenBudget(100), lambda batch: batch, is_memory) == []


def is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError)


class Machine:
    """Doubles lengths, and has room for so many padded tokens."""

    def __init__(self, lengths, room):
        self.lengths, self.room = lengths, room
        self.passes: list[int] = []

    def __call__(self, batch):
        size = padded(batch, self.lengths)
        self.passes.append(size)
        if size > self.room:
            raise MemoryError
        return [2 * self.lengths[item] for item in batch]


@given(LENGTHS, st.integers(500, 5000), st.integers(1, 20000))
def test_running_out_of_memory_changes_no_answer_and_no_order(lengths, room, budget):
    machine = Machine(lengths, room)
    assert run_in_batches(lengths, TokenBudget(budget), machine, is_memory) == [2 * n for n in lengths]


def test_the_budget_is_halved_until_batches_fit_and_stays_so():
    lengths, budget = [10] * 100, TokenBudget(1000)
    machine = Machine(lengths, 260)
    run_in_batches(lengths, budget, machine, is_memory)
    assert budget.tokens == 250
    assert machine.passes == [1000, 500, *[250] * 4]


def test_a_failed_batch_that_was_smaller_than_the_budget_is_halved_as_well():
    budget = TokenBudget(10**6)
    machine = Machine([10] * 4, 20)
    run_in_batches(machine.lengths, budget, machine, is_memory)
    assert budget.tokens == 20


def test_what_was_done_before_memory_ran_out_is_not_done_again():
    lengths = [100, 100, 10, 10]
    seen: list[int] = []

    def run(batch):
        if len(seen) == 2 and len(batch) > 1:
            raise MemoryError
        seen.extend(batch)
        return batch

    assert run_in_batches(lengths, TokenBudget(200), run, is_memory) == [0, 1, 2, 3]
    assert sorted(seen) == [0, 1, 2, 3]


def test_no_memory_for_one_item_is_one_sentence_with_a_way_out():
    with pytest.raises(
        UserError, match=r"not enough memory for even one view of 300 tokens; choose a smaller"
    ):
        run_in_batches([300], TokenBudget(1000), Machine([300], 299), is_memory)


def test_kinds_are_kept_apart_after_memory_ran_out_too():
    lengths, kinds = [10] * 6, list("aabbaa")

    def run(batch):
        assert len({kinds[item] for item in batch}) == 1
        if len(batch) > 2:
            raise MemoryError
        return batch

    assert run_in_batches(lengths, TokenBudget(100), run, is_memory, kinds) == list(range(6))


def test_other_errors_pass():
    def run(batch):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run_in_batches([1, 2], TokenBudget(100), run, is_memory)
