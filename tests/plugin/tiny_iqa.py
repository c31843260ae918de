"""A package of somebody else: a rater, a segmenter, a baseline and a head, each as small as it can be."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from zeroiqa.baselines import Baseline
from zeroiqa.errors import ImageError, UserError
from zeroiqa.heads.entry import DimensionEntry, HeadEntry
from zeroiqa.heads.predictions import Prediction
from zeroiqa.raters import RaterEntry
from zeroiqa.segmenters import SegmenterEntry
from zeroiqa.types import Rating, Region

LEAST_SIDE = 20


class TinyRater:
    """The brighter, the better."""

    images_per_call = 1

    def __init__(self, argument, options):
        if argument not in (None, "dark"):
            raise UserError(f"The rater tinyrater takes dark or nothing, found {argument!r}.")
        self._sign = -1 if argument else 1
        self.id = f"tinyrater 1 {argument or 'bright'}"

    def check(self, standard):
        if standard.kind == "float":
            raise UserError("The rater tinyrater answers by levels; choose another standard.")

    def rate(self, views, standards):
        return [[self._rating(view.pixels, standard.k) for standard in standards] for view in views]

    def _rating(self, pixels, k):
        if min(pixels.shape[:2]) < LEAST_SIDE:
            raise ImageError(f"The rater tinyrater wants {LEAST_SIDE} pixels on each side.")
        logits = [self._sign * level * float(pixels.mean()) / 64 for level in range(k)]
        total = math.log(sum(map(math.exp, logits)))
        return Rating(tuple(logit - total for logit in logits), mass=1.0)


class TinySegmenter:
    """The left half."""

    images_per_call = 1

    def __init__(self, argument, options):
        if argument is not None:
            raise UserError(f"The segmenter tinyhalves takes nothing, found {argument!r}.")
        self.id = "tinyhalves 1"

    def segment(self, image):
        height, width = image.size
        return [Region((0, 0, max(1, width // 2), height), max(1, width // 2) / width, "object")]

    def segment_batch(self, images):
        return [self.segment(image) for image in images]


def steepness(pixels, *, inside=None):
    """The mean step between neighbours."""
    return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean()) if pixels.shape[1] > 1 else None


class TinyHead:
    """Contrast, from 0 to 100; the folder holds the factor."""

    images_per_call = 1

    def __init__(self, dimension, folder, options):
        try:
            self._factor = float((folder / "factor.txt").read_text())
        except (OSError, ValueError):
            raise UserError(f"The folder {folder} holds no factor.txt with a number.") from None
        self.id = f"tinyhead 1 {dimension} {self._factor}"

    def predict(self, images, texts):
        scores = [self._factor * float(image.pixels.std()) for image in images]
        return [Prediction(score, levels=(), yes=None) for score in scores]


def has_factor(folder: Path) -> bool:
    return (folder / "factor.txt").is_file()


RATER = RaterEntry(TinyRater, help="mean brightness, for the tests")
SEGMENTER = SegmenterEntry(TinySegmenter)
BASELINE = Baseline("tinyfocus", "Tiny focus", "native", direction=-1, compute="tiny_iqa:steepness")
HEAD = HeadEntry(
    name="tinyhead",
    title="Tiny head",
    dimensions=(DimensionEntry("contrast", "quality", "is the contrast", gives_levels=False),),
    model="tiny_iqa:TinyHead",
    recognises=has_factor,
    weights="are a number of your own",
)
