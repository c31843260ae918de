"""Finds and loads a panoptic EoMT of transformers: completely, from safetensors, or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError, one_line
from zeroiqa.weights import checkpoint as checkpoints
from zeroiqa.weights.checks import check_tensors, quiet_transformers, transformers
from zeroiqa.weights.devices import check_memory, find_device, is_out_of_memory
from zeroiqa.weights.hub import FileMissingError, HubRepository, download_file

if TYPE_CHECKING:
    import torch

    from zeroiqa.weights.checkpoint import Checkpoint
    from zeroiqa.weights.options import ModelOptions
    from zeroiqa.weights.replies import Replies

_CLASSES = {"eomt": "EomtForUniversalSegmentation", "eomt_dinov3": "EomtDinov3ForUniversalSegmentation"}
"""By the name of the family in config.json."""
_REPO = re.compile(r"\w[\w.-]*/[\w.-]+")
_WEIGHTS = "model.safetensors"
_PROCESSOR = ("preprocessor_config.json", "processor_config.json")
_EXAMPLE = "tue-mps/coco_panoptic_eomt_large_640"
_UNUSED = ("criterion.empty_weight",)  # of the loss


@dataclass(frozen=True)
class EomtModel:
    """An EoMT that is ready to run."""

    network: Any
    """In evaluation mode, float32, on its device."""
    processor: Any
    """Its EomtImageProcessor."""
    side: int
    """Pixels of the square that the network takes."""
    device: torch.device


def find_checkpoint(name: str, *, offline: bool = False, replies: Replies | None = None) -> Checkpoint:
    """Find a model by folder or repository; of the latter only config.json is fetched.

    Raises:
        UserError: there is no such folder or repository, or it is no EoMT.
    """
    if not Path(name).expanduser().exists() and _REPO.fullmatch(name):
        _fetch(HubRepository(name, replies=replies), "config.json", offline=offline)
    found = checkpoints.find_checkpoint(name, offline=True)  # what there is on the hub has just been fetched
    if found.family not in _CLASSES:
        raise UserError(
            f"{name} is a {found.family} model, not an EoMT ({' or '.join(_CLASSES)} in config.json); give "
            f"one such as {_EXAMPLE}."
        )
    return found


def load(checkpoint: Checkpoint, options: ModelOptions) -> EomtModel:
    """Load a model and what prepares its images.

    Raises:
        UserError: files, tensors or memory are missing, tensors are too many, the parts do not fit, it is
            made for something else than whole segments, or its masks would be random.
    """
    name, device = checkpoint.name, find_device(options.device)
    if checkpoint.commit:
        source = HubRepository(name, checkpoint.commit, replies=options.replies)
        _fetch(source, _WEIGHTS, offline=options.offline)
        _fetch(source, *_PROCESSOR, offline=options.offline)
    checkpoint.check_files()
    check_memory(name, 4 * checkpoint.count_weights(), device)
    with quiet_transformers():
        processor = _load_processor(checkpoint)
        network = _load_network(checkpoint, device)
    side = network.config.image_size
    _check_processor(name, processor, side)
    _check_masking(name, network)
    return EomtModel(network, processor, side, device)


def _load_processor(checkpoint: Checkpoint) -> Any:
    if not any((checkpoint.folder / name).is_file() for name in _PROCESSOR):
        raise UserError(
            f"{checkpoint.name} holds no {_PROCESSOR[0]}, which says how images are prepared; fetch the "
            "model again."
        )
    try:
        return transformers().EomtImageProcessor.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as error:
        raise UserError(
            f"The image processor of {checkpoint.name} cannot be built ({one_line(error)}); fetch the model "
            "again."
        ) from error


def _load_network(checkpoint: Checkpoint, device: torch.device) -> Any:
    name = checkpoint.name
    try:
        network, report = getattr(transformers(), _CLASSES[checkpoint.family]).from_pretrained(
            checkpoint.folder,
            dtype="float32",
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to list them all; they are refused below
            local_files_only=True,
        )
        check_tensors(name, {kind: _needed(names) for kind, names in report.items()})
        return network.to(device).eval().requires_grad_(False)
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(
                f"There is not enough memory on {device} for the weights of {name}; choose a smaller model "
                "or another device (--device)."
            ) from error
        if not any(checkpoint.folder.glob("*.safetensors")):
            raise UserError(
                f"{name} holds no weights (*.safetensors), other files are not read; fetch the model again, "
                "or convert it with transformers' save_pretrained."
            ) from error
        raise UserError(
            f"{name} cannot be loaded ({one_line(error)}); fetch it again or choose another model."
        ) from error


def _needed(names: Any) -> list[Any]:
    return [name for name in names if name not in _UNUSED]


def _check_processor(name: str, processor: Any, side: Any) -> None:
    """Refuse models for tiles of images (semantic segmentation), and sizes that do not fit."""
    if processor.do_split_image:
        raise UserError(
            f"{name} is an EoMT for semantic segmentation: its image processor cuts images into tiles, and "
            f"objects are not told apart; give a panoptic one such as {_EXAMPLE}."
        )
    size = processor.size
    found = (size.get("shortest_edge"), size.get("longest_edge"))
    if found != (side, side) or not processor.do_resize:
        raise UserError(
            f"The image processor of {name} does not bring images to the {side} x {side} pixels that its "
            f"network takes (shortest and longest edge {found[0]} and {found[1]}, do_resize "
            f"{processor.do_resize}); correct {_PROCESSOR[0]}."
        )


def _check_masking(name: str, network: Any) -> None:
    """Refuse a network that looks at a random part of the image, as some do while they are trained."""
    shares = network.attn_mask_probs.tolist()
    if any(0 < share < 1 for share in shares):
        found = ", ".join(f"{share:.3g}" for share in shares)
        raise UserError(
            f"{name} is in the middle of its training (attn_mask_probs {found}), so that its segments are "
            "random; give a model whose training is finished."
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
    if not found and reason is None:
        raise UserError(
            f"The repository {source.repo} holds no {names[0]}; name one with an EoMT in safetensors for "
            f"transformers, such as {_EXAMPLE}."
        )
    if not found:
        raise UserError(
            f"{names[0]} of {source.repo} is not in the cache of the hub, and {reason}. On a machine with "
            f"network run `hf download {source.repo} config.json {_PROCESSOR[0]} {_WEIGHTS} --local-dir "
            "DIR`, copy DIR here and use `--segmenter eomt:DIR`."
        )
