"""Segmenters by name: what is known of one, and how it is built."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from zeroiqa.registry import Registry
from zeroiqa.segmenters.builtin import builtin_segmenters
from zeroiqa.segmenters.entry import SegmenterEntry, SegmenterOptions
from zeroiqa.segmenters.granularity import ComplementRule
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.types import Segmenter


def segmenter_names() -> tuple[str, ...]:
    """The names that `build_segmenter` knows, those of installed packages last."""
    return _registry().keys()


def find_segmenter(name: str) -> SegmenterEntry:
    """What the segmenter of a name declares of itself; the text after the colon is not checked.

    Raises:
        UserError: the name is unknown.
    """
    return _registry().find(name)[0]


def build_segmenter(
    name: str,
    *,
    min_area: float = SegmenterOptions.min_area,
    complement: bool = SegmenterOptions.complement,
    masks: bool = SegmenterOptions.masks,
    granularity: str = SegmenterOptions.granularity,
    options: ModelOptions | None = None,
    min_pixels: int = SegmenterOptions.min_pixels,
    complement_rule: ComplementRule = SegmenterOptions.complement_rule,
) -> Segmenter:
    """A segmenter by name. No weights are loaded yet.

    Args:
        name: One of `segmenter_names()`, some of which take an argument after a colon ("grid:3x2",
            "sam2.0-large:FILE.pt", "sam2:FILE_OR_FOLDER", "sam2-stock:NAME", "hf-sam2:REPOSITORY_OR_FOLDER",
            "eomt:REPOSITORY_OR_FOLDER").
        min_area: This and the following: see `SegmenterOptions`.
        complement: As there.
        masks: As there.
        granularity: As there.
        options: How to load and run weights; without effect on the embedded segmenters.
        min_pixels: As min_area.
        complement_rule: As there.

    Raises:
        UserError: an unknown name, a bad argument or a `min_area` outside [0, 1].
    """
    return segmenter_of(
        name,
        SegmenterOptions(
            min_area=min_area,
            complement=complement,
            masks=masks,
            granularity=granularity,
            model=options or ModelOptions(),
            min_pixels=min_pixels,
            complement_rule=complement_rule,
        ),
    )


def segmenter_of(name: str, choices: SegmenterOptions) -> Segmenter:
    """As `build_segmenter`, with all choices in one."""
    entry, argument = _registry().find(name)
    with _registry().code_of(name, "cannot be built"):
        segmenter = entry.build(argument, choices)
    _registry().check_parts(name, segmenter, "id", "images_per_call", "segment", "segment_batch")
    return segmenter


@cache
def _registry() -> Registry[SegmenterEntry]:
    return Registry("segmenter", "zeroiqa.segmenters", SegmenterEntry, builtin_segmenters())
