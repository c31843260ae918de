"""Two runs image by image: which scores moved, and at which stage what is stored of each differs first."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from zeroiqa.metrics.correlation import LEAST_IMAGES
from zeroiqa.metrics.measures import srcc
from zeroiqa.report.causes import EXPLAINED_BY, Cause, causes
from zeroiqa.runs.scores import iter_hashed

if TYPE_CHECKING:
    from zeroiqa.runs import Run, ScoredImage
    from zeroiqa.types import RatedImage, Rating, Region

Stage: TypeAlias = Literal["file", "prompt", "decoding", "regions", "ratings", "raters", "arithmetic", ""]
"""Where two results of an image differ first: the bytes of its file, its text prompt, its size in pixels, its
regions, the ratings that both runs have, which raters and standards there are, or nothing that is stored but
the score; empty where nothing does."""
STAGES: tuple[Stage, ...] = (
    "file", "prompt", "decoding", "regions", "ratings", "raters", "arithmetic", "",
)  # fmt: skip
_NAMED = 5
"""Images in one run alone that are named; there may be millions."""


class Kept(NamedTuple):
    """What is compared of one image of one run; digests stand for what is long."""

    path: str
    score: float | None
    others: tuple[tuple[str, float], ...]
    """Label -> score, of the other standards."""
    status: str
    content_hash: bytes | None
    prompt: str | None
    size: tuple[int, int] | None
    regions: bytes
    whole: dict[tuple[str, str], bytes]
    """(Rater, standard) -> the rating of the whole image."""
    views: dict[tuple[str, str], bytes]
    """The same of all views."""
    warnings: tuple[str, ...]
    tags: tuple[str, ...] | None
    """None where nothing was measured that gives tags."""


class Pair(NamedTuple):
    """An image of both runs, or of one alone (the other is None)."""

    a: Kept | None
    b: Kept | None
    stage: Stage = ""

    @property
    def path(self) -> str:
        """As the first run has it, or the second."""
        first = self.a or self.b
        return "" if first is None else first.path

    @property
    def difference(self) -> float | None:
        """The second run's score less the first one's; None where one has none."""
        if self.a is None or self.b is None or self.a.score is None or self.b.score is None:
            return None
        return self.b.score - self.a.score

    def to_dict(self) -> dict[str, Any]:
        """Plain values: a row of the table of all images."""
        return {
            "path": self.path,
            "path_b": None if self.b is None or self.b.path == self.path else self.b.path,
            "score_a": None if self.a is None else self.a.score,
            "score_b": None if self.b is None else self.b.score,
            "difference": self.difference,
            "status_a": "absent" if self.a is None else self.a.status,
            "status_b": "absent" if self.b is None else self.b.status,
            "differs_first": self.stage or None,
        }


@dataclass
class Difference:
    """What is known of two runs once all pairs have passed by."""

    causes: tuple[Cause, ...]
    turned: tuple[bool, bool]
    """Whether lower scores are better in each run."""
    shown: int
    """How many of the largest moves are kept."""
    both: int = 0
    """Images that both runs have."""
    equal: int = 0
    """Of them: scores that are equal to the bit."""
    moved: int = 0
    others_moved: int = 0
    """Images of which a score of another standard moved."""
    states: int = 0
    """Images that have a score in one of the runs only, though both have the image."""
    unscored: int = 0
    """Images that have a score in neither."""
    only: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    examples: dict[str, list[str]] = field(default_factory=lambda: {"a": [], "b": []})
    by_hash: int = 0
    """Images with other paths that were told by their content."""
    files: int = 0
    """Images whose files have other content."""
    warnings: int = 0
    """Images with other warnings."""
    tags: int = 0
    """Images with other tags."""
    stages: Counter[str] = field(default_factory=Counter)
    """Where images differ first."""
    moved_at: Counter[str] = field(default_factory=Counter)
    """The same of those whose score moved."""
    _largest: list[tuple[float, int, Pair]] = field(default_factory=list)
    _scores: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    @property
    def moves(self) -> list[Pair]:
        """The largest moves, the largest first."""
        return [pair for _, _, pair in sorted(self._largest, key=lambda each: each[:2], reverse=True)]

    @property
    def srcc(self) -> float | None:
        """Of both runs' scores, each turned so that higher is better; None where it does not exist."""
        first, second = self._scores
        if len(first) < LEAST_IMAGES:
            return None
        signs = [-1 if lower else 1 for lower in self.turned]
        return srcc([signs[0] * score for score in first], [signs[1] * score for score in second])

    @property
    def mean_move(self) -> float | None:
        """Mean absolute difference of the scores that both have."""
        count = len(self._scores[0])
        return sum(abs(b - a) for a, b in zip(*self._scores, strict=True)) / count if count else None

    @property
    def found(self) -> tuple[Cause, ...]:
        """All causes, the files and prompts that have changed among them."""
        changed = Cause("files", "files", "image files with other content", "", f"{self.files}")
        asked = Cause("prompts", "prompts", "text prompts of images", "", f"{self.prompts}")
        images = [cause for cause in (changed, asked) if cause.b != "0"]
        return (*images, *self.causes)

    @property
    def prompts(self) -> int:
        """Images of equal files with other text prompts."""
        return self.stages["prompt"]

    @property
    def unexplained(self) -> dict[str, int]:
        """Stage -> images that moved and differ first there, though nothing that is recorded acts on it."""
        acting = {cause.acts for cause in self.found}
        return {
            stage: number
            for stage, number in self.moved_at.items()
            if acting.isdisjoint(EXPLAINED_BY.get(stage, ()))
        }

    @property
    def nothing(self) -> bool:
        """Whether the runs are the same, as far as anybody can tell."""
        counted = (self.moved, self.others_moved, self.states, *self.only.values(), self.warnings, self.tags)
        return not self.found and not any(counted) and self.stages.keys() <= {""}

    def add(self, pair: Pair, *, by_hash: bool = False) -> None:
        """Count one image."""
        if pair.a is None or pair.b is None:
            side = "b" if pair.a is None else "a"
            self.only[side] += 1
            if len(self.examples[side]) < _NAMED:
                self.examples[side].append(pair.path)
            return
        self.both += 1
        self.by_hash += by_hash
        self.files += pair.stage == "file"
        self.stages[pair.stage] += 1
        others = dict(pair.b.others)
        self.others_moved += any(score != others.get(label, score) for label, score in pair.a.others)
        self.warnings += pair.a.warnings != pair.b.warnings
        self.tags += None not in (pair.a.tags, pair.b.tags) and pair.a.tags != pair.b.tags
        if pair.difference is None:
            self.states += (pair.a.score is None) != (pair.b.score is None)
            self.unscored += pair.a.score is None and pair.b.score is None
            return
        self._add_scores(pair, pair.difference)

    def _add_scores(self, pair: Pair, difference: float) -> None:
        assert pair.a is not None and pair.b is not None
        assert pair.a.score is not None and pair.b.score is not None
        self._scores[0].append(pair.a.score)
        self._scores[1].append(pair.b.score)
        if pair.a.score == pair.b.score:
            self.equal += 1
            return
        self.moved += 1
        self.moved_at[pair.stage] += 1
        entry = (abs(difference), -self.moved, pair)  # the first of equals counts as larger
        if len(self._largest) < self.shown:
            heapq.heappush(self._largest, entry)
        elif self.shown:
            heapq.heappushpop(self._largest, entry)


def diff(a: Run, b: Run, shown: int = 10) -> tuple[Difference, Iterator[Pair]]:
    """Compare two runs, each by its own arithmetic.

    Args:
        a: The first run; of its shards, those that are finished count.
        b: The second.
        shown: How many of the largest moves are kept.

    Returns:
        What is known once the second has been read to its end: all images, streaming. Images that both runs
        have in the same order pass by; others wait for their partner, without their ratings.

    Raises:
        UserError: a part of a run is damaged.
    """
    found = Difference(tuple(causes(a, b)), (a.lower_is_better, b.lower_is_better), shown)
    counts = any(run.settings.aggregation.lam != 0 for run in (a, b))
    return found, _counted(found, _pairs(_kept(a), _kept(b)), counts)


def _counted(
    found: Difference, pairs: Iterable[tuple[Kept | None, Kept | None, bool]], regions_count: bool
) -> Iterator[Pair]:
    for one, other, by_hash in pairs:
        stage = _first(one, other, regions_count) if one is not None and other is not None else ""
        pair = Pair(one, other, stage)
        found.add(pair, by_hash=by_hash)
        yield pair


def _pairs(first: Iterator[Kept], second: Iterator[Kept]) -> Iterator[tuple[Kept | None, Kept | None, bool]]:
    """The images of both runs by their paths, then by their content, then those of one alone."""
    left: dict[str, Kept] = {}
    right: dict[str, Kept] = {}
    for one, other in itertools.zip_longest(first, second):
        if one is not None and other is not None and one.path == other.path:
            yield one, other, False
            continue
        for image, own, others in ((one, left, right), (other, right, left)):
            if image is None:
                continue
            partner = others.pop(image.path, None)
            if partner is None:
                own[image.path] = image
            else:
                yield (image, partner, False) if own is left else (partner, image, False)
    contents: dict[bytes, list[Kept]] = {}
    for image in reversed(right.values()):
        if image.content_hash is not None:
            contents.setdefault(image.content_hash, []).append(image)
    for image in left.values():
        same = contents.get(image.content_hash or b"")
        partner = same.pop() if same else None
        if partner is not None:
            del right[partner.path]
        yield image, partner, partner is not None
    for image in right.values():
        yield None, image, False


def _kept(run: Run) -> Iterator[Kept]:
    for scored, content_hash in iter_hashed(run) if run.settings.raters else ():
        if not scored.score.gone:
            yield _of(scored, content_hash)


def _of(scored: ScoredImage, content_hash: bytes | None) -> Kept:
    score, rated = scored.score, scored.rated
    labels = score.labels or tuple(score.scores)
    return Kept(
        path=score.path,
        score=score.score,
        others=tuple((label, score.scores[label].score) for label in labels[1:] if label in score.scores),
        status=score.status,
        content_hash=content_hash,
        prompt=scored.planned.ref.prompt,
        size=score.size,
        regions=_digest(_plain(region) for region in rated.regions),
        whole=_ratings(rated, 1),
        views=_ratings(rated, None),
        warnings=score.warnings,
        tags=score.tags if score.measures else None,
    )


def _ratings(rated: RatedImage, views: int | None) -> dict[tuple[str, str], bytes]:
    return {
        (rater, standard): _digest(_told(rating) for rating in by_view[:views])
        for rater, by_standard in rated.ratings.items()
        for standard, by_view in by_standard.items()
    }


def _told(rating: Rating | None) -> tuple[Any, ...]:
    return () if rating is None else (rating.logprobs, rating.mass, rating.value, rating.answer)


def _plain(region: Region) -> tuple[Any, ...]:
    return region.box, region.area, region.kind, region.weight


def _digest(values: Iterable[object]) -> bytes:
    return hashlib.blake2b(repr(tuple(values)).encode(errors="surrogateescape"), digest_size=8).digest()


def _first(a: Kept, b: Kept, regions_count: bool) -> Stage:
    if a.content_hash is not None and b.content_hash is not None and a.content_hash != b.content_hash:
        return "file"
    if a.prompt != b.prompt:
        return "prompt"
    if a.size != b.size and a.size is not None and b.size is not None:
        return "decoding"
    if a.status != b.status:
        return "ratings" if a.size and b.size else "decoding"
    if regions_count and a.regions != b.regions:
        return "regions"
    one, other = (a.views, b.views) if regions_count else (a.whole, b.whole)
    if any(one[key] != other[key] for key in one.keys() & other.keys()):
        return "ratings"
    if one.keys() != other.keys():
        return "raters"
    return "" if a.score == b.score and a.others == b.others else "arithmetic"
