"""Make a report of one run, or of two side by side: read, look at the images, write the page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from zeroiqa.curation.groups import FOLDER, grouping
from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.evaluation.run_scores import origin_of
from zeroiqa.files.atomic import is_stream, replaced
from zeroiqa.report import page, shown_regions
from zeroiqa.report.combine import Table, combined
from zeroiqa.report.opinions import OpinionTable, opinions_of
from zeroiqa.report.pictures import MOST_PICTURES, Picture, Studio, sizes
from zeroiqa.report.places import link
from zeroiqa.report.read_run import Read, facts, opened, read_run
from zeroiqa.runs.latest import all_left
from zeroiqa.runs.prefetch import ahead
from zeroiqa.runs.remarks import counted

if TYPE_CHECKING:
    from zeroiqa.files.storage import Location
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.runs import Run

Progress: TypeAlias = Callable[..., AbstractContextManager[Callable[[int], None]]]
"""As `zeroiqa.cli.progress.progress`: total, done, passes, doing."""

_CHUNK = 50
"""Thumbnails that the script unpacks at once."""


@dataclass(frozen=True)
class Choices:
    """What a report shows besides the scores."""

    regions: int | None = None
    """How many of the worst and of the best images have their regions made, where the run has none; None: as
    many as usual, if that needs no weights."""
    by: str = FOLDER
    """What images are grouped by; see `zeroiqa.curation.groups.grouping`."""
    opinions: OpinionTable | None = None
    command: str = "zeroiqa report"
    """That makes such a report, without `--regions`, for advice."""


class Made(NamedTuple):
    """What has been written."""

    images: int
    bytes: int
    notes: tuple[str, ...]
    """What is to be said of it."""


def make_report(folders: Sequence[Location], path: Path, choices: Choices, progress: Progress) -> Made:
    """Write the report of one run, or of two.

    Args:
        folders: Of the runs.
        path: Of the page. A page that was made here before is replaced, and nothing else.
        choices: What is shown.
        progress: Shows how far it is.

    Raises:
        UserError: something else is at the path, a run cannot be read or has no image, the two have no image
            in common, or no opinion is of any image.
    """
    check_destination(path)
    runs = [opened(folder) for folder in folders]
    if len({os.path.realpath(str(run.folder)) for run in runs}) < len(runs):
        raise UserError(f"{printable(str(folders[0]))} is given twice; give two runs, or one alone.")
    with_pictures = sum(run.n_images for run in runs) <= MOST_PICTURES * len(runs)
    found = [_read(run, with_pictures, choices, progress) for run in runs]
    for each in found:
        if not each.rows:
            raise UserError(
                f"{printable(str(each.run.folder))} has no image that is scored yet; `zeroiqa score -o "
                f"{printable(str(each.run.folder))}` goes on with it."
            )
    opinions = opinions_of(found[0], choices.opinions) if choices.opinions else None
    table = combined(found, opinions)
    notes = [*table.notes, *_without_pictures(table, with_pictures)]
    notes += _make_regions(table, choices, with_pictures, progress)
    shown = [row.ref if row.status == "ok" else None for row in table.rows]
    pictures = _pictures(table, shown, progress) if with_pictures else []
    partners = _pictures(table, table.partners, progress) if with_pictures and table.partners else []
    notes += _missing([*pictures, *partners])
    with replaced(path) as file:
        for piece in page.rendered(
            _header(table, notes), _data(table, path, pictures), _blocks(table, pictures, partners)
        ):
            file.write(piece.encode())
        size = file.tell()
    return Made(len(table.rows), size, tuple(notes))


def check_destination(path: Path) -> None:
    """Raise `UserError` where something is that no report may take the place of."""
    shown = printable(str(path))
    if path.is_dir():
        raise UserError(f"{shown} is a folder; give the name of a file with -o, such as report.html.")
    if str(path) == "-":
        raise UserError("A page is a file; give its name with -o (report.html, /dev/stdout), found -.")
    if is_stream(path):
        return
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{shown} cannot be read ({error.strerror}); give another name with -o.") from error
    if head and not page.is_ours(head):
        raise UserError(f"{shown} is there already and is no report of zeroiqa; give another name with -o.")


def _read(run: Run, details: bool, choices: Choices, progress: Progress) -> Read:
    group_of = grouping(choices.by, origin_of(run).folders)
    with progress(run.n_images, 0, doing="reading") as advance:
        return read_run(run, details=details, group_of=group_of, advance=advance)


def _without_pictures(table: Table, with_pictures: bool) -> Iterator[str]:
    if not with_pictures:
        yield (
            f"{len(table.rows):,} images are more than the {MOST_PICTURES:,} that a page shows pictures of: "
            "this is their table, with links to the files."
        )


def _make_regions(table: Table, choices: Choices, with_pictures: bool, progress: Progress) -> Iterator[str]:
    """Make the regions of images that are likely looked at; what is to be said of that."""
    for found in table.runs:
        settings = found.run.settings
        if not with_pictures or choices.regions == 0 or not shown_regions.has_none(settings):
            continue
        needs = shown_regions.costly(settings)
        if choices.regions is None and needs:
            yield (
                f"No regions are shown: {found.name} has none, and making them takes {needs}; "
                f"`{choices.command} --regions {shown_regions.DEFAULT_COUNT}` makes those of the worst and "
                "best images."
            )
            continue
        count = shown_regions.DEFAULT_COUNT if choices.regions is None else choices.regions
        chosen, rest, made = _make(found, count, progress)
        if rest:
            yield (
                f"{found.name} has no regions, which do not count in it; those of {counted(made)}, the worst "
                f"and the best, were made for this page, and `{choices.command} --regions {chosen}` makes "
                "those of more."
            )


def _make(found: Read, count: int, progress: Progress) -> tuple[int, int, int]:
    """How many images were chosen, how many with a score were not, and how many regions were made of."""
    scores = [row.numbers.get("score") if row.status == "ok" else None for row in found.rows]
    chosen = shown_regions.worst_and_best(scores, count, found.run.lower_is_better)
    maker = shown_regions.RegionMaker(found.run)
    made = 0

    def make(place: int) -> Any:
        scored = found.scored[place]
        try:
            return found.detail(*maker(found.rows[place].ref, scored.score, scored.rated))
        except ImageError:
            return None  # its picture is missing, too, which is said there

    with (
        progress(len(chosen), 0, doing="finding regions") as advance,
        ahead(chosen, make, lambda each: each, 4) as details,
    ):
        for place, detail in zip(chosen, details, strict=True):
            if detail is not None:
                found.details[place] = {**detail, "made": True}
                made += 1
            advance(1)
    return len(chosen), sum(score is not None for score in scores) - len(chosen), made


def _pictures(table: Table, refs: Sequence[ImageRef | None], progress: Progress) -> list[Picture]:
    """A picture of each image of a table; None has none, for the reason that its status gives."""
    from zeroiqa.images.decode import DecodePolicy, parse_colour
    from zeroiqa.images.decoder import Decoder

    run = table.runs[0].run
    policy = DecodePolicy(parse_colour(run.settings.background), run.settings.max_pixels, min_side=1)
    studio = Studio(Decoder(run.image_seconds), policy, sizes(len(table.rows)))
    pictures = []
    with (
        progress(len(table.rows), 0, doing="making pictures") as advance,
        studio.pictures(list(refs)) as found,
    ):
        for picture in found:
            pictures.append(picture)
            advance(1)
    return [
        picture if ref is not None else Picture(why_not=row.status)
        for ref, row, picture in zip(refs, table.rows, pictures, strict=True)
    ]


def _missing(pictures: Sequence[Picture]) -> Iterator[str]:
    words = Counter(each.why_not for each in pictures if each.why_not in _MISSING)
    if words:
        what = ", ".join(f"{count} {word}" for word, count in words.most_common())
        yield (
            f"{words.total()} of {counted(len(pictures))} have no picture here: {what}. Their paths "
            "count from where the run was begun, or from the current folder."
        )


_MISSING = ("not found", "changed", "not readable")


def _header(table: Table, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "title": " and ".join(each.name for each in table.runs),
        "notes": notes,
        "runs": [
            {
                "name": each.name,
                "letter": letter,
                "facts": list(facts(each)),
                "preset": each.record.get("preset", ""),
                "counts": each.counts,
                "warned": sum(bool(row.warnings) for row in each.rows),
                "left": all_left(each.run),
                "lower": each.run.lower_is_better,
            }
            for letter, each in zip("AB", table.runs, strict=False)
        ],
        "scatters": list(table.scatters()),
    }


def _data(table: Table, path: Path, pictures: Sequence[Picture]) -> dict[str, Any]:
    return {
        **table.data(),
        "links": [link(row.ref, path) for row in table.rows],
        "others": [[ref.name, link(ref, path)] for ref in table.partners],
        "chunk": _CHUNK if pictures else 0,
        "details": bool(pictures),
    }


def _blocks(
    table: Table, pictures: Sequence[Picture], partners: Sequence[Picture]
) -> Iterator[tuple[str, Any]]:
    for first in range(0, len(pictures), _CHUNK):
        thumbnails = [each.thumbnail or [each.why_not] for each in pictures[first : first + _CHUNK]]
        yield f"thumbnails-{first // _CHUNK}", thumbnails
    for place, picture in enumerate(pictures):
        other = {"other": partners[place].preview or partners[place].thumbnail} if partners else {}
        yield f"image-{place}", {"preview": picture.preview, "runs": table.details(place), **other}
