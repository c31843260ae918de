"""Compare NIQE with numbers of an independent implementation, photograph by photograph.

    python scripts/niqe_published.py FOLDER TABLE PARAMETERS [--output results/niqe]

TABLE is a CSV file with the columns image (a path below FOLDER), published and tolerance; lines that begin
with # are comments. PARAMETERS is the file of niqe:FILE. Each photograph is measured with its pixels as they
are stored, which is what the authors' code and others read and what is compared, and as zeroiqa scores it,
turned upright by its EXIF orientation. Written are published.csv and manifest.json; the exit code is 1 if a
difference is larger than the tolerance.
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
from pathlib import Path

import numpy as np
from PIL import Image

from zeroiqa.baselines.niqe.files import read_parameters
from zeroiqa.baselines.niqe.model import niqe
from zeroiqa.errors import UserError
from zeroiqa.images.decode import DecodePolicy, decode
from zeroiqa.version import __version__

LIBRARIES = ("numpy", "scipy", "opencv-python", "pillow")
HEADER = ("image", "expected", "tolerance", "as stored", "difference", "upright")


def measured(folder: Path, table: Path, parameters: Path) -> list[tuple[str, ...]]:
    """The rows of the photographs that are below the folder."""
    pristine, _ = read_parameters(parameters)
    lines = (line for line in table.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    rows = []
    for row in csv.DictReader(lines):
        path = folder / row["image"]
        if not path.is_file():
            print(f"{row['image']} is not below {folder}: left out", file=sys.stderr)
            continue
        with Image.open(path) as picture:
            stored = niqe(np.asarray(picture.convert("RGB")), pristine)
        expected = float(row["published"])
        numbers = (stored, stored - expected, niqe(decode(path).pixels, pristine))
        texts = (f"{number:.6f}" for number in numbers)
        rows.append((row["image"], row["published"], row["tolerance"], *texts))
    return rows


def manifest(table: Path, parameters: Path, output: Path) -> dict[str, object]:
    """Where the numbers come from."""

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python scripts/niqe_published.py FOLDER {table.name} {parameters.name}",
        "zeroiqa": __version__,
        "decoding": DecodePolicy().id,
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "expected_sha256": digest(table),
        "parameters_sha256": digest(parameters),
        "published_sha256": digest(output / "published.csv"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("folder", "table", "parameters"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results" / "niqe")
    arguments = parser.parse_args()
    try:
        rows = measured(arguments.folder, arguments.table, arguments.parameters)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    with (output / "published.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])
    facts = json.dumps(manifest(arguments.table, arguments.parameters, output), indent=2)
    (output / "manifest.json").write_text(facts + "\n", encoding="utf-8")
    print((output / "published.csv").read_text(encoding="utf-8"), end="")
    return int(not rows or any(abs(float(row[4])) > float(row[2]) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
