"""How sure a comparison is: intervals of every method, and tests against the best one, by resampling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from zeroiqa.evaluation.agreement import SEED, Joined
from zeroiqa.evaluation.methods import COMPARED_BY
from zeroiqa.metrics.measures import Interval, Values, bootstrap_values, percentile_interval, srcc
from zeroiqa.metrics.significance import PairedTest, holm, paired_bootstraps

RESAMPLES = 1000
"""Of every bootstrap, at least."""
_RESAMPLES_PER_TEST = 200
"""So that the smallest p of m tests, 2 m / (resamples + 1) after Holm's correction, stays under .01."""


class Tested(NamedTuple):
    """One database's measured methods against the best of them."""

    best: int | None
    """The method with the highest SRCC; None where none is measured."""
    tests: dict[int, tuple[PairedTest, float]]
    """Of other methods: the test, and its p corrected for the number of tests."""
    notes: list[str]
    """How it was tested."""


def intervals(joined: Sequence[Joined | None], resamples: int) -> list[dict[str, Interval | None]]:
    """95 % intervals of every one of `COMPARED_BY`, by method; those with the same images share resamples.

    Args:
        joined: Of each method; None for one without scores, which gets no interval.
        resamples: Of the bootstrap; 0 for no interval.
    """
    found: list[dict[str, Interval | None]] = [{} for _ in joined]
    together: dict[tuple[str, ...], list[tuple[int, Joined]]] = {}
    for row, each in enumerate(joined):
        if each is not None and resamples:
            together.setdefault(each.names, []).append((row, each))
    for group in together.values():
        opinions, scores = group[0][1].opinions, [each.scores for _, each in group]
        for name, metric in COMPARED_BY.items():
            values = bootstrap_values(metric, scores, opinions, resamples, np.random.default_rng(SEED))
            for (row, _), own in zip(group, values, strict=True):
                found[row][name] = percentile_interval(own)
    return found


def against_the_best(
    names: Sequence[str],
    joined: Sequence[Joined | None],
    database: str,
    resamples: int | None,
) -> Tested:
    """Test each measured method against the one with the highest SRCC: paired bootstrap, Holm's correction.

    Args:
        names: Of the methods.
        joined: Their images; None for a method without scores, which is not tested.
        database: Its name.
        resamples: Of the bootstrap; None for as many as the number of tests needs; 0 for no test.
    """
    values = {row: srcc(each.scores, each.opinions) for row, each in enumerate(joined) if each is not None}
    known = {row: value for row, value in values.items() if value is not None}
    best = max(known, key=known.__getitem__) if known else None
    if best is None or len(known) < 2 or resamples == 0:
        return Tested(best, {}, [])
    others = [row for row in known if row != best]
    drawn = max(RESAMPLES, _RESAMPLES_PER_TEST * len(others)) if resamples is None else resamples
    found = _tests(joined, best, others, drawn)
    tests = {row: (test, test.p) for row, test in found.items() if test.p is not None}
    corrected = holm([p for _, p in tests.values()])
    least = min(2 * len(tests) / (drawn + 1), 1.0)
    note = (
        f"p on {database}: against {names[best]} on the same images, paired bootstrap of SRCC, "
        f"{drawn:,} resamples, corrected for {len(tests)} comparison{'s' * (len(tests) != 1)} (Holm); the "
        f"smallest that can be found is {least:.2g}{': leave --resamples out for more' * (least >= 0.05)}."
    )
    return Tested(best, {row: (found[row], p) for row, p in zip(tests, corrected, strict=True)}, [note])


def _tests(
    joined: Sequence[Joined | None], best: int, others: Iterable[int], resamples: int
) -> dict[int, PairedTest]:
    """Each of the others against the best one, on the images that both have."""
    first = joined[best]
    assert first is not None
    together: dict[tuple[int, ...], list[tuple[int, Values]]] = {}
    for row in others:
        other = joined[row]
        assert other is not None
        place = {name: position for position, name in enumerate(other.names)}
        common = tuple(position for position, name in enumerate(first.names) if name in place)
        if len(common) >= 3:
            theirs = other.scores[[place[first.names[position]] for position in common]]
            together.setdefault(common, []).append((row, theirs))
    found: dict[int, PairedTest] = {}
    for common, group in together.items():
        mine, opinions = first.scores[list(common)], first.opinions[list(common)]
        scores = [theirs for _, theirs in group]
        rng = np.random.default_rng(SEED)
        tests = paired_bootstraps(srcc, mine, scores, opinions, resamples, rng)
        found |= {row: test for (row, _), test in zip(group, tests, strict=True)}
    return {row: found[row] for row in others if row in found}
