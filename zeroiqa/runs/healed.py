"""Has what failed or changed computed again where that is possible, and says how much that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from zeroiqa.errors import UserError, printable
from zeroiqa.images.archives import time_of
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs.healing import Healing, find_changes
from zeroiqa.runs.latest import images_left
from zeroiqa.runs.run import Run, pending, revised

_MOST_COMPARED = 16
"""Images whose times are compared with the plan."""


def healed(
    run: Run,
    sources: Sequence[ImageRef] | None,
    *,
    retry_errors: bool = False,
    refresh: bool = False,
    shards: Sequence[int] | None = None,
    tell: Callable[[str], None],
) -> Run:
    """The run, in which the images that failed or changed and can be computed again are left to do.

    Args:
        run: The run.
        sources: The images as they are found now; None where no images were named.
        retry_errors: Whether all images with an error are tried again.
        refresh: Whether images whose file or prompt has changed are scored as they are now.
        shards: Those to look at; all if left out.
        tell: Is given each sentence for the user.

    Raises:
        UserError: all images have been copied since they were planned; or the run cannot be read or written.
    """
    found = find_changes(run, sources, retry_errors=retry_errors, refresh=refresh, shards=shards)
    if found.unscored:
        refuse_copies(run)
    for sentence in _sentences(found):
        tell(sentence)
    return revised(run, found.changes)


def refuse_copies(run: Run) -> None:
    """Refuse to take files for others because all have been copied since they were planned.

    Raises:
        UserError: of the images that come first, at least two, all have another time.
    """
    left = (image for shard in pending(run) for image in images_left(run, shard))
    compared = moved = 0
    for image in islice(left, _MOST_COMPARED):
        if image.ref.modified is None:
            continue
        try:
            moved += time_of(image.ref.place) != image.ref.modified
            compared += 1
        except (OSError, ValueError, UserError):  # an error of this image, which its row will say
            continue
    if not run.ignore_times and 1 < compared == moved:
        raise UserError(
            f"All of the {moved} images looked at have another modification time than when {run.folder} was "
            "planned, as copies have; go on with --ignore-times if they are the same files, or score them in "
            "another run (-o)."
        )


def _sentences(found: Healing) -> Iterator[str]:
    again = found.replaced + found.reachable + found.retried
    if again:
        counts = {
            "other files now": found.replaced,
            "can be reached again": found.reachable,
            "tried again": found.retried,
        }
        listed = ", ".join(f"{number} {why}" for why, number in counts.items() if number)
        subject = "1 image with an error is" if again == 1 else f"{again} images with an error are"
        yield f"{subject} computed again: {listed}."
    if found.unscored:
        yield f"{_have(found.unscored)} changed before the first score; the files of now are taken."
    if found.refreshed:
        yield f"{_have(found.refreshed)} changed since the last score; the files of now are scored."
    if found.stale:
        yield (
            f"Warning: {_have(len(found.stale))} changed since the last score, by size or time (first: "
            f"{printable(found.stale[0])}): the scores are those of the old files; --refresh scores those of "
            "now."
        )


def _have(images: int) -> str:
    return "1 image has" if images == 1 else f"{images} images have"
