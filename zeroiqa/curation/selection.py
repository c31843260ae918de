"""Choose images of a run by their scores, tags and columns; what passes by once need not fit into memory."""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

from zeroiqa.curation.doubt import check_doubts, doubt
from zeroiqa.curation.groups import Grouping, folder_of
from zeroiqa.curation.where import Condition, parse
from zeroiqa.errors import UserError, printable
from zeroiqa.runs import ScoredImage, iter_scored, score_columns
from zeroiqa.runs.presentation import BARE, Presentation
from zeroiqa.suggestions import did_you_mean

if TYPE_CHECKING:
    from zeroiqa.results import ImageScore
    from zeroiqa.runs.plan import Planned
    from zeroiqa.runs.planned_run import PlannedRun

Kept = TypeVar("Kept")
Rank: TypeAlias = Literal["worst", "best", "doubtful"]
BESIDE = ("width", "height", "tags", "group")
"""Columns that conditions know, whether the run's tables have them or not."""


@dataclass(frozen=True)
class Amount:
    """How many images are taken."""

    number: float
    """From 1 on; or a share, above 0 and up to 1."""
    is_share: bool = False

    def of(self, images: int) -> int:
        """How many that are of some images: a share is rounded up, so that it is one at least."""
        return math.ceil(self.number * images - 1e-9) if self.is_share else int(self.number)


def parse_amount(given: int | str) -> Amount:
    """An amount from a number of images ("20") or a percentage of those that are left ("5%").

    Raises:
        UserError: it is neither.
    """
    text = str(given).strip()
    found = re.fullmatch(r"(\d{1,12})|(\d{1,3}(?:\.\d{1,12})?) ?%", text, re.ASCII)
    number = 0.0 if found is None else float(found[1] or float(found[2]) / 100)
    is_share = found is not None and found[1] is None
    if not number or (is_share and number > 1):
        raise UserError(
            f"{printable(text[:40])!r} is neither a number of images from 1 on nor a percentage above 0 and "
            "up to 100 (5%)."
        )
    return Amount(number, is_share)


@dataclass(frozen=True)
class Request:
    """Which images are wanted: those that meet all conditions, and of these the first by a rank."""

    rank: Rank | None = None
    amount: Amount = field(default_factory=lambda: Amount(1, is_share=True))
    """Of the ranked images, of each group if `per_group`."""
    where: tuple[Condition, ...] = ()
    """An image meets all of them."""
    tags: tuple[str, ...] = ()
    """Those of them that are tags."""
    group: Grouping = folder_of
    per_group: bool = False
    shown: Presentation = BARE
    """What the run's tables show beside the scores."""

    @property
    def asks_status(self) -> bool:
        """Whether images that are gone may be meant."""
        return any("status" in condition.columns for condition in self.where)


class Chosen(NamedTuple):
    """One image that is wanted."""

    planned: Planned
    """As it is now, seen from the current folder."""
    score: ImageScore
    group: str


@dataclass
class Counts:
    """What came of a selection."""

    images: int = 0
    """That the run has finished."""
    scored: int = 0
    """Of these, those with a score."""
    chosen: int = 0
    ungrouped: int = 0
    """Without a group."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Why an image could not be judged -> images."""

    def sentence(self) -> str:
        """Counts in one line."""
        of = f"{self.chosen:,} of {self.images:,} image{'' if self.images == 1 else 's'}"
        out = (f"{number:,} left out {why}" for why, number in sorted(self.left_out.items()) if number)
        return f"{'; '.join((of, *out))}."


NO_VALUE, NO_SCORE = "for want of a value", "for want of a score"
NOTHING_KNOWN, GONE = "of whose doubts nothing is known", "that are gone"


def columns_of(run: PlannedRun, shown: Presentation = BARE) -> tuple[str, ...]:
    """The columns that conditions may name."""
    return tuple(dict.fromkeys((*shown.header(score_columns(run)), *BESIDE)))


def row_of(score: ImageScore, group: str) -> dict[str, Any]:
    """The values of these columns for one image."""
    height, width = score.size or (None, None)
    tags = score.tags if score.measures else None  # where nothing was measured, nothing is known
    return {**score.to_dict(), "width": width, "height": height, "tags": tags, "group": group}


def conditions(
    run: PlannedRun,
    *,
    where: Collection[str] = (),
    below: float | None = None,
    above: float | None = None,
    tags: Collection[str] = (),
    shown: Presentation = BARE,
) -> tuple[Condition, ...]:
    """All that an image has to meet.

    Args:
        run: Whose images.
        where: Conditions as they are written, see `zeroiqa.curation.where`.
        below: The score is less.
        above: The score is more.
        tags: It has all of them.
        shown: Whose columns they may name, too.

    Raises:
        UserError: a condition is none, a tag is unknown, or a number is none.
    """
    for bound in (below, above):
        if bound is not None and not math.isfinite(bound):
            raise UserError(f"{bound} is no score that others are below or above; give a number.")
    check_tags(tags)
    texts = [
        *([] if below is None else [f"score < {below!r}"]),
        *([] if above is None else [f"score > {above!r}"]),
        *(f"'{tag}' in tags" for tag in tags),
        *where,
    ]
    columns = columns_of(run, shown) if texts else ()
    return tuple(parse(text, columns) for text in texts)


def check_tags(tags: Collection[str]) -> None:
    """Raise UserError for a tag that no image can have."""
    if not tags:
        return
    from zeroiqa.reasons import TAGS

    for tag in tags:
        if tag not in TAGS:
            raise UserError(
                f"{printable(tag[:40])!r} is no tag; {did_you_mean(tag, TAGS)}the tags are {', '.join(TAGS)}."
            )


def choose(
    run: PlannedRun, request: Request, keep: Callable[[Chosen], Kept], counts: Counts
) -> Iterator[Kept]:
    """The wanted images: by their rank, group by group; without a rank as they come, in plan order.

    Equal ones are in plan order. Of a rank, no more images are held than it takes.

    Args:
        run: The run; of its shards, those that are finished count.
        request: Which images.
        keep: What to hold of an image until it is its turn.
        counts: Filled as images pass by.

    Raises:
        UserError: a part is damaged, or nothing says how doubtful a score is.
    """
    if request.rank is None:
        for scored, group in _fitting(run, request, counts):
            counts.chosen += 1
            yield keep(_chosen(run, scored, group))
        return
    if request.rank == "doubtful":
        check_doubts(run)
    sizes = _sizes(run, request)
    heaps: dict[str, list[_Entry]] = {}
    for position, (scored, group, key) in enumerate(_ranked(run, request, counts)):
        among = group if request.per_group else ""
        heap, most = heaps.setdefault(among, []), sizes(among)
        if len(heap) < most:
            heapq.heappush(heap, (key, -position, keep(_chosen(run, scored, group))))
        elif (key, -position) > heap[0][:2]:
            heapq.heapreplace(heap, (key, -position, keep(_chosen(run, scored, group))))
    for group in sorted(heaps):
        for _, _, kept in sorted(heaps[group], key=lambda entry: entry[:2], reverse=True):
            counts.chosen += 1
            yield kept


_Key: TypeAlias = tuple[float, ...]
_Entry: TypeAlias = tuple[_Key, int, Any]
"""What ranks, negated position, and what is held: the first entry of a heap is the next to be dropped."""


def _sizes(run: PlannedRun, request: Request) -> Callable[[str], int]:
    """Group -> how many of it are taken; a share is known once all have passed by."""
    if not request.amount.is_share:
        return lambda _: request.amount.of(0)
    ranked = _ranked(run, request, Counts())
    found = Counter(group if request.per_group else "" for _, group, _ in ranked)
    return lambda group: request.amount.of(found[group])


def _ranked(run: PlannedRun, request: Request, counts: Counts) -> Iterator[tuple[ScoredImage, str, _Key]]:
    """The fitting images that have a rank, with their groups."""
    worst = request.rank == "worst"
    for scored, group in _fitting(run, request, counts):
        score = scored.score.score
        if score is None:
            counts.left_out[NO_SCORE] += 1
            continue
        key: _Key | None = (-score if worst is not scored.score.lower_is_better else score,)
        if request.rank == "doubtful":
            key = doubt(scored, run)
        if key is None:
            counts.left_out[NOTHING_KNOWN] += 1
            continue
        yield scored, group, key


def _fitting(run: PlannedRun, request: Request, counts: Counts) -> Iterator[tuple[ScoredImage, str]]:
    """The images that meet all conditions, with their groups."""
    measured = False
    for scored in iter_scored(run):
        counts.images += 1
        counts.scored += scored.score.score is not None
        score = request.shown.beside(scored.score)
        measured = measured or bool(score.measures)
        if score.gone and not request.asks_status:
            counts.left_out[GONE] += 1
            continue
        group = request.group(score)
        counts.ungrouped += not group
        truth = _meets(row_of(score, group), request.where) if request.where else True
        if truth:
            yield scored._replace(score=score), group
        counts.left_out[NO_VALUE] += truth is None
    if request.tags and counts.images and not measured:
        raise UserError(
            f"No image of {printable(str(run.folder))} has tags: none of its raters "
            f"({printable(', '.join(run.settings.raters))}) has measured them, or an older zeroiqa "
            "did; score them in a new run by the rater nss."
        )


def _meets(row: Mapping[str, Any], where: tuple[Condition, ...]) -> bool | None:
    """Whether a row meets all conditions; None where that depends on a value that it lacks."""
    truths = [condition(row) for condition in where]
    return False if False in truths else None if None in truths else True


def _chosen(run: PlannedRun, scored: ScoredImage, group: str) -> Chosen:
    return Chosen(run.now(scored.planned), scored.score, group)
