"""The tokens that stand for an answer: found by continuing the prompt, never by encoding the answer alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from zeroiqa.errors import UserError

Encode: TypeAlias = Callable[[str], Sequence[int]]
"""From a text to its token ids, special tokens as in a prompt."""
Decode: TypeAlias = Callable[[Sequence[int]], str]
"""From token ids to their text, special tokens included."""


@dataclass(frozen=True)
class AnswerTokens:
    """One token for each answer, right after the prompt."""

    lead: str
    """Text to put between the prompt and the answer ("" or a space that is a token of its own)."""
    ids: tuple[int, ...]
    """Token ids in the order of the answers, all different."""


def level_tokens(encode: Encode, prompt: str, k: int, leads: Sequence[str], model: str) -> AnswerTokens:
    """Tokens of the levels 1..k.

    Args:
        encode: The tokenizer.
        prompt: As sent, up to where the answer begins.
        k: Number of levels, from 2 to 9.
        leads: What the family writes before an answer, likeliest first (a space after "Assistant:").
        model: Named in the error.

    Raises:
        UserError: a level is not exactly one token, or two levels share one.
    """
    digits = [str(level) for level in range(1, k + 1)]
    found = single_tokens(encode, prompt, digits, leads)
    if found is None:
        tokens = {digit: list(encode(prompt + digit))[-3:] for digit in digits[:2]}
        raise UserError(
            f"The tokenizer of {model} has no single token for each of the levels 1 to {k} after its prompt "
            f"(the last tokens of the prompt with 1 and 2 are {tokens['1']} and {tokens['2']}); "
            "choose another model."
        )
    return found


def single_tokens(
    encode: Encode, prompt: str, answers: Sequence[str], leads: Sequence[str] = ("",)
) -> AnswerTokens | None:
    """One token for each answer; None where no lead allows it.

    The rule: the prompt's ids begin those of prompt + answer, exactly one token remains, and all differ.
    A lead may belong to that one token (" 7") or be a token of its own before it (" ", "7").
    """
    for lead in leads:
        for before, inside in _places(lead):
            rests = [_rest(encode, prompt + before, inside + answer) for answer in answers]
            firsts = {rest[0] for rest in rests if len(rest) == 1}
            if len(firsts) == len(answers):
                return AnswerTokens(lead=before, ids=tuple(rest[0] for rest in rests))
    return None


def one_token_each(
    encode: Encode, prompt: str, words: Sequence[str], leads: Sequence[str], model: str
) -> AnswerTokens:
    """As `single_tokens`, for words that a standard names.

    Raises:
        UserError: a word is several tokens, or two are the same.
    """
    found = single_tokens(encode, prompt, words, leads)
    if found is None:
        counts = [len(encode(prompt + word)) - len(encode(prompt)) for word in words]
        listed = ", ".join(f"{word!r} ({count})" for word, count in zip(words, counts, strict=True))
        raise UserError(
            f"The tokenizer of {model} has no single token for each of these words where the answer begins "
            f"(in brackets how many tokens it has): {listed}; choose another model."
        )
    return found


def first_tokens(
    encode: Encode, prompt: str, words: Sequence[str], leads: Sequence[str], model: str
) -> AnswerTokens:
    """The first token of each word after the prompt: what a readout of words ("good", "poor") looks at.

    Raises:
        UserError: two words begin with the same token.
    """
    for lead in leads:
        for before, inside in _places(lead):
            firsts = [_rest(encode, prompt + before, inside + word)[:1] for word in words]
            if all(firsts) and len({first[0] for first in firsts}) == len(words):
                return AnswerTokens(lead=before, ids=tuple(first[0] for first in firsts))
    raise UserError(
        f"Among {', '.join(words)}, two words begin with the same token for {model}, so that they cannot be "
        "told apart; choose another model, or a standard with other words."
    )


def check_spelling(
    decode: Decode, ids: Sequence[int], answers: Sequence[str], model: str, *, whole: bool = True
) -> None:
    """See that tokens say what they are read as.

    A tokenizer may fold what it does not know: to its unknown token, to another script, to one sign for all.

    Args:
        decode: The tokenizer's.
        ids: One token for each answer.
        answers: Digits or words.
        model: Named in the error.
        whole: Whether a token must be the whole answer; else its beginning is enough.

    Raises:
        UserError: a token says something else; the message names the first such answer.
    """
    for token, answer in zip(ids, answers, strict=True):
        found = decode([token])
        text, wanted = found.strip().casefold(), answer.strip().casefold()
        begins = bool(text) and wanted.startswith(text.rstrip("\ufffd"))  # it may end within a letter's bytes
        if text != wanted and (whole or not begins):
            raise UserError(
                f"To the tokenizer of {model} the answer {answer.strip()!r} is the token {token}, which says "
                f"{found!r}, so that this answer cannot be told; choose another model."
            )


def unspelled(encode: Encode, decode: Decode, words: Sequence[str]) -> list[str]:
    """The words that a tokenizer does not give back as they are, a space before them."""

    def bare(text: str) -> str:
        return "".join(text.split()).casefold()

    return [word for word in words if bare(decode(encode(f" {word}"))) != bare(word)]


def _rest(encode: Encode, prompt: str, answer: str) -> list[int]:
    """The answer's ids; empty where the end of the prompt melts into it."""
    head, whole = list(encode(prompt)), list(encode(prompt + answer))
    return whole[len(head) :] if whole[: len(head)] == head else []


def _places(lead: str) -> tuple[tuple[str, str], ...]:
    """Where a lead can stand: within the answer's token, or before it as a token of its own."""
    return (("", lead), (lead, "")) if lead else (("", ""),)
