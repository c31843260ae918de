"""Ratings by a chat server, and what they must be by what the server serves."""

from __future__ import annotations

import math

import numpy as np

from tests.servers.distribution import distribution
from tests.servers.process import ChatServer
from zeroiqa.raters import build_rater
from zeroiqa.raters.endpoint.rater import EndpointRater
from zeroiqa.standards import Standard, load_standard
from zeroiqa.types import Rating, View

WORDS = load_standard("quality-word-7")
LEVELS = tuple("1234567")


def rater(server: ChatServer, model: str = "", *, digits: bool = False) -> EndpointRater:
    built = build_rater(f"openai:{server.url}{model and '#' + model}", digits_suffice=digits)
    assert isinstance(built, EndpointRater)
    return built


def make_views(count: int, shape: tuple[int, int] = (24, 31)) -> list[View]:
    drawn = np.random.default_rng(count)
    return [View(drawn.integers(0, 256, (*shape, 3), dtype=np.uint8), None, shape) for _ in range(count)]


def rate_one(rater: EndpointRater, view: View, standard: Standard = WORDS) -> Rating | None:
    rater.check(standard)
    return rater.rate([view], [standard])[0][0]


def served(view: View, standard: Standard = WORDS) -> list[tuple[str, float]]:
    asked = standard.fill(view.prompt)
    return distribution(view.pixels, asked.system, f"\n{asked.user}")


def levels_of(listed: list[tuple[str, float]]) -> list[float]:
    found = dict.fromkeys(LEVELS, 0.0)
    for token, logprob in listed:
        if token.strip(" \u2581") in found:
            found[token.strip(" \u2581")] += math.exp(logprob)
    return list(found.values())


def shares(view: View, standard: Standard = WORDS) -> list[float]:
    """P(level) as the server computes it from the pixels."""
    return levels_of(served(view, standard))
