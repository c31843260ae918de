"""`zeroiqa score`: score images into a run folder that can be resumed."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.job import Job, existing_run, job_options, output_option
from zeroiqa.cli.messages import summarise
from zeroiqa.cli.method import method_options
from zeroiqa.cli.methods import methods_of, places_of
from zeroiqa.cli.options import (
    given,
    prompts_option,
    scale_option,
    selection_options,
    setting,
    sidecar_option,
)
from zeroiqa.cli.tables import TablesBack, tables_options
from zeroiqa.files.storage import Location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroiqa.images.selection import Selection


ABOUT_REGIONS = frozenset((
    "segmenter", "granularity", "min_area", "complement", "min_pixels", "complement_rule", "segmenter_dtype",
    "crop", "weighting", "normalize_areas", "count_weight",
))  # fmt: skip
"""Settings that count where there are regions."""


@command(
    examples=[
        (
            "score photos -o run",
            "the folder photos into the run folder run, which the same command goes on with",
        ),
        ("score photos --format csv", "every row on standard output"),
        (
            "score photos --preset small --aspect quality --aspect authenticity",
            "a multimodal LLM",
        ),
    ],
)
@click.argument("paths", nargs=-1)
@output_option
@method_options
@setting("regions", "Find and rate regions though --lambda is 0, where they move no score.")
@scale_option
@selection_options
@sidecar_option
@prompts_option
@tables_options
@job_options
def score(
    paths: tuple[str, ...],
    output: Location | None,
    preset: str | None,
    sidecar_prompts: bool,
    prompts: Path | None,
    back: TablesBack,
    selection: Selection,
    job: Job,
    **choices: Any,
) -> None:
    """Score images into a run folder, with which the same command goes on.

    PATHS are files, folders, glob patterns, lists (.txt, .csv, .xlsx ...), archives (.tar), all also on s3://
    and gs://, or - for standard input (a list of paths, or one image).

    Scores run from 1 to 7 by most presets, higher is better. Results go into a run folder (scores.csv,
    scores.parquet, every rating); the same command resumes an interrupted run and computes nothing twice, but
    for images that had an error and are other files now or can be reached again. So does -o RUN without
    PATHS, with the run's own images and settings.

    The same command follows folders, patterns, lists and archives: images that are new there are scored,
    missing ones get the status gone. With other arithmetic (--lambda, --readout ...) it prints the table by
    that; scores.csv stays by the run's own.
    """
    from zeroiqa.images.find import find_images
    from zeroiqa.images.prompts import with_prompts
    from zeroiqa.runs.naming import naming_of
    from zeroiqa.settings import DEFAULT_PRESET

    if paths:
        preset = preset or DEFAULT_PRESET
        methods = methods_of(preset, **choices)
        job.check_device(methods.values())
        places = places_of(list(methods), output, job.style)
        tables: list[str] = []
        sources = find_images(
            paths,
            sys.stdin,
            sidecar_prompts=sidecar_prompts,
            selection=selection,
            image_column=back.image_column,
            tables=tables,
        )
        if prompts is not None:
            sources = with_prompts(sources, prompts)
        back = replace(back, tables=tables)
        naming = naming_of(
            paths,
            selection=selection,
            sidecar_prompts=sidecar_prompts,
            image_column=back.image_column,
            texts=prompts,
            exact=job.exact,
        )
        for name, settings in methods.items():
            if len(methods) > 1:
                summarise(f"{name}:")
            job.begin(paths, places[name], settings, sources, preset, naming, _about_regions(choices), back)
    else:
        choices |= {"preset": preset, "sidecar_prompts": sidecar_prompts or None, **asdict(selection)}
        choices |= {"prompts": prompts, "image_column": back.image_column, "tables": back.output}
        run, settings = existing_run(output, given(**choices))
        if choices["device"] is not None:
            job.check_device([settings])
        job.go_on(run, settings)


def _about_regions(choices: Mapping[str, Any]) -> list[str]:
    """The options given that count where there are regions."""
    chosen = given(**choices).keys() & ABOUT_REGIONS
    if choices["crop"] == "whole":
        chosen -= {"crop"}
    return [option.opts[0] for option in click.get_current_context().command.params if option.name in chosen]
