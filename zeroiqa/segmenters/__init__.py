"""Segmenters by name; a module is imported only when its segmenter is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroiqa.registry import resolve
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.types import Segmenter

_EMBEDDED = {
    "graph": "zeroiqa.segmenters.graph:GraphSegmenter",
    "grid": "zeroiqa.segmenters.grid:GridSegmenter",
}
_OURS = "zeroiqa.segmenters.sam2.official:Sam2Segmenter"
_NETWORKS = {
    "sam2.1-tiny": _OURS,
    "sam2.1-small": _OURS,
    "sam2.1-base+": _OURS,
    "sam2.1-large": _OURS,
    "sam2": _OURS,
    "sam2-stock": "zeroiqa.segmenters.sam2.official:StockSegmenter",
    "hf-sam2": "zeroiqa.segmenters.sam2.hf:HfSam2Segmenter",
}


def segmenter_names() -> tuple[str, ...]:
    """The names that `build_segmenter` knows."""
    return (*_EMBEDDED, *_NETWORKS)


def has_weights(name: str) -> bool:
    """Whether the segmenter of that name is a network, which granularity and options are for."""
    return name.partition(":")[0] not in _EMBEDDED


def build_segmenter(
    name: str,
    *,
    min_area: float = 0.01,
    complement: bool = True,
    masks: bool = False,
    granularity: str = "paper",
    options: ModelOptions | None = None,
) -> Segmenter:
    """A segmenter by name. No weights are loaded yet.

    Args:
        name: One of `segmenter_names()`, some of which take an argument after a colon ("grid:3x2",
            "sam2.1-tiny:FILE.pt", "sam2:FILE_OR_FOLDER", "sam2-stock:NAME", "hf-sam2:REPOSITORY_OR_FOLDER").
        min_area: Masks smaller than this fraction of the image are dropped, in [0, 1].
        complement: Whether what no kept mask covers becomes the last region.
        masks: Whether the regions carry their masks; the crop mode "mask" needs them.
        granularity: Of networks: a profile, see `load_granularity`; only its masks' parameters count here.
        options: How to load and run weights; without effect on the embedded segmenters.

    Raises:
        UserError: An unknown name, a bad argument or a `min_area` outside [0, 1].
    """
    build, argument = resolve("segmenter", name, {**_EMBEDDED, **_NETWORKS})
    built: Segmenter
    if not has_weights(name):
        built = build(argument, min_area=min_area, complement=complement, masks=masks)
        return built
    from zeroiqa.segmenters.granularity import load_granularity

    built = build(
        argument,
        name=name.partition(":")[0],
        min_area=min_area,
        complement=complement,
        masks=masks,
        parameters=load_granularity(granularity).masks,
        options=options or ModelOptions(),
    )
    return built
