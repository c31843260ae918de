"""`zeroiqa bench`: how fast a rater is on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import given, model_options

if TYPE_CHECKING:
    from zeroiqa.speed.benchmark import Speed
    from zeroiqa.types import Rater
    from zeroiqa.weights.options import ModelOptions


@command(
    examples=[
        ("bench --rater nss", "how fast this machine rates"),
    ],
)
@click.option("--rater", "name", required=True, help="nss, fake[:SEED], a model by name, or hf:FOLDER.")
@click.option("--standard", default="quality-word-7", show_default=True, help="Name or TOML file.")
@click.option(
    "--views", type=click.IntRange(min=1), default=56, show_default=True, help="Views rated by one call."
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Timed calls; the median counts.",
)
@click.option(
    "--random-weights",
    is_flag=True,
    help="Random weights in place of the model's own: the speed is the same, nothing is downloaded.",
)
@model_options
@click.option(
    "--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="A table to read, or one record.",
)  # fmt: skip
def bench(
    name: str, standard: str, views: int, rounds: int, random_weights: bool, style: str, **choices: Any
) -> None:
    """Measure how many views and images per second a rater rates, and how well it uses a GPU.

    The views are synthetic: images of 1024 x 1024 pixels, each seen whole and in six boxes of mixed size.
    """
    from zeroiqa.weights.options import ModelOptions

    record = _measure(name, standard, views, rounds, random_weights, ModelOptions(**given(**choices)))
    if style == "json":
        click.echo(json.dumps(record, allow_nan=False))
    else:
        for line in _lines(record):
            say(line)


def _measure(
    name: str, standard_name: str, count: int, rounds: int, random_weights: bool, options: ModelOptions
) -> dict[str, Any]:
    from zeroiqa.cli.running import tell
    from zeroiqa.errors import UserError
    from zeroiqa.raters import build_rater, find_rater
    from zeroiqa.runs.device import check_device
    from zeroiqa.settings import load_settings
    from zeroiqa.speed.benchmark import make_views, measure
    from zeroiqa.standards import load_standard

    standard = load_standard(standard_name)
    check_device(load_settings(overrides={"raters": [name], "crop": "whole", "device": options.device}), tell)
    rater: Rater
    if random_weights:
        if not find_rater(name).needs_weights:
            raise UserError(f"The rater {name} has no weights; leave out --random-weights.")
        if options.load_in_8bit:
            raise UserError("Random weights are not quantised; leave out --load-in-8bit or --random-weights.")
        from zeroiqa.raters.chat import ChatRater
        from zeroiqa.speed.random_weights import load_random

        rater, label = ChatRater.of(load_random(name, options)), f"{name}, random weights"
    else:
        rater = build_rater(name, options)
        rater.check(standard)
        label = rater.id
    speed = measure(rater, standard, make_views(count, prompt="a photo"), rounds)
    return {"rater": label, "standard": standard.name, **_figures(speed)}


def _figures(speed: Speed) -> dict[str, Any]:
    from zeroiqa.speed.benchmark import VIEWS_PER_IMAGE
    from zeroiqa.version import __version__

    use = speed.use
    figures: dict[str, Any] = {
        "zeroiqa": __version__,
        "views": speed.views,
        "rounds": len(speed.seconds),
        "seconds": list(speed.seconds),
        "views_per_second": speed.views_per_second,
        "images_per_second": speed.images_per_second,
        "views_per_image": VIEWS_PER_IMAGE,
    }
    if use is not None:
        figures |= {
            "device": use.device,
            "dtype": use.dtype,
            "tflop_per_view": None if use.tflop is None else use.tflop / speed.views,
            "tflop_per_second": speed.tflop_per_second,
            "peak_tflop_per_second": use.peak,
            "share_of_peak": speed.share_of_peak,
            "outside_forward": use.outside,
            "padding": use.padding,
            "notes": list(use.notes),
        }
    return figures


def _lines(record: dict[str, Any]) -> list[str]:
    slowest, fastest = (record["views"] / pick(record["seconds"]) for pick in (max, min))
    lines = [
        f"rater         {record['rater']}",
        f"views         {record['views']}, {record['rounds']} rounds, standard {record['standard']}",
        f"views/s       {_short(record['views_per_second'])} ({_short(slowest)} to {_short(fastest)})",
        f"images/s      {_short(record['images_per_second'])} ({record['views_per_image']} views each)",
    ]
    if "device" in record:
        lines.insert(1, f"device        {record['device']}, {record['dtype']}")
        if (speed := record["tflop_per_second"]) is not None:
            lines.append(f"TFLOP/s       {speed:.3g} ({record['tflop_per_view']:.3g} TFLOP per view)")
        if record["share_of_peak"] is not None:
            lines.append(
                f"of the peak   {record['share_of_peak']:.1%} of {record['peak_tflop_per_second']:g} TFLOP/s"
            )
        lines += [
            f"outside       {record['outside_forward']:.1%} of the time is not in the model's forward",
            f"padding       {record['padding']:.1%} of the tokens",
            *(f"note          {note}" for note in record["notes"]),
        ]
    return lines


def _short(number: float) -> str:
    """Three significant digits, and never an exponent for a number people read as a speed."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"
