"""SAM 2 by the official package sam2: with our own mask generation, and with the package's.

Ravi et al., SAM 2: Segment anything in images and videos, 2024. It runs where PyTorch does, on CUDA in
bfloat16 by autocast, as the package's authors do, else in float32. The weights stay float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroiqa.devices import find_device, find_dtype, is_device_gone, is_out_of_memory
from zeroiqa.errors import ImageError, UserError
from zeroiqa.model_options import ModelOptions
from zeroiqa.segmenters.mask_generation import GeneratedMasks, generate_masks
from zeroiqa.segmenters.mask_parameters import MaskParameters
from zeroiqa.segmenters.regions import check_min_area, regions_from_masks
from zeroiqa.segmenters.sam2_loading import Checkpoint, cards, find_checkpoint, import_sam2, load_model
from zeroiqa.segmenters.sam2_network import Sam2Network

if TYPE_CHECKING:
    from zeroiqa.types import Image, Pixels, Region

_POINTS_PER_BATCH = {"cuda": 256, "cpu": 16, "mps": 64}
"""The decoder needs about 50 MB for each point, half of that in bfloat16."""
_STOCK_POINTS = 64  # the package's default; every point's three masks are kept at the image's size
_SURELY_TOO_SMALL = 0.95
"""Of the least number of pixels: those counted at decoder resolution differ by rounding only."""


class _Sam2:
    """What both segmenters share: their files, their id, and the model once it is loaded."""

    kind = ""
    """Name and version of what is done with the model."""

    def __init__(
        self,
        argument: str | None = None,
        *,
        name: str = "sam2",
        min_area: float = 0.01,
        complement: bool = True,
        masks: bool = False,
        parameters: MaskParameters = MaskParameters(),  # noqa: B008 -- frozen
        options: ModelOptions = ModelOptions(),  # noqa: B008 -- frozen
    ) -> None:
        check_min_area(min_area)
        self._name, self._argument = name, argument
        self._min_area, self._complement, self._masks = min_area, complement, masks
        self._parameters, self._options = parameters, options
        self._found: Checkpoint | None = None
        self._loaded: Sam2Network | None = None

    @property
    def id(self) -> str:
        """Name, weights, type of the computation and every parameter.

        Raises:
            UserError: the weights are neither on this disk nor to be had, or there is no such device or type.
        """
        parameters = ",".join(f"{name}={value}" for name, value in asdict(self._parameters).items())
        rule = f"min_area={self._min_area},complement={self._complement},masks={self._masks}"
        dtype = str(self._dtype()).removeprefix("torch.")
        weights = self._checkpoint().fingerprint[:16]
        return f"{self.kind}:{self._name},weights={weights},dtype={dtype},{parameters},{rule}"

    @property
    def network(self) -> Sam2Network:
        """The network, loaded if need be.

        Raises:
            UserError: it cannot be loaded.
        """
        if self._loaded is None:
            dtype = self._dtype()
            device = find_device(self._options.device)
            self._loaded = Sam2Network(load_model(self._checkpoint(), device), dtype)
        return self._loaded

    def _checkpoint(self) -> Checkpoint:
        if self._found is None:
            self._found = find_checkpoint(self._name, self._argument, offline=self._options.offline)
        return self._found

    def _dtype(self) -> torch.dtype:
        device = find_device(self._options.device)
        if self._options.dtype == "auto" and device.type != "cuda":
            return torch.float32
        return find_dtype(self._options.dtype, device)


class Sam2Segmenter(_Sam2):
    """Regions of SAM 2's masks by our own mask generation.

    Building one is cheap; the weights are loaded with the first image.

    Args:
        argument: File of the checkpoint, for the name "sam2" also a folder of config.yaml and a .pt file;
            None takes the named model from the hub.
        name: sam2.1-tiny, sam2.1-small, sam2.1-base+, sam2.1-large, or sam2 for any checkpoint.
        min_area: Masks smaller than this fraction of the image are dropped, in [0, 1].
        complement: Whether what no kept mask covers becomes the last region.
        masks: Whether the regions carry their masks, at the image's size.
        parameters: Of the masks.
        options: Where and in which type the model runs.

    Raises:
        UserError: `min_area` is outside [0, 1].
    """

    kind = "sam2-v1"

    @property
    def images_per_call(self) -> int:
        """How many images are worth one call of `segment_batch`: a GPU encodes them together."""
        return 8 if find_device(self._options.device).type == "cuda" else 2

    def segment(self, image: Image) -> list[Region]:
        """The regions of one image, the best mask first, the complement last.

        Raises:
            ImageError: the pixels are not RGB in uint8.
            UserError: the model cannot be loaded, memory is short, or the device is gone.
        """
        return self.segment_batch([image])[0]

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """The regions of several images; raises as `segment` does, if only for one of them."""
        pixels = [_checked(image) for image in images]
        if not pixels:
            return []
        network = self.network
        at_once = _POINTS_PER_BATCH.get(network.device.type, _STOCK_POINTS)
        with device_errors(network.device, self._name):
            generated = generate_masks(network, pixels, self._parameters, at_once)
            return [self._regions(image, masks) for image, masks in zip(images, generated, strict=True)]

    @torch.inference_mode()
    def _regions(self, image: Image, masks: GeneratedMasks) -> list[Region]:
        height, width = image.size
        likely = masks.take(masks.pixels >= _SURELY_TOO_SMALL * self._min_area * height * width)
        return regions_from_masks(
            (likely.full_size(number, self._parameters.mask_threshold) for number in range(len(likely))),
            image.size,
            min_area=self._min_area,
            complement=self._complement,
            keep_masks=self._masks,
        )


class StockSegmenter(_Sam2):
    """The package's own SAM2AutomaticMaskGenerator with the same parameters: slow, and what ours is held to.

    Args:
        argument: What it runs on: any name of `Sam2Segmenter`, with its argument after a second colon; None
            is sam2.1-large.
        name: Its own; changes nothing.
        min_area: This and the following as for `Sam2Segmenter`.
        complement: ...
        masks: ...
        parameters: ...
        options: ...

    Raises:
        UserError: `min_area` is outside [0, 1], or there is no such name.
    """

    kind = "sam2-stock-v1"
    images_per_call = 1
    """It looks at one image after the other."""

    def __init__(
        self,
        argument: str | None = None,
        *,
        name: str = "sam2-stock",
        min_area: float = 0.01,
        complement: bool = True,
        masks: bool = False,
        parameters: MaskParameters = MaskParameters(),  # noqa: B008 -- frozen
        options: ModelOptions = ModelOptions(),  # noqa: B008 -- frozen
    ) -> None:
        model, colon, rest = ("sam2.1-large" if argument is None else argument).partition(":")
        if model not in (*cards(), "sam2"):
            raise UserError(
                f"The segmenter {name} runs on {', '.join(cards())} or sam2:FILE_OR_FOLDER, not on {model!r}."
            )
        super().__init__(
            rest if colon else None,
            name=model,
            min_area=min_area,
            complement=complement,
            masks=masks,
            parameters=parameters,
            options=options,
        )
        self._generator: Any = None

    def segment(self, image: Image) -> list[Region]:
        """The regions of one image in the package's order, the complement last.

        Raises:
            ImageError: the pixels are not RGB in uint8.
            UserError: the model cannot be loaded, memory is short, or the device is gone.
        """
        pixels = np.array(_checked(image))
        if self._generator is None:
            self._generator = _stock_generator(self.network.model, self._parameters)
        network = self.network
        with device_errors(network.device, self._name), torch.inference_mode(), network.autocast():
            found = self._generator.generate(pixels)
        return regions_from_masks(
            (np.asarray(mask["segmentation"], dtype=bool) for mask in found),
            image.size,
            min_area=self._min_area,
            complement=self._complement,
            keep_masks=self._masks,
        )

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """The regions of several images, one after the other."""
        return [self.segment(image) for image in images]


def _stock_generator(model: Any, parameters: MaskParameters) -> Any:
    module = import_sam2("automatic_mask_generator")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, about how the package compiles its preprocessing
        generator = module.SAM2AutomaticMaskGenerator(
            model, points_per_batch=_STOCK_POINTS, **asdict(parameters)
        )
    generator.predictor._bb_feat_sizes = [(model.image_size // stride,) * 2 for stride in (4, 8, 16)]
    return generator


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
            text = " ".join(str(error).split())
            raise UserError(
                f"The device {device} failed while {name} was segmenting ({text[:120]}); "
                "what is finished is kept: repeat the command to go on."
            ) from error
        raise


def _checked(image: Image) -> Pixels:
    """The pixels, if they are what the network takes."""
    pixels: Any = image.pixels
    found = type(pixels).__name__
    if isinstance(pixels, np.ndarray):
        if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0:
            return image.pixels
        found = f"{pixels.dtype} of shape {pixels.shape}"
    raise ImageError(
        "SAM 2 takes RGB pixels, uint8 of shape (height, width, 3) with at least one pixel; those of "
        f"{image.name} are {found}."
    )
