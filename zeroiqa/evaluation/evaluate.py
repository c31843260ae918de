"""How well the scores of one run agree with people: what `zeroiqa evaluate` prints, as an object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from zeroiqa.evaluation import agreement
from zeroiqa.evaluation.agreement import Agreement, Joined, Outlier, join, measure, pointing_up
from zeroiqa.evaluation.formatting import number
from zeroiqa.evaluation.methods import measured_by
from zeroiqa.evaluation.opinions import read_opinions
from zeroiqa.evaluation.records import NumberRecord, Report
from zeroiqa.evaluation.run_scores import (
    check_standards,
    label_of,
    load,
    name_of,
    not_the_mean,
    origin_of,
    scores_of,
)
from zeroiqa.files.tables.render import TextTable, cells
from zeroiqa.runs import Run, reaggregation, remarks

if TYPE_CHECKING:
    from zeroiqa.evaluation.opinions import PathLike

OF_GROUPS = ("SRCC", "PLCC")
"""The measures that rows and tables have of each group."""


class Arithmetic(TypedDict, total=False):
    """How stored ratings become scores, in place of the run's own way; see `zeroiqa.settings.Settings`."""

    readout: str
    lam: float
    weighting: str
    normalize_areas: bool
    formula: str
    count_weight: float
    rater_weights: Sequence[float]
    standard_weights: Sequence[float]
    members: Sequence[str]
    """Raters of the run that count; all if left out."""
    mass_threshold: float
    word_mass_threshold: float


@dataclass(frozen=True)
class Evaluation:
    """How well the scores of one run agree with people."""

    run: str
    """Name of the run's folder."""
    source: str
    """The folder."""
    raters: tuple[str, ...]
    """Those of the run."""
    database: str
    """Name of the database, or of the table of opinions."""
    aspect: str
    """quality, authenticity or correspondence."""
    agreement: Agreement
    """Every measure on the images that have both a score and an opinion, and on groups of them."""
    images: Joined
    """These images, with their scores and opinions turned so that higher is better."""
    left_out: int
    """Images of the database that do not count; the notes say why."""
    lower_is_better: bool
    """Whether the run's own scores are better where they are lower, and were turned."""
    notes: tuple[str, ...]
    """Sentences: which images do not count, what was turned, what looks wrong."""
    group: str | None = None
    """What the groups are, such as model."""
    resamples: int = 0
    """Of the bootstrap intervals; 0 where there are none."""

    def outliers(self, count: int = 5) -> list[Outlier]:
        """The images on which scores and people differ most, the largest difference first.

        Scores and opinions have their own directions here, as the run and the database state them.
        """
        score, opinion = (-1 if self.lower_is_better else 1), (-1 if self.images.turned else 1)
        return [
            each._replace(score=score * each.score, opinion=opinion * each.opinion)
            for each in agreement.outliers(self.images, count)
        ]

    def rows(self) -> list[dict[str, Any]]:
        """One row of plain values for each number, in full precision; see `NumberRecord` for its columns."""
        return self.report().rows()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `rows` and `notes`, as `zeroiqa evaluate --format json` prints them."""
        return self.report().to_dict()

    def report(self, decimals: int | None = None) -> Report:
        """The numbers as records, and as a table whose numbers have so many decimals (None: 3)."""
        names, records = zip(*self._named_records(), strict=True)
        rows = [
            cells(
                name, str(each.n), *(number(value, decimals) for value in (each.value, each.low, each.high))
            )
            for name, each in zip(names, records, strict=True)
        ]
        table = TextTable(("measure", "images", "value", "95 % from", "to"), tuple(rows), self.notes)
        return Report(records, (table,), self.notes)

    def _named_records(self) -> Iterator[tuple[str, NumberRecord]]:
        for name in self.agreement.measures:
            yield name, self._record(self.agreement, name)
        for group, found in self.agreement.groups.items():
            for name in OF_GROUPS:
                yield f"{name}, {group}", self._record(found, name, group)

    def _record(self, found: Agreement, measure: str, group: str | None = None) -> NumberRecord:
        interval = found.intervals.get(measure)
        return NumberRecord(
            self.run,
            self.database,
            measure,
            found.measures[measure],
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            n=found.images,
            left_out=None if group else self.left_out,
            protocol=measured_by(self.raters),
            source=self.source,
            better="lower" if self.lower_is_better else "higher",
            resamples=self.resamples if interval else None,
            facts={"aspect": self.aspect} | ({self.group: group} if self.group else {}),
        )


def evaluate(
    run: PathLike | Run,
    *,
    mos: PathLike | None = None,
    dataset: str | None = None,
    root: PathLike | None = None,
    split: str | None = None,
    aspect: str = "quality",
    standard: str | None = None,
    by_name: bool = False,
    group: str | None = None,
    resamples: int = 1000,
    **arithmetic: Unpack[Arithmetic],
) -> Evaluation:
    """Compare the scores of a run with the opinions of people on the same images.

    Args:
        run: A finished run, or its folder (on the disk, s3:// or gs://).
        mos: Table of images and opinions (.csv, .xlsx, .json, .jsonl, .parquet) with a column image and a
            column mos, or dmos where lower is better.
        dataset: A published database in its place, by a name of `zeroiqa datasets`.
        root: The folder of the database; or that from which paths in the table count, its own if left out.
        split: Only this official split of the database: train, validation or test.
        aspect: Which opinions and which scores: quality, authenticity or correspondence.
        standard: Whose scores, where the run has several standards for the aspect.
        by_name: Tell images by their file names alone, as the run's are copies.
        group: Also measure each group of this kind, such as model, distortion or subset.
        resamples: Of the 95 % bootstrap intervals; 0 for none.
        **arithmetic: Other arithmetic than the run's own, such as `lam=1.0` or `readout="digit"`.

    Returns:
        The measures, each None where it does not exist (a correlation of constant scores).

    Raises:
        UserError: the run or the opinions cannot be read or have no such aspect, split or group; hardly an
            image has a score and an opinion; or the arithmetic does not fit the run.

    Example:
        >>> import zeroiqa
        >>> found = zeroiqa.evaluate("run", mos="opinions.csv")
        >>> found.agreement.images
        12
        >>> -1 <= found.agreement.measures["SRCC"] <= 1
        True
    """
    loaded = load(run)
    origin = origin_of(loaded, by_name=by_name)
    people = read_opinions(dataset, root, mos, split, [origin])
    chosen = [] if standard is None else [standard]
    check_standards([loaded], aspect, chosen)
    aggregation = reaggregation(loaded, arithmetic) if arithmetic else None
    label = label_of(loaded, aspect, chosen, aggregation)
    scored = scores_of(loaded, label, aggregation)
    lower = loaded.lower_is_better
    joined = join(pointing_up(scored, lower), people, aspect, origin)
    found = measure(joined, by=group, resamples=resamples)
    turned = ["Of the scores lower is better: they were turned."] if lower else []
    about_run = (*not_the_mean(loaded, label, aggregation), *remarks(loaded, aggregation))
    return Evaluation(
        run=name_of(loaded),
        source=str(loaded.folder),
        raters=tuple(loaded.settings.raters),
        database=people.name,
        aspect=aspect,
        agreement=found,
        images=joined,
        left_out=len(people.samples) - found.images,
        lower_is_better=lower,
        notes=tuple(dict.fromkeys((*people.notes, *found.notes, *turned, *about_run))),
        group=group,
        resamples=resamples,
    )
