"""Options that more than one command takes, each described once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator: TypeAlias = Callable[[Command], Command]


def arithmetic_options(command: Command) -> Command:
    """How ratings become a score; nothing here needs a model."""
    for option in reversed(
        (
            click.option(
                "--readout",
                type=click.Choice(["digit", "expected"]),
                help="Most probable level, or mean level.",
            ),
            click.option(
                "--lambda",
                "lam",
                type=click.FloatRange(min=0),
                help="Weight of the regions against the whole image; inf: regions only.",
            ),
            click.option(
                "--weighting",
                type=click.Choice(["area", "mean"]),
                help="Regions weighted by area, or all alike.",
            ),
            click.option(
                "--areas",
                type=click.Choice(["normalized", "literal"]),
                help="Divide by the sum of the areas, or take the literal inner product of the paper.",
            ),
            click.option(
                "--rater-weight",
                "rater_weights",
                type=float,
                multiple=True,
                help="Weight of a rater in the ensemble, in the order of the raters; repeat for each.",
            ),
        )
    ):
        command = option(command)
    return command


def format_option(command: Command) -> Command:
    """What is written to standard output."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(["table", "csv", "json", "jsonl"]),
        default="table",
        show_default=True,
        help="What to print: the worst and best images, or every row.",
    )(command)


def given(**fields: Any) -> dict[str, Any]:
    """The fields that were set on the command line (None and () mean: left to the preset)."""
    return {name: value for name, value in fields.items() if value is not None and value != ()}


def normalized(areas: str | None) -> bool | None:
    """`--areas` as the setting normalize_areas."""
    return None if areas is None else areas == "normalized"
