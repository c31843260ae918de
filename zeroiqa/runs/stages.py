"""The work on shards: decode, segment, rate, commit. Whoever runs a shard, wherever, calls `run_shards`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.images import decode
from zeroiqa.pipeline import Method, build_method, find_regions, rate_images
from zeroiqa.reading import read
from zeroiqa.runs import events, store
from zeroiqa.runs.identity import differences, method_identity
from zeroiqa.runs.plan import Planned, escaped, planned
from zeroiqa.runs.prefetch import ahead
from zeroiqa.runs.run import Run
from zeroiqa.runs.store import RatingsRow, RegionsRow
from zeroiqa.storage import Location, is_remote
from zeroiqa.types import Image, Rater, Region

_AHEAD = 4
"""Images that are prepared while a model works, besides those of its next call."""
_READS = 16
"""Objects of a store that are read at once, and held until their turn."""


@dataclass(frozen=True)
class _Shard:
    """What a shard wants."""

    number: int
    segmented: bool
    """Whether its regions are stored."""
    raters: tuple[str, ...]
    """Those whose ratings are not."""

    @property
    def finished(self) -> bool:
        return self.segmented and not self.raters


class _Item(NamedTuple):
    """One image on its way; each step fills in more."""

    shard: _Shard
    planned: Planned
    row: RegionsRow | None = None
    """None until it is segmented."""
    content: bytes | None = None
    """None until it is read; files on the disk are read when they are decoded."""
    image: Image | None = None
    """None until it is decoded; where that failed, the row or `error` says why."""
    error: str | None = None
    """Why an image that has regions cannot be rated."""

    @property
    def wanted(self) -> bool:
        """Whether its pixels are needed."""
        broken = self.error is not None or (self.row is not None and self.row.error is not None)
        return not self.shard.finished and not broken


def method_of(run: Run, raters: Sequence[str] | None = None) -> Method:
    """Build what the run's settings name.

    Args:
        run: The run.
        raters: Those to build; all if left out.

    Raises:
        UserError: a name stands for something else than at the start (another version, an edited file).
    """
    method = build_method(run.settings, raters)
    today = method_identity(run.settings, method)
    today["raters"] = {**run.identity["raters"], **today["raters"]}
    changed = differences(run.identity, {**run.identity, **today})
    if changed:
        field, (there, here) = next(iter(changed.items()))
        raise UserError(f"{run.folder} was started with {field} {there}, here it is {here}; start a new run.")
    return method


def run_shard(run: Run, method: Method, shard: int, on_images: Callable[[int], None]) -> None:
    """Do what is missing of one shard; see `run_shards`."""
    for _ in run_shards(run, method, [shard], on_images):
        pass


def run_shards(
    run: Run, method: Method, shards: Iterable[int], on_images: Callable[[int], None]
) -> Iterator[int]:
    """Do what is missing of the shards for the method's raters; yield the number of each committed one.

    Every image is decoded at most once. Images are held until they are rated: one at a time, or those of one
    call of a rater that takes several, and a few more that threads prepare meanwhile.

    An image that cannot be decoded, segmented or rated becomes a row with an error. Parts appear when the
    whole shard is done, the regions first; parts that are there already are used and never written again.

    Args:
        run: The run.
        method: From `method_of`.
        shards: Their numbers in the plan.
        on_images: Told about each image that is done with.

    Raises:
        UserError: the rater itself is unusable, or a part cannot be read or written.
    """
    at_once = method.images_per_call
    together = method.segmenter.images_per_call if method.segmenter is not None else 1
    shards = tuple(shards)
    with (
        _read_ahead(_items(run, method, shards), method) as arriving,
        ahead(
            arriving,
            lambda item: _decoded(item, method),
            lambda item: _segmented(item, method) if together == 1 else item,
            at_once + _AHEAD if at_once > 1 else 0,
        ) as prepared,
    ):
        items = prepared if together == 1 else _segmented_together(prepared, method, together)
        for shard in shards:
            start = time.monotonic()
            groups = _chunks(itertools.islice(items, run.shards[shard]), at_once)
            stages = _fill(run.folder, groups, method, on_images)
            seconds = time.monotonic() - start
            events.record(run, shard, stages=stages, raters=tuple(method.raters), seconds=seconds)
            yield shard


def _fill(
    folder: Location, groups: Iterator[list[_Item]], method: Method, on_images: Callable[[int], None]
) -> tuple[str, ...]:
    """Write the missing parts of one shard, whose images come in groups; the stages that they are of."""
    group = next(groups)
    shard = group[0].shard
    with ExitStack() as parts:  # committed in reverse order: the regions first, then rater by rater
        add_ratings = {
            name: parts.enter_context(store.new_ratings(folder, name, shard.number))
            for name in reversed(shard.raters)
        }
        add_regions = (
            None if shard.segmented else parts.enter_context(store.new_regions(folder, shard.number))
        )
        while group:
            for name in shard.raters:
                for ratings in _rated(group, method.raters[name], method):
                    add_ratings[name](ratings)
            rows = [item.row for item in group]
            group.clear()  # its pixels go before the next ones come
            for row in rows:
                if add_regions is not None and row is not None:
                    add_regions(row)
                on_images(1)
            group = next(groups, group)
    return (*(() if shard.segmented else (store.REGIONS,)), *map(store.rating_stage, shard.raters))


def _items(run: Run, method: Method, shards: Iterable[int]) -> Iterator[_Item]:
    for number in shards:
        shard = _Shard(
            number,
            segmented=store.part_path(run.folder, store.REGIONS, number).exists(),
            raters=tuple(
                name
                for name in method.raters
                if not store.part_path(run.folder, store.rating_stage(name), number).exists()
            ),
        )
        images = planned(run.folder, number)
        if shard.segmented and shard.raters:
            stored = store.read_regions(run.folder, number)
            yield from (_Item(shard, image, row) for image, row in zip(images, stored, strict=True))
        else:
            yield from (_Item(shard, image) for image in images)


@contextmanager
def _read_ahead(items: Iterator[_Item], method: Method) -> Iterator[Iterator[_Item]]:
    """Objects of a store are read many at once, which hides how long each takes; nothing else is changed."""
    first = next(items, None)
    if first is None or not is_remote(first.planned.stored.place):
        yield items if first is None else itertools.chain((first,), items)
        return
    every = itertools.chain((first,), items)
    with ahead(
        every, lambda item: _read(item, method), lambda item: item, _READS, threads=_READS
    ) as arriving:
        yield arriving


def _read(item: _Item, method: Method) -> _Item:
    stored = item.planned.stored
    if not item.wanted or not is_remote(stored.place):
        return item
    try:
        return item._replace(content=read(stored, method.policy.max_pixels))
    except Exception as error:
        return _failed(item, error)


def _decoded(item: _Item, method: Method) -> _Item:
    if not item.wanted:
        return item
    planned = item.planned
    source = planned.stored if item.content is None else item.content
    try:
        image = decode(source, method.policy, name=planned.path, prompt=planned.prompt)
    except Exception as error:
        return _failed(item, error)
    return item._replace(image=image, content=None)


def _failed(item: _Item, error: Exception) -> _Item:
    """It cannot be read or decoded."""
    sentence = _sentence(error, item.planned)
    if item.row is not None:  # it has vanished since it was segmented
        return item._replace(error=sentence, content=None)
    return item._replace(row=RegionsRow(item.planned.image, error=sentence), content=None)


def _segmented(item: _Item, method: Method) -> _Item:
    if item.row is not None or item.image is None:
        return item
    try:
        (regions,) = find_regions([item.image], method)
    except Exception as error:
        image, sentence = item.image, _sentence(error, item.planned)
        row = RegionsRow(item.planned.image, image.size, warnings=image.warnings, error=sentence)
        return item._replace(row=row, image=None)
    return _with_regions(item, item.image, regions)


def _segmented_together(items: Iterable[_Item], method: Method, size: int) -> Iterator[_Item]:
    """Images go through the segmenter in groups, and in this thread: a network has the device to itself."""
    for group in _chunks(items, size):
        waiting = {
            place: item.image
            for place, item in enumerate(group)
            if item.row is None and item.image is not None
        }
        try:
            found = find_regions(list(waiting.values()), method) if waiting else []
        except Exception as error:
            _sentence(error, group[0].planned)  # raises what is no fault of an image
            group = [_segmented(item, method) for item in group]  # only the one that fails has an error
        else:
            for (place, image), regions in zip(waiting.items(), found, strict=True):
                group[place] = _with_regions(group[place], image, regions)
        waiting.clear()
        while group:  # nothing holds an image longer than its turn
            yield group.pop(0)


def _with_regions(item: _Item, image: Image, regions: tuple[Region, ...]) -> _Item:
    return item._replace(row=RegionsRow(item.planned.image, image.size, regions, image.warnings))


def _rated(group: Sequence[_Item], rater: Rater, method: Method) -> list[RatingsRow]:
    """One row per image, from as few calls of the rater as it wants."""
    return [
        row for part in _chunks(group, rater.images_per_call) for row in _rated_together(part, rater, method)
    ]


def _rated_together(group: Sequence[_Item], rater: Rater, method: Method) -> list[RatingsRow]:
    images = [
        (item.image, item.row.regions) for item in group if item.row is not None and item.image is not None
    ]
    try:
        found = iter(rate_images(images, rater, method))
    except Exception as error:
        sentence = _sentence(error, group[0].planned)  # raises what is no fault of an image
        if len(group) > 1:  # one by one, so that only the image that cannot be rated has an error
            return [row for item in group for row in _rated_together([item], rater, method)]
        return [RatingsRow(group[0].planned.image, error=sentence)]
    return [
        RatingsRow(item.planned.image, error=item.error)  # an error of the regions is said with them
        if item.image is None
        else RatingsRow(item.planned.image, next(found))
        for item in group
    ]


def _chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _sentence(error: Exception, planned: Planned) -> str:
    """What an error row says. What is no fault of the image goes on up, and the run stops."""
    if isinstance(error, UserError) and not isinstance(error, ImageError):
        raise error
    if isinstance(error, ImageError):
        return escaped(str(error))
    if isinstance(error, MemoryError):  # the same image would stop every resume
        return f"{printable(planned.file)}: there is not enough memory for this image."
    reason = escaped(" ".join(f"{type(error).__name__}: {error}".split()))
    return f"{printable(planned.file)}: could not be rated ({reason})."
