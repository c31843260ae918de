"""XMP side-cars: a rating of 1 to 5 beside each photo, which Lightroom, digiKam, darktable and immich read.

Property names: XMP specification part 1 and 2 (ISO 16684-1; https://github.com/adobe/xmp-docs).
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zeroiqa.curation.places import place_below
from zeroiqa.export.originals import MOVED, state_of
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
STARS = Name(OWN, "Stars", "zeroiqa")
"""The rating that was written last; an xmp:Rating that differs from it was given by somebody else. Not called
Rating: ExifTool, and with it immich, finds properties by their names in whatever namespace."""
TAGS = Name(OWN, "QualityTags", "zeroiqa")
KEYWORDS = Name(OWN, "WrittenKeywords", "zeroiqa")
"""The keywords of dc:subject that were written last."""
_BETWEEN = "; "
_LONGEST = 255
"""Bytes of a file's name."""

Naming = Literal["full", "stem"]
"""photo.jpg.xmp or photo.xmp."""


@dataclass(frozen=True)
class SideCarOptions:
    """What side-cars hold, and where they are written."""

    stars: Stars
    naming: Naming = "full"
    folder: Path | None = None
    """Gets the side-cars; None: they are written beside the photos."""
    shared: list[str] = field(default_factory=list)
    """The folder that all photos are in (`zeroiqa.curation.places`); those below it are in `folder`, too."""
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
    """That were there, and are changed."""
    same: int = 0
    """That say already what they would."""
    kept: int = 0
    """Of all, those whose rating somebody else gave, and which keep it."""
    overwritten: int = 0
    """Of all, those whose rating somebody else gave, and which lose it."""
    others: int = 0
    """Photos that have a side-car by the other naming, too."""
    ratings: Counter[int] = field(default_factory=Counter)
    """Rating -> photos that have it now."""
    first_left: str = ""
    """The first side-car that is left as it is, and why."""


@contextmanager
def to_side_cars(options: SideCarOptions, counts: SideCars) -> Iterator[Add]:
    """Write or merge the side-car of one photo after another; each is whole or as it was at any moment.

    In a folder of their own, too, they are merged with those beside the photos, so that they may take their
    place.

    Raises:
        UserError: a side-car cannot be written.
    """
    taken: set[int] = set()

    def add(image: ScoredImage) -> str | None:
        ref = image.planned.ref
        if why := _unfit(ref, options):
            return why
        photo = None if ref.archive is not None or is_remote(ref.place) else Path(ref.place)
        beside = None if photo is None else _side_car(photo, options.naming)
        if (target := beside if options.folder is None else _below(ref, options)) is None:
            return "whose names lead out of the folder"
        if len(os.fsencode(target.name)) > _LONGEST:
            return "whose side-car would have too long a name"
        if options.naming == "stem":  # full names differ as those of the photos do
            if (key := hash(str(target))) in taken:
                return "whose side-car is that of another photo (--naming full: each has its own)"
            taken.add(key)
        try:
            there = None if beside is None else _read(beside)
            content = merged(there, image.score, options, counts)
        except NotUnderstoodError as error:
            counts.first_left = counts.first_left or f"{beside}: {error}"
            return "whose side-car is not understood and stays as it is"
        if photo is not None:
            other = _side_car(photo, "stem" if options.naming == "full" else "full")
            counts.others += os.path.exists(other)  # noqa: PTH110 - a name that is too long is none
        counts.new += there is None
        counts.same += there == content
        counts.merged += there not in (None, content)
        if not options.dry_run:
            _write(target, content, there, beside)
        return None

    yield add


def merged(there: bytes | None, score: ImageScore, options: SideCarOptions, counts: SideCars) -> bytes:
    """A side-car with the score of its photo, its rating, and what is kept of it otherwise.

    Args:
        there: As it is; None: there is none.
        score: Of the photo.
        options: What it holds.
        counts: Learn whose rating it has.

    Raises:
        NotUnderstoodError: it is no XMP, or a property has a form that is not changed.
    """
    assert score.score is not None, "only images with a score are exported"
    packet = Packet(EMPTY if there is None else there)
    rating = options.stars(score.score)
    theirs = _rating_of_others(packet)
    keeps = theirs is not None and not options.overwrite_ratings
    content = _with_values(packet, score, None if keeps else rating, keywords=options.keywords)
    counts.kept += keeps  # what is not understood counts for nothing
    counts.overwritten += theirs is not None and not keeps
    if not keeps:
        counts.ratings[rating] += 1
    return content


def _with_values(packet: Packet, score: ImageScore, rating: int | None, *, keywords: bool) -> bytes:
    """The side-car with what is ours, and a rating; None: the one that it has stays."""
    row = csv_row(score.to_dict())
    values: dict[Name, str | None] = {} if rating is None else {RATING: str(rating)}
    values |= {STARS: _text(rating)}
    values |= {name: _text(row.get(column)) for column, name in NUMBERS.items()}
    values[TAGS] = _BETWEEN.join(score.tags) or None
    if not keywords:
        return packet.merged(values)
    ours = set(filter(None, (packet.value(KEYWORDS) or "").split(_BETWEEN)))
    given = set(packet.items(SUBJECT)) - ours
    wanted = [tag for tag in score.tags if tag not in given]
    values[KEYWORDS] = _BETWEEN.join(wanted) or None
    return packet.merged(values, {SUBJECT: wanted}, {SUBJECT: sorted(ours.difference(wanted))})


def _rating_of_others(packet: Packet) -> str | None:
    """The rating that somebody else gave; None if there is none, or it says that there is none (0)."""
    rating = _number(packet.value(RATING))
    return None if rating in (None, "", "0", _number(packet.value(STARS))) else rating


def _number(text: str | None) -> str | None:
    """A number as everybody writes it: 3.0 is 3."""
    try:
        return text and f"{float(text):g}"
    except ValueError:
        return text


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _unfit(ref: ImageRef, options: SideCarOptions) -> str | None:
    """Why an image gets no side-car."""
    if options.folder is None and is_remote(ref.place):
        return "in an object store (-o FOLDER takes their side-cars)"
    if options.folder is None and ref.archive is not None:
        return "in an archive (-o FOLDER takes their side-cars)"
    return MOVED if state_of(ref) == "moved" else None


def _below(ref: ImageRef, options: SideCarOptions) -> Path | None:
    """Where the side-car is in a folder of side-cars; None where its name would lead out of it."""
    assert options.folder is not None
    below = place_below(ref, options.shared)
    return None if below is None else _side_car(options.folder / below, options.naming)


def _side_car(photo: Path, naming: Naming) -> Path:
    """That of a photo; one in capital letters, too, if it is there."""
    name = photo.name if naming == "full" else photo.stem
    usual, capital = photo.with_name(f"{name}.xmp"), photo.with_name(f"{name}.XMP")
    is_capital = not os.path.lexists(usual) and os.path.exists(capital)  # noqa: PTH110 - as above
    return capital if is_capital else usual


def _read(path: Path) -> bytes | None:
    """What a side-car holds, as far as it may be read; None if there is none."""
    if not os.path.lexists(path):
        return None
    try:
        if not path.is_file():
            raise NotUnderstoodError("it is no file, or a link that leads nowhere")
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise NotUnderstoodError(f"it cannot be read ({error.strerror or error})") from error


def _write(target: Path, content: bytes, there: bytes | None, beside: Path | None) -> None:
    if target != beside or there is None:
        with created(target) as file:
            file.write(content)
    elif content != there:
        whole = target.resolve()  # a link stays one
        with replaced(whole) as file:
            file.write(content)
            with writing(whole):
                shutil.copymode(whole, file.name)
