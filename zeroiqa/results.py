"""What is said of one image: its scores, or the reason why it has none; and the flat row that tables hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zeroiqa.aggregate import NO_SCALE, Aggregation, Readout, Scale, Score, aggregate
from zeroiqa.answers import Answers, count_answers, image_warnings
from zeroiqa.averaging import average, not_averaged, score_labels
from zeroiqa.errors import ImageError, UnreachableError
from zeroiqa.names import harmless
from zeroiqa.raters import declared
from zeroiqa.reasons import DECIMALS, REASONS, reasons_of, tags_of
from zeroiqa.types import RatedImage, Region

if TYPE_CHECKING:
    from zeroiqa.standards import Kind, Standard


_ORDER = re.compile("-(ab|ba)$")
"""Ends the names of standards that ask the same, but for the order of their options."""


@dataclass(frozen=True)
class ImageScore:
    """The result for one image. `scores` is empty exactly where `status` is not "ok".

    An image without the text prompt that a standard needs has the scores of the other standards.
    """

    path: str
    """Path, or the name that the caller gave."""
    scores: Mapping[str, Score] = field(default_factory=dict)
    """Label of the standard (its aspect, or its name where an aspect occurs twice) -> score. The mean of
    several is there, too, see `zeroiqa.averaging.score_labels`."""
    regions: tuple[Region, ...] = ()
    error: str | None = None
    warnings: tuple[str, ...] = ()
    lower_is_better: bool = False
    """Whether scores fall as quality rises, as those of some baselines do."""
    labels: tuple[str, ...] = ()
    """Of all scores, the one that leads first; empty: those of `scores`."""
    answers: Mapping[str, Mapping[str, Answers]] = field(default_factory=dict)
    """Label -> rater -> how much of what it answers lies on the levels."""
    scales: Mapping[str, Scale] = field(default_factory=dict)
    """Label -> between which numbers scores lie."""
    cause: str | None = None
    """Of an error: the `cause` of an `ImageError`."""
    gone: bool = False
    """Whether the run does not find it any more; it has neither a score nor an error then."""
    size: tuple[int, int] | None = None
    """Height and width in pixels, as it was decoded; None where that failed."""
    measures: Mapping[str, float] = field(default_factory=dict)
    """What was measured of the whole image: reason -> value in its unit (`zeroiqa.reasons`); empty where no
    rater measures."""
    tags: tuple[str, ...] = ()
    """What is wrong with the image by these measures, the worst first; three at most."""
    description: str | None = None
    """What a model says of the image in a sentence of its own, where it was asked to."""
    presented: Mapping[str, float | None] = field(default_factory=dict)
    """What tables show beside the score: column -> the same in another unit (`zeroiqa.runs.presentation`)."""
    segmented: bool = False
    """Whether regions were looked for."""

    @property
    def status(self) -> Literal["ok", "error", "unreachable", "gone"]:
        """Whether there is a score; "unreachable" is an error of an image whose file could not be read."""
        return "gone" if self.gone else status_of(self.error, self.cause)

    @property
    def score(self) -> float | None:
        """The image's score, on its `scale`, or in a baseline's own unit.

        With `standard_weights` it is the mean of all standards' scores; without, that of the first standard
        alone, and the others' are in `scores`. Higher is better but where `lower_is_better` says otherwise.
        None for an error, and where the first standard needs a text prompt that the image has not.
        """
        return None if self._first is None else self._first.score

    @property
    def scale(self) -> Scale:
        """Between which numbers the first standard's scores lie; its ends are None where there are none.

        [1, K] for the usual mean with normalised areas. Sums like those of Dog-IQA's code have no upper end.
        """
        return self.scales.get(self._labels[0], NO_SCALE) if self._labels else NO_SCALE

    @property
    def s_global(self) -> float | None:
        """The whole image's level, in [1, K] (read greedily: [0, 9]). None where there is no score."""
        return None if self._first is None else self._first.s_global

    @property
    def s_local(self) -> float | None:
        """The regions' weighted level. None where no region was rated, or there is no score."""
        return None if self._first is None else self._first.s_local

    @property
    def disagreement(self) -> float | None:
        """Standard deviation of the raters' scores. None for a single rater, and where there is no score."""
        return None if self._first is None else _disagreement(self._first)

    @property
    def n_regions(self) -> int | None:
        """How many regions there are. None where none were looked for, or there is no score."""
        return len(self.regions) if self.scores and (self.segmented or self.regions) else None

    @property
    def mass(self) -> float | None:
        """P(the answer is a level at all) for the whole image, in [0, 1]: the smallest of what `score` is of.

        None where there is no score, or no rater says it.
        """
        return self._mass(self._labels[0]) if self._first else None

    @property
    def reasons(self) -> dict[str, float]:
        """What a mean over standards is of: question -> score, the worst first; empty where there is no mean.

        A question that is put twice, with its options in both orders, is one: `probe-noise` has the mean of
        `probe-noise-ab` and `probe-noise-ba`.
        """
        by_question: dict[str, list[float]] = {}
        averaged = bool(self._first and self.answers) and self._labels[0] not in self.answers
        for label in self._labels[1:] if averaged else ():
            by_question.setdefault(_ORDER.sub("", label), []).append(self.scores[label].score)
        found = {question: sum(scores) / len(scores) for question, scores in by_question.items()}
        return dict(sorted(found.items(), key=lambda each: each[1], reverse=self.lower_is_better))

    @property
    def leading(self) -> Score | None:
        """What `score` is of, with what the whole image and each region add to it; None without one."""
        return self._first

    @property
    def _labels(self) -> tuple[str, ...]:
        return self.labels or tuple(self.scores)

    @property
    def _first(self) -> Score | None:
        return self.scores.get(self._labels[0]) if self.scores else None

    def _mass(self, label: str) -> float | None:
        """The smallest of a standard's raters; of a mean, which has no answers of its own, that of all."""
        own = [self.answers[label]] if label in self.answers else self.answers.values()
        masses = (answers.smallest for by_rater in own for answers in by_rater.values())
        return min((mass for mass in masses if mass is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """The flat row of scores.csv; a missing value is None. Reasons and tags are missing as a whole where
        nothing was measured, and so is the description where there is none."""
        row: dict[str, Any] = {"path": self.path, "score": None, **self.presented}
        for position, label in enumerate(self._labels):
            if label in self.scores:
                prefix = "" if position == 0 else f"{label}_"
                row |= _columns(prefix, self.scores[label]) | {f"{prefix}mass": self._mass(label)}
        if self.lower_is_better:
            row["better"] = "lower"
        return row | {
            "n_regions": self.n_regions,
            "width": self.size and self.size[1],
            "height": self.size and self.size[0],
            **self.measures,
            **({"tags": "; ".join(self.tags) or None} if self.measures else {}),
            **({} if self.description is None else {"description": self.description}),
            "status": self.status,
            "error": self.error,
            "warnings": "; ".join(self.warnings) or None,
        }

    def to_record(self) -> dict[str, Any]:
        """The flat row for JSON, with more under two keys.

        `regions`: what each region is and adds to each score, with its weight where that is not its area;
        `scales`: the two ends of each score's scale, null where there is none.
        """
        regions = [
            {
                "kind": region.kind,
                "box": list(region.box),
                "area": region.area,
                **({} if region.weight is None else {"weight": region.weight}),
                "levels": {label: score.region_levels[index] for label, score in self.scores.items()},
                "contributions": {
                    label: score.region_contributions[index] for label, score in self.scores.items()
                },
            }
            for index, region in enumerate(self.regions)
        ]
        scales = {label: list(self.scales[label]) for label in self.scores if label in self.scales}
        tags = {"tags": list(self.tags)} if self.measures else {}
        said = {**self.to_dict(), **tags, "warnings": list(self.warnings)}
        return {**said, "scales": scales, "regions": regions}

    def __str__(self) -> str:
        if self.gone:
            return f"{self.path}: gone"
        if self.error is not None:
            return harmless(f"{self.path}: error: {self.error}")
        turned = " (lower is better)" if self.lower_is_better else ""
        path = harmless(self.path)
        lines = [path if self.score is None else f"{path}: {self.score:.2f}{turned}"]
        if reasons := self.reasons:
            worst_first = ", ".join(f"{question} {score:.2f}" for question, score in reasons.items())
            lines.append(f"  mean of {worst_first}")
        for label, score in self.scores.items():
            of_regions = "" if score.s_local is None else f", regions {score.s_local:.2f}"
            lines.append(f"  {label}: whole image {score.s_global:.2f}{of_regions}")
            lines += [
                f"    {region.kind} {region.box}, area {region.area:.0%}{_weighing(region)}: "
                + ("no answer" if level is None else f"{level:.2f}")
                for region, level in zip(self.regions, score.region_levels, strict=True)
            ]
        if self.measures:
            units = (f"{name} {value:g} {REASONS[name].unit}" for name, value in self.measures.items())
            lines.append(f"  {', '.join(units)}")
        if self.tags:
            lines.append(f"  tags: {', '.join(self.tags)}")
        if self.description is not None:
            lines.append(harmless(f"  {self.description}"))
        lines += [harmless(f"  warning: {warning}") for warning in self.warnings]
        return "\n".join(lines)


def status_of(error: str | None, cause: str | None) -> Literal["ok", "error", "unreachable"]:
    """What the column `status` of a table says."""
    if error is None:
        return "ok"
    return "unreachable" if cause == UnreachableError.cause else "error"


def score_rated(
    path: str,
    rated: RatedImage,
    labels: Mapping[str, str],
    aggregation: Aggregation,
    warnings: tuple[str, ...] = (),
    *,
    kinds: Mapping[str, Kind],
    scales: Mapping[str, Scale] = {},
    lower_is_better: bool = False,
    size: tuple[int, int] | None = None,
    segmented: bool = False,
) -> ImageScore:
    """Arithmetic only: turn stored ratings into a result.

    Args:
        path: The image's path or name.
        rated: Regions, and ratings by rater and standard; a standard that the image was not asked about, for
            want of a text prompt, is missing.
        labels: Standard name -> label, in the order of the standards.
        aggregation: How.
        warnings: Carried over, behind those on the ratings.
        kinds: Standard name -> kind.
        scales: Standard name -> between which numbers its scores lie.
        lower_is_better: What the raters' numbers mean.
        size: Height and width of the image in pixels.
        segmented: Whether regions were looked for.
    """
    asked = [standard for standard in labels if all(standard in each for each in rated.ratings.values())]
    every = tuple(labels.values())
    led = score_labels(every, aggregation)
    try:
        scores = {
            labels[standard]: aggregate(
                rated.regions,
                {rater: by_standard[standard] for rater, by_standard in rated.ratings.items()},
                aggregation,
            )
            for standard in asked
        }
        if lacking := not_averaged(asked, tuple(labels), aggregation):
            raise ImageError(lacking)
    except ImageError as error:
        return ImageScore(
            path, error=str(error), warnings=warnings, lower_is_better=lower_is_better, size=size
        )
    answers = {
        labels[standard]: {
            rater: count_answers(rater, kinds[standard], rated.ratings[rater][standard], aggregation)
            for rater in scores[labels[standard]].raters
        }
        for standard in asked
    }
    between = {labels[standard]: scales[standard] for standard in labels if standard in scales}
    if led != every:
        scores = {led[0]: average(list(scores.values()), aggregation), **scores}
        between = {led[0]: between[every[0]], **between} if between else {}
    said = (*_doubts(every, answers, aggregation.readout), *warnings)
    measures = reasons_of(_whole(rated, "measures") or {})
    return ImageScore(
        path,
        scores,
        rated.regions,
        None,
        said,
        lower_is_better,
        led,
        answers,
        between,
        size=size,
        measures=measures,
        tags=tags_of(measures),
        description=_whole(rated, "description"),
        segmented=segmented,
    )


def _whole(rated: RatedImage, name: Literal["measures", "description"]) -> Any:
    """What the first rater that declares to give such a thing holds of the whole image, or None."""
    declares = "gives_measures" if name == "measures" else "describes"
    giving = (of for rater, of in rated.ratings.items() if getattr(declared(rater), declares))
    ratings = (by_view[0] for by_standard in giving for by_view in by_standard.values())
    return next((found for rating in ratings if rating and (found := getattr(rating, name))), None)


def _doubts(
    labels: Sequence[str], answers: Mapping[str, Mapping[str, Answers]], readout: Readout
) -> Iterator[str]:
    """What the ratings themselves give reason to say of an image."""
    for label in labels:
        if label not in answers:
            yield f"no score of {label}: the image has no text prompt"
        for rater, each in answers.get(label, {}).items():
            yield from image_warnings(rater, label if len(labels) > 1 else "", each, readout)


def _weighing(region: Region) -> str:
    return "" if region.weight in (None, region.area) else f", weight {region.weight:.0%}"


def csv_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A flat row as tables hold it: six decimals, so that equal scores are equal texts; those of a reason,
    which has fewer; six digits of a mass, which may be tiny."""
    return {
        key: value
        if not isinstance(value, float)
        else f"{value:.6g}"
        if key == "mass" or key.endswith("_mass")
        else f"{value:.{DECIMALS}f}"
        if key in REASONS
        else f"{value:.6f}"
        for key, value in row.items()
    }


def standard_labels(standards: Iterable[Standard]) -> dict[str, str]:
    """Standard name -> what its columns are called: its aspect, or its name where an aspect occurs twice."""
    standards = tuple(standards)
    aspects = [standard.aspect for standard in standards]
    return {
        standard.name: standard.aspect if aspects.count(standard.aspect) == 1 else standard.name
        for standard in standards
    }


def _disagreement(score: Score) -> float | None:
    return score.disagreement if len(score.raters) > 1 else None


def _columns(prefix: str, score: Score) -> dict[str, float | None]:
    return {
        f"{prefix}score": score.score,
        f"{prefix}s_global": score.s_global,
        f"{prefix}s_local": score.s_local,
        **{f"{prefix}score_{rater}": by_rater.score for rater, by_rater in score.raters.items()},
        **{
            f"{prefix}level_{rater}": by_rater.level
            for rater, by_rater in score.raters.items()
            if by_rater.level is not None
        },
        f"{prefix}disagreement": _disagreement(score),
    }
