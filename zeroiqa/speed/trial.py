"""A few of a run's own images, decoded, segmented and rated by what needs no weights: how long that takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeroiqa.errors import ImageError

if TYPE_CHECKING:
    from zeroiqa.images.find import Source
    from zeroiqa.pipeline import Method
    from zeroiqa.settings import Settings
    from zeroiqa.speed.cost import Speed
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
    steps: tuple[Speed, ...]
    """Decoding and segmenting."""
    raters: Mapping[str, Speed]
    """Those without weights."""
    why_not: str
    """Why nothing is known, if nothing is."""


def try_images(sources: Sequence[Source], settings: Settings, method: Method) -> Trial:
    """Measure on one core what a run does without weights.

    Args:
        sources: Of the run.
        settings: Of the run.
        method: With those raters only that have no weights and are no servers.
    """
    from zeroiqa.segmenters import find_segmenter
    from zeroiqa.speed.cost import Speed

    segments = method.segmenter is not None and not find_segmenter(settings.segmenter).needs_weights
    images, decoding = _decoded(sources, method)
    source = f"measured on {len(images)} of the images, one process"
    why_not = "none of the images that were tried can be decoded"
    steps = [_speed("decoding", decoding, len(images), source, why_not)]
    regions, segmenting = _segmented(images, method) if segments else ([() for _ in images], 0.0)
    if segments:
        steps.append(_speed("segmenting", segmenting, len(images), source, why_not))
    elif method.segmenter is not None:
        steps.append(Speed("segmenting", None, "`zeroiqa bench` measures raters only"))
    views = sum(1 + len(found) for found in regions)
    raters = {}
    for name in method.raters:
        seconds = _rated(images, regions, name, method)
        raters[name] = _speed(name, seconds, views, source, why_not)
    return Trial(
        images=len(images),
        views=views / len(images) if images and (segments or method.segmenter is None) else None,
        steps=tuple(steps),
        raters=raters,
        why_not=why_not,
    )


def _speed(what: str, seconds: float, count: int, source: str, why_not: str) -> Speed:
    from zeroiqa.speed.cost import Speed

    return Speed(what, seconds / count, source) if count else Speed(what, None, why_not)


def _decoded(sources: Sequence[Source], method: Method) -> tuple[list[Image], float]:
    """Images, and the seconds that they took."""
    from zeroiqa.images.read import Stored
    from zeroiqa.runs.plan import escaped

    images: list[Image] = []
    seconds, begun = 0.0, time.perf_counter()
    for source in sources[:: max(1, len(sources) // IMAGES)][:IMAGES]:
        if images and time.perf_counter() - begun > SECONDS:
            break
        stored = Stored(source.path, source.bytes, source.archive, source.offset)
        start = time.perf_counter()
        try:
            images.append(
                method.decoder.decode(stored, method.policy, name=escaped(source.path), prompt=source.prompt)
            )
        except ImageError:
            continue
        seconds += time.perf_counter() - start
    return images, seconds


def _segmented(images: Sequence[Image], method: Method) -> tuple[list[tuple[Region, ...]], float]:
    from zeroiqa.pipeline import find_regions

    start = time.perf_counter()
    found = []
    for image in images:
        try:
            found += find_regions([image], method)
        except ImageError:
            found.append(())
    return found, time.perf_counter() - start


def _rated(
    images: Sequence[Image], regions: Sequence[tuple[Region, ...]], name: str, method: Method
) -> float:
    from zeroiqa.pipeline import rate_image

    start = time.perf_counter()
    for image, found in zip(images, regions, strict=True):
        try:
            rate_image(image, found, method.raters[name], method)
        except ImageError:
            continue
    return time.perf_counter() - start
