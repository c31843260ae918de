"""`zeroiqa score --dry-run`: its options, and the lines that say what a run would do and cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.messages import say
from zeroiqa.cli.options import Command, with_options
from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.runs.resolved import Resolved
    from zeroiqa.settings import Settings
    from zeroiqa.speed.cost import Cost
    from zeroiqa.speed.forecast import Forecast, Identities, Spending


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
        from zeroiqa.speed.forecast import Spending

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
    resolved: Resolved,
    sources: Sequence[ImageRef],
    workers: str,
    spending: Spending,
    foreseen: Callable[[Location], str],
) -> None:
    """Print what a run would do and cost. Weights need not be there.

    Args:
        folder: Names the run's folder.
        resolved: How images would be scored.
        sources: The images.
        workers: Who would do the work.
        spending: What devices cost.
        foreseen: Says of a folder what would become of the run that is there; empty if there is none.

    Raises:
        UserError: a name is unknown, or a bench file is damaged or of a rater that the run has not.
    """
    from zeroiqa.speed.forecast import identify, make_forecast, read_bench

    settings = resolved.settings
    identities = identify(settings, resolved.builder.method)
    measured = read_bench(spending.bench, identities.raters, identities.method.standards)
    for line in _plan(folder, settings, sources, workers, identities, foreseen):
        say(line)
    forecast = make_forecast(sources, settings, identities.method, measured, spending)
    for line in _estimate(len(sources), forecast, spending):
        say(line)
    say("Nothing was done (--dry-run).")


def _plan(
    folder: Callable[[], Location],
    settings: Settings,
    sources: Sequence[ImageRef],
    workers: str,
    identities: Identities,
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
    method = identities.method
    yield f"decoding   {method.policy.id}"
    yield f"segmenter  {identities.segmenter}"
    yield from (f"rater      {identity}" for identity in identities.raters.values())
    yield from (f"standard   {standard.name}, version {standard.version}" for standard in method.standards)
    averaged = len(settings.standards) if settings.standard_weights else 1
    mean = f", mean of {averaged} standards" if averaged > 1 else ""
    yield f"score      {_arithmetic(settings)}{mean}; {next(iter(method.scales.values()))}"
    yield f"workers    {workers}"


def _arithmetic(settings: Settings) -> str:
    said = f"{settings.readout} readout, lambda {settings.lam:g}, weighting {settings.weighting}"
    said += f", formula {settings.formula}" if settings.formula != "mean" else ""
    return said + (f", {settings.count_weight:g} for each region" if settings.count_weight else "")


def _estimate(images: int, forecast: Forecast, spending: Spending) -> Iterator[str]:
    each = forecast.views_per_image
    if each is None:
        yield f"views      not known: {forecast.views_source}"
    else:
        views, models = each * images, forecast.models
        yield f"views      {views:.0f}, {each:.3g} an image ({forecast.views_source})"
        by = f", {views:.0f} by each of {models} raters" if models > 1 else ""
        yield f"calls      {views * models:.0f} views through models{by}"
    yield f"memory     {forecast.memory}"
    for unit, steps in (("an image", forecast.steps), ("a view", forecast.raters)):
        for step in steps:
            if step.seconds is None:
                yield f"time       {step.what}: not known; {step.source}"
            else:
                yield f"time       {step.what}: {_short(step.seconds)} {unit} ({step.source})"
    yield from _cost(forecast.cost, spending)


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
