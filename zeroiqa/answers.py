"""How much of what a rater answers lies on the levels of a standard, and how often none of it does.

A rating is a distribution over the levels, whatever share of all possible answers they are: a model whose
answer begins with a thought, a sign or a sentence gets one, too. So the share is looked at. Where it is
small, the image has a warning, and the run says how many images have.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from zeroiqa.aggregate import NO_NUMBER, NO_SCALE, Aggregation, Readout, Scale, is_number
from zeroiqa.errors import UserError
from zeroiqa.raters import declared
from zeroiqa.standards import standard_names

if TYPE_CHECKING:
    from zeroiqa.standards import Kind
    from zeroiqa.types import Rating

USUAL_STANDARD = "quality-word-7"
"""What `zeroiqa models check` rates under by default."""
_ANSWERED_BY_DIGIT: tuple[Kind, ...] = ("word", "number", "sentence")
"""Kinds of standards."""


@dataclass(frozen=True)
class Answers:
    """The answers of one rater under one standard, for one image or added up over many."""

    limit: float | None
    """The mass below which a rating counts as low; None where any mass may be right."""
    images: int = 0
    """Images with a score."""
    low_images: int = 0
    """Of them, those whose whole view is low: their scores mean little."""
    regions: int = 0
    """Regions of the images."""
    low_regions: int = 0
    unanswered: int = 0
    """Regions without a level, which count for nothing."""
    unasked: int = 0
    """Images without the text prompt that the standard needs, which are none of `images`."""
    smallest: float | None = None
    """The smallest mass of a whole image, in [0, 1]; None where no mass is known."""
    smallest_region: float | None = None
    """The same of the regions."""
    no_numbers: int = 0
    """Of the images, those whose whole view the model would answer by no number."""
    no_number_regions: int = 0
    measured: int = 0
    """Of the images, those whose rating holds what was measured of the whole view."""
    described: int = 0
    """Of the images, those that have a description."""

    def __add__(self, other: Answers) -> Answers:
        """Both together; of one rater and standard, and so of one limit."""
        assert self.limit == other.limit
        both: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        both |= {name: _least(getattr(self, name), getattr(other, name)) for name in _LEAST}
        return Answers(self.limit, **both)


_LEAST = ("smallest", "smallest_region")
_COUNTS = tuple(each.name for each in fields(Answers) if each.name not in ("limit", *_LEAST))
LATER_COUNTS = ("no_numbers", "no_number_regions", "described", "measured")
"""Those that older versions did not store: their ratings have no answers, measures and descriptions."""


def check_kinds(readout: Readout, kinds: Mapping[str, Kind]) -> None:
    """Refuse a readout that a standard has nothing for.

    Args:
        readout: How ratings become numbers.
        kinds: Standard name -> kind.

    Raises:
        UserError: the readout is greedy, and a standard asks for no digit.
    """
    for name, kind in kinds.items():
        if readout == "greedy" and kind not in _ANSWERED_BY_DIGIT:
            raise UserError(
                f"The readout greedy takes the digit that is answered, and the standard {name} (kind {kind}) "
                "asks for none; take the readout digit or expected, or a standard of kind "
                f"{', '.join(_ANSWERED_BY_DIGIT)}."
            )


def scale_of(raters: Iterable[str], kind: Kind, k: int, aggregation: Aggregation) -> Scale:
    """Between which numbers the scores of some raters lie under a standard of `k` levels, 0 for none."""
    if any(declared(rater).own_scale for rater in raters):
        return NO_SCALE
    if kind == "comparison":  # its ratings are from 0 to 1
        scale = aggregation.scale(1)
        return scale if scale.low is None else scale._replace(low=0.0)
    return aggregation.scale(k) if k else NO_SCALE


def limit_of(rater: str, kind: Kind, aggregation: Aggregation) -> float | None:
    """The mass below which a rating means little; None where there is no mass, or any may be right."""
    entry = declared(rater)
    if not entry.measures_mass or kind in ("float", "preference"):
        return None
    rare = kind in ("next-word", "comparison") or entry.reads_words
    return aggregation.word_mass_threshold if rare else aggregation.mass_threshold


def count_answers(
    rater: str, kind: Kind, ratings: Sequence[Rating | None] | None, aggregation: Aggregation
) -> Answers:
    """What one image adds.

    Args:
        rater: Its name.
        kind: Of the standard.
        ratings: One per view, the whole image first; None if the image was not asked about.
        aggregation: Says what is low.
    """
    limit = limit_of(rater, kind, aggregation)
    if ratings is None:
        return Answers(limit, unasked=1)
    whole, *regions = (_mass(rater, kind, rating) for rating in ratings)
    known = [mass for mass in regions if mass is not None]
    return Answers(
        limit,
        images=1,
        low_images=int(_is_low(whole, limit)),
        regions=len(regions),
        low_regions=sum(_is_low(mass, limit) for mass in known),
        unanswered=sum(rating is None for rating in ratings[1:]),
        no_numbers=int(_is_no_number(kind, ratings[0])),
        no_number_regions=sum(_is_no_number(kind, rating) for rating in ratings[1:]),
        measured=int(ratings[0] is not None and bool(ratings[0].measures)),
        described=int(bool(ratings[0] and ratings[0].description)),
        smallest=whole,
        smallest_region=min(known, default=None),
    )


def image_warnings(rater: str, label: str, answers: Answers, readout: Readout = "digit") -> Iterator[str]:
    """What the reader of one image's score under one standard should know.

    Args:
        rater: Its name.
        label: Of the standard; empty where the run has only one.
        answers: From `count_answers`.
        readout: How they become numbers.
    """
    levels = f"levels of {label}" if label else "levels"
    of_regions = f"of {answers.regions} regions"
    if answers.low_images:
        share = f"{answers.smallest:.2g} of the probability"
        yield f"{rater}: {share} lies on the {levels}, so that the score means little"
    if answers.low_regions:
        yield (
            f"{rater}: less than {answers.limit:g} of the probability lies on the {levels} for "
            f"{answers.low_regions} {of_regions} (smallest {answers.smallest_region:.2g})"
        )
    if answers.unanswered:
        yield f"{rater}: {answers.unanswered} {of_regions} got none of the {levels} and do not count"
    found = (
        (answers.no_numbers, "the whole image"),
        (answers.no_number_regions, f"{answers.no_number_regions} {of_regions}"),
    )
    mute = " and ".join(text for count, text in found if count)
    if readout == "greedy" and mute:
        under = f" under {label}" if label else ""
        yield f"{rater}: the answer{under} for {mute} is no number and counts as {NO_NUMBER:g}"


def run_warnings(
    found: Mapping[tuple[str, str], Answers], labels: Mapping[str, str], readout: Readout = "digit"
) -> Iterator[str]:
    """What the reader of a run's scores should know: a line on each rater and standard that gives reason.

    Args:
        found: (Rater, standard) -> its answers, added up over the images.
        labels: Standard -> what its scores are called.
        readout: How answers become numbers.
    """
    for standard, label in labels.items():
        own = [answers for (_, name), answers in found.items() if name == standard]
        unasked = max((answers.unasked for answers in own), default=0)
        if unasked:
            images = unasked + max(answers.images for answers in own)
            yield f"{unasked} of {images} images have no text prompt, and so no score of {label}."
    yield from _unmeasured(found)
    for (rater, standard), answers in found.items():
        who = rater if len(labels) == 1 else f"{rater}, {labels[standard]}"
        if answers.low_images or answers.low_regions:
            yield f"{_low(answers, who)}, so that their scores mean little{_advice(rater, standard)}."
        if answers.unanswered:
            yield f"{answers.unanswered} of {answers.regions} regions got no level ({who}) and do not count."
        if readout == "greedy" and (mute := _shares(answers, answers.no_numbers, answers.no_number_regions)):
            advice = _advice(rater, standard)
            yield f"{mute} are answered by no number ({who}) and count as {NO_NUMBER:g}{advice}."


def undescribed(found: Mapping[tuple[str, str], Answers]) -> Iterator[str]:
    """A line on each rater that was asked for descriptions and gave some images none.

    Args:
        found: As of `run_warnings`, of a run whose images are described.
    """
    for rater in dict.fromkeys(rater for rater, _ in found if declared(rater).describes):
        own = [answers for (name, _), answers in found.items() if name == rater]
        images = max(answers.images for answers in own)
        missing = images - sum(answers.described for answers in own)
        if missing:
            yield f"{missing} of {images} images have no description: the answer was empty ({rater})."


def _unmeasured(found: Mapping[tuple[str, str], Answers]) -> Iterator[str]:
    """A line on each rater that measures, where ratings of older versions hold no measures."""
    by_rater = {rater: answers for (rater, _), answers in found.items() if declared(rater).gives_measures}
    for rater, answers in by_rater.items():
        if lacking := answers.images - answers.measured:
            yield (
                f"{lacking} of {answers.images} images have no reasons and no tags: an older zeroiqa rated "
                f"them ({rater}), which did not keep what it measured; their scores are the same."
            )


def _low(answers: Answers, who: str) -> str:
    smallest = answers.smallest if answers.low_images else answers.smallest_region
    return (
        f"{_shares(answers, answers.low_images, answers.low_regions)}: less than {answers.limit:g} of the "
        f"probability lies on the levels (smallest {smallest:.2g}, {who})"
    )


def _shares(answers: Answers, images: int, regions: int) -> str:
    """So many of all images and regions; empty for none."""
    counts = ((images, answers.images, "images"), (regions, answers.regions, "regions"))
    return " and ".join(f"{count} of {total} {what}" for count, total, what in counts if count)


def answers_of(record: Mapping[str, Any]) -> Answers:
    """Answers whose fields were stored; those of later versions are left out.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    later = dict.fromkeys(LATER_COUNTS, 0)
    read: dict[str, Any] = {name: int((later | dict(record))[name]) for name in _COUNTS}
    for name in ("limit", *_LEAST):
        read[name] = None if record[name] is None else float(record[name])
    return Answers(**read)


def _advice(rater: str, standard: str) -> str:
    """Where to look; nothing for what `zeroiqa models check` does not take."""
    entry = declared(rater)
    if not (entry.is_chat_model or entry.is_server):
        return ""
    named = standard if standard in standard_names() else f"{standard}.toml"  # a file of the user's own
    option = "" if standard == USUAL_STANDARD else f" --standard {shlex.quote(named)}"
    return f"; `zeroiqa models check {shlex.quote(rater)}{option}` shows what the model answers instead"


def _mass(rater: str, kind: Kind, rating: Rating | None) -> float | None:
    """P(the answer is a level); None where nothing but a number was answered."""
    entry = declared(rater)
    if rating is None or not entry.measures_mass or kind == "float":
        return None
    if rating.value is not None and kind not in ("preference", "comparison") and not entry.reads_words:
        return None  # a digit, from a server that tells no probabilities
    return rating.mass


def _is_no_number(kind: Kind, rating: Rating | None) -> bool:
    if rating is None or rating.value is not None or rating.answer is None:
        return False
    return kind in _ANSWERED_BY_DIGIT and not is_number(rating.answer)


def _is_low(mass: float | None, limit: float | None) -> bool:
    return mass is not None and limit is not None and mass < limit


def _least(one: float | None, other: float | None) -> float | None:
    return min((each for each in (one, other) if each is not None), default=None)
