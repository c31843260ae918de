"""The file of a calibration: what it holds, written as JSON, and checked when it is read."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroiqa.calibration import KINDS, LEAST_LABELS, RESAMPLES, SEED, SHARE, Error, Kind, Knot
from zeroiqa.errors import UserError
from zeroiqa.files.damage import read_json, reading, shortened
from zeroiqa.files.schema import (
    ANYTHING,
    NUMBER,
    TEXT,
    WHOLE,
    ListOf,
    MapOf,
    Plain,
    Record,
    first_wrong,
    one_of,
)
from zeroiqa.version import __version__

if TYPE_CHECKING:
    from zeroiqa.files.storage import Location
    from zeroiqa.metrics.correlation import Values

FORMAT = 1
"""Goes up when an older zeroiqa could misread the file."""
_BYTES = 32 << 20
"""Of a larger file that is refused."""
_OWN = {"map", "scores", "labels", "interval", "error", "sha256"}
"""Keys of the file; run.json has one of them, too."""
_ENOUGH = 3
"""So many of them make a calibration, whole or damaged."""
_BETTER = one_of("higher", "lower")
_KNOT = Plain(
    "four finite numbers",
    lambda knot: (
        isinstance(knot, list) and len(knot) == 4 and all(first_wrong(n, NUMBER) is None for n in knot)
    ),
)
_SCHEMA = Record(
    {
        "format": WHOLE,
        "zeroiqa": TEXT,
        "run_id": TEXT,
        "scores": Record({"label": TEXT, "better": _BETTER, "by": MapOf(ANYTHING)}),
        "labels": Record(
            {"count": WHOLE, "low": NUMBER, "high": NUMBER, "scale": TEXT, "better": _BETTER, "file": TEXT}
        ),
        "map": Record({"kind": one_of(*KINDS), "knots": ListOf(_KNOT)}),
        "interval": MapOf(NUMBER),
        "error": Record({"mae": NUMBER, "rmse": NUMBER, "labels": WHOLE, "how": TEXT}),
        "sha256": TEXT,
    }
)
_BY = Record(
    {"raters": MapOf(TEXT), "standards": MapOf(TEXT), "arithmetic": MapOf(ANYTHING), "decode_policy": TEXT}
)


@dataclass(frozen=True)
class LabelScale:
    """The scale of some labels."""

    low: float
    """The least label that it has; the least one found, if it was not declared."""
    high: float
    name: str
    """As it was declared, such as 1-5 or percentile; else MOS or DMOS."""
    lower_is_better: bool = False

    def __str__(self) -> str:
        said = "lower is better" if self.lower_is_better else "higher is better"
        return f"{self.name} from {self.low:g} to {self.high:g} ({said})"


@dataclass(frozen=True)
class Calibration:
    """A map from the scores of a run, and of runs by the same raters and arithmetic, to a scale of labels."""

    run_id: str
    """Of the run whose images have the labels."""
    label: str
    """What the run calls these scores: an aspect, a standard, or their mean."""
    by: Mapping[str, Any] = field(hash=False)
    """What decides these scores, besides the images; see `zeroiqa.runs.calibrated.scores_by`."""
    lower_is_better: bool
    """Whether the scores fall as quality rises."""
    labels: int
    """How many it was fitted to."""
    scale: LabelScale
    kind: Kind
    knots: tuple[Knot, ...]
    """Between which it is straight, scores rising; beyond the first and the last it is constant."""
    error: Error
    """At labels that the map was not fitted to."""
    file: str = ""
    """Name of the table of labels."""

    def of(self, score: float) -> tuple[float, float, float]:
        """The value on the scale of the labels, and the ends of its interval."""
        table = self._table
        value, low, high = (float(np.interp(score, table[0], column)) for column in table[1:])
        return value, low, high

    @cached_property
    def _table(self) -> Values:
        return np.array(self.knots).T

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `sha256` is of all others, so that an edit is found."""
        found = {
            "format": FORMAT,
            "zeroiqa": __version__,
            "run_id": self.run_id,
            "scores": {"label": self.label, "better": _better(self.lower_is_better), "by": dict(self.by)},
            "labels": {
                "count": self.labels,
                "low": self.scale.low,
                "high": self.scale.high,
                "scale": self.scale.name,
                "better": _better(self.scale.lower_is_better),
                "file": self.file,
            },
            "map": {"kind": self.kind, "knots": [list(knot) for knot in self.knots]},
            "interval": {"share": SHARE, "resamples": RESAMPLES, "seed": SEED},
            "error": self.error._asdict(),
        }
        return {**found, "sha256": _digest(found)}


def read_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Read a file of `zeroiqa calibrate`.

    Raises:
        UserError: it cannot be read, is damaged or was edited, or a newer zeroiqa wrote it.
    """
    with reading(path, "give a file that `zeroiqa calibrate -o` wrote", "The calibration"):
        found = read_json(Path(path), _BYTES)
        if not isinstance(found, dict) or len(_OWN & found.keys()) < _ENOUGH:
            raise ValueError("it was not written by `zeroiqa calibrate`")
        if isinstance(found.get("format"), int) and found["format"] > FORMAT:
            writer, form = (shortened(str(found.get(key))) for key in ("zeroiqa", "format"))
            raise UserError(
                f"The calibration {path} was written by zeroiqa {writer} (format {form}); this is "
                f"{__version__}, which reads up to format {FORMAT}: pip install -U zeroiqa."
            )
        if wrong := first_wrong(found, _SCHEMA) or first_wrong(found["scores"]["by"], _BY, "scores.by"):
            raise ValueError(wrong)
        calibration = _from(found)
        if wrong := _impossible(calibration):
            raise ValueError(wrong)
        if found["sha256"] != _digest({key: value for key, value in found.items() if key != "sha256"}):
            raise ValueError("its sha256 is another: it was edited")
    return calibration


def text_of(calibration: Calibration) -> str:
    """The file's content: one knot a line; equal calibrations are equal texts."""
    text = json.dumps(calibration.to_dict(), indent=1)
    lists = re.compile(r"\[\n[^][{}]*\n\s+\]")  # of numbers or texts, in which no line break is
    return lists.sub(lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text) + "\n"


def is_calibration(path: Location) -> bool:
    """Whether a file is one of a calibration, whole or not; what else is there is not to be replaced."""
    try:
        found = read_json(path, _BYTES)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"map", "labels", "scores"} <= found.keys()


def _from(found: Mapping[str, Any]) -> Calibration:
    scores, labels = found["scores"], found["labels"]
    return Calibration(
        run_id=found["run_id"],
        label=scores["label"],
        by=scores["by"],
        lower_is_better=scores["better"] == "lower",
        labels=labels["count"],
        scale=LabelScale(labels["low"], labels["high"], labels["scale"], labels["better"] == "lower"),
        kind=found["map"]["kind"],
        knots=tuple(Knot(*map(float, knot)) for knot in found["map"]["knots"]),
        error=Error(**{name: found["error"][name] for name in Error._fields}),
        file=labels["file"],
    )


def _impossible(found: Calibration) -> str | None:
    """What no calibration is, as a part of a sentence."""
    knots, scale = found.knots, found.scale
    falls = found.lower_is_better != scale.lower_is_better
    if found.labels < LEAST_LABELS:
        return f"labels.count is {found.labels}, and {LEAST_LABELS} are needed"
    if len(knots) < 2 or not _rise(knot.score for knot in knots):
        return "the scores of map.knots do not rise"
    for column in ("value", "low", "high"):
        values = [-getattr(knot, column) if falls else getattr(knot, column) for knot in knots]
        if any(later < earlier for earlier, later in itertools.pairwise(values)):
            return f"map.knots are not monotone in {column}"
    if not all(knot.low <= knot.value <= knot.high for knot in knots):
        return "a value of map.knots is not in its interval"
    if not all(scale.low <= knot.value <= scale.high for knot in knots):
        return f"a value of map.knots is not on the scale from {scale.low:g} to {scale.high:g}"
    return None


def _rise(values: Iterable[float]) -> bool:
    return all(earlier < later for earlier, later in itertools.pairwise(values))


def _better(lower: bool) -> str:
    return "lower" if lower else "higher"


def _digest(record: Mapping[str, Any]) -> str:
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
