"""Which raters can judge an aspect, for a sentence of one that cannot."""

from __future__ import annotations

from zeroiqa.baselines import catalogue
from zeroiqa.heads.registry import HEADS
from zeroiqa.standards import Aspect

_CHAT = "a name of `zeroiqa models`, hf:REPOSITORY, openai:URL#MODEL"


def advice(aspect: Aspect) -> str:
    """What to choose instead, where a rater does not judge an aspect: the names of those that do."""
    heads = [
        f"head:{key}:{dimension.name}:FOLDER"
        for key, entry in HEADS.entries()
        for dimension in entry.dimensions
        if dimension.aspect == aspect
    ]
    chosen = ", ".join([_CHAT, *heads])
    if aspect == "quality":
        return f"choose quality-word-7, or a rater that takes any standard: {chosen}"
    baselines = [
        name for name, each in catalogue().items() if each.aspect == aspect and each.is_measured_here
    ]
    measured = f"; or --baseline {', '.join(baselines)}" if baselines else ""
    return f"raters that judge {aspect} are {chosen}{measured}"
