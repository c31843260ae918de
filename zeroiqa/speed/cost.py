"""What a run will cost, before a device is paid for it: arithmetic on counts, rates and prices alone.

What is assumed stands beside the number, and what is not known stays unknown.

    model calls   images x views per image, once for each rater with weights
    seconds       views / (views per second of the rater), or
                  views x TFLOP per view / (peak x share of the peak)
    device hours  the sum over the raters / 3600; the devices share it evenly
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

SHARE_OF_PEAK = 0.4
"""Assumed where nothing was measured: the share of a device's peak that a model reaches in large batches."""
MASKS_PER_IMAGE = 7
"""Assumed for SAM 2: about what the authors' setting finds in photos (LLM-IQA, Implementation Details)."""
LIVE_SHARE = 0.01
"""From this share of the work on, the rate of the run itself replaces the plan."""
LIVE_SHARDS = 3
"""And from so many shards on: the first ones are small."""


@dataclass(frozen=True)
class StepTime:
    """How long one view takes one rater, or one image another step, on one device."""

    what: str
    """Name of the rater or step."""
    seconds: float | None
    """Per view or image; None where it is not known."""
    source: str
    """Where it comes from, for people; where it is not known, why, and what to do."""


@dataclass(frozen=True)
class Cost:
    """Of a run, or of what is left of it."""

    device_hours: float | None
    """Sum over the devices; None where nothing is known."""
    hours: float | None
    """Until it is done, with all devices at work."""
    money: float | None
    """In the unit of the price; None where there is no price."""
    without: tuple[str, ...] = ()
    """Steps and raters that come on top, since their time is not known."""


def seconds_by_formula(tflop: float, peak: float, share: float = SHARE_OF_PEAK) -> float:
    """Seconds per view of a model.

    Args:
        tflop: Of one view, in 10^12 operations.
        peak: Of the device, in TFLOP/s.
        share: Of the peak that is reached, in (0, 1].
    """
    return tflop / (peak * share)


def planned_cost(
    images: int,
    views: float | None,
    of_images: Sequence[StepTime],
    of_views: Sequence[StepTime],
    *,
    devices: int,
    price: float | None,
) -> Cost:
    """The cost of a run before it has begun, as far as it is known.

    Args:
        images: In the run.
        views: In all of them; None where their number is not known.
        of_images: Steps that every image passes once.
        of_views: Raters, one after the other.
        devices: How many share the work, at least 1.
        price: Per device hour.
    """
    times = [*((step, images) for step in of_images), *((step, views) for step in of_views)]
    known = [step.seconds * count for step, count in times if step.seconds is not None and count is not None]
    without = tuple(step.what for step, count in times if step.seconds is None or count is None)
    if not known:
        return Cost(None, None, None, tuple(without))
    return replace(_cost(math.fsum(known), devices, price), without=tuple(without))


def live_cost(seconds_left: float, *, devices: int, price: float | None) -> Cost:
    """The cost of what is left.

    Args:
        seconds_left: By the clock, at the rate of all devices together.
        devices: How many are at work.
        price: Per device hour.
    """
    return _cost(seconds_left * devices, devices, price)


def is_live(done: int, planned: int, shards: int, all_shards: int) -> bool:
    """Whether enough is done for the run's own rate to replace the plan.

    Args:
        done: Images that are finished, times passes.
        planned: All images times passes.
        shards: Finished ones.
        all_shards: Planned ones.
    """
    return done >= LIVE_SHARE * planned and shards >= min(LIVE_SHARDS, all_shards)


def _cost(device_seconds: float, devices: int, price: float | None) -> Cost:
    hours = device_seconds / 3600
    return Cost(hours, hours / devices, None if price is None else hours * price)
