"""`zeroiqa score --dry-run`: what would be done, how long it would take, and what it would cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.messages import say
from zeroiqa.cli.options import Command, with_options
from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import read_json, reason, stumbles
from zeroiqa.files.schema import NUMBER, TEXT, Record, first_wrong, perhaps
from zeroiqa.files.storage import Location

if TYPE_CHECKING:
    from zeroiqa.images.find import Source
    from zeroiqa.pipeline import Method
    from zeroiqa.settings import Settings
    from zeroiqa.speed.cost import Cost, Speed
    from zeroiqa.speed.trial import Trial


_BENCH = Record({"rater": TEXT, "views_per_second": NUMBER}, optional={"device": perhaps(TEXT)})


@dataclass(frozen=True)
class Spending:
    """What the command line says about devices and their price."""

    price: float | None
    devices: int
    device_type: str | None
    bench: tuple[Path, ...]
    views_per_image: float | None


def estimate_options(command: Command) -> Command:
    """What a dry run counts with; the command gets a `Spending` as `spending`."""

    @wraps(command)
    def bundled(
        *arguments: Any,
        price: float | None,
        devices: int,
        device_type: str | None,
        bench: tuple[Path, ...],
        views_per_image: float | None,
        **options: Any,
    ) -> Any:
        spending = Spending(price, devices, device_type, bench, views_per_image)
        return command(*arguments, spending=spending, **options)

    wrapped: Any = bundled
    decorated: Command = with_options(
        wrapped,
        click.option("--dry-run", is_flag=True, help="Say what would be done and cost, and do nothing."),
        click.option(
            "--price", type=click.FloatRange(min=0), help="With --dry-run: of one device for an hour."
        ),
        click.option(
            "--devices",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="With --dry-run: how many share the work.",
        ),
        click.option(
            "--device-type",
            help="With --dry-run: what they are, such as H100, for an estimate by formula.",
        ),
        click.option(
            "--bench",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            multiple=True,
            help="With --dry-run: what `zeroiqa bench --format json` printed on such a device; repeat "
            "for several raters.",
        ),
        click.option(
            "--views-per-image",
            type=click.FloatRange(min=1),
            help="With --dry-run: the whole image and its regions, where you know better.",
        ),
    )
    return decorated


def describe(
    folder: Callable[[], Location],
    settings: Settings,
    sources: Sequence[Source],
    workers: str,
    spending: Spending,
    foreseen: Callable[[Location], str],
) -> None:
    """Print what a run would do and cost. Weights need not be there.

    Args:
        folder: Names the run's folder.
        settings: How images would be scored.
        sources: The images.
        workers: Who would do the work.
        spending: What devices cost.
        foreseen: Says of a folder what would become of the run that is there; empty if there is none.

    Raises:
        UserError: a name is unknown, or a bench file is damaged or of a rater that the run has not.
    """
    from zeroiqa.pipeline import build_method
    from zeroiqa.raters import find_rater
    from zeroiqa.speed.trial import try_images

    entries = {name: find_rater(name) for name in settings.raters}
    light = [name for name, entry in entries.items() if not (entry.needs_weights or entry.is_server)]
    method = build_method(settings, light)
    ids = {name: _rater_id(name, settings, method) for name in settings.raters}
    measured = _read_bench(spending.bench, ids)
    for line in _plan(folder, settings, sources, workers, method, ids, foreseen):
        say(line)
    trial = try_images(sources, settings, method)
    for line in _estimate(len(sources), settings, trial, measured, spending):
        say(line)
    say("Nothing was done (--dry-run).")


def _plan(
    folder: Callable[[], Location],
    settings: Settings,
    sources: Sequence[Source],
    workers: str,
    method: Method,
    ids: dict[str, str],
    foreseen: Callable[[Location], str],
) -> Iterator[str]:
    size = sum(source.bytes for source in sources)
    first, last = printable(sources[0].path), printable(sources[-1].path)
    yield f"images     {len(sources)} ({size / 1e6:.1f} MB), from {first} to {last}"
    try:
        there = folder()
    except UserError:  # its name comes from the weights
        yield "run folder named when the weights are on this machine; -o chooses another"
    else:
        yield f"run folder {there}{foreseen(there)}"
    yield f"decoding   {method.policy.id}"
    yield f"segmenter  {_segmenter_id(settings, method)}"
    yield from (f"rater      {identity}" for identity in ids.values())
    yield from (f"standard   {standard.name}, version {standard.version}" for standard in method.standards)
    yield f"score      {settings.readout} readout, lambda {settings.lam:g}, weighting {settings.weighting}"
    yield f"workers    {workers}"


def _segmenter_id(settings: Settings, method: Method) -> str:
    if method.segmenter is None:
        return "none, the whole image is the only view"
    try:
        return method.segmenter.id
    except UserError:
        return f"{settings.segmenter} (its weights are not on this machine)"


def _rater_id(name: str, settings: Settings, method: Method) -> str:
    from zeroiqa.pipeline import build_method
    from zeroiqa.raters import find_rater
    from zeroiqa.weights.cards import resolve_model

    if name in method.raters:
        return method.raters[name].id
    if find_rater(name).is_server:
        return name
    if find_rater(name).is_chat_model:
        resolve_model(name)  # raises if there is no such model
    try:
        return build_method(settings, [name]).raters[name].id
    except UserError:
        return f"{name} (its weights are not on this machine)"


def _read_bench(paths: Sequence[Path], ids: dict[str, str]) -> dict[str, Speed]:
    """Rater -> what was measured."""
    from zeroiqa.speed.cost import Speed

    speeds: dict[str, Speed] = {}
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
        speeds[names[0]] = Speed(names[0], 1 / rate, f"measured on {device}: {printable(str(path))}")
    return speeds


def _estimate(
    images: int, settings: Settings, trial: Trial, measured: dict[str, Speed], spending: Spending
) -> Iterator[str]:
    from zeroiqa.raters import find_rater
    from zeroiqa.speed.cost import planned_cost

    each, why = _views(settings, trial, spending)
    views = None if each is None else each * images
    entries = {name: find_rater(name) for name in settings.raters}
    models = [name for name, entry in entries.items() if entry.needs_weights or entry.is_server]
    if views is None or each is None:
        yield f"views      not known: {why}"
    else:
        yield f"views      {views:.0f}, {each:.3g} an image ({why})"
        by = f", {views:.0f} by each of {len(models)} raters" if len(models) > 1 else ""
        yield f"calls      {views * len(models):.0f} views through models{by}"
    yield f"memory     {_memory(settings)}"
    speeds = [measured.get(name) or _speed(name, trial, spending) for name in settings.raters]
    for unit, group in (("an image", trial.steps), ("a view", speeds)):
        for speed in group:
            if speed.seconds is None:
                yield f"time       {speed.what}: not known; {speed.source}"
            else:
                yield f"time       {speed.what}: {_short(speed.seconds)} {unit} ({speed.source})"
    yield from _cost(
        planned_cost(images, views, trial.steps, speeds, devices=spending.devices, price=spending.price),
        spending,
    )


def _views(settings: Settings, trial: Trial, spending: Spending) -> tuple[float | None, str]:
    from zeroiqa.segmenters import find_segmenter
    from zeroiqa.speed.cost import MASKS_PER_IMAGE

    if spending.views_per_image is not None:
        return spending.views_per_image, "--views-per-image"
    if settings.crop == "whole":
        return 1.0, "the whole"
    if not find_segmenter(settings.segmenter).needs_weights:
        return trial.views, f"measured on {trial.images} of the images" if trial.images else trial.why_not
    each = MASKS_PER_IMAGE + int(settings.complement) + 1
    rest = "the complement and the whole" if settings.complement else "and the whole"
    return float(each), f"assumed: {MASKS_PER_IMAGE} masks, {rest}; --views-per-image if you know better"


def _memory(settings: Settings) -> str:
    """Of the largest rater: one is in memory at a time."""
    from zeroiqa.raters import find_rater
    from zeroiqa.weights.cards import model_cards

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


def _speed(name: str, trial: Trial, spending: Spending) -> Speed:
    from zeroiqa.raters import find_rater
    from zeroiqa.speed.cost import SHARE_OF_PEAK, Speed, seconds_by_formula
    from zeroiqa.speed.flops import peak_tflops
    from zeroiqa.weights.cards import model_cards

    if name in trial.raters:
        return trial.raters[name]
    if find_rater(name).is_server:
        return Speed(name, None, "that is up to the server")
    card = model_cards().get(name)
    if card is None or card.tflop_per_view is None:
        how = f"measure it with `zeroiqa bench --rater {name} --format json`, and give --bench FILE"
        return Speed(name, None, how)
    if spending.device_type is None:
        return Speed(name, None, "name the device (--device-type H100), or give what was measured (--bench)")
    peak = peak_tflops(spending.device_type)
    if peak is None:
        return Speed(name, None, f"the peak of {spending.device_type} is not known; give --bench")
    source = f"{card.tflop_per_view:g} TFLOP / ({peak:g} TFLOP/s x {SHARE_OF_PEAK:.0%}, an assumption)"
    return Speed(name, seconds_by_formula(card.tflop_per_view, peak), source)


def _cost(cost: Cost, spending: Spending) -> Iterator[str]:
    least = "at least " if cost.without else ""
    if cost.device_hours is None or cost.hours is None:
        yield "hours      not known"
    else:
        together = f", {_hours(cost.hours)} with {spending.devices} devices" if spending.devices > 1 else ""
        yield f"hours      {least}{_hours(cost.device_hours)} of one device{together}"
    if cost.money is not None:
        yield f"cost       {least}{cost.money:.2f} at {spending.price:g} an hour"
    elif spending.price is not None:
        yield "cost       not known"
    if cost.without and cost.hours is not None:
        yield f"           without {', '.join(cost.without)}, whose time is not known"


def _hours(hours: float) -> str:
    from zeroiqa.cli.progress import duration

    return f"{hours:.1f} h" if hours >= 10 else duration(hours * 3600)


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
