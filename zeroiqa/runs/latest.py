"""Which part of a shard is the newest, and what it leaves to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from zeroiqa.runs import parts
from zeroiqa.runs.plan import Planned
from zeroiqa.runs.revisions import What

if TYPE_CHECKING:
    from zeroiqa.runs.planned_run import PlannedRun


def newest_part(run: PlannedRun, shard: int, *stages: str) -> int | None:
    """The newest generation of which the parts of some stages are there together; None if there is none."""
    for generation in reversed(run.revisions.generations(shard)):
        if all(parts.part_path(run.folder, stage, shard, generation).exists() for stage in stages):
            return generation
    return None


def images_left(run: PlannedRun, shard: int) -> list[Planned]:
    """The images of a shard for which something is left to do."""
    again = _again(run, shard, run.settings.raters)
    return [image for image in run.planned(shard) if again is None or image.image in again]


def count_left(run: PlannedRun, shard: int, raters: Sequence[str]) -> int:
    """How many they are for some of the raters."""
    again = _again(run, shard, raters)
    return run.shards[shard] if again is None else len(again)


def all_left(run: PlannedRun) -> int:
    """How many images of the run have anything left to do."""
    return sum(count_left(run, shard, run.settings.raters) for shard in run.pending())


def _again(run: PlannedRun, shard: int, raters: Sequence[str]) -> Mapping[int, What] | None:
    """The images that are to be computed again; None: all, as there is no part that has them."""
    there = newest_part(run, shard, parts.REGIONS, *map(parts.rating_stage, raters))
    return None if there is None else run.revisions.again(shard, there)
