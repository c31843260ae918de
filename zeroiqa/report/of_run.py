"""Images of a run, explained from what it has stored: no model is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError, printable
from zeroiqa.report.explained import Explanation
from zeroiqa.report.places import Places, absolute
from zeroiqa.runs import plan
from zeroiqa.runs.remarks import lacking
from zeroiqa.runs.scores import read_scored
from zeroiqa.suggestions import did_you_mean

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.runs import Run
    from zeroiqa.runs.plan import Planned

_COMPARED = 10_000
"""Names of images among which one that is meant is looked for."""


def explained_images(
    run: Run, names: Sequence[str], aggregation: Aggregation | None = None
) -> Iterator[tuple[ImageRef, Explanation]]:
    """Where each image is now, and its explanation, in the order of the names.

    Args:
        run: The run.
        names: As the run calls the images, as they are found from the current folder, or the ends of their
            paths.
        aggregation: How; the run's own way if left out.

    Raises:
        UserError: the run has no such image, several are called so, or it is not scored yet.
    """
    places = Places(run)
    numbers = _numbers(run, names, places)
    left = set(run.pending())
    for name, number in zip(names, numbers, strict=True):
        shard = next(shard for shard in range(run.n_shards) if number in run.images_of(shard))
        if shard in left:
            raise UserError(f"{printable(name)} is not scored yet: {' '.join(lacking(run))}")
        scored = next(
            (each for each in read_scored(run, shard, aggregation) if each.planned.image == number), None
        )
        if scored is None:
            raise UserError(f"{printable(name)} is gone, and left out of the tables of {run.folder}.")
        own = aggregation or run.settings.aggregation
        yield (
            places.find(scored.planned.ref),
            Explanation(scored.score, scored.rated, run.labels, own),
        )


def _numbers(run: Run, names: Sequence[str], places: Places) -> list[int]:
    """The numbers in the plan of the images that are named."""
    alike: dict[str, list[Planned]] = {PurePath(name).name: [] for name in names}
    known: list[str] = []
    for planned in plan.all_planned(run.folder):
        called = planned.ref.name
        known += [called] if len(known) < _COMPARED else []
        if (last := PurePath(called).name) in alike:
            alike[last].append(planned)
    return [_number(run, name, alike[PurePath(name).name], known, places) for name in names]


def _number(run: Run, name: str, alike: Sequence[Planned], known: Sequence[str], places: Places) -> int:
    """The one image that is meant, of those whose files have its name."""
    ways: tuple[Callable[[Planned], bool], ...] = (
        lambda each: each.ref.name == name,
        lambda each: absolute(places.find(each.ref)) == os.path.abspath(name),  # noqa: PTH100
        lambda each: each.ref.name.endswith(f"/{name}"),
    )
    found = next(filter(None, ([each for each in alike if fits(each)] for fits in ways)), [])
    if len(found) == 1:
        return found[0].image
    if found:
        one, other = (printable(each.ref.name) for each in found[:2])
        raise UserError(
            f"{run.folder} has {len(found)} images that end in {printable(name)}, {one} and {other} among "
            "them; name one of them wholly."
        )
    hint = did_you_mean(PurePath(name).name, {PurePath(called).name for called in known})
    raise UserError(
        f"{run.folder} has no image {printable(name)}; {printable(hint)}without --run an image is scored by "
        "itself."
    )
