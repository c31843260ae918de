"""Install zeroiqa beside other Pythons, and try it there.

    python scripts/smoke.py /usr/bin/python3.12 /usr/bin/python3.13

For each interpreter: a new virtual environment, `pip install -c constraints.txt .[report]`, then photos
are scored, a data frame and an Arrow table come back with equal scores, and a report is made. What
fails first ends it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRY = """
import sys, pandas, pyarrow, zeroiqa
from zeroiqa.samples import folder
photos = [str(folder() / name) for name in ("cat.jpg", "coffee.jpg")]
frame = zeroiqa.score_table(pandas.DataFrame({"image": photos}))
table = zeroiqa.score_table(pyarrow.table({"image": photos}))
assert frame["score"].tolist() == table["score"].to_pylist()
print(f"zeroiqa {zeroiqa.__version__}, Python {sys.version.split()[0]}: {frame['score'].tolist()}")
"""


def smoke(interpreter: str) -> None:
    """Install and try in a new environment of an interpreter."""
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        subprocess.run([interpreter, "-m", "venv", here / "venv"], check=True)
        python = here / "venv" / "bin" / "python"
        install = [python, "-m", "pip", "install", "-q", "-c", "constraints.txt", ".[report]"]
        subprocess.run(install, cwd=ROOT, check=True)
        subprocess.run([python, "-c", TRY], cwd=here, check=True)
        samples = ROOT / "zeroiqa" / "samples"
        for arguments in (["score", samples, "-o", "run"], ["report", "run", "-o", "report.html"]):
            subprocess.run([python, "-m", "zeroiqa", *arguments], cwd=here, check=True)


def main() -> None:
    if not sys.argv[1:]:
        sys.exit(__doc__)
    for interpreter in sys.argv[1:]:
        smoke(interpreter)


if __name__ == "__main__":
    main()
