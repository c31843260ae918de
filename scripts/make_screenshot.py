"""A picture of a report in a browser, for README.md: the sample photos with their regions, one opened.

    python scripts/make_screenshot.py results/readme/report.jpg

The regions count here, and their masks are kept (--lambda 1 --crop mask). It is what Chromium shows of the
page that `zeroiqa report` makes; nothing is drawn by hand.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import PIL.Image

from zeroiqa.samples import folder

WIDTH, HEIGHT, GAP = 1180, 830, 18
OPENED = "coffee.jpg"
MOST_BYTES = 300_000


def main(target: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.browser import coloured, resized, started

    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "samples").symlink_to(folder())
        command = [sys.executable, "-m", "zeroiqa"]
        subprocess.run(
            [*command, "score", "samples", "--lambda", "1", "--crop", "mask", "-o", "run"],
            cwd=scratch,
            check=True,
        )
        subprocess.run([*command, "report", "run"], cwd=scratch, check=True)
        with started() as browser:
            resized(browser, WIDTH, HEIGHT)
            coloured(browser, "light")
            browser.get((scratch / "report.html").as_uri())
            browser.execute_async_script("setTimeout(arguments[0], 500)")
            overview = browser.get_screenshot_as_png()
            card = browser.find_element("css selector", f"[title$='/{OPENED}']")
            browser.execute_script("arguments[0].click(); document.activeElement.blur()", card)
            browser.execute_async_script("setTimeout(arguments[0], 500)")
            opened = browser.get_screenshot_as_png()
    pictures = [PIL.Image.open(io.BytesIO(each)).convert("RGB") for each in (overview, opened)]
    sheet = PIL.Image.new("RGB", (2 * WIDTH + GAP, HEIGHT), "#d0d0d0")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index * (WIDTH + GAP), 0))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".png":
        sheet = sheet.quantize(256, dither=PIL.Image.Dither.NONE)
        sheet.save(target, optimize=True)
    else:
        sheet.save(target, quality=82, optimize=True)
    if target.stat().st_size > MOST_BYTES:
        sys.exit(f"{target} has {target.stat().st_size} bytes, more than {MOST_BYTES}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
