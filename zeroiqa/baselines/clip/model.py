"""CLIP of transformers: unit features of images and of texts, in float32, one at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image as PilImage

from zeroiqa.baselines.clip.files import ClipSource, bring
from zeroiqa.errors import UserError, one_line
from zeroiqa.weights.checks import check_tensors, quiet_transformers, transformers
from zeroiqa.weights.devices import check_memory, find_device, is_device_gone, is_out_of_memory

if TYPE_CHECKING:
    from pathlib import Path

    from zeroiqa.types import Pixels
    from zeroiqa.weights.options import ModelOptions

_LOG = logging.getLogger(__name__)
_BYTES = 4  # of a float32
_LONGEST_RATIO = 8
_NO_WEIGHTS = "position_ids"  # buffers that checkpoints of old versions of transformers hold


@dataclass(frozen=True)
class ClipModel:
    """A CLIP that is ready to run."""

    name: str
    """What the user called it."""
    model: Any
    """In evaluation mode, float32, on its device."""
    processor: Any
    """Resizes the shorter side to the model's size (224) and crops the centre: the rest is not seen."""
    scale: float
    """exp of the learned logit scale; 100 for OpenAI's weights."""
    device: torch.device

    def image_features(self, pixels: Pixels) -> torch.Tensor:
        """The unit feature of an image, float64 on the CPU, shape (features,)."""
        inputs = self.processor.image_processor(
            images=PilImage.fromarray(middle_of(pixels)), return_tensors="pt"
        )
        return self._unit(self.model.get_image_features, pixel_values=inputs["pixel_values"])

    def text_features(self, text: str) -> torch.Tensor:
        """The unit feature of a text, float64 on the CPU, shape (features,); what is too long is cut off."""
        most = self.model.config.text_config.max_position_embeddings
        if self._tokens(text, most + 1)["input_ids"].shape[1] > most:
            _LOG.warning("%s reads the first %d tokens of a prompt; longer ones are cut.", self.name, most)
        inputs = self._tokens(text, most)
        return self._unit(self.model.get_text_features, **inputs)

    def _tokens(self, text: str, most: int) -> Any:
        return self.processor.tokenizer([text], truncation=True, max_length=most, return_tensors="pt")

    @torch.inference_mode()
    def _unit(self, features: Any, **inputs: torch.Tensor) -> torch.Tensor:
        with device_errors(self.device, self.name):
            placed = {name: value.to(self.device) for name, value in inputs.items()}
            feature: torch.Tensor = features(**placed).pooler_output[0].double().cpu()
        return torch.nn.functional.normalize(feature, dim=0)


@contextmanager
def device_errors(device: torch.device, name: str) -> Iterator[None]:
    """Turn the loss of a device, or of its last memory, into a sentence.

    Args:
        device: Where the model is.
        name: The model's.

    Raises:
        UserError: in place of the device's error.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error) or is_device_gone(error):
            raise UserError(
                f"The device {device} failed, or its memory is full, while {name} was at work; "
                "what is finished is kept: repeat the command, with another --device if need be."
            ) from error
        raise


def middle_of(pixels: Pixels) -> Pixels:
    """The middle of a long picture, 8 : 1 at most, which holds the square that CLIP is shown.

    A line of a few pixels by thousands would otherwise become gigabytes when its short side is enlarged.
    """
    height, width = pixels.shape[:2]
    most = _LONGEST_RATIO * min(height, width)
    top, left = max(height - most, 0) // 2, max(width - most, 0) // 2
    return pixels[top : height - top, left : width - left]


def load_clip(source: ClipSource, options: ModelOptions) -> ClipModel:
    """Load a CLIP: completely, from safetensors, in float32.

    Raises:
        UserError: files or memory are missing, tensors are missing or too many, or there is no such device.
    """
    name = source.checkpoint.name
    folder, processor_folder = bring(source, offline=options.offline)
    if options.dtype not in ("auto", "float32") or options.load_in_8bit:
        _LOG.warning("%s computes in float32; --dtype and --load-in-8bit are for other models.", name)
    device = find_device(options.device)
    check_memory(name, _BYTES * source.checkpoint.count_weights(), device)
    with quiet_transformers():
        processor = _attempt(name, lambda: _load_processor(processor_folder))
        model, report = _attempt(name, lambda: _load_model(folder, options))
        check_tensors(name, {key: _without_buffers(found) for key, found in report.items()})
        model = _attempt(name, lambda: model.to(device))
    return ClipModel(
        name=name,
        model=model.eval().requires_grad_(False),
        processor=processor,
        scale=float(model.logit_scale.double().exp()),
        device=device,
    )


def _load_processor(folder: Path) -> Any:
    return transformers().CLIPProcessor.from_pretrained(folder, local_files_only=True)


def _load_model(folder: Path, options: ModelOptions) -> Any:
    attention = {} if options.attn == "auto" else {"attn_implementation": options.attn}
    return transformers().CLIPModel.from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # to list them all; they are refused
        **attention,
    )


def _attempt(name: str, load: Callable[[], Any]) -> Any:
    """Turn whatever goes wrong between the disk and the device into a sentence."""
    try:
        return load()
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(f"There is not enough memory for {name}; choose another device.") from error
        raise UserError(
            f"{name} cannot be loaded ({one_line(error)}); fetch it again or choose another one."
        ) from error


def _without_buffers(found: Any) -> Any:
    if isinstance(found, set | list | tuple):
        return [item for item in found if not str(item).endswith(_NO_WEIGHTS)]
    return found
