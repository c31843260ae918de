"""Run the examples of README.md and docs/ and put what they print below them; `--check` only compares.

    python scripts/update_docs.py [--check] [README.md docs/runs.md ...]

Examples stand in blocks fenced by ```console, each line that begins with `$ ` followed by its standard
output. Those of one page run in one new folder that holds a link to the sample photos, in this process, one
after the other. The ```python blocks are run there, too.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"-?\d+\.\d+")
TOLERANCE = 1.5e-6
"""Scores are the same on every x86-64 machine, says docs/embedded.md; this is the last of six decimals."""


@contextmanager
def width(columns: int) -> Iterator[None]:
    """A terminal of so many columns."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def printed(command: str) -> str:
    """What a command of zeroiqa prints on standard output, which is the end of this script if it fails."""
    from zeroiqa.cli import main

    program, *arguments = shlex.split(command)
    if program != "zeroiqa":
        sys.exit(f"{command}: only commands of zeroiqa are run.")
    output, remarks = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(remarks):
        try:
            main(arguments)
        except SystemExit as ended:
            failed = ended.code
    if failed:
        sys.exit(f"{command} failed: {remarks.getvalue()}")
    return output.getvalue()


def rewritten(text: str, folder: Path) -> str:
    """A page with the output of every example as it is now, run in `folder`."""

    def block(found: re.Match[str]) -> str:
        kind, body = found.groups()
        if kind == "python":
            with redirect_stdout(io.StringIO()):
                exec(compile(body, "an example", "exec"), {"__name__": "__main__"})
            return found[0]
        commands = [line for line in body.splitlines() if line.startswith("$ ")]
        shown = [f"{line}\n{printed(line.removeprefix('$ '))}".rstrip("\n") for line in commands]
        return "```console\n" + "\n".join(shown) + "\n```"

    (folder / "zeroiqa").mkdir()
    (folder / "zeroiqa" / "samples").symlink_to(ROOT / "zeroiqa" / "samples")
    with chdir(folder), width(100):
        return BLOCK.sub(block, text)


def differs(old: str, new: str) -> bool:
    """Whether two texts differ by more than the last of six decimals of their numbers."""
    numbers = zip(map(float, NUMBER.findall(old)), map(float, NUMBER.findall(new)), strict=False)
    return NUMBER.sub("", old) != NUMBER.sub("", new) or any(abs(a - b) > TOLERANCE for a, b in numbers)


def main(arguments: Sequence[str]) -> None:
    pages = [Path(name).resolve() for name in arguments if name != "--check"] or PAGES
    stale = []
    for page in pages:
        old = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            new = rewritten(old, Path(folder))
        if "--check" not in arguments:
            page.write_text(new, encoding="utf-8")
        elif differs(old, new):
            stale.append(page.name)
    if stale:
        sys.exit(f"Other output than that of its commands: {', '.join(stale)}. Run scripts/update_docs.py.")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # these sources, not those that are installed
    main(sys.argv[1:])
