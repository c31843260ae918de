"""Prompts of one view share a pass over it: how often it is computed, and that no number depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

from tests.test_chat import CPU, VIEWS  # noqa: E402
from zeroiqa.chat.inputs import PromptInputs  # noqa: E402
from zeroiqa.chat.trunk import Fork, find_forks  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.standards import load_standard  # noqa: E402

WITHOUT_SYSTEM = list(
    map(load_standard, ("q-realign", "q-realign-aesthetics", "q-align", "q-bench", "sep-iqa", "sep-iaa"))
)
"""Six questions about one picture, with nothing before it."""
EXACT = 1e-4


@contextmanager
def passes(rater: ChatRater) -> Iterator[list[tuple[int, int]]]:
    """Rows and new tokens of each pass of a model."""
    seen: list[tuple[int, int]] = []

    def note(_: object, __: object, inputs: dict[str, Any]) -> None:
        seen.append(tuple(inputs["input_ids"].shape))

    hook = rater.loaded.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


@pytest.mark.parametrize(
    ("family", "first"),
    [("qwen3_5", 0), ("qwen2_5_vl", 0), ("gemma3", 0), ("mplug_owl3_241101", 4)],  # whose words are no tokens
)
def test_six_questions_are_one_prefill_and_six_ends(
    family: str, first: int, tiny: Callable[[str], Path]
) -> None:
    """Recurrent states, positions of three axes, windows, cross-attention; views of different lengths."""
    rater = ChatRater(str(tiny(family)), CPU)
    views = VIEWS[:3] if rater.model.engine.forward.pads_freely else [VIEWS[0]] * 3
    standards = WITHOUT_SYSTEM[first:]
    alone = [rater.rate(views, [standard]) for standard in standards]
    with passes(rater) as seen:
        rows = rater.rate(views, standards)
    (whole, *ends) = seen

    assert len(ends) == len(standards) and {count for count, _ in seen} == {3}
    with passes(rater) as singly:
        rater.rate(views, standards[:1])
    ((_, one),) = singly
    assert whole[1] + ends[0][1] == one
    assert all(new >= 8 for _, new in ends)
    for view, row in enumerate(rows):
        for column, rating in enumerate(row):
            (expected,) = alone[column][view]
            assert rating is not None and expected is not None
            assert rating.logprobs == pytest.approx(expected.logprobs, abs=EXACT)
            assert (rating.mass, rating.value) == pytest.approx((expected.mass, expected.value), abs=1e-3)


def item(before: str, image: int, behind: str, picture: torch.Tensor) -> PromptInputs:
    """A prompt of one token per letter; -1 stands for the image."""
    ids = [*map(ord, before), *[-1] * image, *map(ord, behind)]
    tensors = {"input_ids": torch.tensor([ids]), "pixel_values": picture}
    return PromptInputs(tensors, len(before), len(behind))


A, B = torch.zeros(1), torch.ones(1)
LONG = "and the answer is"


@pytest.mark.parametrize(
    ("rows", "forks"),
    [
        ([[item("q", 3, f"x{LONG}", A), item("q", 3, f"y{LONG}?", A)]], [Fork((0, 1), (4,))]),
        (
            [
                [item("q", 3, f"x{LONG}", A), item("q", 3, f"y{LONG}?", A)],
                [item("q", 9, f"x{LONG}", B), item("q", 9, f"y{LONG}?", B)],
            ],
            [Fork((0, 1), (4, 10))],
        ),
        # a text of one prompt twice still leaves ends of some tokens
        ([[item("q", 3, LONG, A), item("q", 3, LONG, A)]], [Fork((0, 1), (4 + len(LONG) - 8,))]),
        # other words before the image, another picture, a question that is shorter than an end
        ([[item("q", 3, f"x{LONG}", A), item("p", 3, f"x{LONG}", A)]], []),
        ([[item("q", 3, f"x{LONG}", A), item("q", 3, f"y{LONG}", B)]], []),
        ([[item("q", 3, "x", A), item("q", 3, "y", A)]], []),
        # each view with words of its own: the ends are of different lengths
        (
            [
                [item("q", 3, f"x{LONG}", A), item("q", 3, f"a fox{LONG}", A)],
                [item("q", 3, f"x{LONG}", B), item("q", 3, f"a grey cat{LONG}", B)],
            ],
            [],
        ),
        # two and two belong together, and one alone
        (
            [[item(c, 3, f"{n}{LONG}", A) for n, c in enumerate("pqpqr")]],
            [Fork((0, 2), (4,)), Fork((1, 3), (4,))],
        ),
    ],
)
def test_prompts_fork_where_only_text_follows(rows: list[list[PromptInputs]], forks: list[Fork]) -> None:
    assert find_forks(rows, ("input_ids",)) == forks


def test_views_without_a_shared_beginning_fill_one_batch(tiny: Callable[[str], Path]) -> None:
    """Padding is kept from a model with recurrent states only where a prefix is shared before it."""
    rater = ChatRater(str(tiny("qwen3_5")), CPU)
    with passes(rater) as seen:
        rater.rate(VIEWS[:3], WITHOUT_SYSTEM[:1])

    assert rater.model.engine.paths.prefix == "equal"
    assert [rows for rows, _ in seen] == [3]
