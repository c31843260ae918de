"""`zeroiqa models`: the models known by name; bring the files of one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.options import given
from zeroiqa.errors import UserError

if TYPE_CHECKING:
    from zeroiqa.raters.models import ModelCard
    from zeroiqa.raters.options import RaterOptions


@click.group(invoke_without_command=True)
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Of the list.",
)
@click.pass_context
def models(context: click.Context, style: str) -> None:
    """List the models that rate by name, and the presets that use them.

    Any other chat vision-language model that transformers runs is hf:REPOSITORY or hf:FOLDER. Parameters are
    billions of weights; bfloat16 is their memory in that type, to which that of the computation comes.
    """
    if context.invoked_subcommand is not None:
        return
    from zeroiqa.raters.models import model_cards

    cards, users = model_cards().values(), _presets()
    if style == "json":
        records = [_record(card, users.get(card.name, [])) for card in cards]
        click.echo(json.dumps(records, indent=2))
        return
    for line in _table(
        ("name", "repository", "licence", "commercial", "parameters", "bfloat16", "presets"),
        *(_cells(card, users.get(card.name, [])) for card in cards),
    ):
        click.echo(line)


@models.command()
@click.argument("name")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files; by default the hub's cache.",
)
@click.option("--revision", help="Branch, tag or commit; by default the one of the list.")
@click.option("--offline", is_flag=True, default=None, help="Only say which files are missing.")
@click.option("--allow-pickle", is_flag=True, default=None, help="Bring pickled weights, too.")
@click.option("--trust-remote-code", is_flag=True, default=None, help="Bring Python code, too.")
def pull(name: str, to: Path | None, revision: str | None, **choices: Any) -> None:
    """Download the weights (safetensors) and configuration of NAME (or hf:REPOSITORY).

    Started again, it goes on where it was interrupted.
    """
    from zeroiqa.raters.downloads import Source
    from zeroiqa.raters.downloads import pull as download
    from zeroiqa.raters.models import resolve_model

    repo, usual = resolve_model(name)
    if Path(repo).is_dir():
        raise UserError(
            f"{repo} is a folder already; rate with --rater hf:{repo}, or name a repository to pull."
        )
    options = _options(choices)
    _warn_of_code(repo, options)
    folder = download(Source(repo, revision or usual), to, options)
    size = sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
    click.echo(f"{repo} is complete in {folder}: {size / 2**30:.2f} GiB.")
    rater = f"hf:{folder}" if to is not None or name.startswith("hf:") else name
    click.echo(f"Rate with --rater {rater}")


def _options(choices: Mapping[str, Any]) -> RaterOptions:
    from zeroiqa.raters.options import RaterOptions

    return RaterOptions(**given(**choices))


def _warn_of_code(repo: str, options: RaterOptions) -> None:
    if options.trust_remote_code:
        click.echo(
            f"Warning: Python code of {repo} may be run on this machine (--trust-remote-code).", err=True
        )


def _presets() -> dict[str, list[str]]:
    """Rater name -> the presets that use it."""
    from zeroiqa.settings import load_settings, preset_names

    users: dict[str, list[str]] = {}
    for preset in preset_names():
        for rater in load_settings(preset).raters:
            users.setdefault(rater, []).append(preset)
    return users


def _record(card: ModelCard, presets: list[str]) -> dict[str, Any]:
    return {
        "name": card.name,
        "repo": card.repo,
        "revision": card.revision,
        "family": card.family,
        "licence": card.licence,
        "commercial": card.commercial,
        "gated": card.gated,
        "parameters_billions": card.parameters,
        "memory_bf16_gib": round(card.memory_bf16_gib, 2),
        "presets": presets,
    }


def _cells(card: ModelCard, presets: list[str]) -> tuple[str, ...]:
    return (
        card.name,
        card.repo,
        card.licence + (", gated" if card.gated else ""),
        card.commercial,
        f"{card.parameters:6.2f} B",
        f"{card.memory_bf16_gib:4.1f} GiB",
        ", ".join(presets),
    )


def _table(*rows: tuple[str, ...]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
