"""Which raters work side by side: one model is in memory at a time.

The first pass decodes, segments and rates with all raters that have no weights and the first that has; each
further pass decodes again and rates with one more. Parts and results do not depend on it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.raters import find_rater
from zeroiqa.runs.latest import count_left
from zeroiqa.runs.run import Run, pending

if TYPE_CHECKING:
    from zeroiqa.runs.resolved import Builder


class Pass(NamedTuple):
    """One walk over the shards."""

    raters: tuple[str, ...]
    """Those that are in memory together."""
    shards: tuple[int, ...]
    """Those in which something of it is left to do."""


def rater_groups(raters: Sequence[str]) -> list[tuple[str, ...]]:
    """The raters of each pass."""
    heavy = [name for name in raters if find_rater(name).needs_weights]
    light = tuple(name for name in raters if name not in heavy)
    return [(*light, *heavy[:1]), *((name,) for name in heavy[1:])]


def open_passes(run: Run, shards: Iterable[int]) -> list[Pass]:
    """The passes that have something left to do in some of the shards, in their order."""
    wanted = set(shards)
    found = [
        Pass(group, tuple(shard for shard in pending(run, group) if shard in wanted))
        for group in rater_groups(run.settings.raters)
    ]
    return [each for each in found if each.shards]


def image_passes(run: Run, shards: Iterable[int]) -> tuple[int, int]:
    """Images times passes: of the shards, and of them done."""
    wanted = set(shards)
    left = images_left(run, wanted)
    total = run.count_images(wanted) * len(left)
    return total, total - sum(left)


def images_left(run: Run, shards: Iterable[int]) -> tuple[int, ...]:
    """Images of the shards that are left to do in each pass, in their order."""
    wanted = set(shards)
    return tuple(
        sum(count_left(run, shard, group) for shard in wanted.intersection(pending(run, group)))
        for group in rater_groups(run.settings.raters)
    )


def release_memory(builder: Builder | None) -> None:
    """Let go of the weights of all that is built, and give back their memory, on a GPU, too."""
    if builder is not None and not builder.release():
        return  # nothing that was built has weights, and looking for garbage takes its time
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.cuda.empty_cache()
