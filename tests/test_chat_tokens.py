"""Answers are tokens that continue the prompt."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from zeroiqa.chat.tokens import check_spelling, first_tokens, level_tokens, single_tokens, unspelled
from zeroiqa.errors import UserError


class Greedy:
    """A tokenizer that always takes the longest piece it knows; everything else is single characters."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = sorted(pieces, key=len, reverse=True)

    def __call__(self, text: str) -> Sequence[int]:
        ids = []
        while text:
            piece = next((piece for piece in self.pieces if text.startswith(piece)), text[0])
            ids.append(1000 + self.pieces.index(piece) if piece in self.pieces else ord(piece))
            text = text[len(piece) :]
        return ids


def test_digits_are_single_tokens_after_a_line_break():
    found = level_tokens(Greedy(), "assistant\n", 7, ("",), "a model")
    assert found.lead == ""
    assert found.ids == tuple(map(ord, "1234567"))


def test_a_space_that_belongs_to_the_digit_makes_another_token_than_the_digit_alone():
    encode = Greedy(*(f" {digit}" for digit in range(1, 10)))
    found = level_tokens(encode, "Assistant:", 5, (" ", ""), "a model")
    assert found.lead == ""
    assert found.ids == tuple(encode(f" {digit}")[0] for digit in range(1, 6))


def test_a_space_that_is_a_token_of_its_own_becomes_part_of_the_prompt():
    found = level_tokens(Greedy(), "Assistant:", 3, (" ", ""), "a model")
    assert found.lead == " "
    assert found.ids == tuple(map(ord, "123"))


def test_the_next_lead_is_tried_where_the_first_one_gives_no_single_token():
    encode = Greedy(": 1", ": 2", ": 3")  # with the space everything melts into the colon
    assert level_tokens(encode, "Assistant:", 3, (" ", ""), "a model").ids == tuple(map(ord, "123"))


@pytest.mark.parametrize(
    "encode",
    [
        Greedy("\n1"),  # melts into the prompt
        lambda text: list(text.encode("utf-16-le")),  # two tokens each
        lambda text: [0 if sign.isdigit() else ord(sign) for sign in text],  # all the same
        lambda text: [len(text)],  # nothing of the prompt is left
    ],
)
def test_levels_without_a_token_of_their_own_are_refused_in_one_sentence(encode):
    with pytest.raises(
        UserError, match=r"tokenizer of a model has no single token for each of the levels 1 to 7"
    ):
        level_tokens(encode, "assistant\n", 7, ("",), "a model")


def test_ten_would_be_two_tokens():
    assert single_tokens(Greedy(), "Score: ", ["1", "10"]) is None


def test_words_are_told_by_their_first_tokens():
    encode = Greedy(" good", " po", "or")
    found = first_tokens(encode, "The quality is", ["good", "poor"], (" ",), "a model")
    assert found.lead == ""
    assert found.ids == (encode(" good")[0], encode(" po")[0])


def test_words_that_begin_alike_are_refused():
    with pytest.raises(UserError, match="Among bad, best, two words begin with the same token for a model"):
        first_tokens(Greedy(), "It is ", ["bad", "best"], ("",), "a model")


@pytest.mark.parametrize("said", ["7", " 7", "7 "])
def test_a_token_that_says_the_digit_is_that_digit(said):
    check_spelling(lambda ids: said, [5], ["7"], "a model")


@pytest.mark.parametrize("said", ["<unk>", "", " ", "\uff17", "\u2466", "17", "77", "x", "\ufffd"])
def test_a_token_that_says_something_else_is_refused_with_what_it_says(said):
    with pytest.raises(UserError) as caught:
        check_spelling(lambda ids: "6" if ids == [4] else said, [4, 5], ["6", "7"], "a model")
    assert f"of a model the answer '7' is the token 5, which says {said!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("said", "whole", "right"),
    [
        (" good", True, True),
        ("Good", True, True),
        (" go", True, False),
        (" go", False, True),
        ("go\ufffd", False, True),
        ("<unk>", False, False),
        (" ", False, False),
        (" goat", False, False),
    ],
)
def test_a_word_may_be_told_by_a_token_that_begins_it(said, whole, right):
    if right:
        check_spelling(lambda ids: said, [1], [" good"], "a model", whole=whole)
        return
    with pytest.raises(UserError, match="which says"):
        check_spelling(lambda ids: said, [1], [" good"], "a model", whole=whole)


def test_words_that_are_not_given_back_are_named():
    def encode(text):
        return [ord(letter) if letter != "q" else 0 for letter in text]

    def decode(ids):
        return "".join(chr(number) if number else "<unk>" for number in ids)

    assert unspelled(encode, decode, ["good", "quite", "Bad"]) == ["quite"]
