"""What is known of a segmenter before it is built: its entry in the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeroiqa.segmenters.granularity import ComplementRule
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.types import Segmenter


@dataclass(frozen=True)
class SegmenterOptions:
    """What every segmenter is built with."""

    min_area: float = 0.01
    """Masks smaller than this fraction of the image are dropped, in [0, 1]."""
    complement: bool = True
    """Whether what no kept mask covers becomes the last region."""
    masks: bool = False
    """Whether the regions carry their masks; the crop mode "mask" needs them."""
    granularity: str = "default-16"
    """Of those that take one: a profile, see `load_granularity`; only its masks' parameters count here."""
    model: ModelOptions = ModelOptions()  # noqa: RUF009 -- frozen
    """How to load and run weights."""
    min_pixels: int = 0
    """Masks of fewer pixels of the image are dropped, too."""
    complement_rule: ComplementRule = "union"
    """By what the complement is kept and weighed, see `zeroiqa.segmenters.regions.RegionRule`."""


@dataclass(frozen=True)
class SegmenterEntry:
    """What a segmenter declares of itself; packages offer one as entry point in zeroiqa.segmenters."""

    build: Callable[[str | None, SegmenterOptions], Segmenter]
    """Builds it, given the text after the colon of its name (None without a colon); loads no weights.

    Raises `UserError` for an argument that it does not take, or a `min_area` outside [0, 1].
    """
    needs_weights: bool = False
    """Whether it is a network, which is large and runs on GPUs."""
    takes_granularity: bool = False
    """Whether it cuts as finely as the setting granularity says; the setting is refused for others."""
    by_rule: bool = False
    """Whether its regions are those of its masks by `zeroiqa.segmenters.regions.RegionRule`, and its masks
    the same by every rule."""
