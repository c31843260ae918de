"""What is read at the last position: levels as digits, levels as next words, or how the next words lean.

All look at the logits of the token that follows a prompt. For digits nothing is put into the model's mouth;
the other two continue an answer that is begun for it ("The quality of the image is ..."). Beside what is
read, a rating keeps the most probable token of all: what the model would have said.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from zeroiqa.chat.comparing import ComparisonReadout, make_comparison
from zeroiqa.chat.tokens import AnswerTokens, check_spelling, first_tokens, unspelled
from zeroiqa.errors import ImageError, UserError
from zeroiqa.types import Rating

if TYPE_CHECKING:
    from zeroiqa.chat.engine import ChatEngine
    from zeroiqa.standards import Standard

_LOG = logging.getLogger(__name__)
_ROWS = 8192  # of the embedding table that are brought to float32 together
_EXAMPLE = "a photo"  # in place of an image's own prompt: no token that is read depends on it


@dataclass(frozen=True)
class TokenReadout:
    """How one standard is read off one model."""

    tail: str
    """What stands between the prompt as sent and the token that is read."""
    read: Callable[[torch.Tensor], list[Rating]]
    """Float32 logits (views, vocabulary) -> one rating for each view."""
    answers: AnswerTokens | None = None
    """The tokens of the levels, level 1 first; None where the whole vocabulary is looked at."""
    comparison: ComparisonReadout | None = None
    """Of "comparison", where the rest is of the question that is answered."""

    def tail_of(self, weight: bool) -> str:
        """The tail of the question that weighs an answer, or of the one that is answered."""
        return self._weight_words.lead if weight else self.tail

    def read_of(self, weight: bool) -> Callable[[torch.Tensor], list[Rating]]:
        """How either question is read."""
        return (lambda logits: read_levels(logits, self._weight_words.ids)) if weight else self.read

    @property
    def _weight_words(self) -> AnswerTokens:
        assert self.comparison is not None and self.comparison.weight_words is not None, "there is a question"
        return self.comparison.weight_words


def make_readout(engine: ChatEngine, standard: Standard) -> TokenReadout:
    """The readout of a standard of any kind but "float"; its ratings hold their greedy answers, too.

    Raises:
        UserError: the tokenizer has no token of its own for each level, or one that says something else, or
            the model does not show its input embeddings, which "preference" needs.
    """
    readout = _readout(engine, standard)
    said = _token_text(engine.loaded.processor.tokenizer)

    def read(logits: torch.Tensor) -> list[Rating]:
        likeliest = logits.argmax(-1).tolist()
        return [
            replace(rating, answer=said(token))
            for rating, token in zip(readout.read(logits), likeliest, strict=True)
        ]

    return replace(readout, read=read)


def _readout(engine: ChatEngine, standard: Standard) -> TokenReadout:
    prompt = standard.fill(_EXAMPLE)
    if standard.kind == "comparison":
        made = make_comparison(engine, standard, _EXAMPLE)
        words = made.words
        return TokenReadout(words.lead, lambda logits: read_levels(logits, words.ids), words, made)
    if standard.kind == "preference":
        weights = _preference_weights(engine, standard)
        return TokenReadout(
            engine.template.beginning(prompt),
            lambda logits: _leanings(logits, weights.to(logits.device), standard.candidates),
        )
    if standard.kind == "next-word":
        beginning = engine.template.beginning(prompt)
        encode, name = engine.preprocessor.encode, engine.loaded.name
        text = engine.template.text(prompt) + beginning
        tokens = first_tokens(encode, text, standard.levels, (" ",), name)  # " good", never "good"
        check_spelling(
            engine.loaded.processor.tokenizer.decode, tokens.ids, standard.levels, name, whole=False
        )
        before = len(encode(text))
        _warn_of_parts(
            standard, name, [(word, len(encode(f"{text} {word}")) - before) for word in standard.levels]
        )
        return TokenReadout(beginning + tokens.lead, lambda logits: read_levels(logits, tokens.ids), tokens)
    tokens = engine.level_tokens(prompt, standard.k)
    digits = [str(level) for level in range(1, standard.k + 1)]
    check_spelling(engine.loaded.processor.tokenizer.decode, tokens.ids, digits, engine.loaded.name)
    return TokenReadout(tokens.lead, lambda logits: read_levels(logits, tokens.ids), tokens)


def read_levels(logits: torch.Tensor, ids: Sequence[int]) -> list[Rating]:
    """The distribution over some tokens, and the mass that all of them have.

    Args:
        logits: Float32, shape (views, vocabulary).
        ids: The levels' tokens, level 1 first.

    Raises:
        ImageError: the model computed no numbers.
    """
    levels = logits[:, list(ids)]
    logprobs = levels.log_softmax(-1)
    mass = (levels.logsumexp(-1) - logits.logsumexp(-1)).exp()
    rows: list[list[float]] = torch.cat([logprobs, mass[:, None]], dim=1).tolist()  # one transfer
    for row in rows:
        _check_numbers(row)
    return [Rating(logprobs=tuple(row[:-1]), mass=min(row[-1], 1.0)) for row in rows]


def semantic_preference(logits: torch.Tensor, weights: torch.Tensor, candidates: int) -> torch.Tensor:
    """SeP-IQA's score: the sum of logit times weight over the likeliest tokens.

    The logits are taken as they are: adding a constant to all of them moves the score by that constant times
    the sum of the weights.

    Args:
        logits: Float32, shape (views, vocabulary).
        weights: Of each token, shape (vocabulary,); see `direction_weights`.
        candidates: How many tokens count; of equal logits at the border those of the lower ids.

    Returns:
        Float64, shape (views,); any number, higher is better.
    """
    values, ids = logits.sort(dim=-1, descending=True, stable=True)
    values, ids = values[:, :candidates], ids[:, :candidates]
    return (values.double() * weights.double()[ids]).sum(-1)


def direction_weights(
    embeddings: torch.Tensor, positive: Sequence[int], negative: Sequence[int]
) -> torch.Tensor:
    """Cosine of each token's embedding with the direction from negative to positive words.

    The direction is the difference of two means over tokens: a word of several tokens weighs more, and a word
    that is named twice counts twice. Computed in float32, whatever the type of the table.

    Args:
        embeddings: The input embeddings, shape (vocabulary, hidden).
        positive: Token ids of the words for high quality.
        negative: Likewise for low quality.

    Returns:
        Float32, shape (vocabulary,), each in [-1, 1]; 0 for a token whose embedding is zero.
    """
    mean_positive, mean_negative = (embeddings[list(ids)].float().mean(0) for ids in (positive, negative))
    direction = torch.nn.functional.normalize(mean_positive - mean_negative, dim=0)
    parts = torch.split(embeddings, _ROWS)
    return torch.cat([torch.nn.functional.normalize(rows.float(), dim=1) @ direction for rows in parts])


@torch.inference_mode()
def _preference_weights(engine: ChatEngine, standard: Standard) -> torch.Tensor:
    loaded = engine.loaded
    embeddings: Any = getattr(loaded.model.get_input_embeddings(), "weight", None)
    if not isinstance(embeddings, torch.Tensor) or embeddings.ndim != 2:
        raise UserError(
            f"{loaded.name} does not show its input embeddings, which the standard {standard.name} compares "
            "words by; choose another model or a standard of another kind."
        )
    encode = _plain_encoder(loaded.processor.tokenizer)
    lists = [standard.positive, standard.negative]
    lost = unspelled(encode, loaded.processor.tokenizer.decode, " ".join(lists).split())
    if lost:
        raise UserError(
            f"The tokenizer of {loaded.name} does not give back {', '.join(lost)} as it reads them, so that "
            f"the standard {standard.name} cannot compare words by them; choose another model or other words."
        )
    for words in lists:
        _warn_of_parts(standard, loaded.name, [(word, len(encode(f" {word}"))) for word in words.split()])
    # each list in one go, as its authors do: every word brings the space before it
    return direction_weights(embeddings, *(encode(f" {words}") for words in lists))


def _token_text(tokenizer: Any) -> Callable[[int], str]:
    """A token as an answer in words, as `generate` and its callers make it: a special one is no word."""
    return cache(lambda token: str(tokenizer.decode([token], skip_special_tokens=True)).strip())


def _plain_encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    return lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _leanings(logits: torch.Tensor, weights: torch.Tensor, candidates: int) -> list[Rating]:
    if logits.shape[1] > len(weights):
        raise UserError(
            f"The model has {logits.shape[1]} logits, but input embeddings of {len(weights)} tokens: words "
            "cannot be compared by them; choose another model or a standard of another kind."
        )
    scores = semantic_preference(logits, weights[: logits.shape[1]], candidates)
    likeliest = logits.topk(min(candidates, logits.shape[1]), dim=-1).values
    mass = (likeliest.logsumexp(-1) - logits.logsumexp(-1)).exp()
    rows: list[list[float]] = torch.stack([scores, mass.double()], dim=1).tolist()
    for row in rows:
        _check_numbers(row)
    return [Rating(logprobs=(), mass=min(mass, 1.0), value=score) for score, mass in rows]


def _warn_of_parts(standard: Standard, model: str, tokens: Sequence[tuple[str, int]]) -> None:
    parts = [word.strip() for word, count in tokens if count > 1]
    if parts:
        _LOG.warning(
            "%s: to %s these words are more than one token, so that they count only in part: %s.",
            standard.name,
            model,
            ", ".join(dict.fromkeys(parts)),
        )


def _check_numbers(values: Sequence[float]) -> None:
    if any(math.isnan(value) for value in values):
        raise ImageError(
            "The model computed no numbers (NaN) for a view; choose another type of weights (--dtype)."
        )
