"""Compare the images of a run with the files that were scored, by the hash of every byte."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from zeroiqa.errors import ImageError, printable
from zeroiqa.guards.together import image_errors
from zeroiqa.images.read import read
from zeroiqa.runs import parts
from zeroiqa.runs.checks import Check
from zeroiqa.runs.latest import newest_part
from zeroiqa.runs.part_records import RegionsRow
from zeroiqa.runs.plan import Planned
from zeroiqa.runs.prefetch import ahead
from zeroiqa.runs.run import Run

_READS = 16
"""Files that are read at once."""
_NAMED = 20
"""Images that are named; there may be millions."""


class _Original(NamedTuple):
    damage: str | None = None
    """What is wrong with it, and what to do."""
    why_not: str | None = None
    """Why it was not compared."""


def check_images(run: Run) -> Check:
    """Read every image of a run again, and compare its bytes with those that were decoded.

    Raises:
        UserError: a part or the plan cannot be read, or an object store refuses everything.
    """
    counts: Counter[str] = Counter()
    damages = []
    changed = 0
    for each in _originals(run):
        if each.why_not is not None:
            counts[each.why_not] += 1
        elif each.damage is not None:
            changed += 1
            damages += [each.damage] if changed <= _NAMED else []
        else:
            counts["same"] += 1
    if changed > _NAMED:
        damages.append(f"{changed - _NAMED} more images have changed or are gone.")
    left = "".join(f"; {number} {why}" for why, number in counts.items() if why != "same")
    found = f"{counts['same'] + changed} of {run.n_images} read again and compared{left}"
    return Check("images", found, tuple(damages))


def _originals(run: Run) -> Iterator[_Original]:
    with ahead(
        _rows(run), lambda pair: _compared(run, *pair), lambda each: each, _READS, threads=_READS
    ) as found:
        yield from found


def _rows(run: Run) -> Iterator[tuple[Planned, RegionsRow | None]]:
    """Every image with its regions; None where they are left to do."""
    for shard in range(run.n_shards):
        there = newest_part(run, shard, parts.REGIONS)
        images = run.planned(shard)
        if there is None:
            yield from zip(images, itertools.repeat(None), strict=False)
            continue
        again = run.revisions.again(shard, there)
        rows = parts.read_regions(run.folder, shard, there, run.images_of(shard))
        for image, row in zip(images, rows, strict=True):
            yield image, None if image.image in again else row


def _compared(run: Run, image: Planned, row: RegionsRow | None) -> _Original:
    if image.image in run.revisions.gone:
        return _Original(why_not="gone")
    if row is None:
        return _Original(why_not="left to do")
    if row.content_hash is None:
        return _Original(
            why_not="that have an error" if row.error is not None else "scored by a version without hashes"
        )
    try:
        with image_errors(image.ref.path):
            content = read(image.ref._replace(modified=None), run.settings.max_pixels)
    except ImageError as error:
        return _Original(damage=str(error))
    if parts.content_hash(content) == row.content_hash:
        return _Original()
    return _Original(
        damage=f"{printable(image.ref.name)} is not the file that was scored, by its SHA-256; put the old "
        "file back; or touch the new one and give the command of the run again with --refresh."
    )
