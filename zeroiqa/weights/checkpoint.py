"""Where the files of a model are, and which model they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import reading, stumbles
from zeroiqa.weights.downloads import config_file
from zeroiqa.weights.fingerprint import fingerprint
from zeroiqa.weights.hub import HubRepository
from zeroiqa.weights.model_files import (
    MOST_INDEX,
    check_archive,
    check_descriptions,
    is_outside,
    leads_outside,
    read_json,
)
from zeroiqa.weights.replies import Replies
from zeroiqa.weights.safetensors_header import count_numbers

_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DESCRIPTIONS = ("*.json", "*.jinja", "additional_chat_templates/*.jinja", "*.txt", "*.model", "*.tiktoken")
_CODE = ("*.py",)
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_COUNTED = (*_DESCRIPTIONS, *_CODE, "*.safetensors", *PICKLED)
"""What can change a rating, in a folder of the user's own."""
_INDEX = "*.index.json"
_ADAPTER = "adapter_config.json"


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
        """Names the model: the commit, or the SHA-256 (hex) of all files that can change a rating.

        Those are weights of every format (and what an index names in folders below), adapters,
        configurations, tokenizers, processors, templates and code, byte for byte.

        Raises:
            UserError: a file cannot be read, or an index names one outside of the folder.
        """
        return self.commit or fingerprint(self.folder, _counted_files(self.folder))

    def check_files(self) -> None:
        """Refuse what would be another model of the same fingerprint; to be called before weights are read.

        Raises:
            UserError: a file is beyond all bounds, or names one outside of the folder, a header of weights is
                damaged, or an adapter would be left out silently.
        """
        indexed_files(self.folder)
        check_descriptions(self.folder)
        self.count_weights()
        for pattern in PICKLED:
            for path in self.folder.glob(pattern):
                check_archive(path)
        if (self.folder / _ADAPTER).is_file() and find_spec("peft") is None:
            raise UserError(
                f"{self.name} holds an adapter ({_ADAPTER}), which is applied only where the package peft is "
                "installed; pip install peft, or merge the adapter into the weights."
            )

    def count_weights(self) -> int:
        """How many numbers the safetensors files hold, by their headers; 0 where there are none.

        Raises:
            UserError: a header is damaged.
        """
        return sum(count_numbers(path) for path in self.folder.glob("*.safetensors"))


def find_checkpoint(
    name: str, revision: str | None = None, *, offline: bool = False, replies: Replies | None = None
) -> Checkpoint:
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
    path = config_file(HubRepository(name, revision, replies=replies), offline=offline)
    commit = next((part for part in reversed(path.parts) if _COMMIT.fullmatch(part)), None)
    return Checkpoint(name, path.parent, commit or revision or "main", _read_config(path, name))


def indexed_files(folder: Path) -> list[str]:
    """The names of files that the folder's indices of sharded weights give, each once, sorted.

    A damaged index names none: loading refuses it. Links are followed within the folder and within the hub's
    cache, which is made of them: what they lead to is hashed.

    Raises:
        UserError: a name or a link leads out of the folder, so that the fingerprint would not know the
            weights, or an index is longer than any.
    """
    found: set[str] = set()
    for index in sorted(folder.glob(_INDEX)):
        try:
            names = read_json(index, MOST_INDEX)["weight_map"].values()
        except stumbles():
            continue
        for name in filter(lambda name: isinstance(name, str), names):
            if is_outside(name) or leads_outside(folder / name, folder):
                raise UserError(
                    f"The index {printable(str(index))} names {printable(name)}, a file outside of its "
                    "folder; put all weights into the folder and name them by where they are in it."
                )
            found.add(name)
    return sorted(found)


def _read_config(path: Path, name: str) -> dict[str, Any]:
    with reading(path, "fetch the model again", "The file"):
        try:
            config = read_json(path)
        except OSError as error:
            raise UserError(
                f"{name} holds no config.json ({error.strerror}); give the folder that `zeroiqa models pull` "
                "or save_pretrained wrote."
            ) from error
    if not isinstance(config, dict):
        raise UserError(f"The file {path} holds no configuration; fetch the model again.")
    return config


def _counted_files(folder: Path) -> set[Path]:
    found = {path for pattern in _COUNTED for path in folder.glob(pattern) if path.is_file()}
    return found | {path for name in indexed_files(folder) if (path := folder / name).is_file()}
