"""Turn the exceptions of parsers on damaged files into sentences."""

from __future__ import annotations

import csv
import json
import pickle
import sqlite3
import struct
import sys
import tarfile
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from zeroiqa.errors import UserError, printable
from zeroiqa.files.text import decode_text
from zeroiqa.suggestions import did_you_mean_path

if TYPE_CHECKING:
    from zeroiqa.files.storage import Location

_FAMILIES: tuple[type[Exception], ...] = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, MemoryError),
    *(NotImplementedError, RecursionError, struct.error, csv.Error, sqlite3.Error, zlib.error),
    *(tarfile.TarError, zipfile.BadZipFile, pickle.PickleError),
)
"""What parsers of the standard library raise on bytes that they were not made for."""
_OF_LIBRARIES = {"pyarrow": "ArrowException", "safetensors": "SafetensorError", "yaml": "YAMLError"}
"""Library -> the base of its own errors."""
_LONGEST = 200
JSON_BYTES = 4 << 20
"""Bytes of a JSON file that is read; ours hold kilobytes, and what is parsed takes up to 30 times as much."""


def stumbles(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Every type of exception that a reader may raise on a damaged file, and some others, for an `except`.

    A library that is not loaded has raised nothing, so none is imported for it. Errors of the program itself
    (NameError, AssertionError, RuntimeError) are not among them.
    """
    loaded = (getattr(sys.modules.get(library), name, None) for library, name in _OF_LIBRARIES.items())
    return (*others, *_FAMILIES, *(each for each in loaded if each is not None))


@contextmanager
def reading(path: object, advice: str, what: str = "") -> Iterator[None]:
    """Turn the exceptions of a reader into one sentence; the block holds nothing but reading.

    Args:
        path: Of the file, for the message.
        advice: What to do, the end of the sentence without its dot.
        what: What the file is, the beginning of the sentence; the path alone if empty.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    try:
        yield
    except stumbles() as error:
        named = printable(f"{what} {path}".strip())
        hint = did_you_mean_path(str(path)) if isinstance(error, FileNotFoundError) else ""
        raise UserError(f"{named} cannot be read ({reason(error)}); {advice}.{hint}") from error


def reason(error: BaseException) -> str:
    """What an exception says, on one line of bounded length and without a dot."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = f"there is no {error}" if isinstance(error, LookupError) else str(error)
    return shortened(" ".join(text.split()).rstrip(".") or type(error).__name__)


def shortened(text: str) -> str:
    """A text for a message: printable and of bounded length."""
    text = printable(text[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def read_json(path: Location, most: int = JSON_BYTES, *, constants: bool = False) -> Any:
    """What a JSON file holds; for a block of `reading`.

    Args:
        path: Of the file.
        most: Bytes of a larger one that is refused.
        constants: Take NaN and Infinity, which others write; ours have none.

    Raises:
        ValueError: it is too large, not UTF-8, no JSON, or has a number that is none.
        RecursionError: it is nested too deeply.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return parse_json(data.decode("utf-8"), constants=constants)


def parse_json(text: str, *, constants: bool = False) -> Any:
    """What a text of JSON means; as `read_json`."""
    return json.loads(text, parse_constant=None if constants else _no_number)


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds; for a block of `reading`. Raises as `read_json`."""
    with path.open("rb") as file:
        data = file.read(JSON_BYTES + 1)
    if len(data) > JSON_BYTES:
        raise ValueError(f"it has more than {JSON_BYTES:,} bytes")
    text = decode_text(data, strict=True)
    if data and not text:
        raise ValueError("it holds a byte-order mark and nothing else")
    found = tomllib.loads(text)
    _check_numbers(found)
    return found


def _check_numbers(value: Any) -> None:
    """Refuse whole numbers beyond the 64 bits of TOML: they cannot be printed, or become no float."""
    if isinstance(value, int) and value.bit_length() > 63:
        raise ValueError("a whole number has more than 64 bits")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_numbers(item)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
