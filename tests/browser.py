"""A real browser for the pages that the project makes: Chromium without a window, by selenium."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome

_PROGRAMS = {"browser": ("chromium", "chromium-browser", "google-chrome"), "driver": ("chromedriver",)}
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,900",
)


def missing() -> str:
    """Why there is no browser, for the reason of a skipped test; empty where there is one."""
    lacking = [what for what in _PROGRAMS if _found(what) is None]
    return f"no Chromium here: its {' and '.join(lacking)} is missing" if lacking else ""


@contextmanager
def started() -> Iterator[Chrome]:
    """A browser with a profile of its own, which ends with the block; all that it logs is kept."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(_found("browser"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(_found("driver"))))
        try:
            yield browser
        finally:
            browser.quit()


def visit(browser: Chrome, page: Path) -> None:
    """Open a page, and wait until it stands in the place of the one before."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_script("window.before = true")
    browser.get(page.as_uri())
    WebDriverWait(browser, 60).until(
        lambda _: browser.execute_script("return !window.before && document.readyState === 'complete'")
    )


def resized(browser: Chrome, width: int, height: int = 900) -> None:
    """Show pages in a window of so many pixels."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def coloured(browser: Chrome, scheme: str) -> None:
    """Show pages "light" or "dark"."""
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )


def _found(what: str) -> str | None:
    return next(filter(None, map(shutil.which, _PROGRAMS[what])), None)
