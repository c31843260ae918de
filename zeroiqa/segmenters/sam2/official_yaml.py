"""Bounds on a configuration of SAM 2 (YAML): what is short in a file must not be endless in memory."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from zeroiqa.errors import UserError, printable
from zeroiqa.files.schema import numbers
from zeroiqa.weights.model_files import check_size

_MOST_BYTES = 1 << 17
"""The package's own have 4,000."""
_MOST_SIZE = 1 << 14
"""Of an image's side, of a temperature; widths are smaller."""
_MOST_LAYERS = 1000
"""Of all blocks and layers together; the largest published model has 60."""
_MOST_DEPTH = 50
_LAYERS = re.compile(r"stages|layer|depth")


def check_text(path: Path) -> None:
    """Refuse a file that is too long, or that refers to parts of itself or to the environment.

    Raises:
        OSError: it cannot be read.
        YAMLError: it is no YAML.
        UserError: it is refused.
    """
    yaml = import_module("yaml")
    check_size(path, _MOST_BYTES)
    depth = 0
    for event in yaml.parse(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_DEPTH:  # each level makes the reader slower
            raise _refused(path, f"is nested deeper than {_MOST_DEPTH} levels", "give one of SAM 2")
        if isinstance(event, yaml.AliasEvent):
            raise _refused(path, f"has an alias (*{event.anchor})", "write out what it stands for")
        if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            raise _refused(path, f"has a reference ({event.value[:60]})", "write out what it stands for")


def check_numbers(path: Path, content: Any) -> None:
    """Refuse what asks for a network of absurd size, which would be made before weights are compared.

    Raises:
        UserError: a number is too large, or all layers together are too many.
    """
    layers = 0
    for name, value in numbers(content):
        if not isinstance(value, int) or value < 1:
            continue
        number = min(value, 1 << 62)
        layers += number if _LAYERS.search(name) else 0
        if number > _MOST_SIZE or layers > _MOST_LAYERS:
            raise _refused(path, f"asks for {name} = {number:,}", "give one of a network that can be built")


def _refused(path: Path, found: str, remedy: str) -> UserError:
    return UserError(
        f"The configuration {printable(str(path))} cannot be read, for it {printable(found)}; {remedy}."
    )
