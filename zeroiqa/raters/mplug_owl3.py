"""Where mPLUG-Owl3 was: its classes are in `zeroiqa.chat.mplug_owl3` now. Imports from here keep working."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from zeroiqa.chat import mplug_owl3

    if name not in mplug_owl3.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; see zeroiqa.chat.mplug_owl3")
    return getattr(mplug_owl3, name)
