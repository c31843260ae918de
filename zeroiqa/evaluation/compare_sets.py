"""`compare_sets`: the scores of two sets of images, such as what two generators made of the same prompts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.records import NumberRecord, Report
from zeroiqa.evaluation.run_scores import label_of, load, name_of
from zeroiqa.evaluation.sets import (
    LEAST_PAIRS,
    Interval,
    PairBy,
    Pairs,
    ScoredImage,
    difference_of_means,
    mean,
    pair,
)
from zeroiqa.files.tables.render import TextTable, cells
from zeroiqa.runs import Run, plan
from zeroiqa.runs.naming import naming_from
from zeroiqa.runs.scores import iter_scored

if TYPE_CHECKING:
    from zeroiqa.evaluation.opinions import PathLike

_BINS = 12
_BAR = 30
"""Signs of the longest bar of a histogram."""
_FREE = {"device", "dtype", "segmenter_dtype", "attn", "load_in_8bit", "offline", "trust_remote_code",
         "allow_pickle", "scale", "describe", "mass_threshold", "word_mass_threshold"}  # fmt: skip
"""Settings that may differ between runs whose scores are compared."""


@dataclass(frozen=True)
class ScoredSet:
    """The images of one run that have a score."""

    name: str
    images: tuple[ScoredImage, ...]
    errors: int
    """Images that have none."""


@dataclass(frozen=True)
class SetComparison:
    """What two sets say about each other; differences are those of B from A, and higher is better."""

    a: ScoredSet
    b: ScoredSet
    pairs: Pairs
    lower_is_better: bool = False
    """Whether the scores themselves fall as quality rises: they are shown as they are, differences turned."""
    resamples: int = 1000
    top: int = 10
    unpaired: bool = False
    """Whether pairs were not looked for."""

    @cached_property
    def means(self) -> tuple[Interval, Interval]:
        """The mean score of each set, with the interval of a bootstrap over its images."""
        first, second = (self._shown([each.score for each in side.images]) for side in (self.a, self.b))
        return mean(first, self.resamples), mean(second, self.resamples, seed=1)

    @cached_property
    def difference(self) -> Interval:
        """What B is better by: within pairs where there are some, else between the means."""
        if self.pairs.pairs:
            return self.pairs.difference(self.resamples)
        first, second = ([each.score for each in side.images] for side in (self.a, self.b))
        return difference_of_means(first, second, self.resamples)

    def _shown(self, scores: Sequence[float]) -> list[float]:
        return [-score for score in scores] if self.lower_is_better else list(scores)

    def sentences(self) -> Iterator[str]:
        """The numbers for people, in sentences."""
        a, b = (_text(found, 2) for found in self.means)
        better = _text(self.difference, 2)
        yield f"Mean score of A, {self.a.name}: {a}; of B, {self.b.name}: {b} (95 % intervals)."
        if self.pairs.pairs:
            wins, ties, losses = self.pairs.counts
            p = "" if self.pairs.p is None else f"; p {_p(self.pairs.p)} (Wilcoxon's signed ranks)"
            yield (
                f"Within {len(self.pairs.pairs)} pairs by {self.pairs.by}, B is better by {better}: it wins "
                f"{wins}, loses {losses}, and {ties} are equal, a rate of {_text(self.pairs.win_rate, 2)}{p}."
            )
        yield from self._notes()

    def report(self, decimals: int | None = None) -> Report:
        """The numbers, and the tables in which people read them."""
        digits = 3 if decimals is None else decimals
        tables = [self._sets(digits), self._against(digits), self._histogram()]
        if self.pairs.pairs and self.top:
            tables.append(self._largest(digits))
        return Report(tuple(self._records()), tuple(tables), tuple(self._notes()))

    def _sets(self, digits: int) -> TextTable:
        rows = [
            cells(letter, side.name, str(len(side.images)), str(side.errors), _text(found, digits))
            for letter, side, found in zip("AB", (self.a, self.b), self.means, strict=True)
        ]
        about = ("Lower scores are better.",) if self.lower_is_better else ()
        return TextTable(("set", "run", "images", "errors", "mean score (95 %)"), tuple(rows), about)

    def _against(self, digits: int) -> TextTable:
        pairs = self.pairs
        how = "within pairs" if pairs.pairs else "between the means"
        rows = [cells(f"B better by, {how}", _text(self.difference, digits))]
        if pairs.pairs:
            wins, ties, losses = pairs.counts
            rows.append(
                cells(f"B wins of {len(pairs.pairs)} pairs by {pairs.by}", _text(pairs.win_rate, digits))
            )
            rows.append(cells("wins, ties, losses of B", f"{wins}, {ties}, {losses}"))
            if pairs.p is not None:
                rows.append(cells("p (Wilcoxon's signed ranks)", _p(pairs.p)))
        return TextTable(("B against A", "value (95 %)"), tuple(rows), tuple(self._notes()))

    def _histogram(self) -> TextTable:
        first, second = (self._shown([each.score for each in side.images]) for side in (self.a, self.b))
        edges = np.histogram_bin_edges([*first, *second], _BINS)
        shares = [np.histogram(scores, edges)[0] / len(scores) for scores in (first, second)]
        most = max(1e-12, max(float(share.max()) for share in shares))

        def bar(share: float) -> str:
            return f"{'#' * round(_BAR * share / most)} {share:.0%}"

        rows = [
            cells(
                f"{edges[place]:.2f} to {edges[place + 1]:.2f}", bar(shares[0][place]), bar(shares[1][place])
            )
            for place in range(len(edges) - 1)
        ]
        return TextTable(("score", f"A: {self.a.name}", f"B: {self.b.name}"), tuple(rows))

    def _largest(self, digits: int) -> TextTable:
        rows = [
            cells(
                f"{each.difference:+.{digits}f}",
                *(f"{value:.{digits}f}" for value in self._shown([each.a, each.b])),
                printable(each.path_a),
                printable(each.path_b),
            )
            for each in self.pairs.largest(self.top)
        ]
        return TextTable(("B better by", "A", "B", "image of A", "image of B"), tuple(rows))

    def _notes(self) -> Iterator[str]:
        pairs = self.pairs
        if self.resamples:
            yield f"Intervals of means: bootstrap of {self.resamples:,} resamples over images or pairs."
        for letter, side in zip("AB", (self.a, self.b), strict=True):
            if side.errors:
                yield f"{side.errors} images of {letter} have no score and are left out."
        if not pairs.pairs:
            if not self.unpaired:
                yield "No name and no prompt is common to both, so no images are paired."
            return
        if any(pairs.alone):
            yield f"In no pair: {pairs.alone[0]} images of A and {pairs.alone[1]} of B; the means have them."
        if pairs.averaged:
            yield f"{pairs.averaged} images share their prompt within a set; the mean of each is paired."
        if pairs.p is None:
            unequal = sum(pairs.counts) - pairs.counts[1]
            yield f"{unequal} unequal pairs are too few for a test, which needs {LEAST_PAIRS}."

    def _records(self) -> Iterator[NumberRecord]:
        better: Literal["higher", "lower"] = "lower" if self.lower_is_better else "higher"
        for side, found in zip((self.a, self.b), self.means, strict=True):
            yield NumberRecord(
                side.name, "", "mean score", found.value, found.low, found.high,
                len(side.images), side.errors, better=better,
            )  # fmt: skip
        name = f"{self.b.name} against {self.a.name}"
        pairs, found = self.pairs, self.difference
        counted = len(pairs.pairs) or None
        yield NumberRecord(
            name, "", "better by", found.value, found.low, found.high, counted, p=pairs.p,
            facts={"paired_by": pairs.by},
        )  # fmt: skip
        if pairs.pairs:
            rate = pairs.win_rate
            wins, ties, losses = pairs.counts
            facts = {"paired_by": pairs.by, "wins": wins, "ties": ties, "losses": losses}
            yield NumberRecord(name, "", "win rate", rate.value, rate.low, rate.high, counted, facts=facts)


def compare_sets(
    a: PathLike | Run,
    b: PathLike | Run,
    *,
    aspect: str = "quality",
    standards: Sequence[str] = (),
    pair_by: PairBy | None = None,
    resamples: int = 1000,
    top: int = 10,
) -> SetComparison:
    """Compare the scores of two sets of images that one method scored.

    Args:
        a: The run of the first set, or its folder.
        b: That of the second one.
        aspect: Which scores: of quality, authenticity or correspondence.
        standards: Whose scores, where the runs have several standards for the aspect.
        pair_by: What tells a pair: the "name" below each set's folder (with or without folders and suffix,
            whichever pairs most), the text "prompt", or "none"; if left out, whichever pairs more images.
        resamples: Of the bootstraps; 0 for no intervals.
        top: How many of the pairs that differ most are shown.

    Returns:
        Means, win rate, test and pairs.

    Raises:
        UserError: the runs are of different methods, one has no scores, or `pair_by` finds no pair.
    """
    runs = [load(a), load(b)]
    _check_method(*runs)
    names = [_named(run) for run in runs]
    if names[0] == names[1]:
        names = [name_of(run) for run in runs]
    first, second = (
        _scored(run, name, label_of(run, aspect, standards)) for run, name in zip(runs, names, strict=True)
    )
    pairs = pair(first.images, second.images, pair_by)
    if pair_by not in (None, "none") and not pairs.pairs:
        raise UserError(
            f"{printable(first.name)} and {printable(second.name)} have no common {pair_by}, such as "
            f"{_example(first, pair_by)} of the first; give --pair-by none, or leave it out."
        )
    lower = runs[0].lower_is_better
    return SetComparison(first, second, pairs, lower, resamples, top, unpaired=pair_by == "none")


def _check_method(a: Run, b: Run) -> None:
    """Refuse scores that other settings gave: what is compared shall be the images."""
    one, other = a.settings.to_dict(), b.settings.to_dict()
    different = [key for key in one if key not in _FREE and one[key] != other[key]]
    ids = ("raters", "segmenter", "standards", "decode")
    different += [key for key in ids if key not in different and a.identity.get(key) != b.identity.get(key)]
    if different:
        key = different[0]
        values = f" ({one[key]} and {other[key]})" if key in one and one[key] != other[key] else ""
        raise UserError(
            f"{printable(name_of(a))} and {printable(name_of(b))} were scored by different methods: their "
            f"{', '.join(different)} differ{values}; score both by one, or see `zeroiqa diff`."
        )


def _named(run: Run) -> str:
    """What a run's images were named by, where that is one name; else the run's own."""
    naming = naming_from(plan.all_inputs(run.folder))
    if naming is None or len(naming.names) != 1:
        return name_of(run)
    return naming.names[0].rstrip("/").rpartition("/")[2]


def _scored(run: Run, name: str, label: str) -> ScoredSet:
    sign = -1 if run.lower_is_better else 1
    images, errors = [], 0
    found = [each for each in iter_scored(run) if not each.score.gone]
    if not found:
        raise UserError(f"{printable(str(run.folder))} has no scores yet; give its command again.")
    paths = below_shared([each.planned.ref.name for each in found])
    for each, path in zip(found, paths, strict=True):
        score = each.score.scores.get(label)
        if each.score.error is not None or score is None:
            errors += 1
            continue
        images.append(ScoredImage(path, sign * score.score, each.planned.ref.prompt))
    if not images:
        raise UserError(f"None of the {len(found)} images of {printable(str(run.folder))} has a score.")
    return ScoredSet(name, tuple(images), errors)


def below_shared(paths: Sequence[str]) -> list[str]:
    """The paths below the deepest folder that all of them are in, with "/"."""
    folders = [PurePosixPath(path.replace(os.sep, "/")).parent.parts for path in paths]
    shared = folders[0]
    for parts in folders[1:]:
        same = 0
        while same < min(len(shared), len(parts)) and shared[same] == parts[same]:
            same += 1
        shared = shared[:same]
    folder = str(PurePosixPath(*shared)) if shared else ""
    start = f"{folder.rstrip('/')}/" if folder else ""
    return [path.replace(os.sep, "/").removeprefix(start) for path in paths]


def _example(side: ScoredSet, by: PairBy) -> str:
    image = side.images[0]
    return printable(image.path if by == "name" else image.prompt or "no prompt at all")


def _text(found: Interval, digits: int) -> str:
    ends = "" if found.low is None else f" ({found.low:.{digits}f} to {found.high:.{digits}f})"
    return f"{found.value:.{digits}f}{ends}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
