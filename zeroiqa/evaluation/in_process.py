"""Runs that an evaluation needs, computed in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.runs import open_run, pending, run_id, write_scores
from zeroiqa.runs.healing import find_changes
from zeroiqa.runs.passes import rater_groups, release_memory
from zeroiqa.runs.run import revised
from zeroiqa.runs.stages import method_of, run_shards

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.pipeline import Method
    from zeroiqa.runs import Run
    from zeroiqa.settings import Settings

BASELINE_RUNS = Path("zeroiqa-runs")
"""Where the run of a baseline goes: a folder for its name and its images, so that it is computed once."""


def opened(folder: Path, settings: Settings, sources: Sequence[ImageRef], preset: str) -> Run:
    """Create the run or open it again; images that have changed since are computed again."""
    run = open_run(folder, settings, list(sources), preset=preset)
    return revised(run, find_changes(run, sources).changes)


def compute(
    run: Run,
    on_images: Callable[[int], None] = lambda _: None,
    adapted: Callable[[Method], Method] = lambda method: method,
) -> None:
    """Do what is left of a run, one group of raters after the other, and write its scores.

    Args:
        run: The run.
        on_images: Called with the number of images that are done since the call before.
        adapted: What works in the place of the run's own method, such as one with a cache.
    """
    for group in rater_groups(run.settings.raters):
        left = pending(run, group)
        if left:
            method = adapted(method_of(run, group))
            for _ in run_shards(run, method, left, on_images):
                pass
            del method
            release_memory()
    write_scores(run)


def run_baseline(name: str, settings: Settings, sources: Sequence[ImageRef]) -> Run:
    """The finished run of a baseline on some images, in a folder of the current one that resumes."""
    stem = "".join(char if char.isalnum() or char in "-_" else "-" for char in name)
    folder = BASELINE_RUNS / f"{stem}-{run_id(settings, sources)[:8]}"
    run = opened(folder, settings, sources, "compare")
    compute(run)
    return run
