"""A run in a process of its own, for the tests that kill it.

python killer.py run FOLDER IMAGES WORKERS     do or resume the run and write its scores
python killer.py every FOLDER IMAGES           kill the run before each of its file operations, and resume it
python killer.py extend FOLDER IMAGES          the same for a run that has one rater and gets another one
python killer.py heal FOLDER IMAGES            the same for a run whose broken image bad.png has been repaired
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zeroiqa import runs
from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.healing import find_changes
from zeroiqa.runs.run import revised
from zeroiqa.settings import load_settings

OPERATIONS = {"open", "os.mkdir", "os.link", "os.rename", "os.remove"}
RATERS = ("fake", "fake:2")


class WithoutPandas:
    """pyarrow imports it where it is installed, which takes half of a start."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError(name)


sys.meta_path.insert(0, WithoutPandas)


def main() -> int:
    if sys.argv[1] in ("every", "extend"):
        return kill_everywhere(Path(sys.argv[2]), sys.argv[3], RATERS[: sys.argv[1] == "extend"])
    if sys.argv[1] == "heal":
        return kill_everywhere(Path(sys.argv[2]), sys.argv[3], RATERS, Path(sys.argv[3]) / "bad.png")
    try:
        score(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def score(folder: Path, images: str, workers: int, raters: Sequence[str] = RATERS) -> None:
    settings = load_settings("embedded", {"segmenter": "grid", "raters": raters, "lambda": 1.0})
    sources = find_images([images])
    run = runs.open_run(folder, settings, sources, preset="embedded")
    run = revised(run, find_changes(run, sources).changes)
    for shard in LocalExecutor(workers).execute(run, runs.pending(run), on_images=lambda _: None):
        print("shard", shard, flush=True)
    runs.write_scores(run)


def kill_everywhere(base: Path, images: str, begun: Sequence[str], bad: Path | None = None) -> int:
    """Die before operation 1, 2, ... of the run until it has no more; each time, see what resuming gives.

    A bad image is broken as long as the run is begun, and is another one from then on.
    """
    assert in_child(score, base / "whole", images, 1) == 0
    content = bad.read_bytes() if bad else b""
    if bad:
        bad.write_bytes(b"no image")
    if begun:
        assert in_child(score, base / "begun", images, 1, begun) == 0
    if bad:
        bad.write_bytes(content)
    for operation in itertools.count(1, 3 if bad else 1):
        folder = base / str(operation)
        if begun:
            shutil.copytree(base / "begun", folder)
        finished = parts(folder)
        ended = in_child(dying, folder, images, operation)
        if ended == 0:
            print(operation - 1)
            return 0
        assert ended == -signal.SIGKILL, f"operation {operation} ended with {ended}"
        before = parts(folder)
        assert finished.items() <= before.items()
        assert in_child(score, folder, images, 1) == 0, f"no resume after operation {operation}"
        assert before.items() <= parts(folder).items(), f"a part was written again after {operation}"
        assert not list(folder.rglob(".zeroiqa-*")), f"leftovers after operation {operation}"
        for name in ("scores.csv", "scores.parquet"):
            assert (folder / name).read_bytes() == (base / "whole" / name).read_bytes(), operation
    return 1


def dying(folder: Path, images: str, operation: int) -> None:
    left = operation

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event not in OPERATIONS or not str(arguments[0]).startswith(str(folder)):
            return
        if event == "open" and arguments[1] == "r":
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    score(folder, images, 1)


def parts(folder: Path) -> dict[str, tuple[int, int]]:
    found = ((path, path.stat()) for path in folder.rglob("part-*.parquet"))
    return {str(path): (status.st_ino, status.st_mtime_ns) for path, status in found}


def in_child(action: Callable[..., None], *arguments: Any) -> int:
    """Run in a forked child, which starts with everything imported; its exit code, or minus its signal."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            action(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
