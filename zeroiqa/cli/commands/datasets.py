"""`zeroiqa datasets`: the databases that are read by name, and how each is laid out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.files.tables.render import aligned

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets.cards import DatasetCard


@command(examples=[("datasets spaq", "where to get it, and how it is laid out")])
@click.argument("name", required=False)
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Of what is listed.",
)
def datasets(name: str | None, style: str) -> None:
    """List the databases with human scores, or show where to get NAME and how it is laid out.

    None is downloaded. Any other database is a CSV with a column image and a column mos.
    """
    from zeroiqa.evaluation.datasets.cards import dataset_cards, find_dataset

    cards = list(dataset_cards().values()) if name is None else [find_dataset(name)]
    if style == "json":
        records = [_record(card) for card in cards]
        click.echo(json.dumps(records if name is None else records[0], indent=2, allow_nan=False))
        return
    for line in _listed(cards) if name is None else _described(cards[0]):
        say(line)


def _scales(card: DatasetCard) -> dict[str, str]:
    return {
        aspect: f"{scale.kind} {'about ' if aspect in card.inexact else ''}{scale.low:g} to {scale.high:g}"
        for aspect, scale in card.scales.items()
    }


def _listed(cards: Sequence[DatasetCard]) -> list[str]:
    head = ("name", "images", "scale", "aspects", "licence", "from")
    rows = [
        (
            card.name,
            f"{card.images:,}",
            ", ".join(dict.fromkeys(_scales(card).values())),
            ", ".join(card.scales),
            card.licence,
            card.where,
        )
        for card in cards
    ]
    return list(aligned((head, *rows), right=(1,)))


def _described(card: DatasetCard) -> list[str]:
    better = {1: "higher is better", -1: "lower is better"}
    lines = [f"{card.title} ({card.name}): {card.images:,} images with scores"]
    lines += [
        f"  {aspect}: {scale}, {better[card.scales[aspect].direction]}"
        for aspect, scale in _scales(card).items()
    ]
    if card.splits:
        lines.append(f"  splits: {', '.join(f'{split} {count:,}' for split, count in card.splits.items())}")
    lines += [f"Licence: {card.licence}", f"From: {card.where}", "Layout, at any depth below the folder:"]
    lines += [f"  {line}" for line in card.layout.splitlines()]
    return lines + [f"Note: {caution}" for caution in card.cautions]


def _record(card: DatasetCard) -> dict[str, object]:
    scales = {
        aspect: {"low": scale.low, "high": scale.high, "kind": scale.kind, "direction": scale.direction}
        for aspect, scale in card.scales.items()
    }
    return {
        "name": card.name,
        "title": card.title,
        "images": card.images,
        "aspects": scales,
        "splits": dict(card.splits),
        "licence": card.licence,
        "from": card.where,
        "layout": card.layout,
        "notes": list(card.cautions),
    }
