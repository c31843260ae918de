"""Errors heal: which images are other files now, can be reached again, or shall be tried again."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from zeroiqa.errors import UserError
from zeroiqa.guards.budget import Budget, OverBudgetError, left_behind
from zeroiqa.images.archives import members
from zeroiqa.images.read import look
from zeroiqa.images.ref import ImageRef
from zeroiqa.images.selection import Selection
from zeroiqa.images.sieve import Sieve
from zeroiqa.names import escaped
from zeroiqa.runs import events, parts, plan
from zeroiqa.runs.plan import Planned
from zeroiqa.runs.revisions import Change
from zeroiqa.runs.run import Run

_LOOKS = 16
"""Files that are looked at at once."""
_LOOK_SECONDS = 3.0
"""For opening one; where that takes longer, its mount is still away."""
_Kind: TypeAlias = Literal["same", "stale", "replaced", "reachable", "retried", "unscored", "refreshed"]


@dataclass(frozen=True)
class Healing:
    """What can be computed again, and why."""

    changes: tuple[Change, ...] = ()
    """For a revision."""
    replaced: int = 0
    """Images with another error that are other files now, or of which nothing was known."""
    reachable: int = 0
    """Images that could not be reached, and can be now."""
    retried: int = 0
    """Other images with an error, all of which shall be tried again."""
    unscored: int = 0
    """Images that have changed before they were scored."""
    refreshed: int = 0
    """Images that have changed since they were scored, and shall be scored as they are now."""
    stale: tuple[str, ...] = ()
    """Paths of such images whose scores shall stay."""


class _Now(NamedTuple):
    """What is there of an image now, as the plan would have it."""

    bytes: int
    """0 if that is not known."""
    modified: int | None
    offset: int | None
    prompt: str | None


def find_changes(
    run: Run,
    sources: Iterable[ImageRef] | None,
    *,
    retry_errors: bool = False,
    refresh: bool = False,
    shards: Iterable[int] | None = None,
) -> Healing:
    """Compare the images of a run with their files; nothing is written.

    Args:
        run: The run; its `ignore_times` counts.
        sources: As they are found now; images that are not among them are left alone. None: the files of the
            images with an error are looked at, and with `refresh` those of all.
        retry_errors: Whether all images with an error shall be tried again.
        refresh: Whether images whose file or prompt has changed since they were scored shall be scored again.
        shards: Those whose images are compared; all if left out.

    Raises:
        UserError: a part or the plan cannot be read.
    """
    shards = tuple(range(run.n_shards) if shards is None else shards)
    now = None if sources is None else {source.path: source for source in sources}
    failed = failed_images(run, shards)
    counts: Counter[_Kind] = Counter()
    changes, stale = [], []
    for row, scored, found in _compared(run, now, failed, shards, everything=refresh):
        if row.image in failed:
            kind = _of_failed(run, row, failed[row.image], found, retry_errors)
        else:
            kind = _of_others(run, row, found, scored, refresh)
        counts[kind] += 1
        if kind == "stale":
            stale.append(row.ref.name)
        elif kind != "same":
            changes.append(_change(run, row, kind, found))
    return Healing(
        changes=tuple(changes),
        stale=tuple(stale),
        replaced=counts["replaced"],
        reachable=counts["reachable"],
        retried=counts["retried"],
        unscored=counts["unscored"],
        refreshed=counts["refreshed"],
    )


def failed_images(run: Run, shards: Iterable[int]) -> dict[int, str | None]:
    """The images of some shards that have an error in a part that is there -> its cause.

    Those that are to be computed again already are not among them.

    Raises:
        UserError: a part without an event is damaged.
    """
    logged = events.read_events(run.folder).parts()
    there = {stage: parts.parts(run.folder, stage) for stage in run.stages}
    found: dict[int, str | None] = {}
    for shard in shards:
        for stage, by_shard in there.items():  # the first error is the one that the image is listed with
            generation = _newest(run, shard, by_shard)
            if generation is not None:
                part = events.PartOf(stage, shard, generation)
                content = events.content(run, part, logged.get(part), run.settings.aggregation)
                again = run.revisions.again(shard, generation)
                for image, (_, cause) in content.by_image().items():
                    if image not in again:
                        found.setdefault(image, cause)
    return found


def _newest(run: Run, shard: int, by_shard: Mapping[int, set[int]]) -> int | None:
    known = by_shard.get(shard, set()).intersection(run.revisions.generations(shard))
    return max(known, default=None)


def _compared(
    run: Run,
    now: Mapping[str, ImageRef] | None,
    failed: Mapping[int, str | None],
    shards: Iterable[int],
    *,
    everything: bool,
) -> Iterator[tuple[Planned, bool, _Now | None]]:
    """The images that can be compared, whether they are scored, and what is there now; None: nothing."""
    rated = [parts.parts(run.folder, stage) for stage in run.stages[1:] or run.stages]
    search = functools.cache(_members)

    def source_of(row: Planned) -> ImageRef | None:
        return None if now is None else now.get(row.ref.path)

    def must_be_looked_at(row: Planned) -> bool:
        source = source_of(row)
        unsure = source is None or not source.bytes or failed.get(row.image) == "unreachable"
        return unsure and (row.image in failed or now is None)

    with plan.shard_reader(run.folder) as read, ThreadPoolExecutor(_LOOKS) as threads:
        for shard in shards:
            rows = [
                row
                for row in map(run.now, read(shard))
                if row.image not in run.revisions.gone
                and (row.image in failed or everything if now is None else row.ref.path in now)
            ]
            looked = [row for row in rows if must_be_looked_at(row)]
            seen = threads.map(lambda row: _look(row, source_of(row), search), looked)
            found = dict(zip((row.image for row in looked), seen, strict=True))
            generations = (_newest(run, shard, by_shard) for by_shard in rated)
            since = max((each for each in generations if each is not None), default=None)
            due = run.revisions.again(shard, since or 0)
            for row in rows:
                source = source_of(row)
                there = found[row.image] if row.image in found else source and _as_now(source)
                yield row, since is not None and row.image not in due, there


def _as_now(source: ImageRef) -> _Now:
    return _Now(source.bytes, source.modified, source.offset, source.prompt and escaped(source.prompt))


def _look(
    row: Planned, source: ImageRef | None, search: Callable[[str], Mapping[str, ImageRef]]
) -> _Now | None:
    """What is there, by opening it; None if it cannot be read."""
    ref = row.ref
    prompt = ref.prompt if source is None else _as_now(source).prompt
    try:
        size, modified = left_behind(functools.partial(look, ref), Budget(_LOOK_SECONDS))
        if ref.archive is None:
            return _Now(size, modified, None, prompt)
        if source is not None:
            return _Now(source.bytes, modified, source.offset, prompt)
        if modified == ref.modified:
            return _Now(ref.bytes, modified, ref.offset, prompt)
        if ref.column is not None:
            return _Now(0, modified, ref.offset, prompt)
        member = search(ref.archive).get(ref.path)
    except (UserError, OverBudgetError):
        return None
    return None if member is None else _Now(member.bytes, modified, member.offset, prompt)


def _members(archive: str) -> Mapping[str, ImageRef]:
    return {member.path: member for member in members(archive, Sieve(Selection(), prompts=False))}


def _change(run: Run, row: Planned, kind: _Kind, now: _Now | None) -> Change:
    back = kind == "reachable" and now is not None and not _differs(run, row, now, now.bytes != row.ref.bytes)
    if now is None or kind == "retried" or back:
        return Change(row.image, "retried")
    return Change(row.image, "replaced", *now)


def _of_failed(run: Run, row: Planned, cause: str | None, now: _Now | None, retry: bool) -> _Kind:
    if now is not None and cause == "unreachable":
        return "reachable"
    if now is not None and (cause == "changed" or _differs(run, row, now, now.bytes != row.ref.bytes)):
        return "replaced"
    return "retried" if retry else "same"


def _of_others(run: Run, row: Planned, now: _Now | None, scored: bool, refresh: bool) -> _Kind:
    is_member = row.ref.archive is not None and row.ref.column is None
    if now is not None and scored and is_member:  # it is that member; the archive has grown
        now = now._replace(modified=row.ref.modified)
    if now is None or not _differs(run, row, now, 0 != row.ref.bytes != now.bytes != 0):
        return "same"
    if not scored:
        return "unscored"
    return "refreshed" if refresh else "stale"


def _differs(run: Run, row: Planned, now: _Now, of_another_size: bool) -> bool:
    """Whether it is another file, or has another prompt; a time that is not known is not compared."""
    times_differ = None not in (row.ref.modified, now.modified) and row.ref.modified != now.modified
    return (
        of_another_size
        or (times_differ and not run.ignore_times)
        or (now.offset, now.prompt) != (row.ref.offset, row.ref.prompt)
    )
