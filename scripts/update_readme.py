"""Run the examples of README.md and put what they print below them; `--check` only compares.

    python scripts/update_readme.py [--check]

Examples stand in blocks fenced by ```console, each line that begins with `$ ` followed by its standard
output. All of them run in one new folder that holds a link to the sample photos. The ```python blocks are run
there, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"-?\d+\.\d+")
TOLERANCE = 1.5e-6
"""The README promises that scores are the same on every x86-64 machine; this is the last of six decimals."""


def run(command: list[str], folder: Path) -> str:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "100"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr}")
    return done.stdout


def rewritten(text: str, folder: Path) -> str:
    """The README with the output of every example as it is now."""

    def block(found: re.Match[str]) -> str:
        kind, body = found.groups()
        if kind == "python":
            run([sys.executable, "-c", body], folder)
            return found[0]
        commands = [line for line in body.splitlines() if line.startswith("$ ")]
        printed = [
            f"{line}\n{run([sys.executable, '-m', *line.split()[1:]], folder)}".rstrip("\n")
            for line in commands
        ]
        return "```console\n" + "\n".join(printed) + "\n```"

    return BLOCK.sub(block, text)


def differs(old: str, new: str) -> bool:
    numbers = zip(map(float, NUMBER.findall(old)), map(float, NUMBER.findall(new)), strict=False)
    return NUMBER.sub("", old) != NUMBER.sub("", new) or any(abs(a - b) > TOLERANCE for a, b in numbers)


def main() -> None:
    old = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "zeroiqa").mkdir()
        (Path(folder) / "zeroiqa" / "samples").symlink_to(ROOT / "zeroiqa" / "samples")
        new = rewritten(old, Path(folder))
    if "--check" not in sys.argv:
        README.write_text(new, encoding="utf-8")
    elif differs(old, new):
        sys.exit("README.md shows other output than its commands give; run scripts/update_readme.py.")


if __name__ == "__main__":
    main()
