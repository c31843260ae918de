"""Where a CLIP with OpenAI's tensor names is: a file, a folder, or a repository of the hub. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError, printable
from zeroiqa.weights.fingerprint import file_hash
from zeroiqa.weights.hub import FileMissingError, HubRepository, download_file
from zeroiqa.weights.replies import Replies

if TYPE_CHECKING:
    from zeroiqa.baselines.entry import Baseline
    from zeroiqa.weights.options import ModelOptions

WEIGHTS, _DESCRIPTION = "open_clip_model.safetensors", "open_clip_config.json"
"""Of a repository in the layout of open_clip; the description is small and tells the commit."""
_PICKLED = (".pt", ".pth", ".bin", ".ckpt")
CONVERT = (
    "import torch, safetensors.torch as s; "
    "s.save_file(torch.jit.load('RN50.pt', 'cpu').state_dict(), 'RN50.safetensors')"
)
"""Python that turns OpenAI's file, a program of TorchScript with its weights, into one of weights alone."""
_REPO = re.compile(r"\w[\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class OpenAiSource:
    """A checkpoint that was found; of a repository only the description is on the disk yet."""

    name: str
    """What the user called it: a file, a folder or a repository."""
    path: Path | None
    """The file of the weights; None where it is to be downloaded."""
    commit: str | None = None
    """Commit of the repository; None for files of the user's own."""
    replies: Replies | None = field(default=None, compare=False, repr=False)
    """What the hub has replied already."""

    @property
    def id(self) -> str:
        """Names the weights: the commit, or the hash of the file's content.

        Raises:
            UserError: the file cannot be read.
        """
        return (self.commit or file_hash(self.file(offline=True)))[:16]

    def file(self, *, offline: bool) -> Path:
        """The file of the weights, downloaded if need be; the hub is not asked where it is on this disk.

        Raises:
            UserError: it is neither on this disk nor to be had.
        """
        if self.path is not None:
            return self.path
        source = HubRepository(self.name, self.commit, replies=self.replies)
        try:
            return download_file(source, WEIGHTS, offline=True)
        except FileMissingError:
            return _fetch(source, WEIGHTS, offline=offline)


def find_openai_clip(baseline: Baseline, argument: str, options: ModelOptions) -> OpenAiSource:
    """Find the weights of a baseline.

    Args:
        baseline: Which one; it names the usual repository.
        argument: A file, a folder that holds one, or a repository; "" takes the usual repository.
        options: Whether the network may be used, and whether pickled weights will do.

    Raises:
        UserError: there is no such file, or its format is not read.
    """
    name = argument or baseline.repo
    path = Path(name).expanduser()
    if path.is_dir():
        return OpenAiSource(name, _only_file(path, options))
    if path.exists():
        return OpenAiSource(name, _readable(path, options))
    if not _REPO.fullmatch(name):
        raise UserError(
            f"There is no file and no folder {printable(name)}; give a .safetensors file with OpenAI's "
            f"tensor names, its folder, or a repository of the Hugging Face hub such as {baseline.repo}."
        )
    source = HubRepository(name, baseline.revision or None, replies=options.replies)
    described = _fetch(source, _DESCRIPTION, offline=options.offline)
    commit = next((part for part in reversed(described.parts) if _COMMIT.fullmatch(part)), "main")
    return OpenAiSource(name, None, commit, options.replies)


def _only_file(folder: Path, options: ModelOptions) -> Path:
    """The weights in a folder: those of open_clip, else the only safetensors file, else the only other."""
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    found = sorted(folder.glob("*.safetensors"))
    found = found or sorted(path for path in folder.iterdir() if path.suffix in _PICKLED)
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:5]) or "none"
        raise UserError(
            f"The folder {printable(str(folder))} should hold one file of weights, found {printable(names)}; "
            "name the file itself."
        )
    return _readable(found[0], options)


def _readable(path: Path, options: ModelOptions) -> Path:
    if path.suffix != ".safetensors" and not options.allow_pickle:
        raise UserError(
            f"{printable(str(path))} is not in safetensors, and OpenAI's own RN50.pt is a program with its "
            f'weights; convert it once (python -c "{CONVERT}"), or allow it with --allow-pickle.'
        )
    return path


def _fetch(source: HubRepository, name: str, *, offline: bool) -> Path:
    try:
        return download_file(source, name, offline=offline)
    except FileMissingError as error:
        if error.reason is None:
            raise UserError(
                f"The repository {source.repo} has no {name}; name one in the layout of open_clip, or a "
                ".safetensors file with OpenAI's tensor names."
            ) from error
        raise UserError(
            f"{name} of {source.repo} is not in the cache of the hub, and {error.reason}; on a machine with "
            f"network run `hf download {source.repo} {WEIGHTS} --local-dir DIR`, copy DIR here and name it."
        ) from error
