"""Where the files of a CLIP are: a folder, or a repository of the Hugging Face hub. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError
from zeroiqa.weights.checkpoint import Checkpoint, find_checkpoint
from zeroiqa.weights.hub import FileMissingError, HubRepository, download_file
from zeroiqa.weights.replies import Replies

if TYPE_CHECKING:
    from zeroiqa.baselines.entry import Baseline
    from zeroiqa.weights.options import ModelOptions

WEIGHTS = "model.safetensors"
_EITHER_WEIGHTS = (WEIGHTS, "model.safetensors.index.json")
_PROCESSOR = (("preprocessor_config.json", "processor_config.json"), ("tokenizer.json", "vocab.json"))
"""Of each group one file is needed; the first is the usual one."""
_MORE = ("tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")
_REPO = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ClipSource:
    """A CLIP that was found; of a repository only config.json is on the disk yet."""

    checkpoint: Checkpoint
    """Configuration and weights."""
    baseline: Baseline
    """What it is for."""
    processor: str
    """Repository of the processor; "" where it lies with the weights."""
    replies: Replies | None = field(default=None, compare=False, repr=False)
    """What the hub has replied already."""

    @property
    def id(self) -> str:
        """Names the weights, and the processor where it comes from elsewhere."""
        weights = self.checkpoint.fingerprint()[:16]
        return f"{weights} processor {self.processor}" if self.processor else weights


def find_clip(baseline: Baseline, argument: str, options: ModelOptions) -> ClipSource:
    """Find the model of a baseline and look at its configuration.

    Args:
        baseline: Which one; it names the usual repository.
        argument: Folder or repository of another model; "" takes the usual one.
        options: Whether the network may be used.

    Raises:
        UserError: the model is not to be had, or it is no CLIP.
    """
    name, revision = (argument, None) if argument else (baseline.repo, baseline.revision or None)
    source = HubRepository(name, revision, replies=options.replies)
    folder = Path(name).expanduser()
    if not folder.exists() and _REPO.fullmatch(name) and not name.startswith((".", "~")):
        _fetch(source, "config.json", baseline, offline=options.offline)
    checkpoint = find_checkpoint(name, revision, offline=options.offline, replies=options.replies)
    if checkpoint.family != "clip":
        raise UserError(
            f"{baseline.title} needs a CLIP of transformers, but {name} is a {checkpoint.family} model; "
            f"leave out the folder or name one like {baseline.repo}."
        )
    processor = baseline.processor if checkpoint.commit else _processor_of_folder(baseline, checkpoint)
    return ClipSource(checkpoint, baseline, processor, options.replies)


def bring(source: ClipSource, *, offline: bool) -> tuple[Path, Path]:
    """Download what is missing; the hub is not asked where everything is on this disk.

    Returns:
        The folder of configuration and weights, and that of the processor.

    Raises:
        UserError: a file is neither on this disk nor to be had.
    """
    checkpoint, baseline = source.checkpoint, source.baseline
    if checkpoint.commit is None and not any(
        (checkpoint.folder / name).is_file() for name in _EITHER_WEIGHTS
    ):
        raise UserError(
            f"{checkpoint.name} holds no {WEIGHTS}; pickled weights are not read for {baseline.title}: "
            "convert them with transformers' save_pretrained."
        )
    checkpoint.check_files()
    try:
        return _bring(source, offline=True)
    except UserError:
        if offline:
            raise
    return _bring(source, offline=False)


def _bring(source: ClipSource, *, offline: bool) -> tuple[Path, Path]:
    checkpoint, baseline = source.checkpoint, source.baseline
    own = (
        HubRepository(checkpoint.name, checkpoint.commit, replies=source.replies)
        if checkpoint.commit
        else None
    )
    other = HubRepository(source.processor, replies=source.replies) if source.processor else own
    processor = _fetch_processor(other, baseline, offline=offline) if other else checkpoint.folder
    if own:  # last: where the weights are, a download was not interrupted
        _fetch(own, WEIGHTS, baseline, offline=offline)
    return checkpoint.folder, processor


def _processor_of_folder(baseline: Baseline, checkpoint: Checkpoint) -> str:
    """Where the processor of a folder is: in it (""), or in the repository that the baseline names."""
    missing = [
        names[0] for names in _PROCESSOR if not any((checkpoint.folder / name).is_file() for name in names)
    ]
    if missing and not baseline.processor:
        raise UserError(
            f"{checkpoint.name} is not complete: {' and '.join(missing)} are missing; copy the files of the "
            f"processor there, from {baseline.repo} for example."
        )
    return baseline.processor if missing else ""


def _fetch_processor(source: HubRepository, baseline: Baseline, *, offline: bool) -> Path:
    for name in _MORE:
        try:
            download_file(source, name, offline=offline)
        except FileMissingError:  # tokenizer.json holds what the tokenizer needs
            continue
    images, _ = (_fetch_one(source, names, baseline, offline=offline) for names in _PROCESSOR)
    return images.parent


def _fetch_one(source: HubRepository, names: tuple[str, str], baseline: Baseline, *, offline: bool) -> Path:
    usual, other = names
    try:
        return download_file(source, other, offline=offline)
    except FileMissingError:
        return _fetch(source, usual, baseline, offline=offline)


def _fetch(source: HubRepository, name: str, baseline: Baseline, *, offline: bool) -> Path:
    try:
        return download_file(source, name, offline=offline)
    except FileMissingError as error:
        if error.reason is None:
            raise UserError(
                f"The repository {source.repo} has no {name}, which {baseline.title} needs; name another "
                "one, or a folder with config.json, model.safetensors and the files of the processor."
            ) from error
        files = ", ".join(("config.json", WEIGHTS, *(names[0] for names in _PROCESSOR)))
        raise UserError(
            f"The model {source.repo} of {baseline.title} is not on this machine: {name} is missing, and "
            f"{error.reason}. Copy its files ({files}) into a folder and name it: "
            f"baseline:{baseline.name}:FOLDER."
        ) from error
