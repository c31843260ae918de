"""Images with an error, or with another file than was scored: what the commands do and say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

from zeroiqa.cli.messages import say
from zeroiqa.cli.options import Command, with_options
from zeroiqa.errors import UserError, printable

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.runs import Run
    from zeroiqa.runs.healing import Healing

_LOOKED_AT = 16
"""Images."""


def healing_options(command: Command) -> Command:
    """The options `retry_errors` and `refresh`."""
    return with_options(
        command,
        click.option(
            "--retry-errors",
            is_flag=True,
            help="Try all images again that have an error; without, those whose file is another one or can "
            "be reached again.",
        ),
        click.option(
            "--refresh",
            is_flag=True,
            help="Score images again whose file (by its size or time) or prompt has changed since.",
        ),
    )


def healed(
    run: Run,
    sources: Sequence[ImageRef] | None,
    *,
    retry_errors: bool = False,
    refresh: bool = False,
    shards: Sequence[int] | None = None,
) -> Run:
    """The run, in which what has an error and can be computed again is left to do; says how much that is.

    Args:
        run: The run.
        sources: As they are found now; None where no images were named.
        retry_errors: As the option.
        refresh: As the option.
        shards: Those of the command; all if left out.

    Raises:
        UserError: all images have been copied since they were planned; or the run cannot be read or written.
    """
    from zeroiqa.runs.healing import find_changes
    from zeroiqa.runs.run import revised

    found = find_changes(run, sources, retry_errors=retry_errors, refresh=refresh, shards=shards)
    if found.unscored:
        refuse_copies(run)
    for line in _said(found):
        say(line, err=True)
    return revised(run, found.changes)


def refuse_copies(run: Run) -> None:
    """Refuse to take files for others because all have been copied since they were planned.

    Raises:
        UserError: of the images that come first, at least two, all have another time.
    """
    from zeroiqa.images.archives import time_of
    from zeroiqa.runs import pending
    from zeroiqa.runs.latest import images_left

    left = (image for shard in pending(run) for image in images_left(run, shard))
    looked = moved = 0
    for image in islice(left, _LOOKED_AT):
        if image.ref.modified is None:
            continue
        try:
            moved += time_of(image.ref.place) != image.ref.modified
            looked += 1
        except (OSError, ValueError, UserError):  # an error of this image, which its row will say
            continue
    if not run.ignore_times and 1 < looked == moved:
        raise UserError(
            f"All of the {moved} images looked at have another modification time than when {run.folder} was "
            "planned, as copies have; go on with --ignore-times if they are the same files, or score them in "
            "another run (-o)."
        )


def how_errors_heal(run: Run) -> str:
    """What to do about images with an error."""
    return (
        f"`zeroiqa score -o {run.folder}` scores again what is repaired or can be reached again, and with "
        "--retry-errors all that has an error."
    )


def _said(found: Healing) -> Iterator[str]:
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
