"""SAM 2 by transformers: any of its checkpoints on the hub or in a folder, with our own mask generation.

Images are prepared by the checkpoint's image processor, which rounds the reduced image to whole grey levels
before it is normalised, as the official package does not: the masks of the two are close, not equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroiqa.errors import UserError
from zeroiqa.segmenters.sam2.hf_weights import find_checkpoint, load
from zeroiqa.segmenters.sam2.segmenter import NetworkSegmenter, by_halves

if TYPE_CHECKING:
    from zeroiqa.types import Pixels
    from zeroiqa.weights.checkpoint import Checkpoint


class HfSam2Network:
    """A Sam2Model of transformers as a `MaskNetwork`; it is called through its public methods."""

    def __init__(self, model: Any, processor: Any, dtype: torch.dtype = torch.float32) -> None:
        """Wrap a model.

        Args:
            model: A Sam2Model on its device.
            processor: Its Sam2ImageProcessor.
            dtype: Computed in; other than float32 by autocast.
        """
        self.model = model
        self.processor = processor
        self.dtype = dtype

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    @torch.inference_mode()
    def encode(self, images: Sequence[Pixels]) -> tuple[torch.Tensor, ...]:
        """The embeddings of N images.

        Args:
            images: RGB, each of shape (height, width, 3), uint8; of any sizes.

        Returns:
            Levels from fine to coarse, each of shape (N, channels, height, width).

        Raises:
            UserError: there is no memory for one image.
        """
        return by_halves(self._embed, self.preprocess(images))

    def preprocess(self, images: Sequence[Pixels]) -> torch.Tensor:
        """The images as the model takes them, float32, shape (N, 3, size, size), on its device."""
        # a GPU scales a large photo in a millisecond; where it is no CUDA device, it may not know how
        where = self.device if self.device.type == "cuda" else torch.device("cpu")
        prepared = [
            self.processor(
                # torch takes no array that is read-only or runs backwards
                images=torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C")),
                input_data_format="channels_first",  # or three rows could be taken for the three colours
                device=where,
                return_tensors="pt",
            )["pixel_values"]
            for image in images
        ]
        return torch.cat(prepared).to(self.device)

    @torch.inference_mode()
    def decode(
        self,
        features: tuple[torch.Tensor, ...],
        images: torch.Tensor,
        points: torch.Tensor,
        multimask_output: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks at points; arguments and result are described by `MaskNetwork`."""
        owners, counts = torch.unique_consecutive(images.cpu(), return_counts=True)
        owners = owners.to(self.device)
        places = points.to(self.device) * self.model.prompt_encoder.input_image_size
        if bool((counts == counts[0]).all()):
            return self._forward(features, owners, places, multimask_output)
        parts = [
            self._forward(features, owner[None], part, multimask_output)
            for owner, part in zip(owners, torch.split(places, counts.tolist()), strict=True)
        ]
        logits, estimates = zip(*parts, strict=True)
        return torch.cat(logits), torch.cat(estimates)

    def _forward(
        self, features: tuple[torch.Tensor, ...], owners: torch.Tensor, places: torch.Tensor, multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks at as many points for each of the owners."""
        with self._autocast():
            answer = self.model(
                image_embeddings=[level[owners] for level in features],
                input_points=places.reshape(len(owners), -1, 1, 2),
                multimask_output=multimask,
            )
        return answer.pred_masks.flatten(0, 1).float(), answer.iou_scores.flatten(0, 1).float()

    def _embed(self, batch: torch.Tensor) -> Sequence[torch.Tensor]:
        with self._autocast():
            levels: Sequence[torch.Tensor] = self.model.get_image_embeddings(batch)
        return levels

    def _autocast(self) -> torch.autocast:
        lower = self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype if lower else None, enabled=lower)


class HfSam2Segmenter(NetworkSegmenter):
    """Regions of the masks of transformers' Sam2Model by our own mask generation.

    Building one is cheap; the weights are loaded with the first image. They are read from safetensors
    and stay float32; on CUDA the computation is in bfloat16 by autocast. Of the options, device, dtype and
    offline count.

    Args:
        argument: A repository of the hub ("facebook/sam2.1-hiera-tiny") or a folder.
        name: Its own, for messages.
        choices: As for `NetworkSegmenter`.

    Raises:
        UserError: there is no argument, or `min_area` is outside [0, 1].
    """

    kind = "hf-sam2-v1"

    def __init__(self, argument: str | None = None, *, name: str = "hf-sam2", **choices: Any) -> None:
        if not argument:
            raise UserError(
                f"The segmenter {name} needs a model: write {name}:OWNER/NAME or {name}:FOLDER, such as "
                f"{name}:facebook/sam2.1-hiera-tiny."
            )
        super().__init__(f"{name}:{argument}", **choices)
        self._argument = argument
        self._found: Checkpoint | None = None

    def _checkpoint(self) -> Checkpoint:
        if self._found is None:
            options = self._options
            self._found = find_checkpoint(self._argument, offline=options.offline, replies=options.replies)
        return self._found

    def _weights(self) -> str:
        return f"weights={self._checkpoint().fingerprint()[:16]}"

    def _load(self, device: torch.device, dtype: torch.dtype) -> HfSam2Network:
        options = self._options
        loaded = load(self._checkpoint(), device, offline=options.offline, replies=options.replies)
        return HfSam2Network(*loaded, dtype)
