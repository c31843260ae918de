"""Measures of others to compare scores with."""

from zeroiqa.baselines.entry import Baseline, Kind, PixelFunction, Range, Variant
from zeroiqa.baselines.registry import (
    PYIQA,
    catalogue,
    find_baseline,
    find_measured,
    find_variant,
    named_like,
    offered_by,
    pixel_baselines,
)

__all__ = [
    "PYIQA",
    "Baseline",
    "Kind",
    "PixelFunction",
    "Range",
    "Variant",
    "catalogue",
    "find_baseline",
    "find_measured",
    "find_variant",
    "named_like",
    "offered_by",
    "pixel_baselines",
]
