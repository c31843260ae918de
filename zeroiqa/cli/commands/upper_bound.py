"""`zeroiqa upper-bound`: the best agreement that K discrete levels can reach."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.options import table_options
from zeroiqa.cli.output import print_report

LEVELS = (3, 5, 7, 9)


@command(
    "upper-bound",
    examples=[
        ("upper-bound --dataset spaq --root SPAQ", "how well K levels can agree at best"),
    ],
)
@click.option("--dataset", "name", help="A name of `zeroiqa datasets`; its folder is given by --root.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--mos", type=click.Path(path_type=Path), help="Table of images and opinions, instead.")
@click.option("--aspect", default="quality", show_default=True, help="Which opinions.")
@table_options
def upper_bound(
    name: str | None, root: Path | None, mos: Path | None, aspect: str, style: str, decimals: int | None
) -> None:
    """Quantise people's own scores to K levels: (SRCC + PLCC) / 2 between them (LLM-IQA, Table 1).

    The paper contradicts itself, so four readings are shown: official, the authors' code, whose values the
    paper prints; eq1, its equation 1 to the letter; text, the levels 0..K-1 of its text; bins, K equal bins.
    """
    import numpy as np

    from zeroiqa.cli.commands.evaluate import check_opinions
    from zeroiqa.evaluation.formatting import number
    from zeroiqa.evaluation.opinions import read_opinions
    from zeroiqa.evaluation.records import NumberRecord, Report
    from zeroiqa.evaluation.upper_bound import Variant
    from zeroiqa.evaluation.upper_bound import upper_bound as bound
    from zeroiqa.files.tables.render import TextTable, cells

    check_opinions(name, root, mos)
    dataset = read_opinions(name, root, mos)
    direction = dataset.scale(aspect).direction
    opinions = direction * np.array(
        [each.scores[aspect] for each in dataset.samples if aspect in each.scores]
    )
    variants = get_args(Variant)
    values = {(variant, k): bound(opinions, k, variant) for variant in variants for k in LEVELS}
    left_out = len(dataset.samples) - len(opinions)
    records = [
        NumberRecord(
            variant,
            dataset.name,
            "(SRCC + PLCC) / 2",
            value,
            n=len(opinions),
            left_out=left_out,
            protocol=f"opinions of people in levels, reading {variant}",
            source=str(mos or root),
            facts={"aspect": aspect, "K": k},
        )
        for (variant, k), value in values.items()
    ]
    rows = [cells(variant, *(number(values[variant, k], decimals) for k in LEVELS)) for variant in variants]
    notes = (f"{len(opinions)} images of {dataset.name}.", *dataset.notes)
    table = TextTable(("reading", *(f"K = {k}" for k in LEVELS)), tuple(rows), notes)
    print_report(Report(tuple(records), (table,), notes), style)
