"""A chat vision-language model by name: loaded at the first call, and compared with its known answer.

One prefill, and the tokens at its last position: the whole distribution there, instead of one sampled answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from zeroiqa.chat import known_answer
from zeroiqa.chat.likeliest import COUNT, LEAST_MASS, FirstToken, off_the_scale
from zeroiqa.errors import UserError
from zeroiqa.standards import load_standard
from zeroiqa.weights.checkpoint import Checkpoint, find_checkpoint
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    import torch

    from zeroiqa.chat.answering import Answered
    from zeroiqa.chat.comparing import Ask
    from zeroiqa.chat.engine import ChatEngine
    from zeroiqa.chat.known_answer import Result
    from zeroiqa.chat.loading import Loaded
    from zeroiqa.chat.readouts import TokenReadout
    from zeroiqa.chat.showing import Showing
    from zeroiqa.chat.tokens import AnswerTokens
    from zeroiqa.standards import FilledPrompt, Standard
    from zeroiqa.types import Rating, View

_LOG = logging.getLogger(__name__)


class ChatModel:
    """A model that answers about views; building it reads no more than the configuration.

    Args:
        repo_or_folder: A repository of the Hugging Face hub, or a folder with a checkpoint.
        options: Device, type of the weights and what is allowed.
        revision: Branch, tag or commit of the repository.
    """

    images_per_call = 8
    """How many images' views are worth one call: they fill batches and fit into the memory."""

    def __init__(
        self,
        repo_or_folder: str,
        options: ModelOptions = ModelOptions(),  # noqa: B008 -- frozen
        revision: str | None = None,
    ) -> None:
        self.options = options
        self.known_answer = ""
        """What the last load found of the known answer; see `zeroiqa.chat.known_answer`."""
        self._name, self._revision = repo_or_folder, revision
        self._found: Checkpoint | None = None
        self._ready: ChatEngine | None = None
        self._on_load: Callable[[Result], None] | None = None
        self._readouts: dict[str, TokenReadout] = {}
        self._checked: set[str] = set()

    @classmethod
    def of(cls, loaded: Loaded) -> ChatModel:
        """The same of a model that is loaded already; its answer is not compared."""
        from zeroiqa.chat.engine import ChatEngine

        model = cls(loaded.name)
        model._ready = ChatEngine(loaded)
        return model

    @property
    def loaded(self) -> Loaded:
        """The model, loaded if need be."""
        return self.engine.loaded

    @property
    def engine(self) -> ChatEngine:
        """What runs it, loaded if need be.

        Raises:
            UserError: the model cannot be loaded or used, or it answers otherwise than it did.
        """
        if self._ready is None:
            from zeroiqa.chat.engine import ChatEngine
            from zeroiqa.chat.loading import load

            self._ready = ChatEngine(load(self._name, self.options, self._revision))
            self._compare_at_load(self._ready.loaded)
        return self._ready

    @property
    def id(self) -> str:
        """Family, weights, and what changes the numbers: the type of the weights and 8 bits.

        Raises:
            UserError: the model is neither on this disk nor to be had.
        """
        from zeroiqa.weights.devices import find_device, find_dtype

        checkpoint = self._checkpoint()
        dtype: object = self.options.dtype
        if self.options.dtype.startswith("auto"):
            dtype = find_dtype(self.options.dtype, find_device(self.options.device))
        bits = " 8bit" if self.options.load_in_8bit else ""
        weights = checkpoint.fingerprint()[:16]
        return f"chat {checkpoint.family} {weights} {str(dtype).removeprefix('torch.')}{bits}"

    def check(self) -> None:
        """Raise `UserError` if the model is not to be had, or must not run its own code."""
        checkpoint = self._checkpoint()
        if checkpoint.has_own_code:  # refused before a run is begun: allowing it is part of a run's settings
            from zeroiqa.chat.loading import check_family

            check_family(checkpoint, self.options)

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating]]:
        """Ratings indexed [view][standard], by the readout of each standard: of any kind but "float".

        The standards share one pass of the vision encoder per view.

        Raises:
            ImageError: a view cannot be prepared, or a standard needs the image's prompt, which is missing.
            UserError: the model cannot be loaded or used, memory holds not one view, or the device is gone.
        """
        from zeroiqa.chat.comparing import asks_of, show

        engine = self.engine
        readouts = [self.readout(standard) for standard in standards]
        asks = asks_of(standards)

        @cache
        def text(place: int, prompt: str | None, crop: bool, weight: bool) -> str:
            filled = standards[place].fill(prompt, crop=crop, weight=weight)
            return engine.template.text(filled) + readouts[place].tail_of(weight)

        def sent(ask: Ask, view: View) -> str:
            prompt = view.prompt if standards[ask.standard].needs_prompt else None
            return text(ask.standard, prompt, view.region is not None, ask.weight)

        answers = engine.run(
            [view.pixels for view in views],
            [[sent(ask, view) for ask in asks] for view in views],
            lambda logits, at: readouts[asks[at].standard].read_of(asks[at].weight)(logits),
            show(standards, asks, [readout.comparison for readout in readouts]),
        )
        return [_ratings(standards, asks, of_view) for of_view in answers]

    def last_logprobs(
        self,
        views: Sequence[View],
        prompt: FilledPrompt,
        answer_prefix: str = "",
        showing: Showing | None = None,
    ) -> torch.Tensor:
        """What the model would say next: natural log-probabilities of the whole vocabulary.

        Args:
            views: What is shown.
            prompt: What is asked.
            answer_prefix: The beginning of the answer, put into the model's mouth.
            showing: What a prompt of several pictures shows of a view.

        Returns:
            Float32 on the CPU, shape (views, vocabulary).
        """
        import torch

        text = self.engine.template.text(prompt) + answer_prefix
        rows = self.engine.run(
            [view.pixels for view in views],
            [[text]] * len(views),
            lambda logits, _: list(logits.log_softmax(-1).cpu()),
            showing,
        )
        return torch.stack([row[0] for row in rows])

    def likeliest(self, views: Sequence[View], standard: Standard) -> list[tuple[tuple[str, float], ...]]:
        """The likeliest tokens where the answer is read, for each whole image, with their probabilities.

        Of a comparison: about the image beside its first copy.
        """
        from zeroiqa.chat.comparing import asks_of, show

        tail, showing = "", None
        if standard.kind != "float":
            readout = self.readout(standard)
            tail, showing = readout.tail, show([standard], asks_of([standard])[:1], [readout.comparison])
        shares, ids = (
            self.last_logprobs(views, standard.fill(known_answer.EXAMPLE), tail, showing).exp().topk(COUNT)
        )
        rows: list[tuple[tuple[str, float], ...]] = []
        for of_view, tokens in zip(shares.tolist(), ids.tolist(), strict=True):
            rows.append(tuple(zip(map(self.token_text, tokens), of_view, strict=True)))
        return rows

    def answer_text(self, view: View, prompt: FilledPrompt, most_tokens: int) -> Answered:
        """The model's greedy answer in words; errors as those of `rate`."""
        from zeroiqa.chat.answering import answer

        return answer(self.engine, view.pixels, prompt, most_tokens)

    def word_tokens(self, prompt: FilledPrompt, words: Sequence[str]) -> AnswerTokens:
        """The first token of each word after a prompt, for `last_logprobs` with the lead as answer prefix.

        Raises:
            UserError: two words begin with the same token, or with one that says something else.
        """
        from zeroiqa.chat.tokens import check_spelling, first_tokens

        engine = self.engine
        name, leads = engine.loaded.name, (engine.template.lead(prompt), "")
        found = first_tokens(engine.preprocessor.encode, engine.template.text(prompt), words, leads, name)
        check_spelling(engine.loaded.processor.tokenizer.decode, found.ids, words, name, whole=False)
        return found

    def token_text(self, token: int) -> str:
        """A token id in words."""
        return str(self.loaded.processor.tokenizer.decode([token]))

    def readout(self, standard: Standard) -> TokenReadout:
        """How a standard of any kind but "float" is read off the model."""
        from zeroiqa.chat.readouts import make_readout

        if standard.hash not in self._readouts:
            self.check_standard(standard)
            self._readouts[standard.hash] = make_readout(self.engine, standard)
        return self._readouts[standard.hash]

    def check_standard(self, standard: Standard) -> None:
        """See that the prompts of a standard reach the model as they are written.

        Raises:
            UserError: they do not, whatever the image.
        """
        from zeroiqa.chat.placing import check_standard

        if standard.hash not in self._checked:
            check_standard(self.engine.template, standard, self.engine.loaded.name)
            self._checked.add(standard.hash)

    def compare_with_known_answer(self, standard: Standard | None = None) -> Result:
        """What the built-in views are rated under a standard with levels, beside what they were before.

        Raises:
            UserError: the answer differs from one that comes with the package.
        """
        loaded = self.engine.loaded
        dtype = "8bit" if self.options.load_in_8bit else str(loaded.dtype).removeprefix("torch.")
        result = known_answer.check(self, loaded.fingerprint, dtype, standard=standard)
        known_answer.enforce(result, loaded.name)
        return result

    def watch(self, on_load: Callable[[Result], None]) -> None:
        """Have a function called with the known answer of each load; whatever it raises refuses the model."""
        self._on_load = on_load

    def release(self) -> None:
        """Let go of the weights; whatever asks next loads them again."""
        self._ready = None
        self._readouts.clear()

    def _checkpoint(self) -> Checkpoint:
        if self._found is None:
            self._found = find_checkpoint(
                self._name, self._revision, offline=self.options.offline, replies=self.options.replies
            )
        return self._found

    def _compare_at_load(self, loaded: Loaded) -> None:
        try:
            result = self.compare_with_known_answer()
            if self._on_load is not None:
                self._on_load(result)
        except UserError:
            self._ready = None  # or the next call would rate with it
            raise
        self.known_answer = str(result)
        least = min(result.mass, default=1.0)
        if least < LEAST_MASS:
            view = known_answer.built_in_views()[result.mass.index(least)]
            first = FirstToken(least, self.likeliest([view], load_standard(known_answer.STANDARD))[0])
            _LOG.warning("%s", off_the_scale(loaded.name, first))


def _ratings(standards: Sequence[Standard], asks: Sequence[Ask], answers: Sequence[Rating]) -> list[Rating]:
    """One rating for each standard, from those of all prompts."""
    from zeroiqa.chat.comparing import compared

    found: list[list[tuple[Ask, Rating]]] = [[] for _ in standards]
    for ask, rating in zip(asks, answers, strict=True):
        found[ask.standard].append((ask, rating))
    return [
        own[0][1] if standard.comparison is None else compared(standard, own)
        for standard, own in zip(standards, found, strict=True)
    ]
