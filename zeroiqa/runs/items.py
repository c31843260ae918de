"""Read, decode and segment the images of a run, a few of them ahead of their turn."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from zeroiqa.aggregate import failure
from zeroiqa.errors import ChangedError, UnreachableError, printable
from zeroiqa.files.storage import is_remote
from zeroiqa.guards.budget import Budget
from zeroiqa.guards.together import Failure, failure_of, together
from zeroiqa.pipeline import Method, OfWhole, find_regions
from zeroiqa.runs import parts
from zeroiqa.runs.latest import newest_part
from zeroiqa.runs.part_records import RatingsRow, RegionsRow
from zeroiqa.runs.plan import Planned
from zeroiqa.runs.prefetch import ahead
from zeroiqa.runs.run import Run
from zeroiqa.types import Image, Region

_AHEAD = 4
"""Images that are prepared while a model works, besides those of its next call."""
_READS = 16
"""Objects of a store that are read at once, and held until their turn."""


@dataclass(frozen=True)
class Wanted:
    """What a shard wants."""

    number: int
    segmented: bool
    """Whether its regions are stored."""
    raters: tuple[str, ...]
    """Those whose ratings are not."""
    generation: int = 0
    """Of the parts that are wanted."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do."""
        return self.segmented and not self.raters


class Item(NamedTuple):
    """One image on its way; each step fills in more."""

    shard: Wanted
    planned: Planned
    row: RegionsRow | None = None
    """None until it is segmented."""
    content: bytes | None = None
    """None until it is read; files on the disk are read when they are decoded."""
    image: Image | None = None
    """None until it is decoded; where that failed, the row or `error` says why."""
    error: str | None = None
    """Why an image that has regions is not rated."""
    content_hash: bytes | None = None
    """Of the bytes that were decoded."""
    budget: Budget | None = None
    """What is left of its time after it was read; None until then."""
    cause: str | None = None
    """That of `error`."""
    kept: Mapping[str, RatingsRow] = MappingProxyType({})
    """Rater -> what an older part has of it, which stays."""
    whole: Mapping[str, OfWhole] = MappingProxyType({})
    """Rater -> what an older part has of the whole image, which stays where the regions are new."""
    rated_hash: bytes | None = None
    """`content_hash` of the file of which that is; None where it is not known, or the row says it."""
    due: bool = True
    """Whether anything of it is to be computed."""

    @property
    def wanted(self) -> bool:
        """Whether its pixels are needed."""
        broken = self.error is not None or (self.row is not None and self.row.error is not None)
        return self.due and not broken


def items_of(run: Run, method: Method, shards: Iterable[int], skip: Mapping[int, str]) -> Iterator[Item]:
    """The images of some shards, as they are before anything is done.

    Args:
        run: The run.
        method: Whose raters are wanted.
        shards: Their numbers in the plan.
        skip: Number of an image -> the error that it has without being touched.
    """
    for number in shards:
        shard = _wanted(run, method, number)
        images = run.planned(number)
        if run.ignore_times:
            images = [_untimed(image) for image in images]
        rows = [_known_ratings(run, shard, name) for name in shard.raters]
        for image, (row, rated_hash), *ratings in zip(images, _known_regions(run, shard), *rows, strict=True):
            by_rater = dict(zip(shard.raters, ratings, strict=True))
            kept = {
                name: known for name, (known, _) in by_rater.items() if known is not None and row is not None
            }
            whole = {name: known for name, (_, known) in by_rater.items() if known is not None}
            due = not shard.finished and (row is None or len(kept) < len(shard.raters))
            skipped, cause = skip.get(image.image) if due else None, None
            if due and image.image in run.revisions.gone:
                skipped, cause = f"{printable(image.ref.name)} is gone.", UnreachableError.cause
            if (rated_hash if row is None else row.content_hash) is not None:  # says more than the time
                image = _untimed(image)
            if row is None:
                broken = None if skipped is None else RegionsRow(image.image, error=skipped, cause=cause)
                yield Item(shard, image, broken, due=due, whole=whole, rated_hash=rated_hash)
                continue
            error = skipped if row.error is None else None
            yield Item(shard, image, row, error=error, cause=error and cause, kept=kept, due=due, whole=whole)


def _untimed(image: Planned) -> Planned:
    """The same one, whenever its file was written."""
    return image._replace(ref=image.ref._replace(modified=None))


def _wanted(run: Run, method: Method, number: int) -> Wanted:
    generation = run.revisions.generation(number)

    def there(stage: str) -> bool:
        return parts.part_path(run.folder, stage, number, generation).exists()

    raters = tuple(name for name in method.raters if not there(parts.rating_stage(name)))
    return Wanted(number, there(parts.REGIONS), raters, generation)


def _known_regions(run: Run, shard: Wanted) -> Iterator[tuple[RegionsRow | None, bytes | None]]:
    """What the newest part has of each image of a shard; None for those that are to be computed.

    With it the hash of the file of which the whole image was rated, where regions are all that it lacks.
    """
    there = newest_part(run, shard.number, parts.REGIONS)
    if there is None or shard.finished:
        yield from itertools.repeat((None, None), run.shards[shard.number])
        return
    again = run.revisions.again(shard.number, there)
    for row in parts.read_regions(run.folder, shard.number, there, run.images_of(shard.number)):
        change = again.get(row.image)
        stays = change is None or (change == "retried" and row.error is None)
        rated = change == "segmented" and row.error is None
        yield row if stays else None, row.content_hash if rated else None


def _known_ratings(run: Run, shard: Wanted, rater: str) -> Iterator[tuple[RatingsRow | None, OfWhole]]:
    """The same for the ratings by one of the raters whose part is wanted; and those of the whole image, where
    they stay and its regions are new."""
    there = newest_part(run, shard.number, parts.rating_stage(rater))
    if there is None:
        yield from itertools.repeat((None, None), run.shards[shard.number])
        return
    again = run.revisions.again(shard.number, there)
    for row in parts.read_ratings(run.folder, rater, shard.number, there, run.images_of(shard.number)):
        change = again.get(row.image)
        failed = change is not None and (row.ratings is None or failure(rater, row.ratings) is not None)
        stays = change is None or (change == "retried" and not failed)
        whole = change == "segmented" and not failed and row.ratings
        yield (
            row if stays else None,
            {standard: by_view[0] for standard, by_view in whole.items()} if whole else None,
        )


@contextmanager
def prepared(items: Iterator[Item], method: Method) -> Iterator[Iterator[Item]]:
    """Yield the items in their order, decoded and segmented as far as that works."""
    at_once = method.images_per_call
    at_a_time = method.segmenter.images_per_call if method.segmenter is not None else 1
    with (
        _read_ahead(items, method) as arriving,
        ahead(
            arriving,
            lambda item: _decoded(item, method),
            lambda item: _segmented([item], method)[0] if at_a_time == 1 else item,
            at_once + _AHEAD if at_once > 1 else 0,
        ) as ready,
    ):
        yield ready if at_a_time == 1 else _segmented_together(ready, method, at_a_time)


@contextmanager
def _read_ahead(items: Iterator[Item], method: Method) -> Iterator[Iterator[Item]]:
    """Objects of a store are read many at once, which hides how long each takes; nothing else is changed."""
    first = next(items, None)
    if first is None or not is_remote(first.planned.ref.place):
        yield items if first is None else itertools.chain((first,), items)
        return
    every = itertools.chain((first,), items)
    with ahead(
        every, lambda item: _read(item, method), lambda item: item, _READS, threads=_READS
    ) as arriving:
        yield arriving


def _read(item: Item, method: Method) -> Item:
    ref = item.planned.ref
    if not item.wanted or not is_remote(ref.place):
        return item
    budget = method.decoder.budget()
    try:
        return item._replace(content=method.decoder.read(ref, method.policy, budget), budget=budget)
    except Exception as error:
        return _unread(item, error)


def _decoded(item: Item, method: Method) -> Item:
    if not item.wanted:
        return item
    ref, found = item.planned.ref, b""

    def look(content: bytes) -> None:
        nonlocal found
        found = parts.content_hash(content)
        known, done = item.rated_hash, "that was rated"
        if item.row is not None:
            known, done = item.row.content_hash, "whose regions were found"
        if known not in (None, found):
            raise ChangedError(
                f"{printable(ref.name)} has changed: it is not the file {done}; give the same command again, "
                "which takes the file of now."
            )

    try:
        image = method.decoder.decode(
            ref._replace(content=item.content), method.policy, look=look, budget=item.budget
        )
    except Exception as error:
        return _unread(item, error)
    return item._replace(image=image, content=None, content_hash=found)


def _unread(item: Item, error: Exception) -> Item:
    """It cannot be read or decoded."""
    why = failure_of(error, item.planned.ref.path)
    if item.row is not None:  # it has vanished since it was segmented
        return item._replace(error=why.sentence, cause=why.cause, content=None)
    row = RegionsRow(item.planned.image, error=why.sentence, cause=why.cause)
    return item._replace(row=row, content=None)


def _segmented(items: Sequence[Item], method: Method) -> list[Item]:
    """The items, those that wait for it segmented by one call; one that fails has an error."""

    def work(waiting: Sequence[Item]) -> Iterator[Item]:
        images = [item.image for item in waiting if item.image is not None]
        for item, image, regions in zip(waiting, images, find_regions(images, method), strict=True):
            yield _with_regions(item, image, regions)

    waiting = [item for item in items if item.row is None and item.image is not None]
    done = iter(together(waiting, work, _unsegmented, lambda item: item.planned.ref.path))
    return [next(done) if item.row is None and item.image is not None else item for item in items]


def _segmented_together(items: Iterable[Item], method: Method, size: int) -> Iterator[Item]:
    """Images go through the segmenter in groups, and in this thread: a network has the device to itself."""
    for group in chunks(items, size):
        found = _segmented(group, method)
        group.clear()
        while found:  # nothing holds an image longer than its turn
            yield found.pop(0)


def _unsegmented(item: Item, why: Failure) -> Item:
    assert item.image is not None
    row = RegionsRow(
        item.planned.image,
        item.image.size,
        warnings=item.image.warnings,
        error=why.sentence,
        content_hash=item.content_hash,
    )
    return item._replace(row=row, image=None)


def _with_regions(item: Item, image: Image, regions: tuple[Region, ...]) -> Item:
    row = RegionsRow(item.planned.image, image.size, regions, image.warnings, content_hash=item.content_hash)
    return item._replace(row=row)


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Neighbours in lists of a size; the last one may be shorter."""
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
