"""Options that more than one command takes, each described once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

from zeroiqa.choices import ASPECTS
from zeroiqa.guards.console import write_machine_readable
from zeroiqa.settings import choices_of, is_list, key_of, type_of

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator: TypeAlias = Callable[[Command], Command]


def with_options(command: Command, *options: Decorator[Command]) -> Command:
    """The command with options in the order in which its help shall list them."""
    for option in reversed(options):
        command = option(command)
    return command


def raters_option(command: Command) -> Command:
    """Who rates."""
    return setting(
        "raters",
        "nss, fake[:SEED], a name of `zeroiqa models`, hf:REPOSITORY_OR_FOLDER, openai:URL#MODEL; repeat "
        "for an ensemble.",
        option="--rater",
    )(command)


def standards_option(command: Command) -> Command:
    """What is asked."""
    return setting("standards", "Name or TOML file; repeat for several.", option="--standard")(command)


def sidecar_option(command: Command) -> Command:
    """Whether text prompts lie beside the images."""
    return click.option(
        "--sidecar-prompts", is_flag=True, help="Read photo.txt beside photo.png as its text prompt."
    )(command)


def prompts_option(command: Command) -> Command:
    """A file with text prompts."""
    return click.option(
        "--prompts",
        type=click.Path(path_type=Path),
        help="Text prompts of the images: a table with a column image and a column prompt (or caption, text "
        "...), or a text file with a line for each image, in their order.",
    )(command)


_SHARE = click.FloatRange(0, 1)


class SettingOption(click.Option):
    """An option that replaces a field of the preset, whose value is shown in the help.

    Args:
        *arguments: See `click.Option`.
        shown: Turns that value into the one that the command line would be given.
        **attributes: See `click.Option`.
    """

    def __init__(self, *arguments: Any, shown: Callable[[Any], str] | None = None, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._shown = shown or _as_given

    def make_metavar(self, ctx: click.Context) -> str:
        """What kind of value it takes; a range is shown behind the text."""
        return super().make_metavar(ctx).removesuffix(" RANGE")

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Its names and its text, with the preset's value."""
        record = super().get_help_record(ctx)
        preset = preset_of(ctx)
        if record is None or preset is None:
            return record
        from zeroiqa.settings import load_settings

        value = getattr(load_settings(preset), self.name or "")
        if self.is_flag and not self.secondary_opts and value is False:
            return record
        return record[0], f"{record[1]}  [{preset}: {self._shown(value)}]"


def preset_of(ctx: click.Context) -> str | None:
    """The preset of a command: the one that was given so far, or the default; None if it takes none."""
    if not any(param.name == "preset" and param.is_eager for param in ctx.command.params):
        return None
    from zeroiqa.settings import DEFAULT_PRESET

    return ctx.params.get("preset") or DEFAULT_PRESET


def _as_given(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_as_given, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def preset_option(command: Command) -> Command:
    """Where the settings come from; it is read first, so that the help of all others can show its values."""
    return click.option(
        "--preset",
        metavar="NAME|FILE",
        is_eager=True,
        help="Name of a preset, or a TOML file; with --help, its values are shown.  [default: embedded]",
    )(command)


def setting(field: str, text: str, *, option: str = "", **kind: Any) -> Callable[[Command], Command]:
    """An option that replaces a field of the preset: its name, type and choices are those of the field.

    Args:
        field: Of `zeroiqa.settings.Settings`.
        text: For the help.
        option: Its name, where that is not the field's.
        kind: What click shall be told instead of the field's type.
    """
    if not kind.keys() - {"shown"}:
        choices = choices_of(field)
        if type_of(field) is bool:
            kind["is_flag"] = True
        else:
            kind |= {"type": click.Choice(choices) if choices else type_of(field), "multiple": is_list(field)}
    name = option or f"--{key_of(field).replace('_', '-')}"
    return click.option(name, field, cls=SettingOption, default=None, help=text, **kind)


def arithmetic_options(command: Command) -> Command:
    """How ratings become a score; nothing here needs a model."""
    return with_options(
        command,
        setting("readout", "Most probable level, mean level, or the model's first answer (greedy)."),
        setting(
            "lam",
            "Weight of the regions against the whole image; inf: regions only.",
            type=click.FloatRange(min=0),
        ),
        setting("weighting", "Regions weighted by area, or all alike."),
        setting(
            "normalize_areas",
            "Divide by the sum of the areas, or take the literal inner product of the paper.",
            option="--areas",
            type=click.Choice(["normalized", "literal"]),
            callback=lambda _, __, areas: None if areas is None else areas == "normalized",
            shown=lambda normalized: "normalized" if normalized else "literal",
        ),
        setting(
            "formula",
            "Mean of whole image and regions, or the sums of Dog-IQA's code, which have no upper end.",
        ),
        setting(
            "count_weight",
            "What each rated region adds to the regions' level.",
            type=click.FloatRange(0, 1e6),
        ),
        setting(
            "rater_weights",
            "Weight of a rater in the ensemble, in the order of the raters; repeat for each.",
            option="--rater-weight",
            shown=lambda weights: _as_given(weights) if weights else "all alike",
        ),
        setting(
            "standard_weights",
            "Weight of a standard, in the order of the standards; repeat for each. The score is their mean.",
            option="--standard-weight",
            shown=lambda weights: _as_given(weights) if weights else "the first one's score",
        ),
        setting(
            "mass_threshold",
            "Warn where less of the probability lies on the levels; no score changes.",
            type=_SHARE,
        ),
        setting(
            "word_mass_threshold",
            "The same for standards that compare next words, which may be rare.",
            type=_SHARE,
        ),
    )


def scale_option(command: Command) -> Command:
    """What tables show beside the scores."""
    return setting(
        "scale",
        "Show each score also from 0 to 100 (a column score_0_100) or as its percentile in the run (a column "
        "percentile); the column score stays.",
    )(command)


def segmenter_options(command: Command) -> Command:
    """Which segmenter, and how finely it cuts."""
    return with_options(
        command,
        setting(
            "segmenter",
            "graph, grid[:COLUMNSxROWS], sam2.1- or sam2.0-tiny, -small, -base+, -large [:FILE.pt], "
            "sam2:FILE_OR_FOLDER, sam2-stock[:NAME], hf-sam2:REPOSITORY_OR_FOLDER, "
            "eomt:REPOSITORY_OR_FOLDER[,threshold=0.5].",
        ),
        setting(
            "granularity",
            "How finely SAM 2 cuts: default-16, default, tiny, coarse, no-complement, dog-iqa or a TOML "
            "file; changes after commas (default-16,points_per_side=8).",
            metavar="PROFILE",
        ),
        setting("min_area", "Smallest region, as a share of the image."),
        setting(
            "complement",
            "Whether what no object covers is one more region.",
            option="--complement/--no-complement",
        ),
        setting(
            "min_pixels",
            "Smallest region in pixels, besides --min-area.",
            type=click.IntRange(min=0),
        ),
        setting(
            "complement_rule",
            "What the rest weighs: the area that no object covers (union), or the image's without the sum of "
            "the objects' areas (remainder).",
        ),
        setting("segmenter_dtype", "Type that the segmenter computes in; auto: that of --dtype."),
    )


def image_options(command: Command) -> Command:
    """How images are decoded."""
    return with_options(
        command,
        setting("background", "Colour under transparent pixels, as #rrggbb."),
        setting("max_pixels", "Refuse larger images."),
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
        setting("device", "Where models run: auto, cpu, cuda, cuda:1 or mps."),
        setting(
            "dtype",
            "Type of the weights; auto is bfloat16 on a GPU, auto-float16 float16; on the CPU "
            "both are float32.",
        ),
        setting("offline", "Use only weights that are on the disk."),
    )


def model_options(command: Command) -> Command:
    """How the weights of models are loaded and run; the fields of `ModelOptions`."""
    return with_options(
        command,
        device_options,
        setting("attn", "Implementation of attention."),
        setting("load_in_8bit", "Quantise the weights with bitsandbytes."),
        setting("trust_remote_code", "Run code that comes with the weights."),
        pickle_option,
    )


def pickle_option(command: Command) -> Command:
    """Whether pickled weights will do."""
    return setting("allow_pickle", "Read weights that are not safetensors.")(command)


def machine_readable(_: click.Context, __: click.Parameter, style: str) -> str:
    """Standard output is UTF-8 where what is printed is for programs."""
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
        callback=machine_readable,
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
            callback=machine_readable,
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
