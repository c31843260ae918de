"""The method on one screen: segment, cut views, rate, aggregate (LLM-IQA, section 3).

image --segment--> regions --crop--> views --rate--> ratings --aggregate--> score
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from zeroiqa.aggregate import Aggregation, Scale
from zeroiqa.answers import check_kinds, scale_of
from zeroiqa.averaging import check_mean, unit_of
from zeroiqa.errors import UserError
from zeroiqa.guards.budget import IMAGE_SECONDS
from zeroiqa.guards.together import Failure, image_errors, together
from zeroiqa.images.decode import DecodePolicy, parse_colour
from zeroiqa.images.decoder import Decoder
from zeroiqa.raters import build_rater, declared
from zeroiqa.results import ImageScore, score_rated, standard_labels
from zeroiqa.segmenters import segmenter_of
from zeroiqa.settings import Settings
from zeroiqa.standards import Kind, Standard, load_standard
from zeroiqa.types import CropMode, Describer, Image, RatedImage, Rater, Rating, Region, Segmenter, View
from zeroiqa.views import cut_views
from zeroiqa.weights.options import ModelOptions
from zeroiqa.weights.replies import Replies

OfWhole: TypeAlias = Mapping[str, Rating | None] | None
"""Standard name -> rating of the whole image; None where it is not known."""


@dataclass(frozen=True)
class Method:
    """The parts that a record of settings names, built and ready."""

    policy: DecodePolicy
    segmenter: Segmenter | None
    """None where the settings make no regions."""
    raters: Mapping[str, Rater]
    standards: tuple[Standard, ...]
    crop: CropMode
    aggregation: Aggregation
    describe: bool = False
    """Whether raters that can also describe the whole image in a sentence."""
    decoder: Decoder = field(default_factory=Decoder, compare=False)
    """Reads and decodes images within their time."""
    settings: Settings | None = field(default=None, compare=False, repr=False)
    """What it was built from, so that another process can build its raters and its segmenter, too."""

    @property
    def images_per_call(self) -> int:
        """How many images are worth one call of everything."""
        of_raters = [rater.images_per_call for rater in self.raters.values()]
        return max([1 if self.segmenter is None else self.segmenter.images_per_call, *of_raters])

    @property
    def labels(self) -> dict[str, str]:
        """Standard name -> what its scores are called."""
        return standard_labels(self.standards)

    @cached_property
    def lower_is_better(self) -> bool:
        """Whether scores fall as quality rises: those of some baselines, which stand alone."""
        entries = {name: declared(name) for name in self.raters}
        alone = (name for name, entry in entries.items() if entry.own_scale)  # ids of other models cost time
        return any(entries[name].lower_is_better(self.raters[name].id) for name in alone)

    @property
    def scales(self) -> dict[str, Scale]:
        """Standard name -> between which numbers its scores lie."""
        return {
            each.name: scale_of(self.raters, each.kind, each.k, self.aggregation) for each in self.standards
        }

    @property
    def kinds(self) -> dict[str, Kind]:
        """Standard name -> kind."""
        return {standard.name: standard.kind for standard in self.standards}


def build_method(
    settings: Settings, raters: Sequence[str] | None = None, *, image_seconds: float = IMAGE_SECONDS
) -> Method:
    """Build the method of some settings; weights are loaded later, by the first image.

    Args:
        settings: What to build.
        raters: Those of the settings' raters that are wanted; all if left out.
        image_seconds: How long reading and decoding one image may take.

    Raises:
        UserError: a name is unknown, or a rater cannot rate under a standard.
    """
    options = settings.model_options
    built = {
        name: new_rater(name, settings, options) for name in (settings.raters if raters is None else raters)
    }
    return assemble(settings, built, new_segmenter(settings), image_seconds=image_seconds)


def new_rater(name: str, settings: Settings, options: ModelOptions) -> Rater:
    """Build one of the raters of some settings."""
    return build_rater(name, options, digits_suffice=settings.readout == "digit")


def new_segmenter(settings: Settings, replies: Replies | None = None) -> Segmenter | None:
    """Build the segmenter of some settings; None where they make no regions.

    Args:
        settings: What to build.
        replies: What hubs have replied already.
    """
    if not settings.makes_regions:
        return None
    return segmenter_of(settings.segmenter, settings.segmenter_options(replies))


def with_masks(method: Method, settings: Settings) -> Method:
    """The same method, whose regions keep their masks whatever the views are cut by; no score changes."""
    if method.segmenter is None:
        return method
    options = replace(settings.segmenter_options(), masks=True)
    return replace(method, segmenter=segmenter_of(settings.segmenter, options))


def assemble(
    settings: Settings,
    raters: Mapping[str, Rater],
    segmenter: Segmenter | None,
    *,
    image_seconds: float = IMAGE_SECONDS,
) -> Method:
    """Put what is built together with all else that the settings say.

    Raises:
        UserError: a standard is unknown, a rater or the readout has nothing for it, or there is no mean where
            weights ask for one.
    """
    standards = tuple(load_standard(name) for name in settings.standards)
    if settings.standard_weights:
        check_mean({standard.name: unit_of(standard.kind, standard.k) for standard in standards})
    check_kinds(settings.readout, {standard.name: standard.kind for standard in standards})
    for rater in raters.values():
        for standard in standards:
            rater.check(standard)
    if len({standard.name for standard in standards}) < len(standards):
        raise UserError(f"Two standards are called {standards[0].name}; give each its own name.")
    return Method(
        policy=DecodePolicy(background=parse_colour(settings.background), max_pixels=settings.max_pixels),
        segmenter=segmenter,
        raters=raters,
        standards=standards,
        crop=settings.crop,
        aggregation=settings.aggregation,
        describe=settings.describe,
        decoder=Decoder(image_seconds),
        settings=settings,
    )


def score_image(image: Image, method: Method) -> ImageScore:
    """Score one image.

    Raises:
        ImageError: it cannot be segmented or rated.
    """
    with image_errors(image.name):
        (score,) = _score_all([image], method)
    return score


def explain_image(image: Image, method: Method) -> tuple[RatedImage, ImageScore]:
    """The score of one image, with the regions and ratings that it is made of.

    Raises:
        ImageError: it cannot be segmented or rated.
    """
    with image_errors(image.name):
        (rated,) = _rate_all([image], method)
        return rated, _score(image, rated, method)


def score_together(images: Sequence[Image], method: Method) -> list[ImageScore]:
    """Score several images by one call of the segmenter and of each rater; one that fails has an error."""

    def failed(image: Image, why: Failure) -> ImageScore:
        return ImageScore(
            image.name,
            error=why.sentence,
            cause=why.cause,
            warnings=image.warnings,
            lower_is_better=method.lower_is_better,
            size=image.size,
        )

    return together(images, lambda some: _score_all(some, method), failed, lambda image: image.name)


def _score_all(images: Sequence[Image], method: Method) -> list[ImageScore]:
    rated = _rate_all(images, method)
    return [_score(image, each, method) for image, each in zip(images, rated, strict=True)]


def _rate_all(images: Sequence[Image], method: Method) -> list[RatedImage]:
    regions = find_regions(images, method)
    pairs = list(zip(images, regions, strict=True))
    ratings = {name: rate_images(pairs, rater, method) for name, rater in method.raters.items()}
    return [
        RatedImage(found, {name: of_all[index] for name, of_all in ratings.items()})
        for index, found in enumerate(regions)
    ]


def _score(image: Image, rated: RatedImage, method: Method) -> ImageScore:
    return score_rated(
        image.name,
        rated,
        method.labels,
        method.aggregation,
        image.warnings,
        kinds=method.kinds,
        scales=method.scales,
        lower_is_better=method.lower_is_better,
        size=image.size,
        segmented=method.segmenter is not None,
    )


def find_regions(images: Sequence[Image], method: Method) -> list[tuple[Region, ...]]:
    """Each image's regions, the complement last; none where the settings make none.

    Raises:
        ImageError: one of the images cannot be segmented; which one is not said.
    """
    if method.segmenter is None:
        return [() for _ in images]
    return [tuple(regions) for regions in method.segmenter.segment_batch(images)]


def rate_image(
    image: Image, regions: Sequence[Region], rater: Rater, method: Method
) -> dict[str, tuple[Rating | None, ...]]:
    """Ratings of one image by one rater: [standard name] -> one per view, the whole image first."""
    (ratings,) = rate_images([(image, regions)], rater, method)
    return ratings


def rate_images(
    images: Sequence[tuple[Image, Sequence[Region]]],
    rater: Rater,
    method: Method,
    known: Sequence[OfWhole] | None = None,
) -> list[dict[str, tuple[Rating | None, ...]]]:
    """Ratings of several images, each with its regions, by one call of a rater; per image as `rate_image`.

    Args:
        images: Each with its regions.
        rater: Who rates.
        method: How.
        known: What there is of each whole image, which is not rated again then.

    A region whose crop is the whole image (often the complement) is not rated a second time, unless crops are
    asked about by another prompt. An image without a text prompt is not asked about under the standards that
    need one.

    Raises:
        ImageError: one of the images cannot be rated; which one is not said.
    """
    wholes = [None] * len(images) if known is None else known
    suitable = [_standards_for(image, method.standards) for image, _ in images]
    found: list[dict[str, tuple[Rating | None, ...]]] = [{} for _ in images]
    for standards in dict.fromkeys(suitable):
        mine = [place for place, own in enumerate(suitable) if own == standards]
        some = [(*images[place], wholes[place]) for place in mine]
        rated = _rate_alike(some, rater, standards, method.crop)
        for place, ratings in zip(mine, rated, strict=True):
            found[place] = ratings
    if method.describe and isinstance(rater, Describer):
        return _with_descriptions([image for image, _ in images], found, rater)
    return found


def _with_descriptions(
    images: Sequence[Image], found: Sequence[Mapping[str, tuple[Rating | None, ...]]], rater: Describer
) -> list[dict[str, tuple[Rating | None, ...]]]:
    """The ratings, that of each whole image under its first standard with a sentence of the rater."""
    described = [dict(ratings) for ratings in found]
    wholes = [next(iter(ratings.values()))[0] for ratings in found]
    asked = [  # not of what nobody rated, nor a second time
        place for place, whole in enumerate(wholes) if whole is not None and whole.description is None
    ]
    some = [images[place] for place in asked]
    sentences = rater.descriptions([View(each.pixels, None, each.size, each.prompt) for each in some])
    for place, sentence in zip(asked, sentences, strict=True):
        first, (whole, *regions) = next(iter(described[place].items()))
        described[place][first] = (whole and replace(whole, description=sentence), *regions)
    return described


def _standards_for(image: Image, standards: tuple[Standard, ...]) -> tuple[Standard, ...]:
    """Those that the image can be rated under; all if there is none, so that the rater says what it lacks."""
    return tuple(standard for standard in standards if standard.suits(image.prompt)) or standards


def _rate_alike(
    images: Sequence[tuple[Image, Sequence[Region], OfWhole]],
    rater: Rater,
    standards: tuple[Standard, ...],
    crop: CropMode,
) -> list[dict[str, tuple[Rating | None, ...]]]:
    """Ratings of images that are all asked about under the same standards."""
    differ = any(standard.crops_differ for standard in standards)
    distinct: list[View] = []
    known: list[list[Rating | None]] = []
    places = []  # of each image, for each view: its place in `answers`, and whether it repeats the first
    for image, regions, whole in images:
        own = []
        for view in cut_views(image, regions, crop):
            repeats = _shows_whole_image(view, crop)
            if view.region is None and whole is not None:
                known.append([whole[standard.name] for standard in standards])
                own.append((-len(known), repeats))  # they come last, in reverse order
                continue
            if differ or not repeats:
                distinct.append(view)
            own.append((len(distinct) - 1, repeats))
        places.append(own)
    rated = rater.rate(distinct, standards) if distinct else []
    assert len(rated) == len(distinct)
    answers = [*rated, *reversed(known)]
    return [
        {
            standard.name: tuple(
                answers[own[0][0] if repeats and not standard.crops_differ else place][index]
                for place, repeats in own
            )
            for index, standard in enumerate(standards)
        }
        for own in places
    ]


def _shows_whole_image(view: View, crop: CropMode) -> bool:
    height, width = view.image_size
    return crop == "bbox" and view.region is not None and view.region.box == (0, 0, width, height)
