"""Sentences on a run for the user: what its ratings are like, how many images failed, and what to do then."""

from __future__ import annotations

from collections.abc import Iterator

from zeroiqa.aggregate import Aggregation
from zeroiqa.answers import run_warnings, undescribed
from zeroiqa.averaging import have_mean
from zeroiqa.runs.latest import all_left
from zeroiqa.runs.run import Run, RunStatus, status


def remarks(run: Run, aggregation: Aggregation | None = None, *, state: RunStatus | None = None) -> list[str]:
    """Sentences with counts: where little of the probability lies on the levels, answers that count are no
    numbers, prompts are missing, or lambda weighs nothing.

    Args:
        run: The run; of its shards, those that are finished count.
        aggregation: Says what is low, and which raters matter; the run's own if left out.
        state: From `status`, if it is known already; of the same aggregation.

    Raises:
        UserError: a part without an event is damaged.
    """
    state = state or status(run, aggregation=aggregation)
    members = (aggregation.members if aggregation else ()) or run.settings.raters
    keys = ((rater, standard) for rater in members for standard in run.labels)
    found = {key: state.answers[key] for key in keys if key in state.answers}
    sentences = list(run_warnings(found, run.labels, (aggregation or run.settings.aggregation).readout))
    return [
        *sentences,
        *(undescribed(found) if run.settings.describe else ()),
        *(_weighs_nothing(run, aggregation) if aggregation else ()),
    ]


def _weighs_nothing(run: Run, aggregation: Aggregation) -> Iterator[str]:
    """A sentence, where another lambda was asked for than the run's, and there are no regions to weigh."""
    if run.settings.crop == "whole" and aggregation.lam != run.settings.lam:
        yield (
            f"Lambda {aggregation.lam:g} weighs nothing: {run.folder} shows whole images alone (crop whole); "
            "a run with --crop bbox or mask has regions."
        )


def led_alone(run: Run, aggregation: Aggregation | None = None) -> Iterator[str]:
    """A sentence, where the score is that of the first of several standards of one aspect.

    Args:
        run: The run.
        aggregation: By which the scores are; the run's own if left out.
    """
    first, *others = (each["aspect"] for each in run.identity["standards"])
    if (aggregation or run.settings.aggregation).standard_weights or first not in others:
        return
    beside = (
        "1 other standard has columns of its own"
        if len(others) == 1
        else f"{len(others)} other standards have columns of their own"
    )
    mean = "; --standard-weight makes a mean" if have_mean(run.units) else ""
    yield f"score is that of {next(iter(run.labels.values()))} alone; {beside}{mean}."


def lacking(run: Run) -> Iterator[str]:
    """A sentence, where images of the run are not scored yet, and so in no table of it."""
    if left := all_left(run):
        yield (
            f"{left} of {run.n_images} images are not scored yet; `zeroiqa score -o {run.folder}` goes on "
            "with them."
        )


def conclusion(run: Run, aggregation: Aggregation | None = None) -> Iterator[str]:
    """What is to be said of a run whose scores are written.

    Args:
        run: The run.
        aggregation: By which they are shown; the run's own if left out.
    """
    done = status(run, aggregation=aggregation)
    yield from led_alone(run, aggregation)
    yield from remarks(run, aggregation, state=done)
    unreachable = f", {done.unreachable} of them unreachable" if done.unreachable else ""
    gone = f", {done.gone} gone" if done.gone else ""
    healing = f". {how_errors_heal(run)}" if done.errors else ""
    yield (
        f"{counted(done.images)}, {done.errors} with an error{unreachable}{gone}. Scores and ratings: "
        f"{run.folder}{healing}"
    )


def how_errors_heal(run: Run) -> str:
    """What the user can do about images with an error."""
    return (
        f"`zeroiqa score -o {run.folder}` scores again what is repaired or can be reached again, and with "
        "--retry-errors all that has an error."
    )


def counted(images: int) -> str:
    """A number of images in words."""
    return f"{images:,} image{'' if images == 1 else 's'}"
