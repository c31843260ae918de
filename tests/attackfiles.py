"""Files made to take long or much memory: each is small beside the work that it asks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType

from tests import attack_streams, attack_tables

SIDE = attack_streams.SIDE


def _attacks(module: ModuleType) -> dict[str, Callable[[int], bytes]]:
    return {
        name.replace("_", " "): each
        for name, each in inspect.getmembers(module, inspect.isfunction)
        if each.__module__ == module.__name__ and not name.startswith("_")
    }


ATTACKS = _attacks(attack_streams) | _attacks(attack_tables)
"""Name -> a function that gives the bytes; its argument is how large: the work must not grow faster."""
