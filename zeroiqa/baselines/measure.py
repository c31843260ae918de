"""What a baseline is to the rest of the package: something that maps views to numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple, Protocol

from zeroiqa.baselines.entry import Baseline, PixelFunction
from zeroiqa.baselines.registry import PYIQA, code_of, find_measured
from zeroiqa.errors import ImageError, UserError
from zeroiqa.registry import import_attribute

if TYPE_CHECKING:
    from zeroiqa.types import View
    from zeroiqa.weights.options import ModelOptions


class Measured(NamedTuple):
    """One view's number."""

    value: float
    """On the baseline's own scale, in its own direction."""
    mass: float = 1.0
    """Of an answer in words: the probability that it was one of the words that are read, in [0, 1]."""


class Measure(Protocol):
    """Computes one baseline. Building it is cheap; weights are loaded by the first call of `measure`."""

    @property
    def id(self) -> str:
        """Weights and parameters: two measures of one baseline and id give the same numbers.

        Raises:
            UserError: the weights are neither on this disk nor to be had.
        """
        ...

    @property
    def direction(self) -> int:
        """+1: higher means better; -1: lower means better."""
        ...

    @property
    def images_per_call(self) -> int:
        """The views of how many images are worth one call; 1 where batches gain nothing."""
        ...

    def measure(self, views: Sequence[View]) -> Sequence[Measured | None]:
        """One number for each view, in their order; it depends on its view alone.

        None where the mask of a view, or a region, leaves too little to measure.

        Raises:
            ImageError: a view cannot be measured, or its text prompt is missing.
            UserError: the weights cannot be loaded, or a package is missing.
        """
        ...


@dataclass(frozen=True)
class PixelMeasure:
    """A baseline that is computed of the pixels alone."""

    baseline: Baseline

    images_per_call = 1

    @property
    def id(self) -> str:
        """A hash of the fitted statistics; empty where there are none."""
        if not self.baseline.data:
            return ""
        package, _, file = self.baseline.data.partition(":")
        content = (resources.files(package) / file).read_bytes()
        return hashlib.sha256(content).hexdigest()[:12]

    @property
    def direction(self) -> int:
        """As in the catalogue."""
        return known_direction(self.baseline)

    def measure(self, views: Sequence[View]) -> list[Measured | None]:
        """One number for each view, of the pixels inside of its mask; None where these are too few."""
        compute = self.baseline.load()
        return [measure_pixels(compute, view) for view in views]


def measure_pixels(compute: PixelFunction, view: View) -> Measured | None:
    """The number of one view; None for a region that cannot be measured: its image may well be.

    Raises:
        ImageError: the whole image cannot be measured.
    """
    try:
        value = compute(view.pixels, inside=view.mask)
    except ImageError:
        if view.region is None:
            raise
        return None
    return None if value is None else Measured(value)


def build_measure(name: str, options: ModelOptions) -> Measure:
    """A measure by name; nothing is loaded yet.

    Args:
        name: Of a native baseline, with the folder or repository of its weights after a colon where the
            usual ones are not meant (vqascore: the rater that is asked; niqe: the file of its parameters); or
            pyiqa:NAME.
        options: How weights are loaded and run.

    Raises:
        UserError: the name is unknown or computed elsewhere, or the text after the colon is missing or one
            too many.
    """
    key, colon, argument = name.partition(":")
    if key == PYIQA:
        measure: Measure = import_attribute("zeroiqa.baselines.pyiqa:PyiqaMeasure")(argument, options)
        return measure
    baseline = find_measured(key)
    if baseline.compute:
        if colon:
            raise UserError(f"The baseline {key} takes no argument, found {argument!r}; write {key} alone.")
        return PixelMeasure(baseline)
    if (colon or baseline.wants) and not argument:
        wanted = f"{key}:{baseline.wants or 'FOLDER or owner/name'}"
        raise UserError(
            f"The baseline {key} lacks what to run it with; write {wanted}{baseline.otherwise and ', '}"
            f"{baseline.otherwise}."
        )
    with code_of(key):
        built: Measure = import_attribute(baseline.measure)(baseline, argument, options)
    return built


def known_direction(baseline: Baseline) -> int:
    """The direction of a baseline that is computed here."""
    assert baseline.direction is not None
    return baseline.direction


def text_prompt(baseline: Baseline, view: View) -> str:
    """The text prompt of a view's image.

    Raises:
        ImageError: it is missing or blank.
    """
    if not (view.prompt and view.prompt.strip()):
        raise ImageError(
            f"{baseline.title} compares the image with its text prompt, but this image has none; give the "
            "prompts in a CSV column or a sidecar file, or choose another baseline."
        )
    return view.prompt
