"""In which group of a command's help each option stands: this one table says it for all commands."""

from __future__ import annotations

from collections.abc import Sequence

import click
from cloup import OptionGroup

GROUPS: dict[str, tuple[str, ...]] = {
    "Images": (
        "--include", "--exclude", "--prompts", "--sidecar-prompts", "--questions", "--image-column",
        "--background", "--max-pixels",
    ),
    "Measuring": ("--views", "--rounds", "--random-weights"),
    "Method": (
        "--run", "--deep",
        "--preset", "--rater", "--baseline", "--aspect", "--standard", "--describe", "--weights",
        "--backbone",
    ),
    "Regions": (
        "--regions", "--segmenter", "--granularity", "--min-area", "--min-pixels", "--complement",
        "--complement-rule", "--segmenter-dtype", "--crop", "--overlays", "--levels",
    ),
    "Arithmetic": (
        "--readout", "--lambda", "--weighting", "--areas", "--formula", "--count-weight",
        "--rater-weight", "--standard-weight", "--mass-threshold", "--word-mass-threshold",
        "--member",
    ),
    "Models": (
        "--device", "--dtype", "--attn", "--load-in-8bit", "--offline", "--trust-remote-code",
        "--allow-pickle",
    ),
    "Opinions and databases": (
        "--dataset", "--mos", "--opinions", "--labels", "--map", "--lower-is-better", "--root",
        "--by-name", "--split", "--group", "--published", "--external", "--table", "--members",
        "--pair-by", "--top", "--resamples", "--outliers",
    ),
    "Which images": (
        "--worst", "--best", "--doubtful", "--below", "--above", "--tag", "--where", "--group-by",
        "--per-group",
    ),
    "What is done with them": (
        "--copy", "--link", "--hard-link", "--move", "--undo",
    ),
    "Training": (
        "--stage", "--data", "--start", "--epochs", "--batch-size", "--learning-rate",
        "--validation", "--select-on-test", "--every", "--checkpointing", "--seed",
    ),
    "Where it runs": (
        "--workers", "--ray", "--gpus", "--shard", "--image-seconds", "--max-failures",
    ),
    "Going on with a run": (
        "--exact", "--add", "--prune", "--retry-errors", "--refresh", "--ignore-times",
        "--plan-only",
    ),
    "What it would cost": (
        "--dry-run", "--price", "--devices", "--device-type", "--bench", "--views-per-image",
    ),
    "Output": (
        "--output", "--tables", "--column-prefix", "--format", "--decimals", "--scale",
        "--calibration", "--save", "--plot", "-0", "--quiet",
    ),
}  # fmt: skip
"""Title -> the options in it, in the order in which both are shown."""

FEW = 9
"""A command with no more options than that has one list."""

_PLACES = {
    option: (title, place) for title, options in GROUPS.items() for place, option in enumerate(options)
}


def grouped(params: Sequence[click.Parameter]) -> list[click.Parameter]:
    """The parameters in the order of the help, where they are many each option with its group.

    An option that no group names comes last, under "Other options".
    """
    options = [param for param in params if isinstance(param, click.Option)]
    if len(options) <= FEW:
        return list(params)
    groups = {title: OptionGroup(title) for title in GROUPS}
    places = {option.name: _place(option) for option in options}
    titles = list(GROUPS)

    def order(option: click.Option) -> tuple[int, int]:
        place = places[option.name]
        return (len(titles), 0) if place is None else (titles.index(place[0]), place[1])

    for option in options:
        if (place := places[option.name]) is not None:
            option.group = groups[place[0]]  # type: ignore[attr-defined]  # where cloup looks for it
    arguments = [param for param in params if not isinstance(param, click.Option)]
    return [*arguments, *sorted(options, key=order)]


def _place(option: click.Option) -> tuple[str, int] | None:
    return next((_PLACES[name] for name in option.opts if name in _PLACES), None)
