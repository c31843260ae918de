"""XMP side-cars: a rating of 1 to 5 beside each photo, which Lightroom, digiKam, darktable and immich read.

Property names: XMP specification part 1 and 2 (ISO 16684-1; https://github.com/adobe/xmp-docs).
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zeroiqa.export.originals import state_of
from zeroiqa.export.packet import EMPTY, LARGEST, Name, NotUnderstoodError, Packet
from zeroiqa.files.atomic import created, replaced, writing
from zeroiqa.files.storage import is_remote
from zeroiqa.results import csv_row

if TYPE_CHECKING:
    from zeroiqa.export.images import Add
    from zeroiqa.export.stars import Stars
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.results import ImageScore
    from zeroiqa.runs import ScoredImage

RATING = Name("http://ns.adobe.com/xap/1.0/", "Rating", "xmp")
SUBJECT = Name("http://purl.org/dc/elements/1.1/", "subject", "dc")
OWN = "urn:x-zeroiqa:xmp/1.0/"
"""The namespace of what is ours."""
NUMBERS = {name: Name(OWN, name.title(), "zeroiqa") for name in ("score", "disagreement", "mass")}
"""Column of scores.csv -> property."""
OUR_RATING = Name(OWN, "Rating", "zeroiqa")
"""The rating that was written last; an xmp:Rating that differs from it was given by somebody else."""
TAGS = Name(OWN, "Tags", "zeroiqa")
KEYWORDS = Name(OWN, "Keywords", "zeroiqa")
"""The keywords of dc:subject that were written last."""
_BETWEEN = "; "

Naming = Literal["full", "stem"]
"""photo.jpg.xmp or photo.xmp."""


@dataclass(frozen=True)
class SideCarOptions:
    """What side-cars hold, and where they are written."""

    stars: Stars
    naming: Naming = "full"
    folder: Path | None = None
    """Gets the side-cars; None: they are written beside the photos."""
    root: str = ""
    """The folder from which the names below `folder` count."""
    keywords: bool = False
    """Whether tags become keywords (dc:subject)."""
    overwrite_ratings: bool = False
    """Whether a rating is replaced that somebody else gave."""
    dry_run: bool = False


@dataclass
class SideCars:
    """Counts of side-cars."""

    new: int = 0
    merged: int = 0
    same: int = 0
    """That say already what they would."""
    kept: int = 0
    """Of all, those whose rating somebody else gave."""
    overwritten: int = 0
    """Of all, those whose rating was replaced though somebody else gave it."""
    others: int = 0
    """Photos that have a side-car by the other naming, too."""
    ratings: Counter[int] = field(default_factory=Counter)
    """Rating -> photos that get it."""
    first_left: str = ""
    """The first side-car that was left as it is, and why."""


@contextmanager
def to_side_cars(options: SideCarOptions, counts: SideCars) -> Iterator[Add]:
    """Write or merge the side-car of one photo after another; each is whole or as it was at any moment.

    Raises:
        UserError: a side-car cannot be written.
    """
    taken: set[int] = set()

    def add(image: ScoredImage) -> str | None:
        ref = image.planned.ref
        if why := _unfit(ref, options):
            return why
        beside = _side_car(Path(ref.place), options.naming)
        target = beside
        if options.folder is not None:
            target = options.folder / _side_car(_below(Path(ref.place), ref, options), options.naming)
        if options.naming == "stem":  # full names differ as those of the photos do
            if (key := hash(str(target))) in taken:
                return "whose side-car is that of another photo (--naming full gives each its own)"
            taken.add(key)
        found = None if ref.archive is not None else _read(beside)
        counts.others += ref.archive is None and _other(Path(ref.place), options.naming).exists()
        try:
            merged = _merged(found, image.score, options, counts)
        except NotUnderstoodError as error:
            counts.first_left = counts.first_left or f"{beside}: {error}"
            return "whose side-car is not understood and stays as it is"
        if not options.dry_run:
            _write(target, merged, found, beside)
        return None

    yield add


def _unfit(ref: ImageRef, options: SideCarOptions) -> str | None:
    """Why an image gets no side-car."""
    if options.folder is None and is_remote(ref.place):
        return "in an object store (-o FOLDER writes their side-cars)"
    if options.folder is None and ref.archive is not None:
        return "in archives (-o FOLDER writes their side-cars)"
    return "not where they were scored" if state_of(ref) == "moved" else None


def _side_car(photo: Path, naming: Naming) -> Path:
    return photo.with_name(f"{photo.name if naming == 'full' else photo.stem}.xmp")


def _other(photo: Path, naming: Naming) -> Path:
    return _side_car(photo, "stem" if naming == "full" else "full")
