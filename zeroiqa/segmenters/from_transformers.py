"""Finds and loads a network of transformers for segmenting: completely, from safetensors, or not at all."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError, one_line
from zeroiqa.weights import checkpoint as checkpoints
from zeroiqa.weights.checks import check_tensors, transformers
from zeroiqa.weights.devices import check_memory, is_out_of_memory
from zeroiqa.weights.hub import FileMissingError, HubRepository, download_file

if TYPE_CHECKING:
    import torch

    from zeroiqa.weights.checkpoint import Checkpoint
    from zeroiqa.weights.replies import Replies

PROCESSOR = ("preprocessor_config.json", "processor_config.json")
"""The files that say how images are prepared; one of them is enough."""
_WEIGHTS = "model.safetensors"
_REPO = re.compile(r"\w[\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class NetworkKind:
    """What networks of one kind are called, and what is told those who name another one."""

    title: str
    """"SAM 2"."""
    one: str
    """What such a network is: "one of SAM 2"."""
    segmenter: str
    """The name that it is given behind, as "hf-sam2" in "hf-sam2:FOLDER"."""
    families: Collection[str]
    """Names of the families in config.json."""
    example: str
    """A repository with one."""
    smaller: str
    """What to choose where memory is short."""
    conversion: str
    """How weights in other files become weights in safetensors."""
    unused: tuple[str, ...] = ()
    """Tensors that a checkpoint may hold or lack: nothing here needs them."""


def find_checkpoint(
    name: str, kind: NetworkKind, *, offline: bool = False, replies: Replies | None = None
) -> Checkpoint:
    """Find a model by folder or repository; of the latter only config.json is fetched.

    Raises:
        UserError: there is no such folder or repository, or it is of another kind.
    """
    if not Path(name).expanduser().exists() and _REPO.fullmatch(name):
        _fetch(HubRepository(name, replies=replies), kind, "config.json", offline=offline)
    found = checkpoints.find_checkpoint(name, offline=True)  # what there is on the hub has just been fetched
    if found.family not in kind.families:
        raise UserError(
            f"{name} is a {found.family} model, not {kind.one} ({' or '.join(kind.families)} in "
            f"config.json); give one such as {kind.example}."
        )
    return found


def bring(
    checkpoint: Checkpoint,
    kind: NetworkKind,
    device: torch.device,
    *,
    offline: bool = False,
    replies: Replies | None = None,
) -> None:
    """Fetch what a repository's checkpoint still lacks, and see that all is there and has room.

    Raises:
        UserError: files are missing or damaged, or memory is short.
    """
    if checkpoint.commit:
        source = HubRepository(checkpoint.name, checkpoint.commit, replies=replies)
        _fetch(source, kind, _WEIGHTS, offline=offline)
        _fetch(source, kind, *PROCESSOR, offline=offline)
    checkpoint.check_files()
    check_memory(checkpoint.name, 4 * checkpoint.count_weights(), device)


def load_processor(checkpoint: Checkpoint, class_name: str) -> Any:
    """What prepares a model's images, by the name of its class in transformers.

    Raises:
        UserError: it is not there, or cannot be built.
    """
    if not any((checkpoint.folder / name).is_file() for name in PROCESSOR):
        raise UserError(
            f"{checkpoint.name} holds no {PROCESSOR[0]}, which says how images are prepared; fetch the "
            "model again."
        )
    try:
        return getattr(transformers(), class_name).from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as error:
        raise UserError(
            f"The image processor of {checkpoint.name} cannot be built ({one_line(error)}); fetch the model "
            "again."
        ) from error


def load_network(checkpoint: Checkpoint, class_name: str, kind: NetworkKind, device: torch.device) -> Any:
    """A network in float32 and evaluation mode on a device, by the name of its class in transformers.

    Raises:
        UserError: tensors or memory are missing, tensors are too many, or the files cannot be read.
    """
    name = checkpoint.name
    try:
        network, report = getattr(transformers(), class_name).from_pretrained(
            checkpoint.folder,
            dtype="float32",
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to list them all; they are refused below
            local_files_only=True,
        )
        needed = {
            fault: [tensor for tensor in tensors if tensor not in kind.unused]
            for fault, tensors in report.items()
        }
        check_tensors(name, needed)
        return network.to(device).eval().requires_grad_(False)
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(
                f"There is not enough memory on {device} for the weights of {name}; choose {kind.smaller} "
                "or another device (--device)."
            ) from error
        if not any(checkpoint.folder.glob("*.safetensors")):
            raise UserError(
                f"{name} holds no weights (*.safetensors), other files are not read; fetch the model again, "
                f"or {kind.conversion}."
            ) from error
        raise UserError(
            f"{name} cannot be loaded ({one_line(error)}); fetch it again or choose another model."
        ) from error


def _fetch(source: HubRepository, kind: NetworkKind, *names: str, offline: bool) -> None:
    """Fetch those of some files that there are; one is enough."""
    found, reason = False, None
    for name in names:
        try:
            download_file(source, name, offline=offline)
            found = True
        except FileMissingError as error:
            reason = error.reason
    if found:
        return
    if reason is None:
        raise UserError(
            f"The repository {source.repo} holds no {names[0]}; name one with {kind.title} in safetensors "
            f"for transformers, such as {kind.example}."
        )
    raise UserError(
        f"{names[0]} of {source.repo} is not in the cache of the hub, and {reason}. On a machine with "
        f"network run `hf download {source.repo} config.json {PROCESSOR[0]} {_WEIGHTS} --local-dir DIR`, "
        f"copy DIR here and use `--segmenter {kind.segmenter}:DIR`."
    )
