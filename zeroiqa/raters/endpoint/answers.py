"""From the JSON of one chat completion to a rating: which tokens are levels, and how probable each is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from zeroiqa.chat.likeliest import COUNT, FirstToken
from zeroiqa.types import Rating

_MARKS = " \t\n\r\u2581\u0120\u010a"
"""What may stand before a level within its token: white space, and its signs in raw vocabularies."""
_UNKNOWN = 0.01
"""Largest share of the levels' probability that may belong to levels which the server did not list."""
_THOUGHTS = ("reasoning_content", "reasoning")
"""Fields of a message where servers put a thought."""
_LEAST = -1e9
"""What servers write for a probability of zero differs (-9999, -Infinity); this is zero, too."""


class GarbledError(Exception):
    """An answer that is none of an OpenAI-compatible server; says what was found instead."""


class Token(NamedTuple):
    """One token, as text."""

    text: str
    logprob: float
    """Natural log of its probability among all tokens; at most 0."""


class Position(NamedTuple):
    """One token of an answer."""

    token: Token
    """The one that was answered."""
    top: tuple[Token, ...]
    """Those that the server lists here: the most probable ones, or those that were asked for."""

    @property
    def is_blank(self) -> bool:
        """Whether nothing is said yet: some tokenizers write the space before a digit as a token."""
        return not self.token.text.strip(_MARKS)


@dataclass(frozen=True)
class Completion:
    """One chat completion."""

    text: str
    model: str
    """Who answered; empty where the server does not say."""
    cut: bool
    """Whether the answer ended only because no more tokens were allowed."""
    positions: tuple[Position, ...] | None
    """Token by token; None where the server gives no log-probabilities."""
    thought: str = ""
    """What the server took for a thought, where nothing else was said; the tokens are the thought's."""

    @property
    def first(self) -> Position | None:
        """The token that a level is read from; None where there is none."""
        positions = self.positions or ()
        if len(positions) > 1 and positions[0].is_blank:
            return positions[1]
        return positions[0] if positions else None

    @property
    def beginning(self) -> str:
        """What was said first, in a thought or not."""
        token = self.first.token.text if self.first else ""
        return self.thought or self.text.lstrip() or token


def read_answer(text: str) -> Completion:
    """Parse the body of a chat completion.

    Raises:
        GarbledError: it is something else.
    """
    record = read_json(text)
    choices = record.get("choices") if isinstance(record, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise GarbledError(f"no answer among the choices: {text}")
    choice = choices[0]
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    thoughts = [message.get(name) for name in _THOUGHTS] if isinstance(message, dict) else []
    model = record.get("model")
    return Completion(
        text=content if isinstance(content, str) else "",
        thought="" if content else next((text for text in thoughts if text and isinstance(text, str)), ""),
        model=model if isinstance(model, str) else "",
        cut=choice.get("finish_reason") == "length",
        positions=_positions(choice.get("logprobs")),
    )


def read_json(text: str) -> Any:
    """Parse a body.

    Raises:
        GarbledError: it is no JSON, or names a field twice, so that its readers would differ.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise GarbledError(f"no JSON: {text}") from None


def as_text(value: Any) -> str:
    """JSON for a sentence; what is nested too deeply to be written is not."""
    try:
        return json.dumps(value)
    except RecursionError:
        return "something that is nested too deeply"


def _once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(fields)
    if len(found) < len(fields):
        raise GarbledError(f"an object with a field twice: {', '.join(name for name, _ in fields)}")
    return found


def has_distribution(answer: Completion) -> bool:
    """Whether the server lists alternatives to its answer, or had nothing to list them for."""
    return answer.positions is not None and all(position.top for position in answer.positions)


def read_levels(answer: Completion, k: int) -> Rating | None:
    """P(level 1..k), where the answer begins.

    Tokens that are the same level (7, and 7 after a space) are added up. Where the first token is blank, the
    levels are read from the second one, and `mass` is the probability of both.

    A level that is not listed has at most the probability of the last token listed, and all such levels
    together at most what the listed ones leave over. It counts as impossible where that bound is at most 1 %
    of the levels' probability, so that the mean level is right to 0.01 (k - 1). Otherwise there is no rating:
    then most of the answer lies off the scale anyway, and its place on the scale is anyone's guess.

    Returns:
        The rating, with the token that was answered; None where no level is listed, or too much is left open.
    """
    first = answer.first
    if first is None or answer.thought:
        return None
    top, before = first.top, _before(answer)
    found: dict[int, list[float]] = {}
    for token in top:
        if (level := _level(token.text, k)) is not None:
            found.setdefault(level, []).append(token.logprob)
    logprobs = [_logsumexp(found.get(level, ())) for level in range(1, k + 1)]
    total = _logsumexp(logprobs)
    mass = math.exp(total)
    if mass == 0:
        return None
    left_over = max(0.0, 1 - math.fsum(math.exp(token.logprob) for token in top))
    unknown = min((k - len(found)) * math.exp(min(token.logprob for token in top)), left_over)
    if unknown > _UNKNOWN * (mass + unknown):
        return None
    return Rating(
        logprobs=tuple(logprob - total for logprob in logprobs),
        mass=min(1.0, math.exp(before + total)),
        answer=first.token.text.strip(_MARKS),
    )


def read_digit(answer: Completion, k: int) -> Rating | None:
    """The level that was answered, as a number; None where the answer is no level."""
    level = _level(answer.text.rstrip(), k)
    return None if level is None else Rating(logprobs=(), mass=1.0, value=float(level))


def first_token(answer: Completion, k: int) -> FirstToken:
    """How an answer begins; where no probabilities are given, what was said, and whether it is a level."""
    first = answer.first
    if first is None or not first.top:
        beginning = answer.beginning
        return FirstToken(float(read_digit(answer, k) is not None), ((beginning, None),) if beginning else ())
    levels = [token.logprob for token in first.top if _level(token.text, k) is not None]
    mass = 0.0 if answer.thought else math.exp(_before(answer) + _logsumexp(levels))
    likeliest = sorted(first.top, key=lambda token: -token.logprob)[:COUNT]
    return FirstToken(min(1.0, mass), tuple((token.text, math.exp(token.logprob)) for token in likeliest))


def _before(answer: Completion) -> float:
    """Log-probability of the blank token before the one that a level is read from; 0 for none."""
    positions = answer.positions or ()
    return positions[0].token.logprob if answer.first not in positions[:1] else 0.0


def listed_levels(answer: Completion) -> set[int]:
    """The levels among the tokens listed where the answer begins."""
    for position in answer.positions or ():
        if not position.is_blank:
            levels = (_level(token.text, 9) for token in position.top)
            return {level for level in levels if level is not None}
    return set()


def is_model(requested: str, answered: str) -> bool:
    """Whether two names can mean one model.

    They can where the last parts of their paths agree, revision (@main) and file suffix aside: a server may
    shorten a name. The name that answers may add a date, for hosted models go by an alias of the newest.
    """
    here, there = _stem(requested), _stem(answered)
    dated = re.escape(here.removesuffix("-latest")) + r"-\d{4}(-?\d{2}-?\d{2})?"
    return not answered or here == there or re.fullmatch(dated, there) is not None


def _stem(name: str) -> str:
    name = re.sub(r"@[^/@]*$", "", name).rstrip("/")
    return name.rsplit("/", 1)[-1].casefold().removesuffix(".gguf")


def _level(text: str, k: int) -> int | None:
    digit = text.lstrip(_MARKS)
    return int(digit) if len(digit) == 1 and digit in "123456789"[:k] else None


def _logsumexp(values: Iterable[float]) -> float:
    values = list(values)
    largest = max(values, default=-math.inf)
    if largest == -math.inf:
        return largest
    return largest + math.log(math.fsum(math.exp(value - largest) for value in values))


def _positions(logprobs: Any) -> tuple[Position, ...] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return None
    return tuple(Position(_token(entry), _top(entry)) for entry in content[:2])


def _top(entry: Any) -> tuple[Token, ...]:
    listed = entry.get("top_logprobs")
    top = tuple(map(_token, listed)) if isinstance(listed, list) else ()
    if math.fsum(math.exp(token.logprob) for token in top) > 1.01:  # logits, say, or percentages
        raise GarbledError("log-probabilities that add up to more than 1")
    return top


def _token(entry: Any) -> Token:
    text, logprob = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
    if not isinstance(text, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        raise GarbledError(f"a log-probability that is {as_text(entry)}")
    if not logprob <= 1e-3:  # rounding, but no NaN and no logit
        raise GarbledError(f"a log-probability of {logprob}")
    return Token(text, min(float(max(logprob, _LEAST)), 0.0))
