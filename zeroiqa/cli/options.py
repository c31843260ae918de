"""Options that more than one command takes, each described once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import click

from zeroiqa.guards.console import write_machine_readable

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator: TypeAlias = Callable[[Command], Command]

ASPECTS = ("quality", "authenticity", "correspondence")


def with_options(command: Command, *options: Decorator[Command]) -> Command:
    """The command with options in the order in which its help shall list them."""
    for option in reversed(options):
        command = option(command)
    return command


def arithmetic_options(command: Command) -> Command:
    """How ratings become a score; nothing here needs a model."""
    return with_options(
        command,
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
        click.option(
            "--mass-threshold",
            type=click.FloatRange(0, 1),
            help="Warn where less of the probability lies on the levels; no score changes.  [default: 0.5]",
        ),
        click.option(
            "--word-mass-threshold",
            type=click.FloatRange(0, 1),
            help="The same for standards that compare next words, which may be rare.  [default: 0.001]",
        ),
    )


def segmenter_options(command: Command) -> Command:
    """Which segmenter, and how finely it cuts."""
    return with_options(
        command,
        click.option(
            "--segmenter",
            help="graph, grid[:COLUMNSxROWS], sam2.1-tiny, -small, -base+ or -large [:FILE.pt], "
            "sam2:FILE_OR_FOLDER, sam2-stock[:NAME], hf-sam2:REPOSITORY_OR_FOLDER.",
        ),
        click.option(
            "--granularity",
            metavar="PROFILE",
            help="How finely SAM 2 cuts: paper, default, tiny, coarse, no-complement or a TOML file; "
            "changes after commas (paper,points_per_side=8).",
        ),
        click.option("--min-area", type=float, help="Smallest region, as a share of the image."),
        click.option(
            "--complement/--no-complement",
            default=None,
            help="Whether what no object covers is one more region.",
        ),
    )


def image_options(command: Command) -> Command:
    """How images are decoded."""
    return with_options(
        command,
        click.option("--background", help="Colour under transparent pixels, as #rrggbb."),
        click.option("--max-pixels", type=int, help="Refuse larger images."),
    )


def selection_options(command: Command) -> Command:
    """Which of the images found are wanted; the command gets a `Selection` as `selection`."""

    @wraps(command)
    def bundled(*arguments: Any, include: tuple[str, ...], exclude: tuple[str, ...], **options: Any) -> Any:
        from zeroiqa.images.selection import Selection

        return command(*arguments, selection=Selection.of(include, exclude), **options)

    wrapped: Any = bundled
    decorated: Command = with_options(
        wrapped,
        click.option(
            "--include",
            multiple=True,
            metavar="PATTERN",
            help="Take images only whose name, or that of a folder that they are in, fits ('*_final.png', "
            "'drafts/'); with / inside, whose path below the folder named does ('2019/**'). Repeat for more.",
        ),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="Leave out images that fit, also of those that --include takes.",
        ),
    )
    return decorated


def device_options(command: Command) -> Command:
    """Where networks run and where their weights come from."""
    return with_options(
        command,
        click.option("--device", help="Where models run: auto, cpu, cuda, cuda:1 or mps."),
        click.option(
            "--dtype",
            type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
            help="Type of the weights; auto is bfloat16 on a GPU, float32 on the CPU.",
        ),
        _flag("--offline", "Use only weights that are on the disk."),
    )


def model_options(command: Command) -> Command:
    """How the weights of models are loaded and run; the fields of `ModelOptions`."""
    return with_options(
        command,
        device_options,
        click.option(
            "--attn",
            type=click.Choice(["auto", "eager", "sdpa", "flash_attention_2"]),
            help="Implementation of attention.",
        ),
        _flag("--load-in-8bit", "Quantise the weights with bitsandbytes."),
        _flag("--trust-remote-code", "Run code that comes with the weights."),
        pickle_option,
    )


def _flag(name: str, text: str) -> Callable[[Command], Command]:
    return click.option(name, is_flag=True, default=None, help=text)


pickle_option = _flag("--allow-pickle", "Read weights that are not safetensors.")


def _machine_readable(_: click.Context, __: click.Parameter, style: str) -> str:
    if style not in ("table", "markdown", "latex"):
        write_machine_readable()
    return style


def format_option(command: Command) -> Command:
    """What is written to standard output."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(["table", "csv", "excel-csv", "json", "jsonl"]),
        default="table",
        show_default=True,
        callback=_machine_readable,
        help="What to print: the worst and best images, or every row; excel-csv is for spreadsheets: what "
        "would be a formula there (a name that begins with =, +, - or @) gets a ' before it.",
    )(command)


def table_options(command: Command) -> Command:
    """How a table of numbers is printed."""
    return with_options(
        command,
        click.option(
            "--format",
            "style",
            type=click.Choice(["table", "markdown", "latex", "csv", "excel-csv", "json", "jsonl"]),
            default="table",
            show_default=True,
            callback=_machine_readable,
            help="Tables to read, or for programs one record for each number, in full precision.",
        ),
        click.option(
            "--decimals",
            type=click.IntRange(0, 15),
            help="Of numbers in tables to read; published ones have no more than were printed.  [default: 3, "
            "published ones their own]",
        ),
    )


def spread_aspects(arguments: Sequence[str]) -> list[str]:
    """Let `--aspect quality authenticity` mean `--aspect quality --aspect authenticity`."""
    spread: list[str] = []
    listing = False
    for argument in arguments:
        if listing and argument in ASPECTS and spread[-1] != "--aspect":
            spread.append("--aspect")
        spread.append(argument)
        listing = argument == "--aspect" or (listing and argument in ASPECTS)
    return spread


def given(**fields: Any) -> dict[str, Any]:
    """The fields that were set on the command line (None and () mean: left to the preset)."""
    return {name: value for name, value in fields.items() if value is not None and value != ()}


def normalized(areas: str | None) -> bool | None:
    """`--areas` as the setting normalize_areas."""
    return None if areas is None else areas == "normalized"
