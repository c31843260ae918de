"""Which examples the best weights are chosen on: not those of the test fold, unless that is asked for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from zeroiqa.errors import UserError
from zeroiqa.heads.ratings import RatedQuestion, TrainingData

FOLDS = 5
"""Four to learn from and one to validate on, as the published folds of training and test."""


@dataclass(frozen=True)
class FoldChoice:
    """Which images form the validation fold."""

    rule: str = "fold:1"
    """fold:N, the Nth of five folds, or share:X, a share X of the images; both by a hash of the image's name,
    so that all questions about an image stay together and no other image matters."""
    seed: int = 0
    """Goes into the hash."""
    select_on: Literal["validation", "test"] = "validation"
    """test chooses on the test fold, as the published code does, and learns from all of the training part.
    Its scores on that fold are then too good; only for reproducing published numbers."""


class Folds(NamedTuple):
    """The rated questions of one training."""

    train: tuple[RatedQuestion, ...]
    """Learnt from."""
    validation: tuple[RatedQuestion, ...]
    """Chosen on; shares no image with `train`."""


def divide(data: TrainingData, choice: FoldChoice) -> Folds:
    """Take the validation fold from the training part.

    Raises:
        UserError: the rule is unknown, or one of the folds is empty.
    """
    if choice.select_on == "test":
        if not data.test:
            raise UserError("There is no test fold to select on; select on validation, or give a test part.")
        return Folds(data.train, data.test)
    if choice.select_on != "validation":
        raise UserError(f"There is no fold {choice.select_on!r} to select on; validation and test exist.")
    low, high = _interval(choice.rule)
    places = [low <= _place(rated.image, choice.seed) < high for rated in data.train]
    folds = Folds(
        tuple(rated for rated, kept in zip(data.train, places, strict=True) if not kept),
        tuple(rated for rated, kept in zip(data.train, places, strict=True) if kept),
    )
    if not all(folds):
        raise UserError(
            f"The rule {choice.rule} leaves {len(folds.train):,} examples to learn from and "
            f"{len(folds.validation):,} to validate on; take another share or give more images."
        )
    return folds


def _interval(rule: str) -> tuple[float, float]:
    """The images of the validation fold by their place in [0, 1)."""
    fold = re.fullmatch(r"fold:([1-9])", rule)
    if fold and int(fold[1]) <= FOLDS:
        return (int(fold[1]) - 1) / FOLDS, int(fold[1]) / FOLDS
    share = re.fullmatch(r"share:(0?\.\d+)", rule)
    if share and 0 < float(share[1]) < 1:
        return 0.0, float(share[1])
    raise UserError(
        f"There is no rule {rule!r} for the validation fold; write fold:1 to fold:{FOLDS}, or share:0.1."
    )


def _place(image: str, seed: int) -> float:
    """A number in [0, 1) from the name of an image."""
    digest = hashlib.sha256(f"{seed}\n{image}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
