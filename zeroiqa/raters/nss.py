"""The embedded rater: natural-scene statistics on the CPU, without weights and without a download.

Eleven measures of one picture are weighed into a quality Q, which is read on a fixed scale as a distribution
over the levels 1..K. The only fitted object is a Gaussian over 24 pristine photographs. No measure is
regressed on human scores; terms and weights were set by hand on development photographs (the training part of
BIQ2021). One of the measures is a distance after NIQE, of features that depart from NIQE's; how is said in
zeroiqa/nss/naturalness.py.

Limits: it rates photographs. White backgrounds, high-key pictures, snow, night scenes and intended blur are
rated too low; text, foliage and noise look sharp; meaning, composition, faces and the faults of generated
images are invisible. Large pictures are rated at 512 pixels, where a blur of one original pixel is not seen.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroiqa.errors import UserError
from zeroiqa.images.opencv import cv2
from zeroiqa.nss.faults import find_faults
from zeroiqa.nss.measures import Measures, measure
from zeroiqa.nss.naturalness import MODEL_FILE, load_model
from zeroiqa.nss.planes import mirrored, mirrored_mask
from zeroiqa.raters.able import advice
from zeroiqa.types import Rating

if TYPE_CHECKING:
    from zeroiqa.standards import Standard
    from zeroiqa.types import Mask, Pixels, View

NAME = "embedded-guarded v2"
"""Stands in every output: these scores are never mixed with those of other raters or versions."""
SIDE = 512
"""The shorter side, in pixels, at which an image is measured."""
MOST_PIXELS = 4 * 640 * 640
"""Of the picture that is measured; images up to 4:1 stay below it at canonical size."""
LEAST_SIDE = 288
"""A smaller picture is continued by reflection: that distance grows with fewer than 3 x 3 blocks."""
TAU = 0.5
"""Width of the logistic steps between the levels, in units of Q: a convention, not calibrated."""
SHARES = (0.0, 7.5, 20.0, 38.0, 62.0, 80.0, 92.5, 100.0)
"""Percentage of photographs at or below each of the levels 0..7 of the seven-level scale."""
QUANTILES = (
    (1.0, -6.83), (5.0, -4.58), (7.5, -3.98), (10.0, -3.46), (20.0, -2.02), (25.0, -1.6), (38.0, -0.58),
    (50.0, 0.0), (62.0, 0.5), (75.0, 1.0), (80.0, 1.18), (90.0, 1.65), (92.5, 1.83), (95.0, 2.05),
    (99.0, 2.74),
)  # fmt: skip
"""Percentage of 2,400 unlabelled photographs that have a quality below Q, and Q."""


class NssRater:
    """Rates views by natural-scene statistics (the guarded weighting)."""

    images_per_call = 1

    def __init__(self, argument: str | None = None) -> None:
        if argument is not None:
            raise UserError(f"The rater nss takes no argument, found {argument!r}; write nss alone.")
        self._model = load_model()

    @property
    def id(self) -> str:
        """Name, version and a hash over the pristine statistics and the scale."""
        facts = repr((SIDE, MOST_PIXELS, LEAST_SIDE, TAU, SHARES, QUANTILES)).encode()
        return f"{NAME} {hashlib.sha256(MODEL_FILE.read_bytes() + facts).hexdigest()[:12]}"

    def check(self, standard: Standard) -> None:
        """Raise `UserError` unless the standard asks for quality on discrete levels."""
        if standard.aspect != "quality" or standard.kind in ("float", "preference", "comparison"):
            raise UserError(
                f"The rater nss rates quality on levels, but the standard {standard.name} has the aspect "
                f"{standard.aspect} and the kind {standard.kind}; {advice(standard.aspect)}."
            )

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        """Ratings indexed [view][standard], of mass 1; None where a mask leaves too little to measure.

        Each keeps what was measured of its view, by the names of `Measures`; of the whole image those of
        `Faults`, too, of which no rating is made.
        """
        for standard in standards:
            self.check(standard)
        cuts = [level_cuts(standard.k) for standard in standards]
        return [self._rate(view, cuts) for view in views]

    def _rate(self, view: View, cuts: Sequence[tuple[float, ...]]) -> list[Rating | None]:
        """One rating for each scale."""
        picture = picture_to_measure(view)
        found = measure(picture, self._model, mask_to_measure(view))
        if found is None:
            return [None for _ in cuts]
        kept = asdict(found) | (asdict(find_faults(view.pixels, picture)) if view.region is None else {})
        measures = {name: float(value) for name, value in kept.items()}
        return [Rating(level_logprobs(quality(found), cut), 1.0, measures=measures) for cut in cuts]


def picture_to_measure(view: View) -> Pixels:
    """The view at the scale at which its whole image is measured.

    A crop keeps that scale: an object is as sharp as it looks within its image, and enlarging small objects
    would make them look blurred (on 150 photographs the mean of an image's crops then agrees better with
    people, SRCC .669 instead of .634). Where too little remains for the statistics, reflection continues it.

    Returns:
        RGB, shape (height, width, 3), uint8, both sides at least `LEAST_SIDE`.
    """
    scale = canonical_scale(*view.image_size)
    pixels = view.pixels
    if scale < 1:
        pixels = np.asarray(_resized(pixels, scale), dtype=np.uint8)
    elif scale > 1:  # in float64: how OpenCV rounds bytes depends on the processor
        enlarged = np.rint(_resized(pixels.astype(np.float64), scale))
        pixels = np.clip(enlarged, 0, 255).astype(np.uint8)
    return mirrored(pixels, LEAST_SIDE)


def mask_to_measure(view: View) -> Mask | None:
    """The pixels of `picture_to_measure` in which nothing outside of the view's mask has a share.

    Returns:
        Shape (height, width); None for a view without a mask.
    """
    if view.mask is None:
        return None
    outside = _resized((~view.mask).astype(np.float32), canonical_scale(*view.image_size))
    return mirrored_mask(outside == 0, LEAST_SIDE)


def _resized(plane: npt.NDArray[Any], scale: float) -> npt.NDArray[Any]:
    if scale == 1:
        return plane
    height, width = (max(1, round(side * scale)) for side in plane.shape[:2])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(plane, (width, height), interpolation=kind))


def canonical_scale(height: int, width: int) -> float:
    """The factor that brings an image of that size to canonical size.

    The shorter side becomes 512 pixels, upwards too: a small image must look blurred, as it does on a screen.
    Images within 20-25 % of that are left alone. Long ones are measured smaller, so that no picture that is
    measured, continued by reflection or not, has more than `MOST_PIXELS`.
    """
    scale = SIDE / min(height, width)
    if 0.8 <= scale <= 1.25:
        scale = 1.0
    return min(
        scale, math.sqrt(MOST_PIXELS / (height * width)), MOST_PIXELS / (LEAST_SIDE * max(height, width))
    )


def quality(m: Measures) -> float:
    """Q, the weighed measures: about 0 for a median photograph, standard deviation about 2; higher is better.

    Centres and scales (1.7 / 1.15, ...) are rounded means and standard deviations of the measures over 2,400
    unlabelled photographs. The last five lines are guards: about 0 for ordinary photographs.
    """
    return (
        1.00 * (m.sharpness - 1.7) / 1.15
        - 0.80 * (m.unnatural - 2.0) / 0.42
        - 0.40 * (m.restless + 1.32) / 0.43
        + 0.25 * (m.separation - 1.8) / 0.66
        + 0.45 * (min(m.median, 170) - 110) / 60
        - 0.70 * max(math.sqrt(m.highlights) - 0.05, 0) / 0.14
        - 0.50 * max(math.log((m.noise + 0.3) / 1.2), 0)
        - 0.30 * max(42 - m.contrast, 0) / 15
        - 0.15 * max(m.cast - 8, 0) / 8
        + 0.15 * math.log((min(m.colourfulness, 20) + 2) / 14) / 0.5
        - 0.20 * max(math.sqrt(m.shadows) - 0.1, 0) / 0.15
    )


def level_cuts(k: int) -> tuple[float, ...]:
    """The k - 1 values of Q between neighbouring levels of a scale of k levels.

    The share of photographs at or below level j of k is that of the seven-level scale at 7 j / k,
    interpolated; the cut is the quality below which that share of photographs lies.
    """
    shares = np.interp(np.arange(1, k) * 7 / k, np.arange(8), SHARES)
    percents, values = zip(*QUANTILES, strict=True)
    return tuple(np.interp(shares, percents, values).tolist())


def level_logprobs(value: float, cuts: tuple[float, ...]) -> tuple[float, ...]:
    """Natural log-probabilities of the levels: P(level <= j) = 1 / (1 + exp(-(cut_j - value) / TAU)).

    The difference of two such logistic shares a < b is S(b) S(-a) (1 - exp(a - b)) with S the logistic
    function, so its logarithm stays finite however far the quality lies outside the scale.
    """
    steps = [(cut - value) / TAU for cut in cuts]
    lower = [0.0] + [_log_logistic(-step) for step in steps]
    upper = [_log_logistic(step) for step in steps] + [0.0]
    widths = [0.0] + [math.log(-math.expm1(a - b)) for a, b in pairwise(steps)] + [0.0]
    return tuple(map(sum, zip(lower, upper, widths, strict=True)))


def _log_logistic(x: float) -> float:
    """log(1 / (1 + exp(-x))) without overflow."""
    return -math.log1p(math.exp(-x)) if x >= 0 else x - math.log1p(math.exp(x))
