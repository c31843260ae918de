"""SAM 2 by the official package sam2: a network for our own mask generation, and the package's own generator.

Ravi et al., SAM 2: Segment anything in images and videos, 2024. It runs where PyTorch does, on CUDA in
bfloat16 by autocast, as the package's authors do, else in float32. The weights stay float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroiqa.devices import find_device, find_dtype, is_out_of_memory
from zeroiqa.errors import ImageError, UserError
from zeroiqa.model_options import ModelOptions
from zeroiqa.segmenters.mask_generation import GeneratedMasks, generate_masks
from zeroiqa.segmenters.mask_parameters import MaskParameters
from zeroiqa.segmenters.regions import check_min_area, regions_from_masks
from zeroiqa.segmenters.sam2_loading import Checkpoint, cards, find_checkpoint, import_sam2, load_model

if TYPE_CHECKING:
    from zeroiqa.types import Image, Pixels, Region

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_POINTS_PER_BATCH = {"cuda": 256, "cpu": 64, "mps": 64}
"""The decoder needs about 50 MB for each point, half of that in bfloat16."""
_STOCK_POINTS = 64  # the package's default; every point's three masks are kept at the image's size
_SURELY_TOO_SMALL = 0.95
"""Of the least number of pixels: those counted at decoder resolution differ by rounding only."""


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
        return self._encode(torch.stack([preprocess(image, self.model.image_size) for image in images]))

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

    def _encode(self, batch: torch.Tensor) -> Features:
        """Encode preprocessed images; where memory runs out, one half after the other."""
        try:
            return self._forward(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise UserError(
                    f"There is not enough memory on {self.device} to encode one image; choose a smaller "
                    "segmenter (sam2.1-tiny) or another device (--device)."
                ) from error
        half = len(batch) // 2
        parts = [self._encode(batch[:half]), self._encode(batch[half:])]
        levels = zip(*(part.high_res_feats for part in parts), strict=True)
        return Features(
            torch.cat([part.image_embed for part in parts]), tuple(torch.cat(level) for level in levels)
        )

    def _forward(self, batch: torch.Tensor) -> Features:
        with self.autocast():
            pyramid = self.model.forward_image(batch.to(self.device))["backbone_fpn"]
            *high_res, last = pyramid[-self.model.num_feature_levels :]
            if self.model.directly_add_no_mem_embed:
                last = last + self.model.no_mem_embed.reshape(1, -1, 1, 1)
        return Features(last, tuple(high_res))

    def autocast(self) -> torch.autocast:
        """The type of the computation, as a context."""
        lower = self.dtype != torch.float32
        return torch.autocast(self.device.type, self.dtype if lower else None, enabled=lower)


def preprocess(pixels: Pixels, size: int) -> torch.Tensor:
    """The image as SAM 2 takes it: bit for bit what the package's SAM2Transforms makes of it.

    Channel by channel: of a photo of 12 megapixels, 48 MB of floats at once instead of 144.

    Args:
        pixels: RGB, shape (height, width, 3), uint8.
        size: Height and width that the model takes.

    Returns:
        Float32, shape (3, size, size); about 0, the standard deviation of photos about 1.
    """
    result = torch.empty(3, size, size)
    for channel in range(3):
        plane = torch.from_numpy(np.array(pixels[..., channel])).float().div_(255)[None, None]
        if plane.shape[-2:] != (size, size):
            plane = torch.nn.functional.interpolate(
                plane, (size, size), mode="bilinear", align_corners=False, antialias=True
            )
        result[channel] = plane[0, 0].sub_(_MEAN[channel]).div_(_STD[channel])
    return result


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
            UserError: the model cannot be loaded, or memory is short.
        """
        return self.segment_batch([image])[0]

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """The regions of several images; raises as `segment` does, if only for one of them."""
        pixels = [_checked(image) for image in images]
        if not pixels:
            return []
        network = self.network
        at_once = _POINTS_PER_BATCH.get(network.device.type, _STOCK_POINTS)
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
            UserError: the model cannot be loaded.
        """
        pixels = np.array(_checked(image))
        if self._generator is None:
            self._generator = _stock_generator(self.network.model, self._parameters)
        with torch.inference_mode(), self.network.autocast():
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
