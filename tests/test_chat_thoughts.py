"""Whether a text ends within a thought, and what closes it."""

from __future__ import annotations

import pytest

from zeroiqa.chat.thoughts import closings, find_thought, unpaired_tags

TURN = "<|im_end|>\n<|im_start|>assistant\n"
HEADER = "<|start_header_id|>thinking<|end_header_id|>"
OPEN = [
    ("<think>\n", "<think>", "</think>"),
    ("<think>", "<think>", "</think>"),
    ("<think>\n\n</think>\n<think>\n", "<think>", "</think>"),
    ("<thinking>", "<thinking>", "</thinking>"),
    ("<Thought>\n", "<Thought>", "</Thought>"),
    ("<reasoning>\n", "<reasoning>", "</reasoning>"),
    ("<scratchpad>", "<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "<seed:think>", "</seed:think>"),
    ("<chain_of_thought>", "<chain_of_thought>", "</chain_of_thought>"),
    ("[THINK]", "[THINK]", "[/THINK]"),
    ("\u25c1think\u25b7", "\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<|begin_of_thought|>\n\n", "<|begin_of_thought|>", "<|end_of_thought|>"),
    (
        "<\uff5cbegin\u2581thought\uff5c>",
        "<\uff5cbegin\u2581thought\uff5c>",
        "<\uff5cend\u2581thought\uff5c>",
    ),
    ("<|START_THINKING|>", "<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|thinking_start|>", "<|thinking_start|>", "<|thinking_end|>"),
    ("<|channel>thought\n", "<|channel>thought", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>analysis<|message|>", None),
    (f"{HEADER}\n\n", HEADER, None),
    ("<unused94>thought\n", "<unused94>thought", None),
    ("Thought:", "Thought:", None),
    ("Reasoning:\n", "Reasoning:", None),
]
NOT_OPEN = [
    ("", False),
    ("Assistant:", False),
    ("<answer>", False),
    ("<|channel|>final<|message|>", False),
    ("<|START_RESPONSE|>", False),
    ("I think", False),
    ("<think>\n\n</think>\n\n", True),
    ("<think></think>", True),
    ("</think>", True),
    ("<nothink>", True),
    ("[THINK][/THINK]", True),
    ("<|channel>thought\n<channel|>", True),
    ("<|START_THINKING|><|END_THINKING|><|START_RESPONSE|>", True),
    ("<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>", True),
]
KNOWN = [closing for _, _, closing in OPEN if closing]


@pytest.mark.parametrize(("text", "opened", "closing"), OPEN)
def test_a_thought_that_is_open_is_told_with_what_closes_it(
    text: str, opened: str, closing: str | None
) -> None:
    assert find_thought(TURN + text).opened == opened
    assert (
        closings(opened, [f"x {closing} y", "<|im_end|>"] if closing else ["</think>"])
        == [closing][: closing is not None]
    )
    if closing:
        assert closings(opened, KNOWN)[0] == closing
        assert find_thought(TURN + text + closing).opened is None
        assert find_thought(TURN + text + closing).closed


@pytest.mark.parametrize(("text", "closed"), NOT_OPEN)
def test_a_thought_that_is_closed_or_none_is_not_open(text: str, closed: bool) -> None:
    found = find_thought(TURN + text)
    assert (found.opened, found.closed) == (None, closed)


def test_tags_without_a_partner() -> None:
    assert unpaired_tags("<turn>model <a>x</a><draft>") == {"<turn>", "<draft>"}
    assert unpaired_tags("[INST] x [/INST] [DRAFT]") == {"[DRAFT]"}
