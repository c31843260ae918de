"""Finds and loads SAM 2 in the layout of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError
from zeroiqa.segmenters import from_transformers
from zeroiqa.segmenters.from_transformers import PROCESSOR, NetworkKind
from zeroiqa.weights.checks import quiet_transformers

if TYPE_CHECKING:
    import torch

    from zeroiqa.weights.checkpoint import Checkpoint
    from zeroiqa.weights.replies import Replies

_EXAMPLE = "facebook/sam2.1-hiera-tiny"
_SAM2 = NetworkKind(
    title="SAM 2",
    one="one of SAM 2",
    segmenter="hf-sam2",
    families=("sam2", "sam2_video"),  # of a model for videos the memory of frames is left out
    example=_EXAMPLE,
    smaller=f"a smaller model ({_EXAMPLE})",
    conversion="write a folder with `python -m zeroiqa.segmenters.sam2.convert`",
)


def find_checkpoint(name: str, *, offline: bool = False, replies: Replies | None = None) -> Checkpoint:
    """Find a model by folder or repository; of the latter only config.json is fetched.

    Raises:
        UserError: there is no such folder or repository, or it is not one of SAM 2.
    """
    path = Path(name).expanduser()
    if list(path.glob("*.pt")) and not (path / "config.json").exists():
        raise UserError(
            f"{name} holds a checkpoint of the package sam2, not one of transformers; write sam2:{name}."
        )
    return from_transformers.find_checkpoint(name, _SAM2, offline=offline, replies=replies)


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
    from_transformers.bring(checkpoint, _SAM2, device, offline=offline, replies=replies)
    with quiet_transformers():
        processor = from_transformers.load_processor(checkpoint, "Sam2ImageProcessor")
        model = from_transformers.load_network(checkpoint, "Sam2Model", _SAM2, device)
    _check_size(checkpoint.name, processor, model.config.prompt_encoder_config.image_size)
    return model, processor


def _check_size(name: str, processor: Any, image_size: int) -> None:
    height, width = processor.size["height"], processor.size["width"]
    if not height == width == image_size:
        raise UserError(
            f"The image processor of {name} makes images of {width} x {height} pixels, its model takes "
            f"{image_size} x {image_size}; correct the size in {PROCESSOR[0]}."
        )
