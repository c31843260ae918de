"""Speed of both releases of mPLUG-Owl3-7B at full size, with random weights: `zeroiqa bench`, kept as a file.

    python scripts/bench_mplug_owl3.py [--output results/bench/mplug_owl3.json] [--device cpu] [--views 2]

The weights take 15 GiB in bfloat16. Without a GPU two views take minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RATERS = ("mplug-owl3-240728", "mplug-owl3-241101")


def measure(rater: str, device: str, views: int) -> dict[str, Any]:
    """One release, in a process of its own."""
    command = [sys.executable, "-m", "zeroiqa", "bench", "--rater", rater, "--random-weights"]
    command += ["--device", device, "--dtype", "bfloat16", "--views", str(views), "--rounds", "1"]
    done = subprocess.run([*command, "--format", "json"], check=True, stdout=subprocess.PIPE, text=True)
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("results/bench/mplug_owl3.json"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--views", type=int, default=2, help="The first one is a whole image, the second a box."
    )
    arguments = parser.parse_args()
    record = {
        "measurements": [measure(rater, arguments.device, arguments.views) for rater in RATERS],
        "manifest": {
            "command": "python scripts/bench_mplug_owl3.py",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared",
            "libraries": {"python": platform.python_version()}
            | {name: version(name) for name in ("torch", "transformers")},
        },
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
