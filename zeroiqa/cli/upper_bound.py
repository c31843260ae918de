"""`zeroiqa upper-bound`: the best agreement that K discrete levels can reach."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

LEVELS = (3, 5, 7, 9)


@click.command("upper-bound")
@click.option("--dataset", "name", help="A name of `zeroiqa datasets`; its folder is given by --root.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--mos", type=click.Path(path_type=Path), help="CSV file with opinions, instead.")
@click.option("--aspect", default="quality", show_default=True, help="Which opinions.")
@click.option(
    "--format", "style", type=click.Choice(["table", "markdown", "latex", "csv", "json"]), default="table",
    show_default=True, help="What to print.",
)  # fmt: skip
def upper_bound(name: str | None, root: Path | None, mos: Path | None, aspect: str, style: str) -> None:
    """Quantise people's own scores to K levels: (SRCC + PLCC) / 2 between them (LLM-IQA, Table 1).

    The paper contradicts itself, so three readings are shown: eq1, its equation 1 to the letter; text, the
    levels 0..K-1 of its text; bins, K equal bins.
    """
    import numpy as np

    from zeroiqa.cli.evaluate import read_opinions
    from zeroiqa.cli.notes import say_notes
    from zeroiqa.evaluation.tables import Table, cells, number, render
    from zeroiqa.evaluation.upper_bound import Variant
    from zeroiqa.evaluation.upper_bound import upper_bound as bound

    dataset = read_opinions(name, root, mos, None)
    direction = dataset.scale(aspect).direction
    opinions = direction * np.array(
        [each.scores[aspect] for each in dataset.samples if aspect in each.scores]
    )
    rows = [
        cells(variant, *(number(bound(opinions, k, variant)) for k in LEVELS))
        for variant in get_args(Variant)
    ]
    notes = (f"{len(opinions)} images of {dataset.name}.", *dataset.notes)
    click.echo(render(Table(("reading", *(f"K = {k}" for k in LEVELS)), tuple(rows), notes), style), nl=False)
    say_notes(notes, style)
