"""A few small photos in the public domain, for the first run and the tests (see LICENSES.md)."""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """The folder that holds the sample images."""
    return Path(__file__).parent
