"""Runs and reports of a few small pictures, for the tests of pages; and what a page holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from tests.command import Done, zeroiqa

HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    "</script><script>alert(2)</script>.png".replace("/", "\u2215"),
    "a' onmouseover='alert(3).png",
    'b" autofocus onfocus="alert(4).png',
    "javascript:alert(5).png",
    "line\nbreak.png",
    "\u202egnp.txt.png",
    "bad\udcff.png",
)
"""Names of files; the slash of an end tag is one that a name can have."""
RATED = ("--rater", "fake", "--segmenter", "grid:2x2", "--lambda", "1")
"""Options of `zeroiqa score` that take no time and rate regions on levels."""


def draw(path: Path, number: int = 0, size: tuple[int, int] = (240, 180)) -> None:
    """A picture that no other number has."""
    picture = Image.new("RGB", size, (40 + 7 * number % 200, 90, 160))
    ImageDraw.Draw(picture).ellipse(
        (10 + number, 20, 120 + number, 150), fill=(230, 200 - 9 * number % 190, 60)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def scored(folder: Path, names: tuple[str, ...], *options: str, run: str = "run") -> Done:
    """A run over new pictures of some names in the folder photos/."""
    for number, name in enumerate(names):
        if not (folder / "photos" / name).exists():
            draw(folder / "photos" / name, number)
    done = zeroiqa(folder, "score", "photos", "-o", run, "--workers", "1", *(options or RATED))
    assert done.returncode == 0, done.stderr
    return done


def block(page: Path, name: str = "data") -> Any:
    """What a script block of a page holds."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)
    return None if found is None else json.loads(found[1])


def column(page: Path, key: str) -> list[float | None] | None:
    """The values of a column of a page."""
    found = {each["key"]: each["values"] for each in block(page)["columns"]}
    return found.get(key)
