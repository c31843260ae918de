"""The entries of this package's segmenters. The class of a segmenter is imported when one is built."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from zeroiqa.registry import import_attribute
from zeroiqa.segmenters.entry import SegmenterEntry, SegmenterOptions
from zeroiqa.segmenters.granularity import load_granularity

if TYPE_CHECKING:
    from zeroiqa.types import Segmenter

_EMBEDDED = {
    "graph": "zeroiqa.segmenters.graph:GraphSegmenter",
    "grid": "zeroiqa.segmenters.grid:GridSegmenter",
}
_OURS = "zeroiqa.segmenters.sam2.official:Sam2Segmenter"
_NETWORKS = {
    **{f"sam2.{version}-{size}": _OURS for version in (1, 0) for size in ("tiny", "small", "base+", "large")},
    "sam2": _OURS,
    "sam2-stock": "zeroiqa.segmenters.sam2.official:StockSegmenter",
    "hf-sam2": "zeroiqa.segmenters.sam2.hf:HfSam2Segmenter",
}


def builtin_segmenters() -> Mapping[str, SegmenterEntry]:
    """Name -> entry."""
    networks = {
        name: SegmenterEntry(
            partial(_network, name, place), needs_weights=True, takes_granularity=True, by_rule=True
        )
        for name, place in _NETWORKS.items()
    }
    embedded = {
        name: SegmenterEntry(partial(_embedded, place), by_rule=True) for name, place in _EMBEDDED.items()
    }
    return {**embedded, **networks, "eomt": SegmenterEntry(_eomt, needs_weights=True, by_rule=True)}


def _embedded(place: str, argument: str | None, options: SegmenterOptions) -> Segmenter:
    segmenter: Segmenter = import_attribute(place)(argument, **_rule(options))
    return segmenter


def _network(name: str, place: str, argument: str | None, options: SegmenterOptions) -> Segmenter:
    network: Segmenter = import_attribute(place)(
        argument,
        name=name,
        parameters=load_granularity(options.granularity).masks,
        options=options.model,
        **_rule(options),
    )
    return network


def _eomt(argument: str | None, options: SegmenterOptions) -> Segmenter:
    place = "zeroiqa.segmenters.eomt:EomtSegmenter"
    segmenter: Segmenter = import_attribute(place)(argument, options=options.model, **_rule(options))
    return segmenter


def _rule(options: SegmenterOptions) -> dict[str, Any]:
    """Which masks become regions: the fields of `RegionRule`, whose module loads NumPy."""
    names = ("min_area", "complement", "masks", "min_pixels", "complement_rule")
    return {name: getattr(options, name) for name in names}
