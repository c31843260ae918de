"""Segmenters by name; the module of a segmenter is imported only when it is built."""

from zeroiqa.segmenters.entry import SegmenterEntry, SegmenterOptions
from zeroiqa.segmenters.registry import build_segmenter, find_segmenter, segmenter_names, segmenter_of

__all__ = [
    "SegmenterEntry",
    "SegmenterOptions",
    "build_segmenter",
    "find_segmenter",
    "segmenter_names",
    "segmenter_of",
]
