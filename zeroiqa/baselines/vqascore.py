"""VQAScore: does the image show what its prompt says? The probability of Yes, by any chat model.

Lin et al.: Evaluating text-to-visual generation with image-to-text generation, ECCV 2024. There it is
P("Yes") among all words, by CLIP-FlanT5. Here it is P(Yes) / (P(Yes) + P(No)), by the rater that is
named: chat models begin with other words, too, and how much they do is kept as the mass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zeroiqa.baselines.measure import Measured, known_direction, text_prompt
from zeroiqa.chat.model import ChatModel
from zeroiqa.standards import FilledPrompt
from zeroiqa.weights.cards import resolve_model

if TYPE_CHECKING:
    from zeroiqa.baselines.entry import Baseline
    from zeroiqa.types import View
    from zeroiqa.weights.options import ModelOptions

QUESTION = 'Does this figure show "{}"? Please answer yes or no.'
WORDS = ("Yes", "No")


class VqaScore:
    """Asks a chat model about each image's text prompt.

    Args:
        baseline: Of the catalogue.
        rater: Name of a model, or hf:FOLDER_OR_REPOSITORY.
        options: How its weights are loaded and run.

    Raises:
        UserError: there is no such model.
    """

    def __init__(self, baseline: Baseline, rater: str, options: ModelOptions) -> None:
        self._baseline = baseline
        repo, revision = resolve_model(rater)
        self._model = ChatModel(repo, options, revision)

    @property
    def id(self) -> str:
        """The model's.

        Raises:
            UserError: the model is neither on this disk nor to be had.
        """
        return self._model.id

    @property
    def direction(self) -> int:
        """As in the catalogue."""
        return known_direction(self._baseline)

    @property
    def images_per_call(self) -> int:
        """As many as for the model's own ratings."""
        return self._model.images_per_call

    def measure(self, views: Sequence[View]) -> list[Measured]:
        """P(Yes) against P(No) in [0, 1], and the mass of both; views of one prompt run together.

        Raises:
            ImageError: a text prompt is missing or holds a control token, or a view cannot be prepared.
            UserError: the model cannot be loaded or used.
        """
        prompts = [text_prompt(self._baseline, view) for view in views]
        found: dict[int, Measured] = {}
        for prompt in dict.fromkeys(prompts):
            places = [place for place, own in enumerate(prompts) if own == prompt]
            found.update(zip(places, self._ask([views[place] for place in places], prompt), strict=True))
        return [found[place] for place in range(len(views))]

    def _ask(self, views: Sequence[View], prompt: str) -> list[Measured]:
        question = FilledPrompt(system="", user=QUESTION.replace("{}", prompt))
        tokens = self._model.word_tokens(question, WORDS)
        logprobs = self._model.last_logprobs(views, question, tokens.lead)[:, list(tokens.ids)].double()
        shares = logprobs.softmax(-1)[:, 0].tolist()
        masses = logprobs.exp().sum(-1).clamp(max=1).tolist()
        return [Measured(share, mass) for share, mass in zip(shares, masses, strict=True)]
