"""Raters by name; the module of a rater is imported only when it is built."""

from zeroiqa.raters.entry import LOWER_IS_BETTER, RaterEntry
from zeroiqa.raters.registry import (
    build_rater,
    check_rater,
    declared,
    find_rater,
    offered_raters,
    rater_names,
)

__all__ = [
    "LOWER_IS_BETTER",
    "RaterEntry",
    "build_rater",
    "check_rater",
    "declared",
    "find_rater",
    "offered_raters",
    "rater_names",
]
