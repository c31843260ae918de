"""Any chat vision-language model of transformers as a rater: one prefill, the tokens at its last position.

LLM-IQA, section 3.1, asks an MLLM for one token in 1..K. Instead of sampling it, the whole distribution over
the K tokens is read from the logits at the position where the answer begins, with the mass outside of them.
Other readouts of that position: see `zeroiqa.chat.readouts`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zeroiqa.chat.likeliest import COUNT, LEAST_MASS, FirstToken, off_the_scale
from zeroiqa.errors import UserError
from zeroiqa.standards import load_standard
from zeroiqa.types import Rating
from zeroiqa.weights.checkpoint import Checkpoint, find_checkpoint
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    import torch

    from zeroiqa.chat.engine import ChatEngine
    from zeroiqa.chat.known_answer import Result
    from zeroiqa.chat.loading import Loaded
    from zeroiqa.chat.readouts import Readout
    from zeroiqa.chat.tokens import AnswerTokens
    from zeroiqa.standards import FilledPrompt, Standard
    from zeroiqa.types import View

_LOG = logging.getLogger(__name__)
_EXAMPLE = "a photo of a cat"  # in place of an image's own prompt
_FLOAT_TOKENS = 8  # of an answer under a standard of kind "float"
_NUMBER = re.compile(r"(?<![\w.,-])(\d+(?:\.\d+)?)(?!\w|[.,]\d|\s*(?:-|–|to|and)\s*\d)")


class ChatRater:
    """Rates views by a chat vision-language model; building it reads no more than the configuration.

    Args:
        repo_or_folder: A repository of the Hugging Face hub, or a folder with a checkpoint.
        options: Device, type of the weights and what is allowed.
        revision: Branch, tag or commit of the repository.
    """

    images_per_call = 8
    """How many images' views are worth one call of `rate`: they fill batches and fit into the memory."""

    def __init__(
        self,
        repo_or_folder: str,
        options: ModelOptions = ModelOptions(),  # noqa: B008 -- frozen
        revision: str | None = None,
    ) -> None:
        self._name, self._options, self._revision = repo_or_folder, options, revision
        self._found: Checkpoint | None = None
        self._ready: ChatEngine | None = None
        self._known_answer = ""
        self._told: Callable[[Result], None] | None = None
        self._readouts: dict[str, Readout] = {}

    @classmethod
    def of(cls, loaded: Loaded) -> ChatRater:
        """A rater of a model that is loaded already."""
        from zeroiqa.chat.engine import ChatEngine

        rater = cls(loaded.name)
        rater._ready = ChatEngine(loaded)
        return rater

    @property
    def loaded(self) -> Loaded:
        """The model, loaded if need be."""
        return self._engine().loaded

    @property
    def id(self) -> str:
        """Family, weights, and what changes the numbers: the type of the weights and 8 bits.

        Raises:
            UserError: the model is neither on this disk nor to be had.
        """
        from zeroiqa.weights.devices import find_device, find_dtype

        checkpoint = self._checkpoint()
        dtype: object = self._options.dtype
        if dtype == "auto":
            dtype = find_dtype("auto", find_device(self._options.device))
        bits = " 8bit" if self._options.load_in_8bit else ""
        weights = checkpoint.fingerprint()[:16]
        return f"chat {checkpoint.family} {weights} {str(dtype).removeprefix('torch.')}{bits}"

    def check(self, standard: Standard) -> None:
        """Raise `UserError` if the model is not to be had; every kind, aspect and K can be asked for."""
        checkpoint = self._checkpoint()
        if checkpoint.has_own_code:  # refused before a run is begun: allowing it is part of a run's settings
            from zeroiqa.chat.loading import check_family

            check_family(checkpoint, self._options)
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
            for row, answers in zip(ratings, self._read(views, [standards[i] for i in at_once]), strict=True):
                for index, rating in zip(at_once, answers, strict=True):
                    row[index] = rating
        for index, standard in enumerate(standards):
            if standard.kind == "float":
                for row, view in zip(ratings, views, strict=True):
                    row[index] = self._number(view, standard)
        return ratings

    def last_logprobs(
        self, views: Sequence[View], prompt: FilledPrompt, answer_prefix: str = ""
    ) -> torch.Tensor:
        """What the model would say next: natural log-probabilities of the whole vocabulary.

        Args:
            views: What is shown.
            prompt: What is asked.
            answer_prefix: The beginning of the answer, put into the model's mouth.

        Returns:
            Float32 on the CPU, shape (views, vocabulary).
        """
        import torch

        engine = self._engine()
        text = engine.template.text(prompt) + answer_prefix
        rows = engine.run(
            [view.pixels for view in views],
            [[text]] * len(views),
            lambda logits, _: list(logits.log_softmax(-1).cpu()),
        )
        return torch.stack([row[0] for row in rows])

    def answer_text(self, view: View, prompt: FilledPrompt, most_tokens: int = _FLOAT_TOKENS) -> str:
        """The model's greedy answer in words."""
        engine = self._engine()
        return engine.answer(view.pixels, engine.template.text(prompt), most_tokens)

    def word_tokens(self, prompt: FilledPrompt, words: Sequence[str]) -> AnswerTokens:
        """The first token of each word after a prompt, for `last_logprobs` with the lead as answer prefix.

        Raises:
            UserError: two words begin with the same token, or with one that says something else.
        """
        from zeroiqa.chat.tokens import check_spelling, first_tokens

        engine = self._engine()
        name, leads = engine.loaded.name, (engine.template.lead(prompt), "")
        found = first_tokens(engine.preprocessor.encode, engine.template.text(prompt), words, leads, name)
        check_spelling(engine.loaded.processor.tokenizer.decode, found.ids, words, name, whole=False)
        return found

    def token_text(self, token: int) -> str:
        """A token id in words."""
        return str(self._engine().loaded.processor.tokenizer.decode([token]))

    def describe(self, standard: Standard) -> dict[str, Any]:
        """What a standard becomes for this model: the levels' tokens, the prompt as sent, the paths used."""
        engine = self._engine()
        filled = standard.fill(_EXAMPLE)
        loaded, paths = engine.loaded, engine.paths
        described: dict[str, Any] = {
            "model": loaded.name,
            "family": loaded.family,
            "fingerprint": loaded.fingerprint,
            "device": str(loaded.device),
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "prompt": engine.template.text(filled),
            "paths": {
                "forward": paths.forward,
                "batch": paths.batch,
                "vision features": paths.features,
                "prefix": paths.prefix,
                "last position": engine.forward.last_only,
            },
            "why": dict(engine.why),
            "budget_tokens": engine.budget.tokens,
            "known_answer": self._known_answer,
        }
        if standard.kind == "float":
            return described
        readout = self._readout(standard)
        described["prompt"] += readout.tail
        if readout.answers is None:
            return described
        levels = {str(level): token for level, token in enumerate(readout.answers.ids, start=1)}
        return {**described, "levels": levels}

    def watch(self, told: Callable[[Result], None]) -> None:
        """Have `told` called with the known answer of each load; whatever it raises refuses the model."""
        self._told = told

    def first_tokens(self, standard: Standard) -> list[FirstToken]:
        """How each of the built-in pictures is answered under a standard."""
        from zeroiqa.chat.known_answer import built_in_views

        views = [replace(view, prompt=_EXAMPLE) for view in built_in_views()]
        likeliest = self._likeliest(views, standard)
        if standard.kind == "float":
            return [FirstToken(None, tokens) for tokens in likeliest]
        ratings = [row[0] for row in self.rate(views, [standard])]
        return [
            FirstToken(rating.mass if rating else None, tokens)
            for rating, tokens in zip(ratings, likeliest, strict=True)
        ]

    def release(self) -> None:
        """Let go of the weights; the next call of `rate` loads them again."""
        self._ready = None
        self._readouts.clear()

    def _checkpoint(self) -> Checkpoint:
        if self._found is None:
            self._found = find_checkpoint(self._name, self._revision, offline=self._options.offline)
        return self._found

    def _engine(self) -> ChatEngine:
        if self._ready is None:
            from zeroiqa.chat.engine import ChatEngine
            from zeroiqa.chat.loading import load

            self._ready = ChatEngine(load(self._name, self._options, self._revision))
            self._compare_with_known_answer(self._ready.loaded)
        return self._ready

    def _compare_with_known_answer(self, loaded: Loaded) -> None:
        from zeroiqa.chat import known_answer

        dtype = "8bit" if self._options.load_in_8bit else str(loaded.dtype).removeprefix("torch.")
        try:
            result = known_answer.check(self, loaded.fingerprint, dtype)
            known_answer.enforce(result, loaded.name)
            if self._told is not None:
                self._told(result)
        except UserError:
            self._ready = None  # or the next call would rate with it
            raise
        self._known_answer = str(result)
        least = min(result.mass, default=1.0)
        if least < LEAST_MASS:
            view = known_answer.built_in_views()[result.mass.index(least)]
            first = FirstToken(least, self._likeliest([view], load_standard(known_answer.STANDARD))[0])
            _LOG.warning("%s", off_the_scale(loaded.name, first))

    def _read(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating]]:
        engine = self._engine()
        readouts = [self._readout(standard) for standard in standards]
        fixed = [
            None if standard.needs_prompt else engine.template.text(standard.fill()) + readout.tail
            for standard, readout in zip(standards, readouts, strict=True)
        ]
        texts = [
            [
                known
                if known is not None
                else engine.template.text(standard.fill(view.prompt)) + readout.tail
                for known, standard, readout in zip(fixed, standards, readouts, strict=True)
            ]
            for view in views
        ]
        return engine.run(
            [view.pixels for view in views], texts, lambda logits, prompt: readouts[prompt].read(logits)
        )

    def _likeliest(self, views: Sequence[View], standard: Standard) -> list[tuple[tuple[str, float], ...]]:
        """The likeliest tokens where the answer is read, for each view."""
        tail = "" if standard.kind == "float" else self._readout(standard).tail
        shares, ids = self.last_logprobs(views, standard.fill(_EXAMPLE), tail).exp().topk(COUNT)
        rows: list[tuple[tuple[str, float], ...]] = []
        for of_view, tokens in zip(shares.tolist(), ids.tolist(), strict=True):
            rows.append(tuple(zip(map(self.token_text, tokens), of_view, strict=True)))
        return rows

    def _readout(self, standard: Standard) -> Readout:
        from zeroiqa.chat.readouts import make_readout

        if standard.hash not in self._readouts:
            self._readouts[standard.hash] = make_readout(self._engine(), standard)
        return self._readouts[standard.hash]

    def _number(self, view: View, standard: Standard) -> Rating | None:
        value = parse_number(self.answer_text(view, standard.fill(view.prompt)), standard.k)
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
