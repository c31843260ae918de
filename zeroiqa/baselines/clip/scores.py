"""Baselines on CLIP: CLIP-IQA, CLIPScore and PickScore, each a formula over cosines of CLIP's features.

All compute in float32: cosines of different images differ by some thousandths, which bfloat16 (8 bits) would
round away. One view runs at a time, so that a number never depends on the views beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from zeroiqa.baselines.clip.files import ClipSource, find_clip
from zeroiqa.baselines.measure import Measured, known_direction, text_prompt

if TYPE_CHECKING:
    from zeroiqa.baselines.clip.model import ClipModel
    from zeroiqa.baselines.entry import Baseline
    from zeroiqa.types import View
    from zeroiqa.weights.options import ModelOptions

PAIR = ("Good photo.", "Bad photo.")
"""CLIP-IQA's prompt pair for quality."""
PREFIX = "A photo depicts "
"""What CLIPScore puts before a caption."""


def clip_iqa_value(cosines: Sequence[float], scale: float) -> float:
    """CLIP-IQA, eq. 2 of Wang, Chan, Loy (AAAI 2023): exp(s c1) / (exp(s c1) + exp(s c2)).

    Args:
        cosines: Of the image with the good and with the bad prompt.
        scale: CLIP's learned scale, 100 for OpenAI's weights.

    Returns:
        A number in [0, 1]; higher is better.
    """
    good, bad = cosines
    return 1 / (1 + math.exp(min(scale * (bad - good), 700)))


def clipscore_value(cosine: float) -> float:
    """CLIPScore, section 3 of Hessel et al. (EMNLP 2021): 2.5 max(cos, 0).

    Returns:
        A number in [0, 2.5]; higher is better.
    """
    return 2.5 * max(cosine, 0.0)


def pickscore_value(cosine: float, scale: float) -> float:
    """PickScore, section 3 of Kirstain et al. (NeurIPS 2023): the cosine times the learned scale.

    Returns:
        A number in [-scale, scale], the scale being about 100; higher is better.
    """
    return scale * cosine


def clip_iqa(baseline: Baseline, argument: str, options: ModelOptions) -> ClipMeasure:
    """CLIP-IQA with the one prompt pair for quality."""
    return ClipMeasure(baseline, argument, options, lambda _: PAIR, clip_iqa_value)


def clipscore(baseline: Baseline, argument: str, options: ModelOptions) -> ClipMeasure:
    """CLIPScore of each image and its text prompt."""

    def texts(view: View) -> tuple[str, ...]:
        return (PREFIX + text_prompt(baseline, view),)

    return ClipMeasure(baseline, argument, options, texts, lambda cosines, _: clipscore_value(cosines[0]))


def pickscore(baseline: Baseline, argument: str, options: ModelOptions) -> ClipMeasure:
    """PickScore of each image and its text prompt."""

    def texts(view: View) -> tuple[str, ...]:
        return (text_prompt(baseline, view),)

    return ClipMeasure(
        baseline, argument, options, texts, lambda cosines, scale: pickscore_value(cosines[0], scale)
    )


class ClipMeasure:
    """A formula over the cosines of an image with some texts.

    Args:
        baseline: Which one; it names the usual weights.
        argument: Folder or repository of other weights; "" takes the usual ones.
        options: Device and what is allowed. The type of the weights is float32, whatever is asked for.
        texts: What a view is compared with.
        value: The formula: cosines with these texts, and CLIP's scale.
    """

    images_per_call = 8

    def __init__(
        self,
        baseline: Baseline,
        argument: str,
        options: ModelOptions,
        texts: Callable[[View], tuple[str, ...]],
        value: Callable[[Sequence[float], float], float],
    ) -> None:
        self._baseline, self._argument, self._options = baseline, argument, options
        self._texts, self._value = texts, value
        self._found: ClipSource | None = None
        self._loaded: ClipModel | None = None

    @property
    def id(self) -> str:
        """The weights, the processor where it comes from elsewhere, and the type.

        Raises:
            UserError: the weights are neither on this disk nor to be had.
        """
        return f"{self._source().id} float32"

    @property
    def direction(self) -> int:
        """As in the catalogue."""
        return known_direction(self._baseline)

    def measure(self, views: Sequence[View]) -> list[Measured]:
        """One number for each view.

        Raises:
            ImageError: a text prompt is missing.
            UserError: the model cannot be loaded.
        """
        texts = [self._texts(view) for view in views]
        model = self._model()
        features = {text: model.text_features(text) for text in dict.fromkeys(chain.from_iterable(texts))}
        found = []
        for view, own in zip(views, texts, strict=True):
            image = model.image_features(view.pixels)
            cosines = [float(image @ features[text]) for text in own]
            found.append(Measured(self._value(cosines, model.scale)))
        return found

    def _source(self) -> ClipSource:
        if self._found is None:
            self._found = find_clip(self._baseline, self._argument, self._options)
        return self._found

    def _model(self) -> ClipModel:
        if self._loaded is None:
            from zeroiqa.baselines.clip.model import load_clip

            self._loaded = load_clip(self._source(), self._options)
        return self._loaded
