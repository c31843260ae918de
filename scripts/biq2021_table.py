"""Measure the embedded rater and the classical baselines on development photographs of BIQ2021.

    python scripts/biq2021_table.py FOLDER PARAMETERS [--output results/biq2021]

FOLDER holds images/ and mos.csv (columns image, mos), PARAMETERS is the file of niqe:FILE. One run decodes
every image once, computes every measure on the whole image and writes scores.csv (no opinion scores),
table.csv, table.md and manifest.json.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import hashlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zeroiqa.aggregate import read
from zeroiqa.baselines import catalogue, pixel_baselines
from zeroiqa.baselines.niqe.files import read_parameters
from zeroiqa.baselines.niqe.model import niqe
from zeroiqa.errors import UserError
from zeroiqa.files.tables.render import TextTable, cells, render
from zeroiqa.images.decode import DecodePolicy, decode
from zeroiqa.metrics.measures import (
    Interval,
    Metric,
    bootstrap_difference,
    bootstrap_interval,
    krcc,
    plcc,
    srcc,
)
from zeroiqa.raters.nss import NssRater
from zeroiqa.standards import load_standard
from zeroiqa.types import View
from zeroiqa.version import __version__

SEED = 2021
RESAMPLES = 1000
RATER = "nss"
METRICS: dict[str, Metric] = {"srcc": srcc, "plcc": plcc, "krcc": krcc}
DATA = {
    "name": "BIQ2021, 600 photographs (512 x 512) drawn from its training part",
    "source": 'N. Ahmed, S. Asif, "BIQ2021: a large-scale blind image quality assessment database", '
    "J. Electron. Imaging 31(5), 2022",
}
LIBRARIES = ("numpy", "opencv-python", "scipy", "pillow")


class Row(NamedTuple):
    """One method under one metric; the difference is the embedded rater's value minus this method's."""

    method: str
    metric: str
    value: float
    interval: Interval
    difference: float | None
    difference_interval: Interval | None


def score_images(folder: Path, names: Sequence[str], parameters: Path) -> dict[str, list[float]]:
    """Every method's score of every whole image, in the method's own unit and direction."""
    rater, standard = NssRater(), load_standard("quality-word-7")
    baselines = {"niqe": partial(niqe, pristine=read_parameters(parameters)[0])}
    baselines |= {baseline.name: baseline.load() for baseline in pixel_baselines()}
    scores: dict[str, list[float]] = {RATER: [], **{name: [] for name in baselines}}
    for name in names:
        pixels = decode(folder / "images" / name).pixels
        [[rating]] = rater.rate([View(pixels, None, pixels.shape[:2])], [standard])
        assert rating is not None
        scores[RATER].append(read(rating, "expected"))
        for baseline, compute in baselines.items():
            scores[baseline].append(compute(pixels))
    return scores


def turned(scores: dict[str, list[float]]) -> dict[str, list[float]]:
    """The scores so that higher is better in all."""
    directions = {RATER: 1, **{name: baseline.direction for name, baseline in catalogue().items()}}
    return {name: [directions[name] * value for value in values] for name, values in scores.items()}


def measure_agreement(scores: dict[str, list[float]], mos: list[float]) -> list[Row]:
    """All rows of the table; every interval is over the same resamples."""
    return [_row(scores, mos, method, metric) for method in scores for metric in METRICS]


def _row(scores: dict[str, list[float]], mos: list[float], method: str, name: str) -> Row:
    metric, mine, theirs = METRICS[name], scores[RATER], scores[method]
    value, reference = metric(theirs, mos), metric(mine, mos)
    interval = bootstrap_interval(metric, theirs, mos, RESAMPLES, np.random.default_rng(SEED))
    if value is None or reference is None or interval is None:
        raise UserError(f"{method} gives all images the same score, so no {name} exists.")
    if method == RATER:
        return Row(method, name, value, interval, None, None)
    gap = bootstrap_difference(metric, mine, theirs, mos, RESAMPLES, np.random.default_rng(SEED))
    return Row(method, name, value, interval, reference - value, gap)


def write_scores(path: Path, names: Sequence[str], scores: dict[str, list[float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", *scores])
        for name, *values in zip(names, *scores.values(), strict=True):
            writer.writerow([name, *(f"{value:.6f}" for value in values)])


def write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["method", "metric", "value", "low", "high", "difference", "difference_low", "difference_high"]
        )
        for row in rows:
            numbers = [row.value, *row.interval, row.difference, *(row.difference_interval or (None, None))]
            texts = ["" if number is None else f"{number:.6f}" for number in numbers]
            writer.writerow([row.method, row.metric, *texts])


def report(rows: Sequence[Row], images: int) -> str:
    """table.md."""
    by_key = {(row.method, row.metric): row for row in rows}
    lines = [
        f"# Agreement with people on {images} photographs of BIQ2021",
        "",
        "Correlation of each measure of the whole image with the mean opinion scores; higher is better.",
        f"In brackets: 95 % bootstrap intervals, {RESAMPLES:,} resamples. Below: paired differences on the",
        "same resamples.",
        "",
    ]
    methods = list(dict.fromkeys(row.method for row in rows))
    values = [(method, [by_key[method, metric] for metric in METRICS]) for method in methods]
    table = [cells(method, *(_text(row.value, row.interval) for row in found)) for method, found in values]
    gaps = [
        cells(method, *(_text(row.difference, row.difference_interval, "+") for row in found))
        for method, found in values[1:]
    ]
    tables = [
        render(TextTable((head, *map(str.upper, METRICS)), tuple(body)), "markdown")
        for head, body in (("method", table), (f"{RATER} minus", gaps))
    ]
    return "\n".join([*lines, *tables, *NOTES, ""])


NOTES = (
    "No regression on human scores; terms and weights hand-set on a development set (BIQ2021 training part),",
    "so BIQ2021 is in-population. Other photo sets decide. PLCC is raw, without a logistic fit.",
    "The row nss is the expected level (1..7) of the embedded rater; niqe is NIQE as published, with its",
    "authors' parameters; niqe-kodak has the same features and our statistics of 24 Kodak photographs; PIQE",
    "is written from the paper. Photographs are turned upright first.",
    "",
    f"Data: {DATA['name']}. {DATA['source']}.",
)


def _text(value: float | None, interval: Interval | None, sign: str = "") -> str:
    assert value is not None
    assert interval is not None
    return f"{value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


def manifest(folder: Path, parameters: Path, output: Path, images: int) -> dict[str, Any]:
    """Where the numbers come from."""

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python scripts/biq2021_table.py {folder.name} {parameters.name}",
        "zeroiqa": __version__,
        "rater": NssRater().id,
        "niqe_parameters_sha256": digest(parameters),
        "decoding": DecodePolicy().id,
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "data": {**DATA, "images": images, "mos_sha256": digest(folder / "mos.csv")},
        "resamples": RESAMPLES,
        "seed": SEED,
        "scores_sha256": digest(output / "scores.csv"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("parameters", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results" / "biq2021")
    arguments = parser.parse_args()
    with (arguments.folder / "mos.csv").open(newline="", encoding="utf-8") as file:
        opinions = [(row["image"], float(row["mos"])) for row in csv.DictReader(file)]
    names, mos = [name for name, _ in opinions], [value for _, value in opinions]
    try:
        scores = score_images(arguments.folder, names, arguments.parameters)
        rows = measure_agreement(turned(scores), mos)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    write_scores(output / "scores.csv", names, scores)
    write_table(output / "table.csv", rows)
    (output / "table.md").write_text(report(rows, len(names)), encoding="utf-8")
    facts = json.dumps(manifest(arguments.folder, arguments.parameters, output, len(names)), indent=2)
    (output / "manifest.json").write_text(facts + "\n", encoding="utf-8")
    print((output / "table.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
