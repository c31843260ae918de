"""The work on one shard: decode, segment, rate, commit. Whoever runs a shard, wherever, calls `run_shard`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.images import decode
from zeroiqa.pipeline import Method, build_method, find_regions, rate_image
from zeroiqa.runs import store
from zeroiqa.runs.identity import differences, method_identity
from zeroiqa.runs.plan import Planned, escaped, planned
from zeroiqa.runs.run import Run
from zeroiqa.runs.store import RatingsRow, RegionsRow
from zeroiqa.types import Image, Rater


def method_of(run: Run) -> Method:
    """Build what the run's settings name.

    Raises:
        UserError: a name stands for something else than at the start (another version, an edited file).
    """
    method = build_method(run.settings)
    changed = differences(run.identity, {**run.identity, **method_identity(run.settings, method)})
    if changed:
        field, (there, here) = next(iter(changed.items()))
        raise UserError(f"{run.folder} was started with {field} {there}, here it is {here}; start a new run.")
    return method


def run_shard(run: Run, method: Method, shard: int, on_images: Callable[[int], None]) -> None:
    """Do what is missing of one shard. Every image is decoded at most once and let go before the next one.

    An image that cannot be decoded, segmented or rated becomes a row with an error. Parts appear when the
    whole shard is done, the regions first; parts that are there already are used and never written again.

    Args:
        run: The run.
        method: From `method_of`.
        shard: Its number in the plan.
        on_images: Told about each image that is done with.

    Raises:
        UserError: the rater itself is unusable, or a part cannot be read or written.
    """
    folder = run.folder
    segmented = store.part_path(folder, store.REGIONS, shard).exists()
    raters = {
        name: rater
        for name, rater in method.raters.items()
        if not store.part_path(folder, store.rating_stage(name), shard).exists()
    }
    if segmented and not raters:  # another process was faster
        on_images(run.shards[shard])
        return
    with ExitStack() as parts:  # committed in reverse order: the regions first, then rater by rater
        add_ratings = {
            name: parts.enter_context(store.new_ratings(folder, name, shard)) for name in reversed(raters)
        }
        add_regions = None if segmented else parts.enter_context(store.new_regions(folder, shard))
        for image, stored in _images(run, shard, segmented):
            row, by_rater = _work(image, stored, raters, method)
            if add_regions is not None:
                add_regions(row)
            for name, ratings in by_rater.items():
                add_ratings[name](ratings)
            on_images(1)


def _images(run: Run, shard: int, segmented: bool) -> Iterator[tuple[Planned, RegionsRow | None]]:
    images = planned(run.folder, shard)
    if segmented:
        return zip(images, store.read_regions(run.folder, shard), strict=True)
    return ((image, None) for image in images)


def _work(
    planned: Planned, stored: RegionsRow | None, raters: Mapping[str, Rater], method: Method
) -> tuple[RegionsRow, dict[str, RatingsRow]]:
    image: Image | None = None
    row = stored
    if row is None:
        row, image = _segment(planned, method)
    if row.error is not None:  # said once, with the regions
        return row, {name: RatingsRow(planned.image) for name in raters}
    by_rater = {}
    for name, rater in raters.items():
        try:
            image = image or _decode(planned, method)
            by_rater[name] = RatingsRow(planned.image, rate_image(image, row.regions, rater, method))
        except Exception as error:
            by_rater[name] = RatingsRow(planned.image, error=_sentence(error, planned))
    return row, by_rater


def _segment(planned: Planned, method: Method) -> tuple[RegionsRow, Image | None]:
    image: Image | None = None
    try:
        image = _decode(planned, method)
        regions = find_regions(image, method)
        return RegionsRow(planned.image, image.size, regions, image.warnings), image
    except Exception as error:
        size, warnings = (None, ()) if image is None else (image.size, image.warnings)
        return RegionsRow(planned.image, size, warnings=warnings, error=_sentence(error, planned)), None


def _decode(planned: Planned, method: Method) -> Image:
    return decode(planned.file, method.policy, prompt=planned.prompt)


def _sentence(error: Exception, planned: Planned) -> str:
    """What an error row says. What is no fault of the image goes on up, and the run stops."""
    if isinstance(error, UserError) and not isinstance(error, ImageError):
        raise error
    if isinstance(error, ImageError):
        return escaped(str(error))
    if isinstance(error, MemoryError):  # the same image would stop every resume
        return f"{printable(planned.file)}: there is not enough memory for this image."
    reason = escaped(" ".join(f"{type(error).__name__}: {error}".split()))
    return f"{printable(planned.file)}: could not be rated ({reason})."
