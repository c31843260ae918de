"""What is said of one image: its scores, or the reason why it has none; and the flat row that tables hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from zeroiqa.aggregate import Aggregation, Score, aggregate
from zeroiqa.errors import ImageError, UserError
from zeroiqa.types import RatedImage, Region

if TYPE_CHECKING:
    import pandas as pd

    from zeroiqa.standards import Standard


@dataclass(frozen=True)
class ImageScore:
    """The result for one image. `scores` is empty exactly where `status` is "error"."""

    path: str
    """Path, or the name that the caller gave."""
    scores: Mapping[str, Score] = field(default_factory=dict)
    """Label of the standard (its aspect, or its name where an aspect occurs twice) -> score."""
    regions: tuple[Region, ...] = ()
    error: str | None = None
    warnings: tuple[str, ...] = ()
    lower_is_better: bool = False
    """Whether scores fall as quality rises, as those of some baselines do."""

    @property
    def status(self) -> Literal["ok", "error"]:
        """Whether there is a score."""
        return "error" if self.error is not None else "ok"

    @property
    def score(self) -> float | None:
        """The first standard's score, in [1, K] with normalised areas, or in a baseline's own unit.

        Higher is better but where `lower_is_better` says otherwise. None for an error.
        """
        return self._first.score if self.scores else None

    @property
    def s_global(self) -> float | None:
        """The whole image's level, in [1, K]. None for an error."""
        return self._first.s_global if self.scores else None

    @property
    def s_local(self) -> float | None:
        """The regions' weighted level. None for an error."""
        return self._first.s_local if self.scores else None

    @property
    def disagreement(self) -> float | None:
        """Standard deviation of the raters' scores; 0 for one rater. None for an error."""
        return self._first.disagreement if self.scores else None

    @property
    def _first(self) -> Score:
        return next(iter(self.scores.values()))

    def to_dict(self) -> dict[str, Any]:
        """The flat row of scores.csv; a missing value is None."""
        row: dict[str, Any] = {"path": self.path}
        for position, (label, score) in enumerate(self.scores.items()):
            row |= _columns("" if position == 0 else f"{label}_", score)
        if not self.scores:
            row |= {"score": None}
        if self.lower_is_better:
            row["better"] = "lower"
        return row | {
            "n_regions": len(self.regions) if self.scores else None,
            "status": self.status,
            "error": self.error,
            "warnings": "; ".join(self.warnings) or None,
        }

    def to_record(self) -> dict[str, Any]:
        """The flat row, and under `regions` what each region is and adds to each score (for JSON)."""
        regions = [
            {
                "kind": region.kind,
                "box": list(region.box),
                "area": region.area,
                "levels": {label: score.region_levels[index] for label, score in self.scores.items()},
                "contributions": {
                    label: score.region_contributions[index] for label, score in self.scores.items()
                },
            }
            for index, region in enumerate(self.regions)
        ]
        return {**self.to_dict(), "warnings": list(self.warnings), "regions": regions}

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.path}: error: {self.error}"
        lines = [f"{self.path}: {self.score:.2f}" + (" (lower is better)" if self.lower_is_better else "")]
        for label, score in self.scores.items():
            lines.append(f"  {label}: whole image {score.s_global:.2f}, regions {score.s_local:.2f}")
            lines += [
                f"    {region.kind} {region.box}, area {region.area:.0%}: "
                + ("no answer" if level is None else f"{level:.2f}")
                for region, level in zip(self.regions, score.region_levels, strict=True)
            ]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


@dataclass(frozen=True)
class ImageScores(Sequence[ImageScore]):
    """Results in the order of the images; prints as a table, becomes a list of dicts or a DataFrame."""

    items: tuple[ImageScore, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[ImageScore]:
        return iter(self.items)

    def __getitem__(self, index: Any) -> Any:
        """One result, or a slice of them as `ImageScores`."""
        return ImageScores(self.items[index]) if isinstance(index, slice) else self.items[index]

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat row per image."""
        return [item.to_dict() for item in self.items]

    def to_pandas(self) -> pd.DataFrame:
        """One row per image, the columns of scores.csv.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UserError("to_pandas needs pandas, which is not installed: pip install pandas.") from error
        return pd.DataFrame(self.to_dicts())

    def __str__(self) -> str:
        width = max((len(item.path) for item in self.items), default=0)
        lines = [
            f"{item.path:<{width}}  "
            + (f"{item.score:.2f}" if item.score is not None else f"error: {item.error}")
            for item in self.items
        ]
        return "\n".join([*lines, *(["(lower is better)"] if self._lower_is_better else [])])

    @property
    def _lower_is_better(self) -> bool:
        return any(item.lower_is_better for item in self.items)


def score_rated(
    path: str,
    rated: RatedImage,
    labels: Mapping[str, str],
    aggregation: Aggregation,
    warnings: tuple[str, ...] = (),
    *,
    lower_is_better: bool = False,
) -> ImageScore:
    """Arithmetic only: turn stored ratings into a result.

    Args:
        path: The image's path or name.
        rated: Regions, and ratings by rater and standard.
        labels: Standard name -> label, in the order of the standards.
        aggregation: How.
        warnings: Carried over.
        lower_is_better: What the raters' numbers mean.
    """
    try:
        scores = {
            label: aggregate(
                rated.regions,
                {rater: by_standard[standard] for rater, by_standard in rated.ratings.items()},
                aggregation,
            )
            for standard, label in labels.items()
        }
    except ImageError as error:
        return ImageScore(path, error=str(error), warnings=warnings, lower_is_better=lower_is_better)
    return ImageScore(path, scores, rated.regions, warnings=warnings, lower_is_better=lower_is_better)


def csv_cell(value: Any) -> Any:
    """A value of a row as tables hold it: six decimals, so that equal scores are equal texts."""
    return f"{value:.6f}" if isinstance(value, float) else value


def standard_labels(standards: Iterable[Standard]) -> dict[str, str]:
    """Standard name -> what its columns are called: its aspect, or its name where an aspect occurs twice."""
    standards = tuple(standards)
    aspects = [standard.aspect for standard in standards]
    return {
        standard.name: standard.aspect if aspects.count(standard.aspect) == 1 else standard.name
        for standard in standards
    }


def _columns(prefix: str, score: Score) -> dict[str, float]:
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
        f"{prefix}disagreement": score.disagreement,
    }
