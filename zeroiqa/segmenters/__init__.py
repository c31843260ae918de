"""Segmenters by name; a module is imported only when its segmenter is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroiqa.registry import resolve

if TYPE_CHECKING:
    from zeroiqa.types import Segmenter

_SEGMENTERS = {
    "graph": "zeroiqa.segmenters.graph:GraphSegmenter",
    "grid": "zeroiqa.segmenters.grid:GridSegmenter",
}


def segmenter_names() -> tuple[str, ...]:
    """The names that `build_segmenter` knows."""
    return tuple(_SEGMENTERS)


def build_segmenter(
    name: str, *, min_area: float = 0.01, complement: bool = True, masks: bool = False
) -> Segmenter:
    """A segmenter by name.

    Args:
        name: One of `segmenter_names()`, some of which take an argument after a colon ("grid:3x2").
        min_area: Masks smaller than this fraction of the image are dropped, in [0, 1].
        complement: Whether what no kept mask covers becomes the last region.
        masks: Whether the regions carry their masks; the crop mode "mask" needs them.

    Raises:
        UserError: An unknown name, a bad argument or a `min_area` outside [0, 1].
    """
    segmenter, argument = resolve("segmenter", name, _SEGMENTERS)
    built: Segmenter = segmenter(argument, min_area=min_area, complement=complement, masks=masks)
    return built
