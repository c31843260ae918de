"""Regions of images that are looked at, of a run that has none: made by its own method, kept nowhere."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from zeroiqa.errors import ImageError
from zeroiqa.guards.together import image_errors
from zeroiqa.raters import declared
from zeroiqa.results import ImageScore, score_rated
from zeroiqa.segmenters import find_segmenter
from zeroiqa.types import RatedImage

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.pipeline import Method
    from zeroiqa.runs import Run
    from zeroiqa.settings import Settings

DEFAULT_COUNT = 24
"""Of the worst images, and of the best, that have their regions made."""


def has_none(settings: Settings) -> bool:
    """Whether a run lacks regions that its method could make."""
    return not settings.makes_regions and settings.crop != "whole"


def costly(settings: Settings) -> str:
    """Names of what needs weights or a server to make regions and rate them; empty where nothing does."""
    names = [name for name in settings.raters if declared(name).needs_weights or declared(name).is_server]
    if find_segmenter(settings.segmenter).needs_weights:
        names.append(settings.segmenter)
    return " and ".join(names)


def worst_and_best(scores: Sequence[float | None], count: int, lower_is_better: bool) -> list[int]:
    """The places of the images with the so many worst and best scores, in order."""
    turned = [
        (-score if lower_is_better else score, place)
        for place, score in enumerate(scores)
        if score is not None
    ]
    chosen = {place for _, place in (*heapq.nsmallest(count, turned), *heapq.nlargest(count, turned))}
    return sorted(chosen)


@dataclass(frozen=True)
class RegionMaker:
    """Finds and rates the regions of one image after another by the method of a run.

    Masks are kept, whatever the run keeps: the same masks become the same regions.
    """

    run: Run

    def __call__(self, ref: ImageRef, score: ImageScore, rated: RatedImage) -> tuple[ImageScore, RatedImage]:
        """The image with its regions; the whole image's ratings, and so the score, stay those of the run.

        Raises:
            ImageError: it cannot be read, or is not the image that was scored.
            UserError: the method cannot be built.
        """
        from zeroiqa.pipeline import find_regions, rate_image

        method = self._method
        with image_errors(ref.name):
            image = method.decoder.decode(ref, method.policy, name=score.path)
            if score.size is not None and image.size != score.size:
                raise ImageError(f"{score.path} has another size than when it was scored.")
            (regions,) = find_regions([image], method)
            ratings = {
                name: rate_image(image, regions, rater, method)
                for name, rater in method.raters.items()
                if name in rated.ratings
            }
        whole = RatedImage(
            regions,
            {
                name: {
                    standard: (stored[0], *ratings[name][standard][1:])
                    for standard, stored in by_standard.items()
                }
                for name, by_standard in rated.ratings.items()
            },
        )
        return self._scored(score, whole, image.size), whole

    def _scored(self, score: ImageScore, rated: RatedImage, size: tuple[int, int]) -> ImageScore:
        run, aggregation = self.run, self.run.settings.aggregation
        found = score_rated(
            score.path,
            rated,
            run.labels,
            aggregation,
            score.warnings,
            kinds=run.kinds,
            scales=run.scales(aggregation),
            lower_is_better=run.lower_is_better,
            size=size,
        )
        return replace(found, warnings=score.warnings)

    @cached_property
    def _method(self) -> Method:
        from zeroiqa.pipeline import build_method

        settings = replace(self.run.settings, regions=True)
        method = build_method(settings, image_seconds=self.run.image_seconds)
        if settings.crop != "mask":
            from zeroiqa.segmenters import segmenter_of

            options = replace(settings.segmenter_options(), masks=True)
            method = replace(method, segmenter=segmenter_of(settings.segmenter, options))
        return method
