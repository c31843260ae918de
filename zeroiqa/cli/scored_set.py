"""The run that an argument names; or that of the images it names, which are scored first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.options import given
from zeroiqa.files.storage import location

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroiqa.runs import Run
    from zeroiqa.runs.executors.choice import ExecutorChoice


def scored_set(
    name: str,
    choice: ExecutorChoice,
    image_seconds: float,
    *,
    preset: str | None,
    raters: Sequence[str],
    baselines: Sequence[str],
    aspect: str,
    standards: Sequence[str],
    **placed: Any,
) -> Run:
    """A run, or the run of images, all of which are scored then.

    Args:
        name: A run folder; or images, as `zeroiqa.images.find.find_images` takes them.
        choice: Who scores.
        image_seconds: How long reading and decoding one image may take.
        preset: Of the method.
        raters: In place of the preset's.
        baselines: One in place of raters.
        aspect: What is judged.
        standards: In place of the preset's, or of the aspect's.
        **placed: Where models run.

    Raises:
        click.UsageError: several baselines are named.
        UserError: nothing is found, or the images cannot be scored so.
    """
    from zeroiqa.choices import chosen_settings
    from zeroiqa.cli.execution import chosen_executor
    from zeroiqa.cli.progress import progress
    from zeroiqa.cli.running import tell
    from zeroiqa.images.find import find_images
    from zeroiqa.runs import load_run
    from zeroiqa.runs.begin import RunChoices, begin_run, default_folder
    from zeroiqa.runs.device import check_device
    from zeroiqa.runs.naming import naming_of
    from zeroiqa.runs.opening import going_on
    from zeroiqa.runs.resolved import resolve
    from zeroiqa.runs.work import work_on
    from zeroiqa.settings import DEFAULT_PRESET

    if len(baselines) > 1:
        raise click.UsageError("Two sets are compared by one method; give one --baseline.")
    if "*" not in name and (location(name) / "run.json").is_file():
        return load_run(location(name))
    settings = chosen_settings(
        preset or DEFAULT_PRESET,
        baseline=baselines[0] if baselines else None,
        aspects=() if standards or aspect == "quality" else aspect,
        overrides=given(raters=raters, standards=standards, **placed),
    )
    check_device(settings, tell)
    sources = find_images([name])
    naming, resolved = naming_of([name]), resolve(settings)
    folder = default_folder(name, resolved, sources, naming)
    resolved = going_on(folder, resolved)
    executor = chosen_executor(choice, len(sources), resolved.settings)
    choices = RunChoices(image_seconds=image_seconds)
    run = begin_run(
        folder, resolved, sources, preset or DEFAULT_PRESET, naming=naming, choices=choices, tell=tell
    )
    work = work_on(run, executor, progress)
    work.finish()
    for sentence in work.conclusion():
        tell(sentence)
    return work.run
