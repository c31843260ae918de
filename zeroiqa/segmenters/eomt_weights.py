"""Finds and loads a panoptic EoMT of transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError
from zeroiqa.segmenters import from_transformers
from zeroiqa.segmenters.from_transformers import PROCESSOR, NetworkKind
from zeroiqa.weights.checks import quiet_transformers
from zeroiqa.weights.devices import find_device

if TYPE_CHECKING:
    import torch

    from zeroiqa.weights.checkpoint import Checkpoint
    from zeroiqa.weights.options import ModelOptions
    from zeroiqa.weights.replies import Replies

_CLASSES = {"eomt": "EomtForUniversalSegmentation", "eomt_dinov3": "EomtDinov3ForUniversalSegmentation"}
"""By the name of the family in config.json."""
_EXAMPLE = "tue-mps/coco_panoptic_eomt_large_640"
_EOMT = NetworkKind(
    title="an EoMT",
    one="an EoMT",
    segmenter="eomt",
    families=tuple(_CLASSES),
    example=_EXAMPLE,
    smaller="a smaller model",
    conversion="convert it with transformers' save_pretrained",
    unused=("criterion.empty_weight",),  # of the loss
)


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
    return from_transformers.find_checkpoint(name, _EOMT, offline=offline, replies=replies)


def load(checkpoint: Checkpoint, options: ModelOptions) -> EomtModel:
    """Load a model and what prepares its images.

    Raises:
        UserError: files, tensors or memory are missing, tensors are too many, the parts do not fit, it is
            made for something else than whole segments, or its masks would be random.
    """
    name, device = checkpoint.name, find_device(options.device)
    from_transformers.bring(checkpoint, _EOMT, device, offline=options.offline, replies=options.replies)
    with quiet_transformers():
        processor = from_transformers.load_processor(checkpoint, "EomtImageProcessor")
        network = from_transformers.load_network(checkpoint, _CLASSES[checkpoint.family], _EOMT, device)
    side = network.config.image_size
    _check_processor(name, processor, side)
    _check_masking(name, network)
    return EomtModel(network, processor, side, device)


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
            f"{processor.do_resize}); correct {PROCESSOR[0]}."
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
