"""What may explain that two runs have different scores: all that their run.json say, compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from zeroiqa.runs.identity import (
    ARITHMETIC,
    PLACE_AND_PERMISSION,
    PRESENTATION,
    SEGMENTED,
    WARNINGS,
    as_today,
)
from zeroiqa.runs.record import read_record
from zeroiqa.settings import settings_from_dict

if TYPE_CHECKING:
    from zeroiqa.runs import Run

Acts: TypeAlias = Literal[
    "files", "prompts", "decoding", "regions", "ratings", "arithmetic", "warnings", "anything"
]
"""The first stage at which a cause can act; those on warnings move no score."""
Kind: TypeAlias = Literal["setting", "id", "standard", "version", "library", "files", "prompts"]
EXPLAINED_BY: dict[str, tuple[Acts, ...]] = {
    "file": ("files",),
    "prompt": ("prompts",),
    "decoding": ("decoding", "anything"),
    "regions": ("decoding", "regions", "anything"),
    "ratings": ("decoding", "regions", "ratings", "anything"),
    "raters": ("ratings", "anything"),
    "arithmetic": ("ratings", "arithmetic", "anything"),
}
"""Stage at which an image differs first -> what a cause has to act on to explain it."""

_DECODING = ("background", "max_pixels")
_REGIONS = (
    "segmenter", "granularity", "min_area", "min_pixels", "complement", "complement_rule", "segmenter_dtype",
    "crop",
)  # fmt: skip


class Cause(NamedTuple):
    """Something in which two runs differ; `a` and `b` are empty where a run has nothing of it."""

    acts: Acts
    kind: Kind
    what: str
    """Its name, such as lambda, rater nss or numpy."""
    a: str
    b: str
    follows: bool = False
    """Whether it may be no more than the consequence of a setting that differs, too."""


def causes(a: Run, b: Run) -> list[Cause]:
    """All in which two runs differ but for their images, in the order of the stages.

    Raises:
        UserError: a run.json cannot be read.
    """
    found = [*_settings(a, b), *_ids(a, b), *_versions(a, b)]
    settings = {cause.what: cause.acts for cause in found if cause.kind == "setting"}
    order = ("files", "decoding", "regions", "ratings", "arithmetic", "anything", "warnings")
    marked = (cause._replace(follows=_follows(cause, settings)) for cause in found)
    return sorted(marked, key=lambda cause: order.index(cause.acts))


def _follows(cause: Cause, settings: Mapping[str, str]) -> bool:
    """Whether settings that differ may be all that makes an id another one."""
    if cause.kind != "id":
        return False
    if cause.acts == "regions" and not (cause.a and cause.b) and "lambda" in settings:
        return True  # a run that weighs no regions has none
    return any(acts == cause.acts and what not in ("raters", "standards") for what, acts in settings.items())


def _settings(a: Run, b: Run) -> Iterator[Cause]:
    first, second = (_all_settings(run) for run in (a, b))
    segmented = any(run.identity["segmenter"] is not None for run in (a, b))
    idle = (*PRESENTATION, SEGMENTED, *(() if segmented else _REGIONS))  # ids say which run has regions
    for key, (one, other) in _unequal(first, second):
        if key not in idle:
            yield Cause(_acts(key), "setting", key, one, other)


def _all_settings(run: Run) -> dict[str, Any]:
    """Those of a run as they are called today; standards by their names, whatever files they came from."""
    fields = settings_from_dict(as_today(run.settings.to_dict()), "the run").to_dict()
    return {**fields, "standards": [each["name"] for each in run.identity["standards"]]}


def _acts(key: str) -> Acts:
    if key in ARITHMETIC:
        return "arithmetic"
    if key in WARNINGS:
        return "warnings"
    if key in PLACE_AND_PERMISSION:
        return "anything"
    return "decoding" if key in _DECODING else "regions" if key in _REGIONS else "ratings"


def _ids(a: Run, b: Run) -> Iterator[Cause]:
    """What names stand for in each run: revisions of models, contents of standards."""
    one, other = a.identity, b.identity
    if one["decode_policy"] != other["decode_policy"]:
        yield Cause("decoding", "id", "decode policy", one["decode_policy"], other["decode_policy"])
    if one["segmenter"] != other["segmenter"]:
        yield Cause("regions", "id", "segmenter id", _text(one["segmenter"]), _text(other["segmenter"]))
    for name, there in one["raters"].items():
        if other["raters"].get(name, there) != there:
            yield Cause("ratings", "id", f"rater {name}", there, other["raters"][name])
    first, second = ({each["name"]: each for each in run["standards"]} for run in (one, other))
    for name in (name for name in first if name in second):
        if first[name]["hash"] != second[name]["hash"]:
            one_of, other_of = (
                f"{each[name]['version']}:{each[name]['hash'][:12]}" for each in (first, second)
            )
            yield Cause("ratings", "standard", f"standard {name}", one_of, other_of)


def _versions(a: Run, b: Run) -> Iterator[Cause]:
    one, other = (read_record(run.folder) for run in (a, b))
    methods = [str(run.identity["method_version"]) for run in (a, b)]
    if methods[0] != methods[1]:
        yield Cause("anything", "version", "method version", methods[0], methods[1])
    versions = [_text(record.get("zeroiqa")) for record in (one, other)]
    if versions[0] != versions[1]:
        yield Cause("anything", "version", "zeroiqa", versions[0], versions[1])
    for library, (then, now) in _unequal(one["environment"], other["environment"]):
        yield Cause("anything", "library", library, then, now)


def _unequal(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    for key in dict.fromkeys((*a, *b)):
        if a.get(key) != b.get(key):
            yield key, (_text(a.get(key)), _text(b.get(key)))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_text, value)) or "none"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
