"""The options that commands that score share: how much of a run is done, by whom, and what stops it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.estimate import describe, estimate_options
from zeroiqa.cli.execution import chosen_executor, execution_options, ignore_times_option
from zeroiqa.cli.failures import LimitType
from zeroiqa.cli.healing import healing_options
from zeroiqa.cli.options import Command, format_option, with_options
from zeroiqa.cli.progress import progress
from zeroiqa.cli.requested import RequestedTable, save_option, table_file
from zeroiqa.cli.running import carry_out, tell
from zeroiqa.cli.tables import TablesBack
from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.runs import Run
    from zeroiqa.runs.begin import RunChoices
    from zeroiqa.runs.executors.choice import Executor, ExecutorChoice
    from zeroiqa.runs.limits import Limit
    from zeroiqa.runs.naming import Naming
    from zeroiqa.runs.slices import Slice
    from zeroiqa.settings import Settings
    from zeroiqa.speed.forecast import Spending

output_option = click.option(
    "-o",
    "--output",
    type=location,
    help="Run folder.  [default: one under zeroiqa-runs/]  Or a file for the table alone (.csv, .parquet, "
    ".json, .jsonl), beside a run in the default folder.",
)


@dataclass(frozen=True)
class Job:
    """What the command line says about the work, whatever the images and settings are."""

    choice: ExecutorChoice
    image_seconds: float
    slice: Slice | None
    """None: all of the run."""
    max_failures: Limit | None
    exact: bool
    """Whether the images are these and no others, however they were named."""
    add: bool
    prune: bool
    save: bool
    ignore_times: bool
    retry_errors: bool
    refresh: bool
    plan_only: bool
    dry_run: bool
    spending: Spending
    style: str

    def check_device(self, methods: Iterable[Settings]) -> None:
        """Refuse a device that is not here, where the work is done here and now.

        Raises:
            UserError: there is no such device.
        """
        from zeroiqa.runs.device import check_device

        if self.choice.ray is None and not (self.plan_only or self.dry_run):
            for settings in methods:
                check_device(settings, tell)

    def begin(
        self,
        paths: tuple[str, ...],
        output: Location | None,
        settings: Settings,
        sources: list[ImageRef],
        preset: str,
        naming: Naming | None,
        about_regions: Sequence[str] = (),
        back: TablesBack | None = None,
    ) -> None:
        """Create a run, or open the one that is there, and do what is asked for of it.

        Args:
            paths: What was named.
            output: Where it goes, if that was said.
            settings: How to score.
            sources: The images.
            preset: Where the settings came from.
            naming: What led to the images.
            about_regions: Options that were given and count where there are regions.
            back: Which tables come back with their scores.

        Raises:
            click.UsageError: what is asked for does not go together.
            UserError: the folder holds another run, or the run cannot go on.
        """
        from zeroiqa.runs.begin import begin_run, default_folder, foreseen
        from zeroiqa.runs.opening import going_on
        from zeroiqa.runs.resolved import resolve

        self._check_slice()
        file = table_file(output, paths)
        if back is not None:
            back.check()
            returned = back.takes(file, paths)
            if file is not None and returned is None and back.may_come_back:
                tell(f"{file} has our columns alone; --tables gives those of the tables that were read, too.")
            back = returned
        if (file is not None or back is not None) and (self.slice is not None or self.plan_only):
            raise click.UsageError(
                f"{file or '--tables'} shall hold all rows; give a run folder with -o for a part of them."
            )
        asked, named = resolve(settings), output if file is None else None

        def folder() -> Location:
            return named or default_folder(paths[0], asked, sources, naming)

        place = None
        with suppress(*(UserError,) * self.dry_run):  # its name may need weights that are not here
            place = folder()
        resolved = asked if place is None else going_on(place, asked)
        executor = chosen_executor(self.choice, len(sources), resolved.settings)  # before anything is written
        if place is None or self.dry_run:
            _check_prompts(settings, sources)
            describe(
                folder,
                resolved,
                sources,
                executor.description,
                self.spending,
                lambda there: foreseen(there, resolved, sources, naming, add=self.add, refresh=self.refresh),
            )
        else:
            run = begin_run(
                place, resolved, sources, preset, naming=naming, choices=self._choices(), tell=tell
            )
            if about_regions and not run.has_regions:
                tell(_without_regions(run.settings, about_regions))
            own = None if back is not None and back.output == file else file
            self._do(run, executor, RequestedTable(settings, own, self.save, back))

    def go_on(self, run: Run, settings: Settings) -> None:
        """Do what is asked for of a run that exists, with its own images.

        Args:
            run: The run.
            settings: Its own, perhaps with other arithmetic and with regions.

        Raises:
            click.UsageError: what is asked for needs images.
            UserError: the run cannot go on.
        """
        from zeroiqa.runs.begin import resume_run

        if self.add or self.dry_run or self.exact:
            raise click.UsageError("--add, --exact and --dry-run need PATHS, the images.")
        self._check_slice()
        executor = chosen_executor(self.choice, run.n_images, settings)
        run = resume_run(run, choices=self._choices(), regions=settings.makes_regions, tell=tell)
        self._do(run, executor, RequestedTable(settings, save=self.save))

    def _choices(self) -> RunChoices:
        from zeroiqa.runs.begin import RunChoices

        return RunChoices(
            add=self.add,
            prune=self.prune,
            ignore_times=self.ignore_times,
            retry_errors=self.retry_errors,
            refresh=self.refresh,
            slice=self.slice,
            image_seconds=self.image_seconds,
        )

    def _check_slice(self) -> None:
        if self.slice is not None and (self.add or self.prune):
            raise click.UsageError(
                "--shard does a slice of a plan that others share; give --add or --prune without it, such as "
                "with --plan-only."
            )

    def _do(self, run: Run, executor: Executor, requested: RequestedTable) -> None:
        from zeroiqa.runs.work import work_on

        if self.plan_only:
            tell(f"{run.n_images} images in {run.n_shards} shards are planned in {run.folder}.")
            return
        aggregation = requested.aggregation(run)  # refused before anything is computed, as are tables
        if requested.back is not None:
            requested.back.check_run(run, aggregation)
        work = work_on(
            run,
            executor,
            progress,
            slice=self.slice,
            limit=self.max_failures,
            aggregation=aggregation,
        )
        carry_out(work, self.style, requested)


def _without_regions(settings: Settings, options: Sequence[str]) -> str:
    """What is said of options on regions where there are none."""
    does = "does" if len(options) == 1 else "do"
    said = f"{', '.join(options)} {does} nothing here: no regions are made, since"
    if settings.crop == "whole":
        return f"{said} crop is whole; give --crop bbox or mask."
    return f"{said} lambda is 0; --regions finds and rates them, and --lambda 1 has them count, too."


def _check_prompts(settings: Settings, sources: list[ImageRef]) -> None:
    """Say of missing prompts what the run itself would say."""
    from zeroiqa.standards import check_prompts, load_standard

    images = [(source.path, source.prompt) for source in sources]
    warning = check_prompts(map(load_standard, settings.standards), images)
    if warning is not None:
        tell(f"Warning: {warning}")


def job_options(command: Command) -> Command:
    """How much of a run is done and by whom; the command gets a `Job` as `job`."""

    @wraps(command)
    def bundled(*arguments: Any, shard: str | None, **options: Any) -> Any:
        from zeroiqa.runs.slices import parse_slice

        chosen = None if shard is None else parse_slice(shard, os.environ)
        names = {field.name for field in fields(Job)} & options.keys()
        job = Job(slice=chosen, **{name: options.pop(name) for name in names})
        return command(*arguments, job=job, **options)

    wrapped: Any = bundled
    decorated: Command = with_options(
        wrapped,
        execution_options,
        click.option(
            "--shard",
            metavar="I/N",
            help="Do slice I of N of the run, I from 0; `slurm` takes both from a job array. See `zeroiqa "
            "merge`.",
        ),
        click.option(
            "--max-failures",
            type=LimitType(),
            help="Stop once more images than that have an error; a number, or a share of all, such as 5%.",
        ),
        click.option(
            "--exact",
            is_flag=True,
            help="These images and no others: do not follow a folder, pattern or list as it changes.",
        ),
        click.option("--add", is_flag=True, help="Take in images of other places than the run is of."),
        click.option("--prune", is_flag=True, help="Leave images that are gone out of all tables."),
        save_option,
        healing_options,
        ignore_times_option,
        click.option(
            "--plan-only", is_flag=True, help="Make the run folder and its plan, and score nothing yet."
        ),
        estimate_options,
        format_option,
    )
    return decorated


def existing_run(folder: Location | None, choices: Mapping[str, Any]) -> tuple[Run, Settings]:
    """A run that goes on with its own images and settings, perhaps on another device; and these settings,
    with other arithmetic, and with regions, where that is wanted.

    Args:
        folder: The run's.
        choices: What the command was given besides, by the names of its parameters.

    Raises:
        click.UsageError: no folder is named, or a choice that would be none.
        UserError: the folder holds no run.
    """
    from zeroiqa.runs import load_run
    from zeroiqa.runs.identity import ARITHMETIC, PLACE_AND_PERMISSION, SEGMENTED
    from zeroiqa.settings import key_of, settings_from_dict

    if folder is None:
        raise click.UsageError("Name the images; or, with -o, the folder of a run that shall go on.")
    own = (*ARITHMETIC, SEGMENTED, *PLACE_AND_PERMISSION)
    others = [
        option.opts[0]
        for option in click.get_current_context().command.params
        if option.name in choices and key_of(option.name) not in own
    ]
    if others:
        raise click.UsageError(
            f"{folder} goes on with its own settings, but {', '.join(others)} was given; leave that out, or "
            "name the images, too."
        )
    run = load_run(folder)
    placed = {name: choices[name] for name in choices.keys() & {*PLACE_AND_PERMISSION}}
    wanted = {**run.settings.to_dict(), **{key_of(name): value for name, value in choices.items()}}
    settings = settings_from_dict(wanted, "the command")
    return replace(run, settings=replace(run.settings, **placed)), settings
