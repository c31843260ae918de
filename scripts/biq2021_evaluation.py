"""The whole chain on development photographs of BIQ2021: score, baselines, evaluate, compare, ablate.

    python scripts/biq2021_evaluation.py FOLDER PARAMETERS [--output results/biq2021] [--work WORK]

FOLDER holds images/ and mos.csv (columns image, mos), PARAMETERS is the file of niqe:FILE. The runs stay in
WORK, by default a temporary folder; what is written to --output are the tables that the commands print, and
a manifest. No opinion score is kept.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from zeroiqa.version import __version__

BASELINES = ("niqe", "niqe-kodak", "piqe", "log-laplacian")


def zeroiqa(work: Path, *arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "zeroiqa", *arguments]
    return subprocess.run(command, cwd=work, check=True, stdout=subprocess.PIPE, text=True).stdout


def tables(folder: Path, parameters: Path, work: Path) -> dict[str, str]:
    """File name -> table."""
    shutil.copy(parameters, work)  # so that no table holds a path of this machine
    images, mos = str(folder / "images"), str(folder / "mos.csv")
    zeroiqa(work, "score", images, "-o", "nss")
    for name in BASELINES:
        baseline = f"niqe:{parameters.name}" if name == "niqe" else name
        zeroiqa(work, "score", images, "--baseline", baseline, "-o", name)
    markdown = ("--mos", mos, "--format", "markdown")
    return {
        "evaluation.md": zeroiqa(work, "evaluate", "nss", *markdown),
        "comparison.md": zeroiqa(work, "compare", "nss", *BASELINES, *markdown),
        "ablation.md": zeroiqa(work, "ablate", "--table", "ours", "-o", "ablation", *markdown),
        "upper-bound.md": zeroiqa(work, "upper-bound", *markdown),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("parameters", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results" / "biq2021")
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    work = (arguments.work or Path(tempfile.mkdtemp())).resolve()
    work.mkdir(parents=True, exist_ok=True)
    found = tables(arguments.folder.resolve(), arguments.parameters, work)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, text in found.items():
        (arguments.output / name).write_text(text, encoding="utf-8")
    named = f"{arguments.folder.name} {arguments.parameters.name}"
    manifest = {
        "command": f"python scripts/biq2021_evaluation.py {named}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "zeroiqa": __version__,
        "python": platform.python_version(),
        "mos_sha256": hashlib.sha256((arguments.folder / "mos.csv").read_bytes()).hexdigest(),
        "tables_sha256": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in found.items()},
    }
    facts = json.dumps(manifest, indent=2) + "\n"
    (arguments.output / "evaluation.json").write_text(facts, encoding="utf-8")


if __name__ == "__main__":
    main()
