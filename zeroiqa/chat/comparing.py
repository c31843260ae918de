"""Standards of kind "comparison": a degraded copy and the photo in one prompt, read as two words (Q-Debias).

Both are shown for every copy, under the question that is answered and under the one that weighs the answer.
The copies, and the photo, are encoded once each, whatever the number of prompts that show them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from zeroiqa.chat.inputs import Shown, enlarged
from zeroiqa.chat.pair_check import check_pairs
from zeroiqa.chat.showing import PairPaths, Showing
from zeroiqa.chat.tokens import AnswerTokens, check_spelling, one_token_each
from zeroiqa.degradations import LEAST_SIDE, degraded_copies
from zeroiqa.errors import UserError
from zeroiqa.types import Rating

if TYPE_CHECKING:
    from zeroiqa.chat.engine import ChatEngine
    from zeroiqa.comparison import Comparison
    from zeroiqa.standards import FilledPrompt, Standard
    from zeroiqa.types import Pixels

_LOG = logging.getLogger(__name__)


class Ask(NamedTuple):
    """One prompt of a call."""

    standard: int
    """Its place among the standards of the call."""
    copy: int | None = None
    """Which copy stands beside the photo; None where the view alone is shown."""
    weight: bool = False
    """Whether it asks for the copy's weight."""


@dataclass(frozen=True)
class ComparisonReadout:
    """How a comparison is read off one model."""

    words: AnswerTokens
    """The tokens for low and for high quality."""
    weight_words: AnswerTokens | None
    """Those for "the copy counts" and against it; None where copies weigh the same."""
    way: PairPaths


def make_comparison(engine: ChatEngine, standard: Standard, example: str) -> ComparisonReadout:
    """The readout of a standard of kind "comparison".

    Args:
        engine: The model.
        standard: What is asked.
        example: In place of an image's own text prompt.

    Raises:
        UserError: the model takes one image only, or not as the standard shows them; or a word that is read
            is several tokens.
    """
    comparison = _of(standard)
    as_run = comparison.show == "as-run"
    if as_run and not getattr(engine.loaded.processor, "mistakes_second", False):
        raise UserError(
            f"The standard {standard.name} shows what the processor of mPLUG-Owl3-7B-240728 hands over of "
            f"two images, and {engine.loaded.name} is another model; choose a comparison that shows both "
            "whole, such as q-debias."
        )
    prompt = standard.fill(example)
    words = _tokens(engine, prompt, standard.levels)
    weight_words = None
    if comparison.weight_question:
        asked = standard.fill(example, weight=True)
        weight_words = _tokens(engine, asked, comparison.weight_words)
    return ComparisonReadout(words, weight_words, check_pairs(engine, prompt, words.ids, first_tiles=as_run))


def _tokens(engine: ChatEngine, prompt: FilledPrompt, words: Sequence[str]) -> AnswerTokens:
    """The one token of each word where the answer begins; a space before it only where the family has one."""
    one = prompt._replace(images=1)  # the check of two images has its own sentence
    name, leads = engine.loaded.name, (engine.template.lead(one), "")
    found = one_token_each(engine.preprocessor.encode, engine.template.text(one), words, leads, name)
    check_spelling(engine.loaded.processor.tokenizer.decode, found.ids, words, name)
    return found


def asks_of(standards: Sequence[Standard]) -> list[Ask]:
    """The prompts of a call: one for each standard, or for each copy of a comparison and its weight."""
    asks: list[Ask] = []
    for place, standard in enumerate(standards):
        if standard.comparison is None:
            asks.append(Ask(place))
            continue
        copies = range(len(standard.comparison.degradations))
        asks += [Ask(place, copy) for copy in copies]
        if standard.comparison.weight_question:
            asks += [Ask(place, copy, weight=True) for copy in copies]
    return asks


def show(
    standards: Sequence[Standard], asks: Sequence[Ask], readouts: Sequence[ComparisonReadout | None]
) -> Showing | None:
    """What the prompts of a call show; None where each shows its view.

    Args:
        standards: Of the call.
        asks: Its prompts.
        readouts: Of the standards; None for those that are no comparisons.
    """
    comparisons = [each.comparison for each in standards if each.comparison is not None]
    if not comparisons:
        return None
    photos, count = [], 0  # where each standard's pictures begin
    for standard in standards:
        photos.append(count)
        count += 0 if standard.comparison is None else 1 + len(standard.comparison.degradations)
    shown = [
        () if ask.copy is None else (photos[ask.standard] + 1 + ask.copy, photos[ask.standard])
        for ask in asks
    ]
    ways = [None if (made := readouts[ask.standard]) is None else made.way for ask in asks]
    return Showing(lambda pixels: pictures(pixels, comparisons), shown, ways)


def pictures(pixels: Pixels, comparisons: Sequence[Comparison]) -> list[Shown]:
    """For each comparison the photo, then its degraded copies; comparisons that have the same share them.

    A view too small to be degraded is enlarged (pixels repeated), as is one that is too small for a model.
    """
    if min(pixels.shape[:2]) < LEAST_SIDE:
        _LOG.info("A view of %d x %d pixels is enlarged to be degraded.", *pixels.shape[1::-1])
        pixels = enlarged(pixels, LEAST_SIDE)
    copies = {
        chosen: degraded_copies(pixels, chosen)
        for chosen in dict.fromkeys(each.degradations for each in comparisons)
    }
    shown = []
    for each in comparisons:
        shown += [Shown(pixels, each.show == "as-run"), *map(Shown, copies[each.degradations])]
    return shown


def compared(standard: Standard, found: Sequence[tuple[Ask, Rating]]) -> Rating:
    """One rating from those of all prompts of a comparison.

    Args:
        standard: The comparison.
        found: Its prompts, each with the distribution over its two words.

    Returns:
        A number in [0, 1] without levels; its mass is the smallest of all prompts.
    """
    good = [math.exp(rating.logprobs[1]) for ask, rating in found if not ask.weight]
    weights = [math.exp(rating.logprobs[0]) for ask, rating in found if ask.weight]
    return Rating((), min(rating.mass for _, rating in found), _of(standard).value(good, weights))


def describe(
    engine: ChatEngine, standard: Standard, readout: ComparisonReadout, example: str
) -> dict[str, Any]:
    """What a comparison becomes for a model: both prompts as sent, their words' tokens, passes and paths."""
    comparison, paths = _of(standard), readout.way.paths
    described: dict[str, Any] = {
        "prompt": engine.template.text(standard.fill(example)) + readout.words.lead,
        "levels": dict(zip(standard.levels, readout.words.ids, strict=True)),
        "paths": {
            "forward": paths.forward,
            "batch": paths.batch,
            "vision features": paths.features,
            "prefix": paths.prefix,
            "shared view": False,  # what prompts of two images have in common is computed for each
            "last position": engine.forward.last_only,
        },
        "why": dict(readout.way.why),
        "passes": standard.prompts,
    }
    if readout.weight_words is not None:
        asked = engine.template.text(standard.fill(example, weight=True))
        described["weight_prompt"] = asked + readout.weight_words.lead
        described["weight_words"] = dict(zip(comparison.weight_words, readout.weight_words.ids, strict=True))
    return described


def _of(standard: Standard) -> Comparison:
    assert standard.comparison is not None, "only of comparisons"
    return standard.comparison
