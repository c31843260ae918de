"""A run as a report reads it: one row for each image, and what is needed to open it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zeroiqa.aggregate import NO_SCALE, Scale
from zeroiqa.averaging import score_labels
from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.run_scores import name_of
from zeroiqa.report.details import detail
from zeroiqa.report.places import Places
from zeroiqa.report.rows import SCORE, Row, row_of
from zeroiqa.report.shown_regions import has_none
from zeroiqa.runs import iter_scored, load_run
from zeroiqa.runs.presentation import presentation
from zeroiqa.runs.record import read_record
from zeroiqa.runs.remarks import lacking
from zeroiqa.standards import load_standard

if TYPE_CHECKING:
    from zeroiqa.files.storage import Location
    from zeroiqa.results import ImageScore
    from zeroiqa.runs import Run, ScoredImage


@dataclass
class Read:
    """What a report knows of a run."""

    run: Run
    record: Mapping[str, Any]
    """run.json."""
    rows: list[Row] = field(default_factory=list)
    """Of the images that are finished."""
    details: list[Any] = field(default_factory=list)
    """Of the same images; empty on a page without pictures."""
    scored: list[ScoredImage] = field(default_factory=list)
    """Of the same images, where their regions are still to be made."""
    notes: tuple[str, ...] = ()
    """What is to be said of the run."""

    @property
    def name(self) -> str:
        """Of the run's folder."""
        return name_of(self.run)

    @property
    def scale(self) -> Scale:
        """Between which numbers the scores lie."""
        return next(iter(self.run.scales(self.run.settings.aggregation).values()), NO_SCALE)

    @property
    def digits(self) -> int:
        """Decimals of scores as they are shown."""
        low, high = self.scale
        if low is None:
            return 4
        return 2 if high is None or high - low > 1 else 3

    @property
    def words(self) -> dict[str, list[str]]:
        """Label -> what the levels of its standard mean, the worst first; none where that is not known."""
        hashes = {each["hash"] for each in self.run.identity["standards"]}
        found = {}
        for name in self.run.settings.standards:
            try:
                standard = load_standard(name)
            except UserError:  # a file that was somewhere else
                continue
            if standard.hash in hashes and standard.name in self.run.labels:
                found[self.run.labels[standard.name]] = list(standard.levels)
        return found

    @property
    def counts(self) -> Counter[str]:
        """Status -> images."""
        return Counter(row.status for row in self.rows)

    def column_of(self, label: str) -> str:
        """The column that holds the scores of a label: one of its own, or that of the score."""
        led = score_labels(self.run.labels.values(), self.run.settings.aggregation)
        return SCORE if label == led[0] else label

    def detail(self, score: ImageScore, rated: Any) -> dict[str, Any]:
        """What an opened image shows."""
        return detail(score, rated, self.run.labels, self.digits)


def opened(folder: Location) -> Run:
    """A run that has scores.

    Raises:
        UserError: it is no run, is damaged, or holds regions alone.
    """
    run = load_run(folder)
    if not run.settings.raters:
        raise UserError(
            f"{printable(str(folder))} holds regions without ratings, so there are no scores to show; its "
            "pictures are in its folder overlays/."
        )
    return run


def read_run(
    run: Run, *, details: bool, group_of: Callable[[ImageScore], str], advance: Callable[[int], None]
) -> Read:
    """Read all images of a run that are finished.

    Args:
        run: From `opened`.
        details: Whether images can be opened.
        group_of: Gives an image's group.
        advance: Told of each image.

    Raises:
        UserError: a part is missing or damaged.
    """
    shown = presentation(run)
    found = Read(run, read_record(run.folder), notes=(*lacking(run), *run.warnings, *shown.notes))
    places, keep = Places(run), details and has_none(run.settings)
    for scored in iter_scored(run):
        score = scored.score
        ref = places.find(run.now(scored.planned).ref)
        found.rows.append(row_of(shown.beside(score), ref, group_of(score)))
        if details:
            found.details.append(found.detail(score, scored.rated))
        if keep:
            found.scored.append(scored)
        advance(1)
    return found


def facts(found: Read) -> Iterator[tuple[str, str]]:
    """What the head of a page says of a run: name and value, for people."""
    record, run = found.record, found.run
    yield "preset", str(record.get("preset", ""))
    yield "begun", str(record.get("created", "")).replace("T", " ").replace("+00:00", " UTC")
    yield "run id", run.run_id[:12]
    yield "folder", str(run.folder)
    for name, rater in run.identity["raters"].items():
        yield f"rater {name}", str(rater)
    for standard in run.identity["standards"]:
        levels = f", {standard['k']} levels" if standard.get("k") else ""
        yield f"standard {standard['name']}", f"version {standard['version']}, {standard['aspect']}{levels}"
    if run.settings.makes_regions:
        yield "regions", str(run.identity.get("segmenter"))
    for key, value in run.settings.to_dict().items():
        if key not in ("raters", "standards"):
            yield key, _shown(value)
    yield "zeroiqa", str(record.get("zeroiqa", ""))
    yield from ((f"{library}", str(version)) for library, version in record["environment"].items())


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
