"""Any chat vision-language model of transformers as a rater: one prefill, the tokens at its last position.

LLM-IQA, section 3.1, asks an MLLM for one token in 1..K. Instead of sampling it, the whole distribution over
the K tokens is read from the logits at the position where the answer begins, with the mass outside of them.
Other readouts of that position: see `zeroiqa.chat.readouts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zeroiqa.chat.descriptions import MOST_TOKENS, request, sentence_of
from zeroiqa.chat.known_answer import EXAMPLE, built_in_views
from zeroiqa.chat.likeliest import FirstToken
from zeroiqa.chat.model import ChatModel
from zeroiqa.errors import UserError
from zeroiqa.types import Rating
from zeroiqa.weights.cards import trained_on
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.chat.known_answer import Result
    from zeroiqa.chat.loading import Loaded
    from zeroiqa.standards import Standard
    from zeroiqa.types import View

_FLOAT_TOKENS = 8  # of an answer under a standard of kind "float"
_NUMBER = re.compile(r"(?<![\w.,-])(\d+(?:\.\d+)?)(?!\w|[.,]\d|\s*(?:-|–|to|and)\s*\d)")


class ChatRater:
    """Rates views by a chat vision-language model; building it reads no more than the configuration.

    Args:
        repo_or_folder: A repository of the Hugging Face hub, or a folder with a checkpoint.
        options: Device, type of the weights and what is allowed.
        revision: Branch, tag or commit of the repository.
    """

    images_per_call = ChatModel.images_per_call
    """How many images' views are worth one call of `rate`."""

    def __init__(
        self,
        repo_or_folder: str,
        options: ModelOptions = ModelOptions(),  # noqa: B008 -- frozen
        revision: str | None = None,
    ) -> None:
        self.model = ChatModel(repo_or_folder, options, revision)
        """What is asked."""

    @classmethod
    def of(cls, loaded: Loaded) -> ChatRater:
        """A rater of a model that is loaded already."""
        rater = cls(loaded.name)
        rater.model = ChatModel.of(loaded)
        return rater

    @property
    def loaded(self) -> Loaded:
        """The model, loaded if need be."""
        return self.model.loaded

    @property
    def id(self) -> str:
        """Family, weights, and what changes the numbers: the type of the weights and 8 bits.

        Raises:
            UserError: the model is neither on this disk nor to be had.
        """
        return self.model.id

    def check(self, standard: Standard) -> None:
        """Raise `UserError` if the model is not to be had; every kind, aspect and K can be asked for."""
        self.model.check()
        if standard.k > 9:
            raise UserError(
                f"The standard {standard.name} has {standard.k} levels; a level is one digit, so up to 9."
            )

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        """Ratings indexed [view][standard]; None where a free answer holds no number on the scale.

        The standards share one pass of the vision encoder per view.

        Raises:
            ImageError: a view cannot be prepared, or a standard needs the image's prompt, which is missing.
            UserError: the model cannot be loaded or used, memory holds not one view, or the device is gone.
        """
        ratings: list[list[Rating | None]] = [[None] * len(standards) for _ in views]
        at_once = [index for index, standard in enumerate(standards) if standard.kind != "float"]
        if views and at_once:
            for row, answers in zip(
                ratings, self.model.rate(views, [standards[i] for i in at_once]), strict=True
            ):
                for index, rating in zip(at_once, answers, strict=True):
                    row[index] = rating
        for index, standard in enumerate(standards):
            if standard.kind == "float":
                self.model.check_standard(standard)
                for row, view in zip(ratings, views, strict=True):
                    row[index] = self._number(view, standard)
        return ratings

    def descriptions(self, views: Sequence[View]) -> list[str | None]:
        """A sentence of the model on the quality of each view, decoded greedily; None for an empty answer.

        Views are asked about one by one: no description depends on what else is in the call.

        Raises:
            ImageError: a view cannot be shown to the model.
            UserError: the model cannot be loaded or used, memory holds not one view, or the device is gone.
        """
        prompt = request().prompt
        answers = (self.model.answer_text(view, prompt, MOST_TOKENS) for view in views)
        return [sentence_of(answer.text, cut=answer.cut) for answer in answers]

    def describe(self, standard: Standard) -> dict[str, Any]:
        """What a standard becomes for this model: the levels' tokens, the prompt as sent, the paths used.

        The prompt is that of the whole image; "crop_prompt" is there where crops have another.
        """
        engine = self.model.engine
        self.model.check_standard(standard)
        loaded, paths = engine.loaded, engine.paths
        described: dict[str, Any] = {
            "model": loaded.name,
            "family": loaded.family,
            "trained_on": list(trained_on(loaded.name)),
            "fingerprint": loaded.fingerprint,
            "device": str(loaded.device),
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "prompt": engine.template.text(standard.fill(EXAMPLE)),
            "paths": {
                "forward": paths.forward,
                "batch": paths.batch,
                "vision features": paths.features,
                "prefix": paths.prefix,
                "last position": engine.forward.last_only,
                "shared view": paths.trunk != "off",
            },
            "why": dict(engine.why),
            "budget_tokens": engine.budget.tokens,
            "known_answer": self.model.known_answer,
        }
        if standard.crops_differ:
            described["crop_prompt"] = engine.template.text(standard.fill(EXAMPLE, crop=True))
        if standard.kind == "float":
            return described
        readout = self.model.readout(standard)
        if readout.comparison is not None:
            from zeroiqa.chat.comparing import describe

            return described | describe(engine, standard, readout.comparison, EXAMPLE)
        for prompt in described.keys() & {"prompt", "crop_prompt"}:
            described[prompt] += readout.tail
        if readout.answers is None:
            return described
        levels = {str(level): token for level, token in enumerate(readout.answers.ids, start=1)}
        return {**described, "levels": levels}

    def first_tokens(self, standard: Standard) -> list[FirstToken]:
        """How each of the built-in pictures is answered under a standard."""
        views = [replace(view, prompt=EXAMPLE) for view in built_in_views()]
        likeliest = self.model.likeliest(views, standard)
        if standard.kind == "float":
            return [FirstToken(None, tokens) for tokens in likeliest]
        ratings = [row[0] for row in self.rate(views, [standard])]
        return [
            FirstToken(rating.mass if rating else None, tokens)
            for rating, tokens in zip(ratings, likeliest, strict=True)
        ]

    def watch(self, on_load: Callable[[Result], None]) -> None:
        """Have a function called with the known answer of each load; whatever it raises refuses the model."""
        self.model.watch(on_load)

    def release(self) -> None:
        """Let go of the weights; the next call of `rate` loads them again."""
        self.model.release()

    def _number(self, view: View, standard: Standard) -> Rating | None:
        filled = standard.fill(view.prompt, crop=view.region is not None)
        value = parse_number(self.model.answer_text(view, filled, _FLOAT_TOKENS).text, standard.k)
        return None if value is None else Rating(logprobs=(), mass=1.0, value=value)


def parse_number(answer: str, k: int) -> float | None:
    """The first number of an answer, where it is one on the scale from 1 to k; None otherwise.

    A range ("1 to 7"), a number with thousands or a decimal comma and a negative number are none.
    """
    found = _NUMBER.search(answer)
    if found is None or re.search(r"\d", answer[: found.start()]):
        return None
    value = float(found[1])
    return value if 1 <= value <= k else None
