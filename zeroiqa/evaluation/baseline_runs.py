"""The run of a baseline on the images that opinions are about: computed once, whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zeroiqa.runs import write_scores
from zeroiqa.runs.begin import begin_run, default_folder, log_sentence
from zeroiqa.runs.executors.choice import ExecutorChoice
from zeroiqa.runs.work import finished_shards
from zeroiqa.settings import load_settings

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.runs import Run
    from zeroiqa.runs.work import Track


def run_baseline(
    name: str,
    aspect: str,
    sources: Sequence[ImageRef],
    track: Track | None = None,
    tell: Callable[[str], None] | None = None,
) -> Run:
    """Score images by a baseline, into a folder of zeroiqa-runs/ that resumes.

    Args:
        name: One of `zeroiqa baselines`.
        aspect: Of the opinions that its scores are compared with.
        sources: The images.
        track: Follows the progress; None: nothing does.
        tell: Is given each sentence for the user; None: the logger of zeroiqa is.

    Raises:
        UserError: there is no such baseline, or it cannot be computed here.
    """
    settings = load_settings(
        overrides={"raters": [f"baseline:{name}"], "standards": [f"{aspect}-word-7"], "crop": "whole"}
    )
    folder = default_folder(name, settings, sources)
    run = begin_run(folder, settings, sources, "compare", tell=tell or log_sentence)
    executor = ExecutorChoice().executor(len(sources), settings)
    for _ in finished_shards(run, range(run.n_shards), executor, track or _untracked, doing=name):
        pass
    write_scores(run)
    return run


@contextmanager
def _untracked(total: int, done: int, passes: Sequence[int], doing: str) -> Iterator[Callable[[int], None]]:
    yield lambda _: None
