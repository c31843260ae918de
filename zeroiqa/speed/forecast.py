"""The forecast of a run: views, memory, time and cost, before any weights are loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import read_json, reason, stumbles
from zeroiqa.files.schema import NUMBER, TEXT, Record, first_wrong, perhaps
from zeroiqa.pipeline import Method, build_method
from zeroiqa.raters import find_rater
from zeroiqa.segmenters import find_segmenter
from zeroiqa.speed.cost import (
    MASKS_PER_IMAGE,
    SHARE_OF_PEAK,
    Cost,
    StepTime,
    planned_cost,
    seconds_by_formula,
)
from zeroiqa.speed.flops import peak_tflops
from zeroiqa.speed.trial import Trial, try_images
from zeroiqa.weights.cards import model_cards, resolve_model

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.settings import Settings
    from zeroiqa.standards import Standard

_BENCH = Record(
    {"rater": TEXT, "views_per_second": NUMBER},
    optional={"device": perhaps(TEXT), "standard": perhaps(TEXT)},
)

Build: TypeAlias = "Callable[[Settings, Sequence[str]], Method]"
"""Builds the method of some settings with some of their raters, as `zeroiqa.pipeline.build_method` does."""


@dataclass(frozen=True)
class Spending:
    """What a user says about devices and their price."""

    price: float | None = None
    """Of one device for an hour."""
    devices: int = 1
    """How many share the work."""
    device_type: str | None = None
    """What they are, such as H100, for an estimate by formula."""
    bench: tuple[Path, ...] = ()
    """What `zeroiqa bench --format json` printed on such a device, a file for each rater."""
    views_per_image: float | None = None
    """The whole image and its regions, where the user knows better."""


@dataclass(frozen=True)
class Identities:
    """What a run would use, as far as that is known without loading weights."""

    method: Method
    """With those raters only that need neither weights nor a server."""
    segmenter: str
    """Its id, or a sentence that says why there is none."""
    raters: Mapping[str, str]
    """Name -> id, or a sentence that says why there is none."""


@dataclass(frozen=True)
class Forecast:
    """What a run would do and cost."""

    views_per_image: float | None
    """Views of an image on average; None where that is not known."""
    views_source: str
    """Where that number comes from, or why there is none."""
    models: int
    """Raters that are models, on this machine or behind a server."""
    memory: str
    """For people: how much each device needs for weights."""
    steps: tuple[StepTime, ...]
    """Decoding and segmenting, per image."""
    raters: tuple[StepTime, ...]
    """Each rater, per view."""
    cost: Cost


def identify(settings: Settings, build: Build = build_method) -> Identities:
    """The ids of the method that the settings name; weights need not be there.

    Args:
        settings: How images would be scored.
        build: Builds the method, perhaps of what is built already.

    Raises:
        UserError: a name is unknown.
    """
    entries = {name: find_rater(name) for name in settings.raters}
    light = [name for name, entry in entries.items() if not (entry.needs_weights or entry.is_server)]
    method = build(settings, light)
    return Identities(
        method,
        _segmenter_id(settings, method),
        {name: _rater_id(name, settings, method, build) for name in settings.raters},
    )


def make_forecast(
    sources: Sequence[ImageRef],
    settings: Settings,
    method: Method,
    measured: Mapping[str, StepTime],
    spending: Spending,
) -> Forecast:
    """Forecast a run; a few of its images are decoded, segmented and rated by what needs no weights.

    Args:
        sources: The images.
        settings: How they would be scored.
        method: From `identify`.
        measured: From `read_bench`; a rater that is not among them is estimated.
        spending: What is known of the devices.
    """
    trial = try_images(sources, settings, method)
    each, views_source = _views(settings, trial, spending)
    entries = map(find_rater, settings.raters)
    raters = tuple(
        _rater_time(name, trial, measured.get(name), spending, method.standards) for name in settings.raters
    )
    return Forecast(
        views_per_image=each,
        views_source=views_source,
        models=sum(entry.needs_weights or entry.is_server for entry in entries),
        memory=_memory(settings),
        steps=trial.steps,
        raters=raters,
        cost=planned_cost(
            len(sources),
            None if each is None else each * len(sources),
            trial.steps,
            raters,
            devices=spending.devices,
            price=spending.price,
        ),
    )


def read_bench(
    paths: Sequence[Path], ids: Mapping[str, str], standards: Sequence[Standard] = ()
) -> dict[str, StepTime]:
    """Rater -> how long a view took it when it was measured.

    Args:
        paths: What `zeroiqa bench --format json` printed, one rater a file.
        ids: Name -> id of the run's raters.
        standards: Of the run.

    Raises:
        UserError: a file is damaged, of a rater that the run has not, or of one question where the run
            compares each view in several prompts.
    """
    times: dict[str, StepTime] = {}
    for path in paths:
        try:
            record = read_json(path)
            if wrong := first_wrong(record, _BENCH):
                raise ValueError(wrong)
            label, rate = record["rater"], float(record["views_per_second"])
            device = str(record.get("device", "this machine's processor"))
            if not rate > 0 or 1 / rate == math.inf:
                raise ValueError(f"{rate} views per second")
        except stumbles() as error:
            raise UserError(
                f"{printable(str(path))} is not what `zeroiqa bench --format json` prints ({reason(error)}); "
                "measure again."
            ) from error
        names = [name for name in ids if label in (ids[name], f"{name}, random weights")]
        if not names:
            raise UserError(
                f"{printable(str(path))} was measured with {label}; the run's raters are "
                f"{', '.join(ids.values())}. Leave it out, or measure one of them."
            )
        under = record.get("standard")
        other = under if standards and under not in (None, *(each.name for each in standards)) else None
        if other and (compared := _in_several_prompts(standards)):
            raise UserError(
                f"{printable(str(path))} was measured under {printable(other)}, and {compared.name} asks "
                f"about each view in {compared.prompts} prompts; measure with --standard {compared.name}."
            )
        how = f"measured on {device}{f' under {printable(other)}' if other else ''}: {printable(str(path))}"
        times[names[0]] = StepTime(names[0], 1 / rate, how)
    return times


def _segmenter_id(settings: Settings, method: Method) -> str:
    if method.segmenter is None:
        return "none, the whole image is the only view"
    try:
        return method.segmenter.id
    except UserError:
        return f"{settings.segmenter} (its weights are not on this machine)"


def _rater_id(name: str, settings: Settings, method: Method, build: Build) -> str:
    if name in method.raters:
        return method.raters[name].id
    if find_rater(name).is_server:
        return name
    if find_rater(name).is_chat_model:
        resolve_model(name)  # raises if there is no such model
    try:
        return build(settings, [name]).raters[name].id
    except UserError:
        return f"{name} (its weights are not on this machine)"


def _views(settings: Settings, trial: Trial, spending: Spending) -> tuple[float | None, str]:
    """Views of an image, and where that number comes from."""
    if spending.views_per_image is not None:
        return spending.views_per_image, "--views-per-image"
    if not settings.makes_regions:
        return 1.0, "the whole"
    if not find_segmenter(settings.segmenter).needs_weights:
        return trial.views, f"measured on {trial.images} of the images" if trial.images else trial.why_not
    each = MASKS_PER_IMAGE + int(settings.complement) + 1
    rest = "the complement and the whole" if settings.complement else "and the whole"
    return float(each), f"assumed: {MASKS_PER_IMAGE} masks, {rest}; --views-per-image if you know better"


def _memory(settings: Settings) -> str:
    """Of the largest rater: one is in memory at a time."""
    cards, models = model_cards(), [name for name in settings.raters if find_rater(name).needs_weights]
    if not models:
        return "no weights of raters"
    unknown = [name for name in models if name not in cards]
    if unknown:
        return f"not known for {', '.join(unknown)}"
    largest = max(models, key=lambda name: cards[name].parameters)
    return (
        f"{cards[largest].memory_bf16_gib:.1f} GiB for the weights of {largest} in bfloat16 (float32: twice "
        "as much), on each device; that of the computation comes on top"
    )


def _rater_time(
    name: str,
    trial: Trial,
    measured: StepTime | None,
    spending: Spending,
    standards: Sequence[Standard],
) -> StepTime:
    """Of one view under all standards: measured by bench or in the trial, or by formula."""
    if measured is None and name in trial.raters:
        return trial.raters[name]
    one = measured or _time_by_formula(name, spending, standards)  # under one standard
    if one.seconds is None or len(standards) == 1:
        return one
    more = f"; times {len(standards)} standards, less where they share the picture"
    return StepTime(name, one.seconds * len(standards), one.source + more)


def _time_by_formula(name: str, spending: Spending, standards: Sequence[Standard]) -> StepTime:
    """From what is known of the model and the device."""
    if find_rater(name).is_server:
        return StepTime(name, None, "that is up to the server")
    card, compared = model_cards().get(name), _in_several_prompts(standards)
    if card is None or card.tflop_per_view is None or compared:
        under = f" --standard {compared.name}" if compared else ""
        how = f"measure it with `zeroiqa bench --rater {name}{under} --format json`, and give --bench FILE"
        return StepTime(name, None, how)
    if spending.device_type is None:
        how = "name the device (--device-type H100), or give what was measured (--bench)"
        return StepTime(name, None, how)
    peak = peak_tflops(spending.device_type)
    if peak is None:
        return StepTime(name, None, f"the peak of {spending.device_type} is not known; give --bench")
    source = f"{card.tflop_per_view:g} TFLOP / ({peak:g} TFLOP/s x {SHARE_OF_PEAK:.0%}, an assumption)"
    return StepTime(name, seconds_by_formula(card.tflop_per_view, peak), source)


def _in_several_prompts(standards: Sequence[Standard]) -> Standard | None:
    """The first that shows each view in several prompts, which one question's time says nothing of."""
    return next((each for each in standards if each.prompts > 1), None)
