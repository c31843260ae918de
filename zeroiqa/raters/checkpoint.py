"""Where the files of a model are, and which they are: by names, headers and samples, never by the weights."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeroiqa.errors import UserError
from zeroiqa.fingerprint import samples
from zeroiqa.hub import Source
from zeroiqa.raters.downloads import config_file

_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DESCRIPTIONS = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Checkpoint:
    """A model's files, on the disk or on the Hugging Face hub."""

    name: str
    """What the user called it: a folder or a repository."""
    folder: Path
    """Where config.json is."""
    commit: str | None
    """Commit of the repository; None for a folder of the user's own."""
    config: dict[str, Any]
    """The content of config.json."""

    @property
    def family(self) -> str:
        """The architecture as transformers names it."""
        return str(self.config.get("model_type", "unknown"))

    @property
    def has_own_code(self) -> bool:
        """Whether the configuration refers to Python code that comes with the weights."""
        return "auto_map" in self.config

    def fingerprint(self) -> str:
        """Names the weights: the commit, or a hash (hex) of descriptions, headers and samples of weights."""
        return self.commit or _hash(self.folder)

    def count_weights(self) -> int:
        """How many numbers the safetensors files hold, by their headers; 0 where there are none."""
        headers = (_read_header(path) for path in self.folder.glob("*.safetensors"))
        return sum(
            math.prod(tensor["shape"])
            for header in headers
            for name, tensor in header.items()
            if name != "__metadata__"
        )


def find_checkpoint(name: str, revision: str | None = None, *, offline: bool = False) -> Checkpoint:
    """Find a model by folder or repository; of the latter only config.json is fetched.

    Raises:
        UserError: there is no such folder, or nothing could be downloaded.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Checkpoint(name, folder, None, _read_config(folder / "config.json", name))
    if not _REPO.fullmatch(name) or folder.exists() or name.startswith((".", "~", "/")):
        raise UserError(
            f"There is no folder {name}; give a folder with config.json and *.safetensors, or a repository "
            "of the Hugging Face hub as owner/name."
        )
    path = config_file(Source(name, revision), offline=offline)
    commit = next((part for part in reversed(path.parts) if _COMMIT.fullmatch(part)), None)
    return Checkpoint(name, path.parent, commit or revision or "main", _read_config(path, name))


def _read_config(path: Path, name: str) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{name} holds no config.json ({error.strerror}); give the folder that `zeroiqa models pull` or "
            "save_pretrained wrote."
        ) from error
    except ValueError as error:
        raise UserError(f"The file {path} is no JSON ({error}); fetch the model again.") from error
    if not isinstance(config, dict):
        raise UserError(f"The file {path} holds no configuration; fetch the model again.")
    return config


def _read_header(path: Path) -> dict[str, Any]:
    """Names, types and shapes of the tensors; empty for a damaged file, which loading will refuse."""
    with path.open("rb") as file:
        length = file.read(8)
        try:
            header = json.loads(file.read(struct.unpack("<Q", length)[0]))
        except (struct.error, ValueError, OverflowError, MemoryError):
            return {}
    return header if isinstance(header, dict) else {}


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    described = sorted({path for pattern in _DESCRIPTIONS for path in folder.glob(pattern)})
    for path in described:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    weights = sorted({path for pattern in ("*.safetensors", *PICKLED) for path in folder.glob(pattern)})
    for path in weights:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        for part in samples(path):
            digest.update(part)
    return digest.hexdigest()
