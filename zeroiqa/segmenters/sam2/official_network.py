"""A SAM 2 model of the official package as a network for mask generation.

Preprocessing, features and masks are those of the package's SAM2ImagePredictor, for batches, at any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroiqa.segmenters.sam2.segmenter import by_halves

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

_CPU = torch.device("cpu")
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Features:
    """What the decoder needs of a batch of N images."""

    image_embed: torch.Tensor
    """Shape (N, C, S / 16, S / 16) for a model of image size S."""
    high_res_feats: tuple[torch.Tensor, ...]
    """Shapes (N, C / 8, S / 4, S / 4) and (N, C / 4, S / 8, S / 8), or none in models that do without."""


class Sam2Network:
    """A SAM 2 model of the package as a `MaskNetwork`; it is called through its public modules."""

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32) -> None:
        """Wrap a model.

        Args:
            model: The package's SAM2Base, on its device.
            dtype: Computed in; other than float32 by autocast.
        """
        self.model = model
        self.dtype = dtype

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    @torch.inference_mode()
    def encode(self, images: Sequence[Pixels]) -> Features:
        """The features that the package's SAM2ImagePredictor would compute.

        Args:
            images: RGB, each of shape (height, width, 3), uint8; of any sizes.

        Raises:
            UserError: there is no memory for one image.
        """
        # a GPU scales a large photo in a millisecond; where it is no CUDA device, it may not know how
        where = self.device if self.device.type == "cuda" else torch.device("cpu")
        batch = torch.stack([preprocess(image, self.model.image_size, where) for image in images])
        *high_res, last = by_halves(self._forward, batch)
        return Features(last, tuple(high_res))

    @torch.inference_mode()
    def decode(
        self, features: Features, images: torch.Tensor, points: torch.Tensor, multimask_output: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks at points; arguments and result are described by `MaskNetwork`."""
        coordinates = (points.to(self.device) * self.model.image_size)[:, None]
        labels = torch.ones(coordinates.shape[:2], dtype=torch.int32, device=self.device)
        first = int(images[0])
        of_one = bool((images == first).all())
        chosen = slice(first, first + 1) if of_one else images.to(self.device)
        prompt_encoder = self.model.sam_prompt_encoder
        with self.autocast():
            sparse, dense = prompt_encoder(points=(coordinates, labels), boxes=None, masks=None)
            logits, estimates, _, _ = self.model.sam_mask_decoder(
                image_embeddings=features.image_embed[chosen],
                image_pe=prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask_output,
                repeat_image=of_one and len(points) > 1,
                high_res_features=[level[chosen] for level in features.high_res_feats],
            )
        return logits.float(), estimates.float()

    def _forward(self, batch: torch.Tensor) -> Sequence[torch.Tensor]:
        with self.autocast():
            pyramid = self.model.forward_image(batch.to(self.device))["backbone_fpn"]
            *high_res, last = pyramid[-self.model.num_feature_levels :]
            if self.model.directly_add_no_mem_embed:
                last = last + self.model.no_mem_embed.reshape(1, -1, 1, 1)
        return [*high_res, last]

    def autocast(self) -> torch.autocast:
        """The type of the computation, as a context."""
        lower = self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype if lower else None, enabled=lower)


def preprocess(pixels: Pixels, size: int, device: torch.device = _CPU) -> torch.Tensor:
    """The image as SAM 2 takes it: what the package's SAM2Transforms makes of it, on the CPU bit for bit.

    Channel by channel: of a photo of 12 megapixels, 48 MB of floats at once instead of 144.

    Args:
        pixels: RGB, shape (height, width, 3), uint8.
        size: Height and width that the model takes.
        device: Where the work is done.

    Returns:
        Float32, shape (3, size, size), on the device; about 0, the standard deviation of photos about 1.
    """
    result = torch.empty(3, size, size, device=device)
    for channel in range(3):
        plane = torch.from_numpy(np.array(pixels[..., channel])).to(device).float().div_(255)[None, None]
        if plane.shape[-2:] != (size, size):
            plane = torch.nn.functional.interpolate(
                plane, (size, size), mode="bilinear", align_corners=False, antialias=True
            )
        result[channel] = plane[0, 0].sub_(_MEAN[channel]).div_(_STD[channel])
    return result
