"""The trial of a few of a run's own images: how long all takes that needs no weights."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeroiqa.errors import ImageError
from zeroiqa.guards.together import image_errors
from zeroiqa.pipeline import Method, find_regions, rate_image
from zeroiqa.segmenters import find_segmenter
from zeroiqa.speed.cost import StepTime

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.settings import Settings
    from zeroiqa.types import Image, Region

IMAGES = 5
"""How many are tried, evenly spread over the run."""
SECONDS = 3.0
"""After which no further image is begun."""


@dataclass(frozen=True)
class Trial:
    """What was measured."""

    images: int
    """How many could be decoded."""
    views: float | None
    """Views of one of them on average; None where none could be decoded or the segmenter has weights."""
    steps: tuple[StepTime, ...]
    """Decoding and segmenting."""
    raters: Mapping[str, StepTime]
    """Those without weights."""
    why_not: str
    """Why nothing is known, if nothing is."""


def try_images(sources: Sequence[ImageRef], settings: Settings, method: Method) -> Trial:
    """Measure on one core what a run does without weights.

    Args:
        sources: Of the run.
        settings: Of the run.
        method: With those raters only that have no weights and are no servers.
    """
    segments = method.segmenter is not None and not find_segmenter(settings.segmenter).needs_weights
    images, decoding = _decoded(sources, method)
    source = f"measured on {len(images)} of the images, one process"
    why_not = "none of the images that were tried can be decoded"
    steps = [_step_time("decoding", decoding, len(images), source, why_not)]
    regions, segmenting = _segmented(images, method) if segments else ([() for _ in images], 0.0)
    if segments:
        steps.append(_step_time("segmenting", segmenting, len(images), source, why_not))
    elif method.segmenter is not None:
        steps.append(StepTime("segmenting", None, "`zeroiqa bench` measures raters only"))
    views = sum(1 + len(found) for found in regions)
    raters = {}
    for name in method.raters:
        seconds = _rated(images, regions, name, method)
        raters[name] = _step_time(name, seconds, views, source, why_not)
    return Trial(
        images=len(images),
        views=views / len(images) if images and (segments or method.segmenter is None) else None,
        steps=tuple(steps),
        raters=raters,
        why_not=why_not,
    )


def _step_time(what: str, seconds: float, count: int, source: str, why_not: str) -> StepTime:
    return StepTime(what, seconds / count, source) if count else StepTime(what, None, why_not)


def _decoded(sources: Sequence[ImageRef], method: Method) -> tuple[list[Image], float]:
    """Images, and the seconds that they took."""
    images: list[Image] = []
    seconds, begun = 0.0, time.perf_counter()
    for source in sources[:: max(1, len(sources) // IMAGES)][:IMAGES]:
        if images and time.perf_counter() - begun > SECONDS:
            break
        start = time.perf_counter()
        try:
            with image_errors(source.path):
                images.append(method.decoder.decode(source, method.policy))
        except ImageError:
            continue
        seconds += time.perf_counter() - start
    return images, seconds


def _segmented(images: Sequence[Image], method: Method) -> tuple[list[tuple[Region, ...]], float]:
    start = time.perf_counter()
    found = []
    for image in images:
        try:
            with image_errors(image.name):
                found += find_regions([image], method)
        except ImageError:
            found.append(())
    return found, time.perf_counter() - start


def _rated(
    images: Sequence[Image], regions: Sequence[tuple[Region, ...]], name: str, method: Method
) -> float:
    start = time.perf_counter()
    for image, found in zip(images, regions, strict=True):
        try:
            with image_errors(image.name):
                rate_image(image, found, method.raters[name], method)
        except ImageError:
            continue
    return time.perf_counter() - start
