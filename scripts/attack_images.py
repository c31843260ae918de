"""Decode files that are made to take long or much memory, and thousands of damaged ones.

    python scripts/attack_images.py results/attacks/images.csv --count 5000 --seed 14

Crafted attacks are those of tests/attackfiles.py, each of some megabytes, and sparse files of 2 GB. Damaged
files are images of every format that can be encoded here with bytes flipped, cut, swapped, or with the size
in their header changed. Each is read and decoded as `zeroiqa score` does, in a process of its own, whose time
and peak memory are taken; it survives if it gives an image or an error of one sentence within a minute. One
row per kind of attack, and the manifest beside the table; the exit code is 1 if one did not survive.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.attack_tables import write
from tests.attackfiles import ATTACKS
from tests.damaged_images import KINDS, SEEDS, mutated
from zeroiqa.errors import ImageError
from zeroiqa.images.decode import decode, opened
from zeroiqa.images.opencv import cv2
from zeroiqa.images.read import read
from zeroiqa.images.ref import ImageRef
from zeroiqa.settings import load_settings

BUDGET, MEMORY = 60.0, 1024
"""Seconds and MiB of one image; more is a breach."""
SPARSE = 2_000_000_000
MAGIC = {
    "JPEG": b"\xff\xd8\xff\xe0",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "GIF": b"GIF89a",
    "BMP": b"BM" + bytes(8),
    "TIFF": b"II*\0\x08\0\0\0",
    "BigTIFF": b"II+\0\x08\0\0\0",
    "WebP": b"RIFF\xff\xff\xff\x7fWEBPVP8 ",
    "AVIF": b"\0\0\0\x1cftypavif",
    "HEIC": b"\0\0\0\x1cftypheic",
    "text": b"This is no image.\n",
    "zeros": b"",
}


@dataclass(frozen=True)
class Trial:
    """What became of one file."""

    kind: str
    bytes: int
    said: str
    """"scored", the error, or what went wrong."""
    seconds: float
    mib: float
    survived: bool
    suspicious: bool


def in_child(work: Callable[[], str], errors: Path) -> tuple[str, float, float, int]:
    """What `work` says in a fork of this process, its seconds, its peak memory in MiB, its exit status."""
    reader, writer = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if not child:
        os.close(reader)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(2 * BUDGET), int(2 * BUDGET)))
        try:
            os.write(writer, work().encode(errors="replace")[:4000])
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        text = said.read().decode()
    _, status, usage = os.wait4(child, 0)
    return text, time.monotonic() - start, usage.ru_maxrss / 1024, status


def decoded(path: Path) -> str:
    """Read, open and decode one file: "scored" or its error, and whether it was suspicious."""
    suspicious = False
    try:
        found = opened(read(ImageRef(str(path)), load_settings("embedded").max_pixels), name="image")
        suspicious = found.suspicion is not None
        image = found.decode()
        said = "scored" if image.pixels.size else "empty"
    except ImageError as error:
        said = str(error).replace(str(path), "image")
    return f"{int(suspicious)}{said}"


def attempt(kind: str, path: Path, errors: Path) -> Trial:
    size = path.stat().st_size
    text, seconds, mib, status = in_child(lambda: decoded(path), errors)
    noise = errors.read_text(errors="replace")
    suspicious, said = text[:1] == "1", text[1:]
    if status:
        ended = f"signal {signal.Signals(status & 127).name}" if status & 127 else f"exit {status >> 8}"
        said = f"{ended}: {noise.strip().splitlines()[-1:]}"
    sentence = said == "scored" or (said.endswith(".") and "\n" not in said)
    if not status and noise:
        said, sentence = f"standard error: {noise.strip().splitlines()[0]}", False
    survived = not status and sentence and seconds <= BUDGET
    return Trial(kind, size, said, seconds, mib, survived, suspicious)


def crafted(folder: Path, size: int, only: str) -> list[Trial]:
    """One trial for each attack of some megabytes, and for a sparse file of each format."""
    trials = []
    path, errors = folder / "image", folder / "errors"
    for name, make in ATTACKS.items():
        if only in name:
            in_child(lambda make=make: str(path.write_bytes(make(size))), errors)  # type: ignore[misc]
            trials.append(attempt(name, path, errors))
            report(trials[-1])
    for name, magic in MAGIC.items():
        if only in f"sparse {name}":
            with path.open("wb") as file:
                file.write(magic)
                file.truncate(SPARSE)
            trials.append(attempt(f"sparse {name}", path, errors))
            report(trials[-1])
    return trials


def damaged(folder: Path, count: int, seed: int) -> list[Trial]:
    """`count` damaged files; the same seed makes the same ones."""
    chance = random.Random(seed)
    trials = []
    path, errors = folder / "image", folder / "errors"
    for index in range(count):
        name, kind = sorted(SEEDS)[index % len(SEEDS)], KINDS[index // len(SEEDS) % len(KINDS)]
        path.write_bytes(mutated(SEEDS[name], kind, chance))
        trials.append(attempt(f"{name}, {kind}", path, errors))
        if not trials[-1].survived or trials[-1].mib > MEMORY:
            (Path(tempfile.gettempdir()) / f"attack-{index}-{name}").write_bytes(path.read_bytes())
            report(trials[-1])
    return trials


def report(trial: Trial) -> None:
    mark = "" if trial.survived else "FAILED "
    print(
        f"{mark}{trial.kind}: {trial.bytes} bytes, {trial.seconds:.2f} s, {trial.mib:.0f} MiB"
        f"{', suspicious' if trial.suspicious else ''}: {trial.said[:150]}",
        file=sys.stderr,
        flush=True,
    )


def rows(trials: list[Trial]) -> list[dict[str, Any]]:
    """One row for each kind of attack, in order."""
    table = []
    for kind in dict.fromkeys(each.kind for each in trials):
        own = [each for each in trials if each.kind == kind]
        said = {each.said for each in own}
        table.append(
            {
                "attack": kind,
                "largest bytes": max(each.bytes for each in own),
                "tried": len(own),
                "survived": sum(each.survived for each in own),
                "scored": sum(each.said == "scored" for each in own),
                "suspicious": sum(each.suspicious for each in own),
                "slowest seconds": f"{max(each.seconds for each in own):.2f}",
                "largest MiB": round(max(each.mib for each in own)),
                "tracebacks": sum("exit" in each.said and not each.survived for each in own),
                "outcome": said.pop() if len(said) == 1 else f"{len(said)} outcomes",
            }
        )
    return table


@click.command()
@click.argument("target", type=click.Path(path_type=Path), default=Path("results/attacks/images.csv"))
@click.option("--count", default=5000, show_default=True, help="Damaged files.")
@click.option("--seed", default=14, show_default=True, help="Of the damage.")
@click.option("--size", default=2_000_000, show_default=True, help="Elements of each crafted attack.")
@click.option("--only", default="", help="Only crafted attacks whose name contains this.")
def main(target: Path, count: int, seed: int, size: int, only: str) -> None:
    cv2.setNumThreads(1)
    decode(SEEDS["JPEG"])  # imports what is imported late
    with tempfile.TemporaryDirectory(prefix="attack-") as name:
        trials = crafted(Path(name), size, only) + damaged(Path(name), count, seed)
    table = rows(trials)
    facts = {
        "script": "scripts/attack_images.py",
        "options": {"count": count, "seed": seed, "size": size},
        "bounds": {"seconds": BUDGET, "MiB": MEMORY},
        "tried": len(trials),
        "survived": sum(each.survived for each in trials),
        "damaged files": {
            "tried": count,
            "survived": sum(each.survived for each in trials if ", " in each.kind),
            f"over {BUDGET:.0f} s": sum(each.seconds > BUDGET for each in trials if ", " in each.kind),
            f"over {MEMORY} MiB": sum(each.mib > MEMORY for each in trials if ", " in each.kind),
        },
    }
    write(target, table, facts)
    sys.exit(not all(each.survived for each in trials))


if __name__ == "__main__":
    main()
