"""Copies, links or moves a tree in a process that is killed, for the tests of what --undo takes back.

python select_killer.py FOLDER
    kills it before each of its steps, takes that back, and compares the tree; prints how many steps of each
    operation it tried, of a move between disks at last
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zeroiqa.curation import single_files
from zeroiqa.curation.files import Transfer
from zeroiqa.curation.log import OPERATIONS, Operation
from zeroiqa.curation.places import shared_folder
from zeroiqa.curation.undo import undo
from zeroiqa.images.ref import ImageRef

STEPS = {"open", "os.mkdir", "os.link", "os.symlink", "os.remove", "os.rename"}


def main() -> int:
    base = Path(sys.argv[1])
    ended = [kill_everywhere(base / operation, operation, False) for operation in OPERATIONS]
    return max(*ended, kill_everywhere(base / "other disk", "move", True))


def kill_everywhere(base: Path, operation: Operation, other_disk: bool) -> int:
    for step in itertools.count(1):
        folder = base / str(step)
        (folder / "photos" / "sub").mkdir(parents=True)
        for name in ("one.png", "sub/one.png"):
            (folder / "photos" / name).write_bytes(name.encode() * 1000)
        before = tree(folder)
        ended = in_child(dying, folder, operation, step, other_disk)
        assert ended in (0, -signal.SIGKILL), f"step {step} ended with {ended}"
        assert all(content in tree(folder).values() for content in before.values()), f"lost at {step}"
        undo(folder / "photos" / "new" / "chosen")
        left = tree(folder)
        if "photos/new" in left:  # a folder was made, and then nothing
            assert not any(content for name, content in left.items() if name.startswith("photos/new"))
            shutil.rmtree(folder / "photos" / "new")
        assert tree(folder) == before, f"step {step}"
        if ended == 0:
            print(step - 1)
            return 0
    return 1


def dying(folder: Path, operation: Operation, step: int, other_disk: bool) -> None:
    left = step

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event not in STEPS or not str(arguments[0]).startswith(str(folder)):
            return
        if event == "open" and arguments[1] in ("r", "rb"):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if other_disk:
        link = os.link

        def refuse(source: Any, target: Any) -> None:
            if ".zeroiqa-" not in str(source):  # between the disks, not within one
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            link(source, target)

        single_files.os.link = refuse  # type: ignore[attr-defined]
    sys.addaudithook(count)
    paths = [str(folder / "photos" / name) for name in ("one.png", "sub/one.png")]
    chosen = folder / "photos" / "new" / "chosen"
    with Transfer(operation, chosen, shared_folder(paths, ""), 10**6) as transfer:
        for path in paths:
            transfer.take(ImageRef(path))
    assert transfer.counts.total() == len(paths) and "left" not in " ".join(transfer.counts)


def tree(folder: Path) -> dict[str, bytes]:
    """Path -> content; of folders nothing."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def in_child(action: Callable[..., None], *arguments: Any) -> int:
    """Run in a forked child, which starts with everything imported; its exit code, or minus its signal."""
    child = os.fork()
    if child == 0:
        try:
            action(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
