"""From the masks that a network makes of a grid of points to regions: the same for every network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroiqa.errors import ImageError, UserError, one_line
from zeroiqa.segmenters.granularity import MaskParameters
from zeroiqa.segmenters.regions import RegionRule
from zeroiqa.segmenters.sam2.generation import GeneratedMasks, MaskNetwork, generate_masks
from zeroiqa.weights.devices import find_device, find_dtype, is_device_gone, is_out_of_memory
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.types import Image, Pixels, Region

_POINTS_PER_BATCH = {"cuda": 256, "cpu": 4, "mps": 64}
"""The decoder needs about 50 MB for each point, half of that in bfloat16. On a CPU, measured with SAM 2.1
tiny, 4 points together take 0.6 of the time of 16 and half of that of 32: fewer pages are touched."""
_POINTS_ELSEWHERE = 64
_SURELY_TOO_SMALL = 0.95
"""Of the least number of pixels: those counted at decoder resolution differ by rounding only."""


class NetworkSegmenter(ABC):
    """A segmenter by a network of the SAM 2 kind, which is loaded with the first image.

    Subclasses say which weights there are, and load them.
    """

    kind = ""
    """Name and version of what is done with the network."""

    def __init__(
        self,
        name: str,
        *,
        parameters: MaskParameters = MaskParameters(),  # noqa: B008 -- frozen
        options: ModelOptions = ModelOptions(),  # noqa: B008 -- frozen
        **rule: Any,
    ) -> None:
        """Keep the choices.

        Args:
            name: What the user calls it.
            parameters: Of the masks.
            options: Device, type of the computation, and whether the network may be reached for.
            rule: Fields of `RegionRule`; masks are kept at the image's size.

        Raises:
            UserError: `min_area` is outside [0, 1].
        """
        self._name = name
        self._rule = RegionRule(**rule)
        self._parameters, self._options = parameters, options
        self._loaded: MaskNetwork | None = None

    @abstractmethod
    def _weights(self) -> str:
        """What tells the weights in the id, by their files: they are not loaded for it."""

    @abstractmethod
    def _load(self, device: torch.device, dtype: torch.dtype) -> MaskNetwork:
        """The network on a device, computing in a type; asked for once."""

    @property
    def id(self) -> str:
        """Kind, weights, type of the computation and every parameter.

        Raises:
            UserError: the weights are neither on this disk nor to be had, or there is no such device or type.
        """
        dtype = str(self._dtype()).removeprefix("torch.")
        return f"{self.kind}:{self._weights()},dtype={dtype},{self._parameters.id},{self._rule.id}"

    @property
    def images_per_call(self) -> int:
        """How many images are worth one call of `segment_batch`: a GPU encodes them together."""
        return 8 if find_device(self._options.device).type == "cuda" else 2

    @property
    def network(self) -> MaskNetwork:
        """The network, loaded if need be.

        Raises:
            UserError: it cannot be loaded.
        """
        if self._loaded is None:
            self._loaded = self._load(find_device(self._options.device), self._dtype())
        return self._loaded

    def segment(self, image: Image) -> list[Region]:
        """The regions of one image, the best mask first, the complement last.

        Raises:
            ImageError: the pixels are not RGB in uint8.
            UserError: the network cannot be loaded, memory is short, or the device is gone.
        """
        return self.segment_batch([image])[0]

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """The regions of several images; raises as `segment` does, if only for one of them."""
        pixels = [checked(image) for image in images]
        if not pixels:
            return []
        network = self.network
        at_once = _POINTS_PER_BATCH.get(network.device.type, _POINTS_ELSEWHERE)
        with device_errors(network.device, self._name):
            generated = generate_masks(network, pixels, self._parameters, at_once)
            return [self._regions(image, masks) for image, masks in zip(images, generated, strict=True)]

    @torch.inference_mode()
    def _regions(self, image: Image, masks: GeneratedMasks) -> list[Region]:
        height, width = image.size
        least = self._rule.least(height * width, height * width)
        likely = masks.take(masks.pixels >= _SURELY_TOO_SMALL * (least - 1))
        full = (likely.full_size(number, self._parameters.mask_threshold) for number in range(len(likely)))
        return self._rule.regions(full, image.size)

    def release(self) -> None:
        """Let go of the weights; the next image loads them again."""
        self._loaded = None

    def _dtype(self) -> torch.dtype:
        """Lower than float32 on CUDA only, unless asked for."""
        device = find_device(self._options.device)
        if self._options.dtype == "auto" and device.type != "cuda":
            return torch.float32
        return find_dtype(self._options.dtype, device)


def by_halves(
    compute: Callable[[torch.Tensor], Sequence[torch.Tensor]], batch: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Compute tensors of a batch; where memory runs out, of one half after the other.

    Args:
        compute: Gives tensors whose first axis is that of the batch.
        batch: Of images, shape (N, ...).

    Raises:
        UserError: there is no memory for one.
    """
    try:
        return tuple(compute(batch))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            raise UserError(
                f"There is not enough memory on {batch.device} to encode one image; choose a smaller "
                "segmenter (sam2.1-tiny) or another device (--device)."
            ) from error
    half = len(batch) // 2
    parts = [by_halves(compute, part) for part in (batch[:half], batch[half:])]
    return tuple(map(torch.cat, zip(*parts, strict=True)))


@contextmanager
def device_errors(device: torch.device, name: str) -> Iterator[None]:
    """Turn the loss of a GPU, or of its last memory, into a sentence; what a run has finished is kept.

    Args:
        device: Where the network is.
        name: The segmenter's.

    Raises:
        UserError: in place of the device's error.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise UserError(
                f"There is not enough memory on {device} for the masks of one image with {name}; choose a "
                "smaller segmenter (sam2.1-tiny) or another device (--device)."
            ) from error
        if is_device_gone(error):
            raise UserError(
                f"The device {device} failed while {name} was segmenting ({one_line(error)}); "
                "what is finished is kept: repeat the command to go on."
            ) from error
        raise


def checked(image: Image) -> Pixels:
    """The pixels, if they are what a network takes.

    Raises:
        ImageError: they are not RGB in uint8, or there are none.
    """
    pixels: Any = image.pixels
    found = type(pixels).__name__
    if isinstance(pixels, np.ndarray):
        if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0:
            return image.pixels
        found = f"{pixels.dtype} of shape {pixels.shape}"
    raise ImageError(
        "Networks take RGB pixels, uint8 of shape (height, width, 3) with at least one pixel; those of "
        f"{image.name} are {found}."
    )
