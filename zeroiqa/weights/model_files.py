"""Bounds on the files of a model, to be met before they are parsed: how long, how many, and where.

A model is somebody else's. Its JSON may be gigabytes long or a thousand lists deep, its names may lead to the
files of the user, its numbers may ask for more memory than there is.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from zeroiqa.errors import UserError, printable
from zeroiqa.files import damage
from zeroiqa.files.schema import numbers

MOST_CONFIG = 16 << 20
"""Bytes of a configuration; the largest known ones, with lists of labels, have 1 MiB."""
MOST_INDEX = 32 << 20
"""Bytes of an index or of the header of weights; models of 100,000 tensors have 10 MiB."""
MOST_TOKENIZER = 64 << 20
"""Bytes of a tokenizer's file; that of a vocabulary of 262,144 has 32 MiB."""
_MOST = {
    "*.index.json": MOST_INDEX,
    **dict.fromkeys(("tokenizer.json", "vocab.json", "tekken.json", "added_tokens.json"), MOST_TOKENIZER),
    "*.json": MOST_CONFIG,
    "*.jinja": MOST_CONFIG,
    **dict.fromkeys(("*.txt", "*.model", "*.tiktoken"), MOST_TOKENIZER),
}
"""By the first pattern that fits."""
_MOST_TOKENS = 200_000
"""Tokens beside the vocabulary; the largest known number is 32,768, for codes of images."""
_LONGEST_TOKEN = 1000
_MOST_PARTS = 10_000
"""Layers, blocks, heads, experts: of what each is an object, or a loop."""
_MOST_SIZE = 1 << 28
"""Of any other size in a configuration; the largest known vocabulary has 2^19, the longest context 2^24."""
_PARTS = re.compile(r"layer|block|stage|depth|expert|heads?$")
_SIZES = re.compile(r"size|dim|channels|embeddings|width|height")
_CODE = re.compile(r"([\w.-]+/[\w.-]+--)?\w+(\.\w+)*")


def read_json(path: Path, most: int = MOST_CONFIG) -> Any:
    """The content of a file of a model.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or nested too deeply.
        UserError: it is longer than `most` bytes, or no ordinary file.
    """
    check_size(path, most)
    try:
        return damage.read_json(path, most, constants=True)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_size(path: Path, most: int) -> None:
    """Refuse what is no ordinary file (a pipe, a device), or longer than it may be.

    Raises:
        OSError: there is none.
        UserError: it is refused.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{printable(str(path))} is no ordinary file; fetch the model again.")
    if status.st_size > most:
        raise UserError(
            f"{printable(str(path))} has {status.st_size / 2**20:.3g} MiB, and a file of its kind is read up "
            f"to {most / 2**20:g} MiB; fetch the model again or choose another one."
        )


def check_descriptions(folder: Path) -> None:
    """Refuse a folder whose configurations or tokenizer are beyond all bounds, or name files elsewhere.

    Raises:
        UserError: the message names the file.
    """
    done: set[Path] = set()
    for pattern, most in _MOST.items():
        for path in sorted(set(folder.glob(pattern)) - done):
            if not path.is_dir() and path.exists():
                check_size(path, most)
            done.add(path)
    _check_numbers(folder / "config.json")
    _check_tokens(folder)
    _check_names(folder)


def is_outside(name: str) -> bool:
    """Whether a name leads out of its folder, in the ways of all systems, or is one that no file can have."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return True
    place = PureWindowsPath(name)  # it knows the separators and roots of all of them
    return bool(place.anchor) or ".." in place.parts or "\0" in name


def leads_outside(path: Path, folder: Path) -> bool:
    """Whether links lead from a file of a folder to one outside of it, the hub's cache aside."""
    found = path.resolve()
    in_cache = found.parent.name == "blobs" and found.parent.parent.name.startswith("models--")
    return not in_cache and not found.is_relative_to(folder.resolve())


def check_archive(path: Path) -> None:
    """Refuse pickled weights that are packed: PyTorch stores them as they are, and more is a bomb.

    Raises:
        UserError: what is in the archive is larger than the archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return  # of an old format, or damaged: who reads it says so
    whole = sum(entry.file_size for entry in entries)
    if whole > path.stat().st_size or any(entry.compress_type for entry in entries):
        raise UserError(
            f"The weights in {printable(str(path))} are packed ({whole:,} bytes in a file of "
            f"{path.stat().st_size:,}), as PyTorch never does; fetch the model again."
        )


def _check_numbers(path: Path) -> None:
    """Refuse a configuration that asks for absurdly many layers or rows: they are made before the weights."""
    for name, value in numbers(_known(path, MOST_CONFIG)):
        most = _MOST_PARTS if _PARTS.search(name) else _MOST_SIZE if _SIZES.search(name) else None
        if most and value > most:
            raise UserError(
                f"{printable(str(path))} asks for {printable(name)} = {_shown(value)}, and at most {most:,} "
                "are built; fetch the model again or choose another one."
            )


def _shown(value: float) -> str:
    return f"{value:,}" if abs(value) < 1 << 60 or isinstance(value, float) else f"2^{value.bit_length()}"


def _check_tokens(folder: Path) -> None:
    """Refuse a tokenizer with absurdly many tokens beside its vocabulary, or absurdly long ones."""
    listed = _known(folder / "tokenizer.json", MOST_TOKENIZER).get("added_tokens")
    described = _known(folder / "tokenizer_config.json", MOST_CONFIG).get("added_tokens_decoder")
    added = _known(folder / "added_tokens.json", MOST_TOKENIZER)
    groups = {
        "tokenizer.json": listed if isinstance(listed, list) else [],
        "tokenizer_config.json": [*described.values()] if isinstance(described, dict) else [],
        "added_tokens.json": [{"content": text} for text in added],
    }
    for name, tokens in groups.items():
        texts = [str(token.get("content", "")) for token in tokens if isinstance(token, dict)]
        longest = max(map(len, texts), default=0)
        if len(tokens) > _MOST_TOKENS or longest > _LONGEST_TOKEN:
            raise UserError(
                f"{printable(str(folder / name))} adds {len(tokens):,} tokens of up to {longest:,} "
                f"characters, and at most {_MOST_TOKENS:,} of {_LONGEST_TOKEN:,} are read; choose another "
                "model."
            )


def _check_names(folder: Path) -> None:
    """Refuse configurations that name weights or code outside of the folder."""
    base = _known(folder / "adapter_config.json", MOST_CONFIG).get("base_model_name_or_path")
    if isinstance(base, str) and is_outside(base) and Path(base).expanduser().resolve() != folder.resolve():
        raise UserError(
            f"The adapter in {printable(str(folder))} belongs to {printable(base)}, a model outside of the "
            "folder; merge it into the weights, or put that model into the folder and name no other."
        )
    for name in ("config", "tokenizer_config", "processor_config", "preprocessor_config"):
        path = folder / f"{name}.json"
        for code in _texts(_known(path, MOST_CONFIG).get("auto_map")):
            if not _CODE.fullmatch(code):
                raise UserError(
                    f"{printable(str(path))} names the code {printable(code)}, which is none in its folder; "
                    "choose another model."
                )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _known(path: Path, most: int) -> dict[str, Any]:
    """The fields of a file; none where there is no such file or it is damaged, which loading will say."""
    try:
        found = read_json(path, most)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
