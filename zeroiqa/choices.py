"""What a method may be called, a preset, a rater, a baseline, aspects, and the settings that this means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zeroiqa.errors import UserError
from zeroiqa.raters import find_rater
from zeroiqa.settings import DEFAULT_PRESET, Settings, load_settings, preset_names
from zeroiqa.standards import load_standard, standard_names

_LISTS = ("raters", "standards")
"""Settings of which a single text is one, not its letters."""
ASPECTS = ("quality", "authenticity", "correspondence")


def chosen_settings(
    name: str = DEFAULT_PRESET,
    *,
    baseline: str | None = None,
    aspects: str | Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of a method by its name.

    Args:
        name: Of a preset, the path of a TOML file, or the name of a rater.
        baseline: A name of `zeroiqa baselines`, in place of raters.
        aspects: What to judge, in place of standards.
        overrides: Field of `Settings` -> value.

    Raises:
        UserError: a name is unknown, a value is out of its range, or two choices contradict each other.
    """
    changes: dict[str, Any] = {
        key: (value,) if isinstance(value, str) and key in _LISTS else value
        for key, value in (overrides or {}).items()
    }
    preset = name
    if name not in preset_names() and not name.endswith(".toml") and _is_rater(name):
        if "raters" in changes or baseline is not None:
            raise UserError(
                f"{name} is a rater, and another one is named beside it; name all with raters=[...]."
            )
        preset, changes["raters"] = DEFAULT_PRESET, (name,)
    if baseline is not None:
        if "raters" in changes:
            raise UserError("A baseline stands alone, and raters are named beside it; make a method of each.")
        changes |= only_baseline(baseline, changes.get("crop"))
    if aspects:
        if "standards" in changes:
            raise UserError(
                "Aspects choose standards, and standards are named beside them; give one of both."
            )
        changes["standards"] = word_standards((aspects,) if isinstance(aspects, str) else aspects, preset)
    return load_settings(preset, changes)


def only_baseline(name: str, crop: str | None = None) -> dict[str, Any]:
    """The settings of a baseline alone: its unit is its own, so that no mean with raters or others exists."""
    return {"raters": (f"baseline:{name}",), "crop": crop or "whole"}


def word_standards(aspects: Sequence[str], preset: str) -> tuple[str, ...]:
    """The shipped standards of the aspects, with as many levels as the preset's first; else with seven.

    Raises:
        UserError: one is no aspect.
    """
    for aspect in aspects:
        if aspect not in ASPECTS:
            raise UserError(f"There is no aspect {aspect!r}; known: {', '.join(ASPECTS)}.")
    k = load_standard(load_settings(preset).standards[0]).k
    named, seven = ([f"{aspect}-word-{each}" for aspect in dict.fromkeys(aspects)] for each in (k, 7))
    return tuple(named if set(named) <= set(standard_names()) else seven)


def _is_rater(name: str) -> bool:
    try:
        find_rater(name)
    except UserError:
        return False
    return True
