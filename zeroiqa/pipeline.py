"""The method on one screen: segment, cut views, rate, aggregate (LLM-IQA, section 3).

image --segment--> regions --crop--> views --rate--> ratings --aggregate--> score
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zeroiqa.aggregate import Aggregation
from zeroiqa.errors import UserError
from zeroiqa.images import DecodePolicy, parse_colour
from zeroiqa.raters import build_rater
from zeroiqa.results import ImageScore, score_rated, standard_labels
from zeroiqa.segmenters import build_segmenter
from zeroiqa.settings import Settings
from zeroiqa.standards import Standard, load_standard
from zeroiqa.types import CropMode, Image, RatedImage, Rater, Rating, Region, Segmenter, View
from zeroiqa.views import cut_views


@dataclass(frozen=True)
class Method:
    """The parts that a record of settings names, built and ready."""

    policy: DecodePolicy
    segmenter: Segmenter | None
    """None where the whole image is the only view."""
    raters: Mapping[str, Rater]
    standards: tuple[Standard, ...]
    crop: CropMode
    aggregation: Aggregation

    @property
    def labels(self) -> dict[str, str]:
        """Standard name -> what its scores are called."""
        return standard_labels(self.standards)


def build_method(settings: Settings) -> Method:
    """Build the parts; weights are loaded later, by the first image.

    Raises:
        UserError: a name is unknown, or a rater cannot rate under a standard.
    """
    standards = tuple(load_standard(name) for name in settings.standards)
    raters = {name: build_rater(name, settings.rater_options) for name in settings.raters}
    for rater in raters.values():
        for standard in standards:
            rater.check(standard)
    if len({standard.name for standard in standards}) < len(standards):
        raise UserError(f"Two standards are called {standards[0].name}; give each its own name.")
    return Method(
        policy=DecodePolicy(background=parse_colour(settings.background), max_pixels=settings.max_pixels),
        segmenter=None
        if settings.crop == "whole"
        else build_segmenter(
            settings.segmenter,
            min_area=settings.min_area,
            complement=settings.complement,
            masks=settings.crop == "mask",
        ),
        raters=raters,
        standards=standards,
        crop=settings.crop,
        aggregation=settings.aggregation,
    )


def score_image(image: Image, method: Method) -> ImageScore:
    """Score one image.

    Raises:
        ImageError: it cannot be segmented or rated.
    """
    regions = find_regions(image, method)
    ratings = {name: rate_image(image, regions, rater, method) for name, rater in method.raters.items()}
    return score_rated(
        image.name, RatedImage(regions, ratings), method.labels, method.aggregation, image.warnings
    )


def find_regions(image: Image, method: Method) -> tuple[Region, ...]:
    """The image's regions, the complement last; none where the whole image is the only view."""
    return () if method.segmenter is None else tuple(method.segmenter.segment(image))


def rate_image(
    image: Image, regions: Sequence[Region], rater: Rater, method: Method
) -> dict[str, tuple[Rating | None, ...]]:
    """Ratings of one image by one rater: [standard name] -> one per view, the whole image first.

    A region whose crop is the whole image (often the complement) is not rated a second time.
    """
    views = cut_views(image, regions, method.crop)
    source = [0 if _shows_whole_image(view, method.crop) else position for position, view in enumerate(views)]
    distinct = sorted(set(source))
    answers = dict(zip(distinct, rater.rate([views[i] for i in distinct], method.standards), strict=True))
    return {
        standard.name: tuple(answers[position][index] for position in source)
        for index, standard in enumerate(method.standards)
    }


def _shows_whole_image(view: View, crop: CropMode) -> bool:
    height, width = view.image_size
    return crop == "bbox" and view.region is not None and view.region.box == (0, 0, width, height)
