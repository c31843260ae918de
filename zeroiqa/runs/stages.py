"""Decode, segment, rate and commit the images of shards; every executor calls `run_shards`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType

import numpy as np

from zeroiqa.chat.known_answer import Watched
from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location
from zeroiqa.guards.together import Failure, failure_of, together
from zeroiqa.pipeline import Method, find_regions, rate_images
from zeroiqa.runs import events, known_answers
from zeroiqa.runs import parts as store
from zeroiqa.runs.identity import check_version, differences, method_identity
from zeroiqa.runs.items import Item, chunks, items_of, prepared
from zeroiqa.runs.part_records import RatingsRow
from zeroiqa.runs.resolved import Builder
from zeroiqa.runs.run import Run
from zeroiqa.types import Image

_NOTHING: Mapping[int, str] = MappingProxyType({})


def method_of(run: Run, raters: Sequence[str] | None = None) -> Method:
    """Build what the run's settings name.

    Args:
        run: The run.
        raters: Those to build; all if left out.

    Raises:
        UserError: a name stands for something else than at the start (another version, an edited file).
    """
    check_version(run.folder, run.identity)
    builder = run.builder or Builder()
    method = builder.method(run.settings, raters, image_seconds=run.image_seconds)
    today = method_identity(run.settings, method)
    today["raters"] = {**run.identity["raters"], **today["raters"]}
    changed = differences(run.identity, {**run.identity, **today})
    if changed:
        field, (there, here) = next(iter(changed.items()))
        raise UserError(f"{run.folder} was started with {field} {there}, here it is {here}; start a new run.")
    for name, rater in method.raters.items():
        if isinstance(rater, Watched):
            rater.watch(partial(known_answers.compare, run.folder, name))
    return method


def run_shard(
    run: Run,
    method: Method,
    shard: int,
    on_images: Callable[[int], None],
    skip: Mapping[int, str] = _NOTHING,
) -> None:
    """Do what is missing of one shard; see `run_shards`."""
    for _ in run_shards(run, method, [shard], on_images, skip):
        pass


def run_shards(
    run: Run,
    method: Method,
    shards: Iterable[int],
    on_images: Callable[[int], None],
    skip: Mapping[int, str] = _NOTHING,
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
        skip: Number of an image -> the error of its row; such an image is not even decoded.

    Raises:
        UserError: the rater itself is unusable, or a part cannot be read or written.
    """
    at_once = method.images_per_call
    shards = tuple(shards)
    with prepared(items_of(run, method, shards, skip), method) as items:
        for shard in shards:
            start = time.monotonic()
            groups = chunks(itertools.islice(items, run.shards[shard]), at_once)
            stages, images = _fill(run.folder, groups, method, on_images)
            seconds = time.monotonic() - start
            raters = tuple(method.raters)
            events.record(run, shard, stages=stages, raters=raters, seconds=seconds, images=images)
            yield shard


def probe(run: Run, method: Method, shard: int, images: Collection[int]) -> None:
    """Do the work on some images of a shard, as `run_shards` does it, and keep nothing of it.

    Raises:
        UserError: the rater itself is unusable.
    """
    chosen = (item for item in items_of(run, method, [shard], _NOTHING) if item.planned.image in images)
    with prepared(chosen, method) as items:
        for group in chunks(items, method.images_per_call):
            for name in group[0].shard.raters:
                _rated(group, name, method)


def probe_plain(method: Method) -> None:
    """Put a plain picture, which no file can have spoilt, through everything; all weights are loaded by it.

    Raises:
        UserError: the rater itself is unusable.
    """
    picture = Image(np.full((64, 64, 3), 128, np.uint8), name="a plain picture", prompt="a plain picture")
    try:
        found = find_regions([picture], method)
        for rater in method.raters.values():
            rate_images([(picture, found[0])], rater, method)
    except Exception as error:
        failure_of(error, picture.name)  # raises what ends a run


def _fill(
    folder: Location, groups: Iterator[list[Item]], method: Method, on_images: Callable[[int], None]
) -> tuple[tuple[str, ...], int]:
    """Write the missing parts of one shard, whose images come in groups.

    Returns:
        The stages of the parts, and for how many images there was anything to do.
    """
    group = next(groups)
    shard, images = group[0].shard, 0
    with ExitStack() as parts:  # committed in reverse order: the regions first, then rater by rater
        add_ratings = {
            name: parts.enter_context(store.new_ratings(folder, name, shard.number, shard.generation))
            for name in reversed(shard.raters)
        }
        add_regions = (
            None
            if shard.segmented
            else parts.enter_context(store.new_regions(folder, shard.number, shard.generation))
        )
        while group:
            for name in shard.raters:
                for ratings in _rated(group, name, method):
                    add_ratings[name](ratings)
            rows = [(item.row, item.due) for item in group]
            group.clear()  # its pixels go before the next ones come
            for row, due in rows:
                if add_regions is not None and row is not None:
                    add_regions(row)
                images += due
                if due or shard.finished:
                    on_images(1)
            group = next(groups, group)
    stages = (*(() if shard.segmented else (store.REGIONS,)), *map(store.rating_stage, shard.raters))
    return stages, images


def _rated(group: Sequence[Item], name: str, method: Method) -> list[RatingsRow]:
    """One row per image: what is kept, and the others from as few calls of the rater as it wants."""
    rater = method.raters[name]
    new = iter(
        [
            row
            for part in chunks((item for item in group if name not in item.kept), rater.images_per_call)
            for row in _rated_together(part, name, method)
        ]
    )
    return [item.kept[name] if name in item.kept else next(new) for item in group]


def _rated_together(group: Sequence[Item], name: str, method: Method) -> list[RatingsRow]:
    """One row per image, from one call of the rater."""

    def work(items: Sequence[Item]) -> Iterator[RatingsRow]:
        images, known = [], []
        for item in items:
            if item.row is not None and item.image is not None:
                images.append((item.image, item.row.regions))
                known.append(item.whole.get(name))
        found = iter(rate_images(images, method.raters[name], method, known))
        for item in items:
            if item.image is None:  # an error of its regions is said there
                yield RatingsRow(item.planned.image, error=item.error, cause=item.cause)
            else:
                yield RatingsRow(item.planned.image, next(found))

    def failed(item: Item, why: Failure) -> RatingsRow:
        return RatingsRow(item.planned.image, error=why.sentence)

    return together(group, work, failed, lambda item: item.planned.ref.path)
