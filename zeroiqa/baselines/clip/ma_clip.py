"""MA-CLIP: is CLIP's picture nearer to "Good image" or to "bad image", and how large is its feature?

Liao et al., AAAI 2026 (arXiv 2511.09948): the cosines with five pairs of opposite texts and the magnitude of
the image feature, weighed against each other for each square of the picture. Written anew from its facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zeroiqa.baselines.clip.openai_files import OpenAiSource, find_openai_clip
from zeroiqa.baselines.measure import Measured, known_direction

if TYPE_CHECKING:
    from zeroiqa.baselines.clip.openai_model import OpenAiClip
    from zeroiqa.baselines.entry import Baseline
    from zeroiqa.types import Pixels, View
    from zeroiqa.weights.options import ModelOptions

_START, _END = 49406, 49407
TEXTS = (
    ((886, 2867), (2103, 2867)),  # Good image, bad image
    ((8157, 2867), (21977, 2867)),  # Sharp image, blurry image
    ((8157, 20938), (21977, 20938)),  # sharp edges, blurry edges
    ((1400, 9977, 2867), (1042, 9977, 2867)),  # High resolution image, low resolution image
    ((9307, 268, 1139, 2867), (33495, 2867)),  # Noise-free image, noisy image
)
"""Pairs of opposite texts, as ids of CLIP's tokenizer."""
_BASE_OF_COSINE, _BASE_OF_MAGNITUDE = 1.0, 0.6
_TINY = 1e-6


def ma_clip_value(features: npt.NDArray[np.float64], texts: npt.NDArray[np.float64], scale: float) -> float:
    """MA-CLIP of one picture: the mean over its squares of the weighted mean of two terms.

    Args:
        features: Of the squares, not normalised, shape (N, features).
        texts: Unit features of the texts, good and bad in turn, shape (10, features).
        scale: CLIP's learned scale, 100 for OpenAI's weights.

    Returns:
        A number in [0, inf), about 0.5 to 1; higher is better.
    """
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    good, bad = (scale * unit @ texts[which::2].T for which in (0, 1))
    by_cosine = _sigmoid(good - bad).mean(axis=1)
    by_magnitude = _magnitude(features)
    difference = by_cosine - by_magnitude
    weight = _sigmoid((_BASE_OF_COSINE + difference) - (_BASE_OF_MAGNITUDE - difference))
    return float((weight * by_cosine + (1 - weight) * by_magnitude).mean())


def _magnitude(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Box-Cox with exponent 1/2 of 1 + |feature| / its standard deviation, meaned, shape (N,).

    It does not change with the length of a feature: it says how evenly a feature is spread.
    """
    sizes = np.abs(features)
    spread = sizes.std(axis=1, ddof=1, keepdims=True) + _TINY
    found: npt.NDArray[np.float64] = ((np.sqrt(sizes / spread + 1) - 1) / 0.5).mean(axis=1)
    return found


def _sigmoid(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The first share of a softmax over two numbers, by their difference; it never overflows."""
    found: npt.NDArray[np.float64] = 0.5 * (1 + np.tanh(x / 2))
    return found


class MaClip:
    """Scores views by MA-CLIP; one runs at a time, so that a number never depends on the views beside it.

    Args:
        baseline: Of the catalogue; it names the usual weights.
        argument: A file, folder or repository of other weights; "" takes the usual ones.
        options: Device and what is allowed. The type of the weights is float32, whatever is asked for.
    """

    images_per_call = 8

    def __init__(self, baseline: Baseline, argument: str, options: ModelOptions) -> None:
        self._baseline, self._argument, self._options = baseline, argument, options
        self._found: OpenAiSource | None = None
        self._loaded: tuple[OpenAiClip, npt.NDArray[np.float64]] | None = None

    @property
    def id(self) -> str:
        """The weights and the type.

        Raises:
            UserError: the weights are neither on this disk nor to be had, or their format is not read.
        """
        return f"{self._source().id} float32"

    @property
    def direction(self) -> int:
        """As in the catalogue."""
        return known_direction(self._baseline)

    def measure(self, views: Sequence[View]) -> list[Measured]:
        """One number for each view.

        Raises:
            UserError: the model cannot be loaded, or its device fails.
        """
        return [Measured(self._value(view.pixels)) for view in views]

    def _value(self, pixels: Pixels) -> float:
        from zeroiqa.baselines.clip.patches import patches

        model, texts = self._model()
        features = [model.image_features(squares).numpy() for squares in patches(pixels)]
        return ma_clip_value(np.concatenate(features), texts, model.scale)

    def _source(self) -> OpenAiSource:
        if self._found is None:
            self._found = find_openai_clip(self._baseline, self._argument, self._options)
        return self._found

    def _model(self) -> tuple[OpenAiClip, npt.NDArray[np.float64]]:
        """The model, and the features of the texts, which are computed once."""
        if self._loaded is None:
            from zeroiqa.baselines.clip.openai_model import load_openai_clip

            model = load_openai_clip(self._source(), self._options)
            texts = [(_START, *ids, _END) for pair in TEXTS for ids in pair]
            self._loaded = model, model.text_features(texts).numpy()
        return self._loaded
