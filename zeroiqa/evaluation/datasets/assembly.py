"""Puts the rows of score files and the images of a folder together, and counts what does not meet."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.cards import DatasetCard
from zeroiqa.evaluation.datasets.files import FileTree
from zeroiqa.evaluation.datasets.layouts import Listing, ScoreLine
from zeroiqa.evaluation.datasets.types import Dataset, Sample, Scale, some


def assemble(card: DatasetCard, listing: Listing, tree: FileTree, split: str | None) -> Dataset:
    """The images that have both a file and a score, and notes about all others.

    Raises:
        UserError: a name stands there twice, a score lies outside its scale, or no image is found.
    """
    check_names((row.name for row in listing.rows), listing.source)
    folder = next((each for each in card.folders if tree.has_images_in(each)), None)
    chosen = [row for row in listing.rows if split is None or _belongs(row, card, split)]
    rated, unrated = divide(chosen)
    notes = list(card.notes + listing.notes)
    notes += check_range(rated, listing.scales, listing.source, card.inexact)
    files = locate(listing.rows, tree, folder)
    found = [row for row in rated if row.name in files]
    if not found:
        raise UserError(
            f"None of the {len(rated):,} images that {listing.source} lists for {card.title} is below "
            f"{printable(str(tree.root))}; found there: {tree.summary()}. "
            f"`zeroiqa datasets {card.name}` shows the layout."
        )
    if len(card.folders) > 1 and folder is not None:
        notes.append(f"The images of {card.title} are those in {folder}.")
    missing = [row.name for row in rated if row.name not in files]
    notes += _counted(card, split, len(found), missing, f"{listing.source} lists {len(chosen):,}")
    notes += left_out(unrated, files.values(), tree, listing.source, card.unscored)
    groups = _grouping(card)
    samples = tuple(
        Sample(
            row.name,
            tree.root / files[row.name],
            {aspect: score for aspect, score in row.scores.items() if score is not None},
            row.prompt,
            groups(row),
            row.questions,
        )
        for row in found
    )
    return Dataset(card.name, samples, listing.scales, tuple(notes), root=tree.root)


def _belongs(row: ScoreLine, card: DatasetCard, split: str) -> bool:
    if split in card.name_splits:
        return re.fullmatch(card.name_splits[split], row.name) is not None
    return row.groups.get("split") == split


def check_names(names: Iterable[str], source: str) -> None:
    """Raise UserError if a name is empty or stands there twice."""
    counts = Counter(names)
    if counts[""]:
        raise UserError(
            f"{source} has {counts['']:,} line{'s' if counts[''] > 1 else ''} without the name of an image; "
            "add it or delete the line."
        )
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise UserError(
            f"{source} names {some(map(printable, twice), 3)} more than once; leave one line for each image."
        )


def divide(rows: Sequence[ScoreLine]) -> tuple[list[ScoreLine], list[str]]:
    """Rows with a score for every aspect, and the names of the others."""
    rated = [row for row in rows if None not in row.scores.values()]
    return rated, [row.name for row in rows if None in row.scores.values()]


def check_range(
    rows: Sequence[ScoreLine], scales: Mapping[str, Scale], source: str, inexact: Sequence[str]
) -> list[str]:
    """Compare scores with their scale.

    Returns:
        Notes on scores outside the scale of an aspect in `inexact`.

    Raises:
        UserError: a score of another aspect lies outside.
    """
    notes = []
    for aspect, scale in scales.items():
        outside = [row for row in rows if not scale.low <= (row.scores[aspect] or 0.0) <= scale.high]
        if not outside:
            continue
        first = outside[0]
        sentence = (
            f"{source} gives {printable(first.name)} a {scale.kind} of {first.scores[aspect]:g} "
            f"for {aspect}, outside the scale from {scale.low:g} to {scale.high:g} "
            f"({len(outside):,} of {len(rows):,} are)"
        )
        if aspect not in inexact:
            raise UserError(f"{sentence}; is it the published file?")
        notes.append(f"{sentence}.")
    return notes


def locate(rows: Iterable[ScoreLine], tree: FileTree, folder: str | None) -> dict[str, str]:
    """Files below the tree's root by the names of the images.

    Raises:
        UserError: two names mean one file, or a name several.
    """
    files: dict[str, str] = {}
    names: dict[str, str] = {}
    for row in rows:
        path = tree.find(row.name, folder)
        if path is None:
            continue
        if path in names:
            raise UserError(
                f"{printable(names[path])} and {printable(row.name)} are both {printable(path)} below "
                f"{printable(str(tree.root))}; give the folder that the names begin from."
            )
        files[row.name] = path
        names[path] = row.name
    return files


def left_out(
    unrated: Sequence[str], used: Iterable[str], tree: FileTree, source: str, unscored: str | None
) -> list[str]:
    """Notes on images without a score: an empty cell in the score file, or none of its lines.

    Only images in the folders of the ones used count: elsewhere other versions of them may lie.
    """
    paths = set(used)
    folders = {path.rpartition("/")[0] for path in paths}
    unnamed = [
        file.path
        for file in tree.images()
        if file.path.rpartition("/")[0] in folders
        and file.path not in paths
        and not (unscored and re.match(unscored, file.parts[-1]))
    ]
    notes = []
    if unrated:
        notes.append(f"{_images(unrated)} without a score in {source}, left out: {_names(unrated)}.")
    if unnamed:
        notes.append(f"{_images(unnamed)} without a line in {source}, left out: {_names(unnamed)}.")
    return notes


def _images(names: Sequence[str]) -> str:
    return f"{len(names):,} image{'s' if len(names) > 1 else ''}"


def _names(names: Iterable[str]) -> str:
    return some(map(printable, names))


def _counted(
    card: DatasetCard, split: str | None, found: int, missing: Sequence[str], listed: str
) -> list[str]:
    expected = card.images if split is None else card.splits[split]
    if found == expected and not missing:
        return []
    what = card.title if split is None else f"The {split} split of {card.title}"
    why = f"missing: {_names(missing)}" if missing else listed
    return [f"{what} has {expected:,} images; {found:,} found; {why}."]


def _grouping(card: DatasetCard) -> Callable[[ScoreLine], dict[str, str]]:
    """The groups of a row: those of its score file, and those in its name."""
    pattern = re.compile(card.name_groups or "", re.IGNORECASE)

    def groups(row: ScoreLine) -> dict[str, str]:
        named = pattern.match(row.name)
        found = {**row.groups, **(named.groupdict() if named else {})}
        if "reference" in found:  # i01 and I01 are one reference
            found["reference"] = found["reference"].casefold()
        if "distortion" in found:
            found["distortion"] = _distortion(found["distortion"], card.distortions)
        return found

    return groups


def _distortion(name: str, known: Sequence[str]) -> str:
    if not known:
        return name.casefold()
    return known[int(name) - 1] if 1 <= int(name) <= len(known) else name
