"""`zeroiqa models`: the models known by name; look at one before it rates; bring its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import Command, group
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import given, model_options
from zeroiqa.errors import UserError
from zeroiqa.files.tables.render import aligned

if TYPE_CHECKING:
    from zeroiqa.chat.likeliest import FirstToken
    from zeroiqa.raters.chat import ChatRater
    from zeroiqa.raters.endpoint.rater import EndpointRater
    from zeroiqa.standards import Standard
    from zeroiqa.weights.cards import ModelCard
    from zeroiqa.weights.options import ModelOptions


@group(invoke_without_command=True)
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
    billions of weights; bfloat16 is their memory in that type, to which that of the computation comes. A
    model that was fine-tuned on human scores names their databases; all others are training-free. Raters that
    installed packages offer come last.
    """
    if context.invoked_subcommand is not None:
        return
    from zeroiqa.raters import offered_raters
    from zeroiqa.weights.cards import model_cards

    cards, users, offered = model_cards().values(), _presets(), list(offered_raters())
    if style == "json":
        records = [_record(card, users.get(card.name, [])) for card in cards]
        facts = dict.fromkeys(records[0])
        records += [
            {**facts, "name": name, "package": package, "help": entry.help}
            for name, entry, package in offered
        ]
        click.echo(json.dumps(records, indent=2, allow_nan=False))
        return
    head = (
        "name",
        "repository",
        "licence",
        "commercial",
        "parameters",
        "bfloat16",
        "presets",
        "fine-tuned on",
    )
    for line in aligned([head, *(_cells(card, users.get(card.name, [])) for card in cards)]):
        say(line)
    if offered:
        say("")
        rows = [(name, package, entry.help) for name, entry, package in offered]
        for line in aligned([("rater", "of the package", "what it is"), *rows]):
            say(line)


@models.command(
    cls=Command,
    examples=[
        ("models check qwen2.5-vl-7b", "load it, and see what it answers"),
        ("models check openai:http://localhost:8000/v1#MODEL", "the same for a server"),
    ],
)
@click.argument("name", required=False)
@click.option(
    "--standard",
    "names",
    multiple=True,
    help="Whose prompt and levels to show; may be given several times.  [default: quality-word-7]",
)
@click.option("--preset", help="Check its models under its standards; NAME and --standard go before them.")
@model_options
def check(name: str | None, names: tuple[str, ...], preset: str | None, **choices: Any) -> None:
    """Load NAME (or hf:FOLDER) and show how it rates; or ask a server (openai:URL#MODEL).

    That is: the fast paths that agree with the slow one, whether its answers to the three built-in pictures
    are still those of its first load, and for each standard the level tokens and their ids, how much of its
    answer to each of the pictures is a level (the mass), what it is likeliest to say first, and the prompt as
    sent; that for crops of regions, too, where it is another.
    """
    from zeroiqa.settings import load_settings
    from zeroiqa.standards import load_standard

    raters: tuple[str, ...] = (name,) if name else ()
    asked: tuple[str, ...] = ("quality-word-7",)
    options = _options(choices)
    if preset is not None:
        settings = load_settings(preset, given(**choices))
        raters, asked, options = raters or settings.raters, settings.standards, settings.model_options
    if not raters:
        raise UserError("There is nothing to check; name a model, or a preset by --preset.")
    standards = [load_standard(standard) for standard in dict.fromkeys(names or asked)]
    for rater in raters:
        for line in _checked(rater, standards, options):
            say(line)


@models.command(cls=Command, examples=[("models pull qwen2.5-vl-7b", "its weights, into the hub's cache")])
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
    from zeroiqa.chat.native import FAMILIES
    from zeroiqa.heads.registry import head_model_types, head_of
    from zeroiqa.weights.cards import resolve_model
    from zeroiqa.weights.downloads import pull as download
    from zeroiqa.weights.hub import HubRepository

    repo, usual = resolve_model(name)
    if Path(repo).is_dir():
        raise UserError(
            f"{repo} is a folder already; rate with --rater hf:{repo}, or name a repository to pull."
        )
    options = _options(choices)
    if options.trust_remote_code:
        say(f"Warning: this brings Python code of {repo}; read it before you run it.", err=True)
    folder = download(
        HubRepository(repo, revision or usual), to, options, native=(*FAMILIES, *head_model_types())
    )
    size = sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
    say(f"{repo} is complete in {folder}: {size / 2**30:.2f} GiB.")
    if head_of(folder):
        say(f"Score with: zeroiqa head score NAME PATHS --weights {folder}")
        return
    rater = f"hf:{folder}" if to is not None or name.startswith("hf:") else name
    say(f"Rate with --rater {rater}")


def _options(choices: Mapping[str, Any]) -> ModelOptions:
    from zeroiqa.weights.options import ModelOptions

    return ModelOptions(**given(**choices))


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
        "trained_on": list(card.trained_on),
        "presets": presets,
    }


_PROMPTS = {
    "prompt": "prompt",
    "crop_prompt": "prompt for crops of regions",
    "weight_prompt": "prompt that weighs an answer",
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
        ", ".join(card.trained_on),
    )


def _checked(name: str, standards: Sequence[Standard], options: ModelOptions) -> Iterator[str]:
    """How one model rates, and then it is let go of."""
    from zeroiqa.raters import build_rater, rater_names
    from zeroiqa.raters.chat import ChatRater
    from zeroiqa.raters.endpoint.rater import EndpointRater
    from zeroiqa.weights.cards import find_model

    if name.partition(":")[0] not in rater_names():
        find_model(name)  # refuses it, and knows which model is meant
    rater = build_rater(name, options, digits_suffice=True)
    if not isinstance(rater, ChatRater | EndpointRater):
        raise UserError(f"The rater {name} is no model; `zeroiqa models` lists those that are.")
    for standard in standards:
        rater.check(standard)
    if isinstance(rater, EndpointRater):
        yield from _server(rater, standards)
        return
    yield from _described(rater, standards)
    rater.release()


def _described(rater: ChatRater, standards: Sequence[Standard]) -> Iterator[str]:
    """What holds for every standard, and then each of them."""
    from zeroiqa.chat.known_answer import STANDARD

    facts = rater.describe(standards[0])
    paths = ", ".join(f"{path} {_word(use)}" for path, use in facts["paths"].items())
    yield f"model         {facts['model']}"
    yield f"family        {facts['family']}"
    if facts["trained_on"]:
        yield f"fine-tuned    on human scores of {', '.join(facts['trained_on'])}: not training-free"
    yield f"weights       {facts['fingerprint']}"
    yield f"runs on       {facts['device']} in {facts['dtype']}, {facts['budget_tokens']} tokens at a time"
    yield f"fast paths    {paths}"
    for path, reason in facts["why"].items():
        yield f"              {path} {_word(facts['paths'][path])}: {reason}"
    yield f"known answer  {facts['known_answer']}"
    for standard in standards:
        facts = rater.describe(standard)
        levels: Mapping[str, int] = facts.get("levels", {})
        tokens = [
            f"{level} is {rater.model.token_text(token)!r} ({token})" for level, token in levels.items()
        ]
        yield f"standard      {standard.name}"
        yield f"level tokens  {', '.join(tokens) or 'none: this standard has no levels'}"
        if levels and standard.name != STANDARD:
            yield f"known answer  {rater.model.compare_with_known_answer(standard)}"
        if standard.comparison is not None:
            yield from _comparison(rater, facts)
        yield from _first_tokens(rater.first_tokens(standard))
        yield from _prompts("", facts)


def _comparison(rater: ChatRater, facts: Mapping[str, Any]) -> Iterator[str]:
    """What weighs an answer, and how prompts of two images are computed."""
    words = facts.get("weight_words", {})
    tokens = [f"{word} is {rater.model.token_text(token)!r} ({token})" for word, token in words.items()]
    yield f"weight tokens {', '.join(tokens) or 'none: all answers weigh the same'}"
    paths = ", ".join(f"{path} {_word(use)}" for path, use in facts["paths"].items())
    yield f"two images    {facts['passes']} prompts; fast paths {paths}"
    for path, reason in facts["why"].items():
        yield f"              {path} {_word(facts['paths'][path])}: {reason}"


def _first_tokens(found: Sequence[FirstToken]) -> Iterator[str]:
    """How the built-in pictures are answered."""
    from zeroiqa.chat.likeliest import listed

    for number, first in enumerate(found, start=1):
        mass = "" if first.mass is None else f"mass {first.mass:.2g}; "
        yield f"picture {number}     {mass}likeliest {listed(first.likeliest) or 'unknown'}"


def _prompts(note: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """Each prompt exactly as it is sent: that for crops only where it is another."""
    for key, whose in _PROMPTS.items():
        if key in facts:
            yield f"{whose} as sent, between the lines{note}:"
            yield "-" * 72
            yield facts[key]
            yield "-" * 72


def _server(rater: EndpointRater, standards: Sequence[Standard]) -> Iterator[str]:
    """What a server says about itself, and how it answers under each standard."""
    facts = rater.describe(standards[0])
    yield f"server  {facts['server']}"
    yield f"model   {facts['model']}"
    yield f"reads   {facts['reads']}"
    for standard in standards:
        yield f"standard      {standard.name}"
        yield from _first_tokens(rater.first_tokens(standard))
        yield from _prompts("; the server's chat template comes on top", rater.describe(standard))


def _word(use: bool | str) -> str:
    return use if isinstance(use, str) else "yes" if use else "no"
