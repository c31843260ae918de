"""A run that goes on with its own images and settings, as far as these may be others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zeroiqa.errors import UserError
from zeroiqa.runs.identity import ARITHMETIC, PLACE_AND_PERMISSION, SEGMENTED
from zeroiqa.runs.run import Run
from zeroiqa.settings import Settings, key_of, settings_from_dict


def reopened(run: Run, overrides: Mapping[str, Any]) -> tuple[Run, Settings]:
    """The run, perhaps on another device; and its settings, with other arithmetic or regions.

    Args:
        run: From `load_run`.
        overrides: Field of `Settings` -> value.

    Raises:
        UserError: its settings shall be others.
    """
    others = sorted(
        name for name in overrides if key_of(name) not in (*ARITHMETIC, SEGMENTED, *PLACE_AND_PERMISSION)
    )
    if others:
        raise UserError(
            f"{run.folder} goes on with its own settings, but {', '.join(others)} was given; leave that out, "
            "or name the images, too."
        )
    changes = {key_of(name): value for name, value in overrides.items()}
    placed = {name: changes[name] for name in changes.keys() & {*PLACE_AND_PERMISSION}}
    own = run.settings.to_dict()
    opened = replace(run, settings=settings_from_dict({**own, **placed}, "the call"))
    return opened, settings_from_dict({**own, **changes}, "the call")
