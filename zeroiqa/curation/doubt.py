"""How doubtful the score of an image is, by what its raters themselves say.

The order, the most doubtful image first:

1. images whose answers hardly lie on the levels (their mass is below the run's threshold, so that they have a
   warning), the smallest mass first: what is left of the distribution was hardly an answer;
2. by the disagreement of the raters, the largest first;
3. of equal ones, and of one rater alone, by the standard deviation of the answered distribution over the
   levels (the mean over raters and standards), the widest first;
4. of equal ones, by the mass, the smallest first.

Only probabilities that a model has given count. The embedded rater and baselines give none: the width of
their distributions is fixed, and says nothing of an image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.raters import declared

if TYPE_CHECKING:
    from zeroiqa.runs import ScoredImage
    from zeroiqa.runs.planned_run import PlannedRun
    from zeroiqa.types import Rating


class Doubt(NamedTuple):
    """Compares by its fields, the first one first; more is more doubtful."""

    beside: float
    """The probability beside the levels, where too little lies on them; else 0."""
    disagreement: float
    """Standard deviation of the raters' scores."""
    spread: float
    """Standard deviation of the answered level."""
    rest: float
    """The probability beside the levels."""


def check_doubts(run: PlannedRun) -> None:
    """Raise UserError where nothing is known that makes one image more doubtful than another."""
    ids = run.identity["raters"]
    measured = [
        name
        for name in run.settings.raters
        if declared(name).measures_mass and not declared(name).digits_only(ids[name])
    ]
    levels = any(kind not in ("float", "preference") for kind in run.kinds.values())
    if len(run.settings.raters) < 2 and not (measured and levels):
        raise UserError(
            f"No score of {printable(str(run.folder))} is more doubtful than another: "
            f"{printable(', '.join(run.settings.raters)) or 'no rater'} alone gives no probabilities and has "
            "nobody to disagree with; take a run of several raters, or of a model that answers levels."
        )


def doubt(scored: ScoredImage, run: PlannedRun) -> Doubt | None:
    """How doubtful a score is; None where there is no score, or nothing is known."""
    score = scored.score
    if score.score is None:
        return None
    leading = (score.labels or tuple(score.scores))[0]
    standards = {label: name for name, label in run.labels.items()}
    known = [
        (answers, scored.rated.ratings[rater][standards[label]][0])
        for label, by_rater in score.answers.items()
        if label == leading or leading not in score.answers
        for rater, answers in by_rater.items()
        if answers.smallest is not None
    ]
    several = any(len(each.raters) > 1 for each in score.scores.values())
    if not known and not several:
        return None
    spreads = [spread(rating) for _, rating in known if rating is not None and rating.logprobs]
    mass = min((answers.smallest or 0.0 for answers, _ in known), default=1.0)
    low = any(answers.low_images for answers, _ in known)
    return Doubt(
        1 - mass if low else 0.0,
        score.disagreement or 0.0,
        sum(spreads) / len(spreads) if spreads else 0.0,
        1 - mass,
    )


def spread(rating: Rating) -> float:
    """Standard deviation of the level under a rating's distribution, in levels."""
    shares = [math.exp(logprob) for logprob in rating.logprobs]
    total = math.fsum(shares)
    mean = math.fsum(level * share for level, share in enumerate(shares)) / total
    return math.sqrt(math.fsum((level - mean) ** 2 * share for level, share in enumerate(shares)) / total)
