"""Measures of others to compare scores with: which there are, which way they point, where they are computed.

The facts are data, in catalogue.toml. What computes a native baseline is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

from zeroiqa.errors import UserError

if TYPE_CHECKING:
    from zeroiqa.standards import Aspect
    from zeroiqa.types import Mask, Pixels

Kind: TypeAlias = Literal["native", "pyiqa", "external", "published-only"]
Range: TypeAlias = tuple[float, float]

_SAY_NOTHING = ("score", "scores", "index", "metric", "value", "values", "baseline", "pyiqa", "piq")
PYIQA = "pyiqa"
"""`pyiqa:NAME` is a baseline that the package of that name computes."""


class PixelFunction(Protocol):
    """Computes a baseline of pixels alone."""

    def __call__(self, pixels: Pixels, *, inside: Mask | None = None) -> float | None:
        """A finite number.

        Args:
            pixels: RGB, shape (height, width, 3), uint8.
            inside: The pixels that count, shape (height, width); None for all. With it the number may be
                None: too few count.
        """
        ...


@dataclass(frozen=True)
class Variant:
    """One of pyiqa's metrics."""

    name: str
    """What pyiqa calls it."""
    range: Range
    """Lowest and highest value, both roughly: pyiqa's own estimate."""
    training: str
    """Human scores that it has seen; "none" for none."""


@dataclass(frozen=True)
class Baseline:
    """What is known of one baseline; None and "" stand for what is not."""

    name: str
    """The name used in tables and on the command line."""
    title: str
    """The name in the papers."""
    kind: Kind
    """native: computed by this package; pyiqa: through the adapter; external: elsewhere, scores come in by
    CSV; published-only: the papers' numbers."""
    direction: Literal[1, -1] | None = None
    """+1: higher means better; -1: lower means better; None: it depends on the implementation."""
    range: Range | None = None
    """Lowest and highest value."""
    rough: bool = False
    """Whether the range is an estimate rather than a bound."""
    aspect: Aspect = "quality"
    """What is judged; for correspondence each image needs the text prompt it was generated from."""
    training: str = ""
    """Human scores or preferences that it has seen; "none" for none."""
    licence: str = ""
    """Of the weights."""
    source: str = ""
    """The publication."""
    named_in: tuple[str, ...] = ()
    """The papers that compare with it."""
    note: str = ""
    """What else one must know, such as where a native one differs from its paper."""
    pyiqa: tuple[Variant, ...] = ()
    """What pyiqa has under this name."""
    version: int = 1
    """Goes up with every change of ours that moves a value."""
    compute: str = ""
    """ "module:function" of a native one without weights; see `PixelFunction`."""
    data: str = ""
    """ "package:file" that `compute` reads."""
    measure: str = ""
    """ "module:class" of a native one with weights; see `zeroiqa.baselines.measure`."""
    repo: str = ""
    """Repository of its weights on the Hugging Face hub, where no other is asked for."""
    revision: str = ""
    """Branch, commit or reference of the repository; "" is its main branch."""
    processor: str = ""
    """Repository of the processor, where that of the weights has none."""
    wants: str = ""
    """What the text after the name must be, where there has to be one."""

    @property
    def needs_prompt(self) -> bool:
        """Whether each image must bring the text prompt that it was generated from."""
        return self.aspect == "correspondence"

    @property
    def is_measured_here(self) -> bool:
        """Whether `--rater baseline:NAME` can compute it."""
        return bool(self.compute or self.measure)

    def load(self) -> PixelFunction:
        """Import and return the function that computes a baseline without weights."""
        return cast("PixelFunction", import_attribute(self.compute))


def catalogue() -> dict[str, Baseline]:
    """All baselines by name, in the order of catalogue.toml."""
    text = (resources.files("zeroiqa.baselines") / "catalogue.toml").read_text(encoding="utf-8")
    return {name: _baseline(name, fields) for name, fields in tomllib.loads(text).items()}


def pixel_baselines() -> tuple[Baseline, ...]:
    """Those that are computed of the pixels alone, without weights."""
    return tuple(baseline for baseline in catalogue().values() if baseline.compute)


def find_baseline(name: str) -> Baseline:
    """The baseline of that name, whatever its kind.

    Raises:
        UserError: there is none; the message suggests the nearest names.
    """
    known = catalogue()
    if name in known:
        return known[name]
    if variant := find_variant(name):
        raise UserError(f"There is no baseline {name!r}; write {variant.name} or {PYIQA}:{name}.")
    nearest = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {_alternatives(nearest)}?" if nearest else f"known: {', '.join(known)}."
    raise UserError(f"There is no baseline {name!r}; {hint} `zeroiqa baselines` lists them.")


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
        choice = _alternatives([f"{PYIQA}:{variant.name}" for variant in baseline.pyiqa])
        raise UserError(
            f"{baseline.title} is computed by pyiqa, which is for non-commercial use only; write {choice}."
        )
    where = baseline.note or "There is nothing to run, only the papers' numbers."
    raise UserError(
        f"{baseline.title} is not computed here ({where.rstrip('.')}); bring its scores as a CSV file."
    )


def has_weights(name: str) -> bool:
    """Whether `baseline:NAME` holds a model in memory; unknown ones do, until they are refused."""
    key = name.partition(":")[0]
    return not any(key == baseline.name for baseline in pixel_baselines())


def import_attribute(place: str) -> Any:
    """What "module:attribute" stands for."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


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


def _alternatives(names: list[str]) -> str:
    return " or ".join(([", ".join(names[:-1])] if len(names) > 1 else []) + names[-1:])
