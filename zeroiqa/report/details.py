"""What a page shows of one opened image: regions, what each adds to the score, the levels of each view."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroiqa import rle
from zeroiqa.images.opencv import cv2
from zeroiqa.report.rows import short

if TYPE_CHECKING:
    from zeroiqa.results import ImageScore
    from zeroiqa.types import RatedImage, Rating, Region, Rle

_TOLERANCE = 0.0015
"""How far an outline may leave the edge of its mask, as a share of the mask's longer side."""
_LEAST_SIDE = 512
"""Pixels of the longer side of a mask that is gone around."""


def detail(score: ImageScore, rated: RatedImage, labels: Mapping[str, str], digits: int) -> dict[str, Any]:
    """Plain values for JSON; an image without a score has none of its parts.

    Args:
        score: The image's result, of `rated`.
        rated: Regions and ratings.
        labels: Standard name -> label.
        digits: Decimals of the score as it is shown; what the views add is rounded so that it adds up to it.
    """
    found: dict[str, Any] = {
        "labels": [_label(label, each) for label, each in score.scores.items()],
        "regions": [_region(region, score.size) for region in rated.regions],
        "answers": [
            _answers(rater, labels.get(standard, standard), ratings)
            for rater, by_standard in rated.ratings.items()
            for standard, ratings in by_standard.items()
        ],
    }
    if score.scores and score.score is not None:
        leading = score.scores[(score.labels or tuple(score.scores))[0]]
        shares = (leading.global_contribution, *leading.region_contributions)
        found["shares"] = apportioned(shares, short(leading.score), digits)
        found["levels"] = [leading.s_global, *leading.region_levels]
    for key, value in (("description", score.description), ("reasons", score.reasons)):
        if value:
            found[key] = value
    return found


def apportioned(shares: Sequence[float], total: float, digits: int) -> list[float]:
    """The shares, rounded so that they add up to their rounded total (largest remainders first).

    Args:
        shares: Whose sum is `total`, but for rounding.
        total: What they add up to.
        digits: Decimals.
    """
    unit = 10**digits
    floors = [math.floor(share * unit) for share in shares]
    shown = Decimal(total).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)  # as the script rounds
    lacking = int(shown * unit) - sum(floors)
    order = sorted(range(len(shares)), key=lambda index: floors[index] - shares[index] * unit)
    for index in order[: max(0, min(lacking, len(order)))]:
        floors[index] += 1
    return [floor / unit for floor in floors]


def _label(label: str, score: Any) -> dict[str, Any]:
    return {
        "label": label,
        "score": score.score,
        "whole": score.s_global,
        "local": score.s_local if score.region_levels else None,
        "raters": {name: each.score for name, each in score.raters.items()},
    }


def _region(region: Region, size: tuple[int, int] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": region.kind, "box": list(region.box), "area": round(region.area, 4)}
    if region.weight is not None and region.weight != region.area:
        found["weight"] = round(region.weight, 4)
    if region.mask is not None and size is not None:
        found |= outline(region.mask, size)
    return found


def outline(code: Rle, size: tuple[int, int]) -> dict[str, Any]:
    """The edge of a region's mask, and its innermost point.

    Args:
        code: The mask.
        size: Height and width of the image.

    Returns:
        `outline`: a path of SVG, and `at`: x and y; both in pixels of the image.
    """
    mask = np.ascontiguousarray(rle.decode(code)).view(np.uint8)
    finer = -(-_LEAST_SIDE // max(mask.shape))  # else half a pixel of a coarse mask is much of the image
    mask = cv2.resize(mask, None, fx=finer, fy=finer, interpolation=cv2.INTER_NEAREST)
    height, width = mask.shape
    across, down = size[1] / width, size[0] / height
    inside = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(inside.argmax()), mask.shape)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    curves = (cv2.approxPolyDP(each, _TOLERANCE * max(height, width), True)[:, 0] for each in contours)
    path = "".join(
        "M" + "L".join(f"{(a + 0.5) * across:.0f} {(b + 0.5) * down:.0f}" for a, b in curve.tolist()) + "Z"
        for curve in curves
        if len(curve) > 2
    )
    return {"outline": path, "at": [round((int(x) + 0.5) * across), round((int(y) + 0.5) * down)]}


def _answers(rater: str, label: str, ratings: Iterable[Rating | None]) -> dict[str, Any]:
    """What one rater says of each view under one standard: the whole image first."""
    views: list[Any] = []
    for rating in ratings:
        if rating is None:
            views.append(None)
            continue
        view: dict[str, Any] = {}
        if rating.logprobs:
            view["levels"] = [round(math.exp(each), 4) for each in rating.logprobs]
        if rating.value is not None:
            view["value"] = rating.value
        if rating.mass < 1:
            view["mass"] = float(f"{rating.mass:.3g}")
        if rating.answer is not None:
            view["answer"] = rating.answer
        views.append(view)
    return {"rater": rater, "label": label, "views": views}
