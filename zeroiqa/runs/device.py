"""Whether the device of models is here: asked before images are looked for and weights fetched."""

from __future__ import annotations

from collections.abc import Callable

from zeroiqa.runs.executors.placement import uses_models
from zeroiqa.settings import Settings


def check_device(settings: Settings, tell: Callable[[str], None]) -> None:
    """Refuse a device that is not here; tell of one that does nothing, since no model runs.

    torch is imported where a GPU is named and models run, and never else.

    Args:
        settings: Of a method that shall run on this machine.
        tell: Is given the sentence.

    Raises:
        UserError: there is no such device; the message says what there is.
    """
    if settings.device in ("auto", "cpu"):
        return
    if not uses_models(settings):
        by = ", ".join(settings.raters) or settings.segmenter
        tell(f"--device {settings.device} does nothing here: {by} runs no model.")
        return
    from zeroiqa.weights.devices import find_device

    find_device(settings.device)
