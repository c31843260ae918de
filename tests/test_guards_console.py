"""Broken streams, narrow encodings and Ctrl-C: no traceback, and what is finished is kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from zeroiqa.samples import folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="by a shell")

SCORE = "score photos -o run --rater fake --segmenter grid"
FULL = "standard output could not be written: No space left on device; what is finished is kept"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
ENVIRONMENT.pop("PYTHONUNBUFFERED", None)


@pytest.fixture
def photos(here: Path) -> Path:
    Path("photos").mkdir()
    for name in ("a\rb.jpg", "=é.jpg", "\u202e\u6587.jpg"):
        shutil.copy(folder() / "cat.jpg", Path("photos", name))
    return here


def run(arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m zeroiqa {arguments}"],
        env={**ENVIRONMENT, **environment}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (f"{SCORE} --format jsonl | head -n 1", 0, "3 images, 0 with an error"),
        (f"{SCORE} --format csv >/dev/full", 1, FULL),
        (f"{SCORE} --format csv <&- >&- 2>&-", 0, ""),
        (f"{SCORE} 2>/dev/full", 0, ""),
        ("--version >/dev/full", 1, FULL),
        ("score --help >&-", 0, ""),
    ],
)
def test_a_broken_stream_is_no_traceback_and_costs_no_scores(photos, arguments, code, said):
    if "full" in arguments and not Path("/dev/full").exists():
        pytest.skip("there is no full disk here")
    done = run(arguments)
    assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (code, False)
    assert said in done.stderr
    if SCORE in arguments:
        assert len(Path("run/scores.csv").read_bytes().splitlines()) == 1 + 3


@pytest.mark.parametrize("style", ["excel-csv", "table"])
def test_redirected_output_of_windows_needs_no_utf_8(photos, style):
    done = run(f"{SCORE} --format {style} >out", PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    output = Path("out").read_bytes()
    if style == "table":  # for people: what cp1252 has not is escaped
        assert "=é.jpg".encode("cp1252") in output
        assert rb"\u202e\u6587.jpg" in output
    else:
        assert output.startswith("\ufeffpath,".encode())
        names = {row.partition(",")[0] for row in output.decode("utf-8-sig").splitlines()[1:]}
        assert names == {r"photos/a\rb.jpg", "photos/=é.jpg", "photos/\\u202e\u6587.jpg"}
    assert len(Path("run/scores.csv").read_text(encoding="utf-8").splitlines()) == 1 + 3


@pytest.mark.parametrize("workers", [1, 2])
def test_five_ctrl_c_in_a_row_are_no_traceback_and_leave_no_process(photos, workers):
    for number in range(60):
        shutil.copy(folder() / "coffee.jpg", f"photos/{number}.jpg")
    process = subprocess.Popen(
        [sys.executable, "-m", "zeroiqa", "score", "photos", "-o", "run", "--workers", str(workers)],
        stderr=subprocess.PIPE, text=True, start_new_session=True, env=ENVIRONMENT,
    )  # fmt: skip
    while not list(Path("run").glob("ratings/*/part-*")):
        assert process.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True)
    for _ in range(5):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.01)
    _, errors = process.communicate(timeout=60)
    assert "run keeps what is finished; the same command goes on from there" in errors
    assert "Traceback" not in errors
    assert process.returncode == 130
    assert not psutil.wait_procs(children, timeout=10)[1]


FIVE = "[os.kill(os.getpid(), signal.SIGINT) for _ in range(5)]"
IN_THE_IMPORTS = f"""
class Interrupting:
    def find_spec(self, name, *_):
        name == "zeroiqa.cli.commands.score" and {FIVE}
sys.meta_path.insert(0, Interrupting())
"""
IN_A_DESTRUCTOR = f"""
class Interrupting:
    def __del__(self):
        {FIVE}
class Late:
    def find_spec(self, name, *_):
        name == "zeroiqa.images.find" and Interrupting()
sys.meta_path.insert(0, Late())
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [(IN_THE_IMPORTS, 130), (IN_A_DESTRUCTOR, 130), (f"atexit.register(lambda: {FIVE})", 0)],
    ids=["imports", "destructor", "end"],
)
def test_ctrl_c_is_heard_at_any_time(photos, code, expected):
    program = (
        f"import atexit, os, signal, sys\n{code}\nsys.argv[1:] = ['score', 'photos', '--rater', 'fake']\n"
        "from zeroiqa.__main__ import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, "Traceback" in done.stderr) == (expected, False)
    assert any(said in done.stderr for said in ("Interrupted.", "Stopped.")) == (expected == 130)
