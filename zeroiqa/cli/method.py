"""The options that say how images are scored, and the settings that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zeroiqa.choices import ASPECTS
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import (
    Command,
    arithmetic_options,
    given,
    image_options,
    model_options,
    preset_option,
    raters_option,
    segmenter_options,
    setting,
    standards_option,
    with_options,
)

if TYPE_CHECKING:
    from zeroiqa.settings import Settings


def method_options(command: Command) -> Command:
    """Everything that `settings_of` takes, but for whether regions that do not count are made."""
    return with_options(
        command,
        preset_option,
        segmenter_options,
        raters_option,
        click.option(
            "--baseline",
            "baselines",
            multiple=True,
            help="Instead of raters: a name of `zeroiqa baselines`, on the whole image; its unit is its own. "
            "Repeat for several, each a run of its own.",
        ),
        click.option(
            "--aspect",
            "aspects",
            multiple=True,
            type=click.Choice(ASPECTS),
            help="What to judge, by the word standard with as many levels as the preset's (else seven); "
            "repeat for several.",
        ),
        standards_option,
        setting("crop", "How a region is shown to the rater."),
        setting("describe", "Also ask chat models for a sentence on each whole image; no score changes."),
        arithmetic_options,
        model_options,
        image_options,
    )


def settings_of(
    preset: str,
    *,
    baselines: tuple[str, ...],
    aspects: tuple[str, ...],
    **choices: Any,
) -> Settings:
    """What the options of `method_options` ask for, on top of a preset, whose sentence is said if it rates.

    Raises:
        click.UsageError: two of them contradict each other, or several baselines are named.
        UserError: a name is unknown, or a value is out of its range.
    """
    from zeroiqa.settings import load_settings, preset_description

    if len(baselines) > 1:
        raise click.UsageError(
            f"One method is shown here, and {len(baselines)} baselines are named; give one."
        )
    if baselines:
        choices |= _only_baseline(baselines[0], choices)
    if aspects:
        choices["standards"] = _word_standards(aspects, choices["standards"], preset)
    settings = load_settings(preset, given(**choices))
    if settings.raters == load_settings(preset).raters:
        say(f"{preset}: {preset_description(preset)}", err=True)
    return settings


def _only_baseline(name: str, choices: dict[str, Any]) -> dict[str, Any]:
    """A run of a baseline alone: its unit is its own, so that no mean with raters or others exists."""
    if choices["raters"]:
        raise click.UsageError(
            "--baseline stands alone; make a run with --rater too, and `zeroiqa compare` them."
        )
    from zeroiqa.choices import only_baseline

    return only_baseline(name, choices["crop"])


def _word_standards(aspects: tuple[str, ...], chosen: tuple[str, ...], preset: str) -> tuple[str, ...]:
    """The shipped standards of the aspects, with as many levels as the preset's first; else with seven."""
    from zeroiqa.choices import word_standards

    if chosen:
        raise click.UsageError(
            "--aspect chooses a standard for each aspect; give it or --standard, not both."
        )
    return word_standards(aspects, preset)
