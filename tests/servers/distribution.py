"""What the chat server of the tests answers: a distribution that depends on every pixel and on the prompt."""

from __future__ import annotations

import math
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

OTHERS = ("I", "The", "**", "Score", "A", "0", "8", "9", "10", "\n\n", "Rate", "\x1b[2J")


def distribution(pixels: npt.NDArray[np.uint8], system: str, user: str) -> list[tuple[str, float]]:
    """20 tokens and their log-probabilities, likeliest first; the levels 1 to 7 are among them.

    Level 5 comes as two tokens, one of them with a space. A part of the probability is in no token listed.

    Args:
        pixels: RGB, shape (height, width, 3).
        system: The system turn.
        user: The text of the user turn.
    """
    facts = repr((pixels.shape, system, user)).encode()
    drawn = blake2b(facts + pixels.tobytes(), digest_size=20).digest()
    tokens = ["1", "2", "3", "4", "5", " 5", "\u25816", "7", *OTHERS]
    weights = [(byte + 1) ** 3 for byte in drawn]
    total = sum(weights) * 1.05
    listed = [(token, math.log(weight / total)) for token, weight in zip(tokens, weights, strict=True)]
    return sorted(listed, key=lambda entry: -entry[1])
