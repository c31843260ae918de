"""What the scores are by that a calibration was fitted to: it is used on scores by the same alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import shortened
from zeroiqa.settings import key_of

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation
    from zeroiqa.calibration_file import Calibration
    from zeroiqa.runs.planned_run import PlannedRun


def scores_by(run: PlannedRun, aggregation: Aggregation, label: str) -> dict[str, Any]:
    """What decides the scores of a label, besides the images; plain values for JSON.

    Args:
        run: The run.
        aggregation: By which its scores are.
        label: Of one of its standards, or of their mean.
    """
    identity = run.identity
    named = {run.labels[each["name"]]: each for each in identity["standards"]}
    standards = [named[label]] if label in named else list(named.values())
    members = aggregation.members or tuple(identity["raters"])
    where = {} if aggregation.lam == 0 else {"segmenter": identity["segmenter"], "crop": run.settings.crop}
    return {
        "method_version": identity["method_version"],
        "decode_policy": identity["decode_policy"],
        "raters": {name: identity["raters"][name] for name in members},
        "standards": {each["name"]: f"{each['version']}:{each['hash']}" for each in standards},
        "arithmetic": _arithmetic(aggregation),
        **where,
    }


def check_same_scores(run: PlannedRun, aggregation: Aggregation, calibration: Calibration) -> None:
    """Refuse a calibration of scores by other raters, standards or arithmetic.

    Raises:
        UserError: it is of other ones.
    """
    if calibration.label not in (*run.labels.values(), *_mean_of(run, aggregation)):
        raise UserError(
            f"The calibration is of scores called {shortened(calibration.label)}, and {run.folder} has those "
            f"of {', '.join(run.labels.values())}; calibrate this run."
        )
    here = dict(_flat(scores_by(run, aggregation, calibration.label)))
    there = dict(_flat(calibration.by))
    other = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    if other:
        key = other[0]
        then, now = (shortened(printable(str(each.get(key, "none")))) for each in (there, here))
        more = f" ({len(other) - 1} more differ: {', '.join(other[1:4])})" if other[1:] else ""
        raise UserError(
            f"The calibration is of scores by {key} {then}, and those of {run.folder} are by {key} {now}"
            f"{more}; {_advice(run, calibration.by)}calibrate this run."
        )


def _advice(run: PlannedRun, by: Mapping[str, Any]) -> str:
    """Options of `rescore` help where the run has all that is asked for, and its arithmetic is another."""
    there = scores_by(run, run.settings.aggregation, "")
    ids = (("raters", run.identity["raters"]), ("standards", there["standards"]))
    has = all(each.get(name) == value for key, each in ids for name, value in by[key].items())
    same = all(by.get(key) == there[key] for key in ("method_version", "decode_policy"))
    if not has or not same or by.get("segmenter", run.identity["segmenter"]) != run.identity["segmenter"]:
        return ""
    return "give the options that `zeroiqa calibrate` was given, or "


def _mean_of(run: PlannedRun, aggregation: Aggregation) -> tuple[str, ...]:
    from zeroiqa.averaging import score_labels

    return score_labels(run.labels.values(), aggregation)


def _arithmetic(aggregation: Aggregation) -> dict[str, Any]:
    """Its fields that decide a score, in the spelling of run.json."""
    fields = asdict(aggregation)
    for name in ("members", "mass_threshold", "word_mass_threshold"):
        del fields[name]
    fields["rater_weights"] = fields.pop("member_weights")
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    return {key_of(name): "inf" if value == float("inf") else value for name, value in plain.items()}


def _flat(by: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each value, by the word that names it in a sentence."""
    for key, value in by.items():
        if key == "arithmetic":
            yield from value.items()
        elif isinstance(value, dict):
            yield from ((f"{key.removesuffix('s')} {name}", each) for name, each in value.items())
        else:
            yield key.replace("_", " "), value
