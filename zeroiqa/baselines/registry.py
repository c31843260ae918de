"""Measures of others to compare scores with: which there are, which way they point, where they are computed.

The facts are data, in catalogue.toml; installed packages add theirs. What computes a native baseline is
imported when it is first asked for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from zeroiqa.baselines.entry import Baseline, Range, Variant
from zeroiqa.errors import UnknownNameError, UserError
from zeroiqa.registry import Registry
from zeroiqa.suggestions import alternatives, did_you_mean

_SAY_NOTHING = ("score", "scores", "index", "metric", "value", "values", "baseline", "pyiqa", "piq")
PYIQA = "pyiqa"
"""`pyiqa:NAME` is a baseline that the package of that name computes."""


@cache
def catalogue() -> Mapping[str, Baseline]:
    """All baselines by name, in the order of catalogue.toml, those of installed packages last."""
    return MappingProxyType({name: _named(name, entry) for name, entry in _registry().entries()})


def pixel_baselines() -> tuple[Baseline, ...]:
    """Those that are computed of the pixels alone, without weights."""
    return tuple(baseline for baseline in catalogue().values() if baseline.compute)


def find_baseline(name: str) -> Baseline:
    """The baseline of that name, whatever its kind.

    Raises:
        UserError: there is none; the message suggests the nearest names.
    """
    if name in _registry():
        return _named(name, _registry().find(name)[0])
    known = catalogue()
    if variant := find_variant(name):
        raise UserError(f"There is no baseline {name!r}; write {variant.name} or {PYIQA}:{name}.")
    hint = did_you_mean(name, known, most=3) or f"known: {', '.join(known)}. "
    raise UnknownNameError(
        f"There is no baseline {name!r}; {hint}`zeroiqa baselines` lists them.", "baseline", name
    )


def find_variant(name: str) -> Baseline | None:
    """The baseline that one of pyiqa's metrics is a variant of; None for a metric that is not listed."""
    for baseline in catalogue().values():
        if name in (variant.name for variant in baseline.pyiqa):
            return baseline
    return None


def named_like(name: str) -> Baseline | None:
    """The baseline that a name means as others spell it: NIQE, IL-NIQE, pyiqa:brisque, niqe_score.

    None where the name has words beside it that may mean something else.
    """
    wanted = _spelled(name)
    for baseline in catalogue().values():
        names = (baseline.name, baseline.title, *(variant.name for variant in baseline.pyiqa))
        if wanted in map(_spelled, names):
            return baseline
    return None


def find_measured(name: str) -> Baseline:
    """The baseline of that name, which this package computes.

    Raises:
        UserError: there is none, or it is computed elsewhere; the message says where.
    """
    baseline = find_baseline(name)
    if baseline.is_measured_here:
        return baseline
    if baseline.kind == "native":
        raise UserError(f"{baseline.title} are no baseline to name: {baseline.note}")
    if baseline.kind == "pyiqa":
        choice = alternatives([f"{PYIQA}:{variant.name}" for variant in baseline.pyiqa])
        raise UserError(
            f"{baseline.title} is computed by pyiqa, which is for non-commercial use only; write {choice}."
        )
    where = baseline.note or "There is nothing to run, only the papers' numbers."
    raise UserError(
        f"{baseline.title} is not computed here ({where.rstrip('.')}); bring its scores as a CSV file."
    )


def offered_by(name: str) -> str | None:
    """The installed package that offers a baseline; None for those of this package."""
    return _registry().origin(name)


def code_of(name: str) -> AbstractContextManager[None]:
    """Where the code of a baseline is built, which may be that of another package: see `Registry.code_of`."""
    return _registry().code_of(name, "cannot be built")


@cache
def _registry() -> Registry[Baseline]:
    text = (resources.files("zeroiqa.baselines") / "catalogue.toml").read_text(encoding="utf-8")
    ours = {name: _baseline(name, fields) for name, fields in tomllib.loads(text).items()}
    return Registry("baseline", "zeroiqa.baselines", Baseline, ours, reserved=(PYIQA,))


def _named(name: str, baseline: Baseline) -> Baseline:
    return baseline if baseline.name == name else replace(baseline, name=name)


def _baseline(name: str, fields: dict[str, Any]) -> Baseline:
    named_in = tuple(fields.pop("named_in", ()))
    variants = tuple(
        Variant(**{**variant, "range": _range(variant["range"])}) for variant in fields.pop("pyiqa", ())
    )
    bounds = _range(fields.pop("range")) if "range" in fields else None
    return Baseline(name=name, range=bounds, pyiqa=variants, named_in=named_in, **fields)


def _spelled(name: str) -> str:
    """Without case, marks and words that name nothing."""
    words = re.split(r"[^a-z0-9+]+", name.casefold())
    return "".join(word for word in words if word not in _SAY_NOTHING)


def _range(bounds: Iterable[float]) -> Range:
    low, high = bounds
    return float(low), float(high)
