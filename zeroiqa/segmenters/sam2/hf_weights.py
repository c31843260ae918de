"""Finds and loads SAM 2 in the layout of transformers: completely, from safetensors, or not at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError, one_line
from zeroiqa.weights import checkpoint as checkpoints
from zeroiqa.weights.checks import check_tensors, quiet_transformers, transformers
from zeroiqa.weights.devices import check_memory, is_out_of_memory
from zeroiqa.weights.hub import FileMissingError, HubRepository, download_file
from zeroiqa.weights.replies import Replies

if TYPE_CHECKING:
    import torch

    from zeroiqa.weights.checkpoint import Checkpoint

_FAMILIES = ("sam2", "sam2_video")
"""Those that transformers runs as Sam2Model; of a model for videos it leaves out the memory of frames."""
_REPO = re.compile(r"\w[\w.-]*/[\w.-]+")
_WEIGHTS = "model.safetensors"
_PROCESSOR = ("preprocessor_config.json", "processor_config.json")
_EXAMPLE = "facebook/sam2.1-hiera-tiny"


def find_checkpoint(name: str, *, offline: bool = False, replies: Replies | None = None) -> Checkpoint:
    """Find a model by folder or repository; of the latter only config.json is fetched.

    Raises:
        UserError: there is no such folder or repository, or it is not one of SAM 2.
    """
    path = Path(name).expanduser()
    if not path.exists() and _REPO.fullmatch(name):
        _fetch(HubRepository(name, replies=replies), "config.json", offline=offline)
    if list(path.glob("*.pt")) and not (path / "config.json").exists():
        raise UserError(
            f"{name} holds a checkpoint of the package sam2, not one of transformers; write sam2:{name}."
        )
    found = checkpoints.find_checkpoint(name, offline=True)  # what there is on the hub has just been fetched
    if found.family not in _FAMILIES:
        raise UserError(
            f"{name} is a {found.family} model, not one of SAM 2 ({' or '.join(_FAMILIES)} in config.json); "
            f"give one such as {_EXAMPLE}."
        )
    return found


def load(
    checkpoint: Checkpoint, device: torch.device, *, offline: bool = False, replies: Replies | None = None
) -> tuple[Any, Any]:
    """Load a model and what prepares its images.

    Args:
        checkpoint: From `find_checkpoint`.
        device: Where the model is to run.
        offline: Never reach for the network.
        replies: What the hub has replied already.

    Returns:
        A Sam2Model in float32 and evaluation mode, and its Sam2ImageProcessor.

    Raises:
        UserError: files, tensors or memory are missing, tensors are too many, or the parts do not fit.
    """
    if checkpoint.commit:
        source = HubRepository(checkpoint.name, checkpoint.commit, replies=replies)
        _fetch(source, _WEIGHTS, offline=offline)
        _fetch(source, *_PROCESSOR, offline=offline)
    checkpoint.check_files()
    check_memory(checkpoint.name, 4 * checkpoint.count_weights(), device)
    with quiet_transformers():
        processor = _load_processor(checkpoint)
        model = _load_model(checkpoint, device)
    _check_size(checkpoint.name, processor, model.config.prompt_encoder_config.image_size)
    return model, processor


def _load_processor(checkpoint: Checkpoint) -> Any:
    if not any((checkpoint.folder / name).is_file() for name in _PROCESSOR):
        raise UserError(
            f"{checkpoint.name} holds no {_PROCESSOR[0]}, which says how images are prepared; fetch the "
            "model again."
        )
    try:
        return transformers().Sam2ImageProcessor.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as error:
        raise UserError(
            f"The image processor of {checkpoint.name} cannot be built ({one_line(error)}); fetch the model "
            "again."
        ) from error


def _load_model(checkpoint: Checkpoint, device: torch.device) -> Any:
    name = checkpoint.name
    try:
        model, report = transformers().Sam2Model.from_pretrained(
            checkpoint.folder,
            dtype="float32",
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to list them all; they are refused below
            local_files_only=True,
        )
        check_tensors(name, report)
        return model.to(device).eval().requires_grad_(False)
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(
                f"There is not enough memory on {device} for the weights of {name}; choose a smaller model "
                f"({_EXAMPLE}) or another device (--device)."
            ) from error
        if not any(checkpoint.folder.glob("*.safetensors")):
            raise UserError(
                f"{name} holds no weights (*.safetensors), other files are not read; fetch the model again, "
                "or write a folder with `python -m zeroiqa.segmenters.sam2.convert`."
            ) from error
        raise UserError(
            f"{name} cannot be loaded ({one_line(error)}); fetch it again or choose another model."
        ) from error


def _check_size(name: str, processor: Any, image_size: int) -> None:
    height, width = processor.size["height"], processor.size["width"]
    if not height == width == image_size:
        raise UserError(
            f"The image processor of {name} makes images of {width} x {height} pixels, its model takes "
            f"{image_size} x {image_size}; correct the size in {_PROCESSOR[0]}."
        )


def _fetch(source: HubRepository, *names: str, offline: bool) -> None:
    """Fetch those of some files that there are; one is enough."""
    found, reason = False, None
    for name in names:
        try:
            download_file(source, name, offline=offline)
            found = True
        except FileMissingError as error:
            reason = error.reason
    if not found:
        raise UserError(_how_to_bring(source.repo, names[0], reason))


def _how_to_bring(repo: str, name: str, reason: str | None) -> str:
    if reason is None:
        return (
            f"The repository {repo} holds no {name}; name one with SAM 2 in safetensors for transformers, "
            f"such as {_EXAMPLE}."
        )
    return (
        f"{name} of {repo} is not in the cache of the hub, and {reason}. On a machine with network run "
        f"`hf download {repo} config.json {_PROCESSOR[0]} {_WEIGHTS} --local-dir DIR`, copy DIR here and use "
        "`--segmenter hf-sam2:DIR`."
    )
