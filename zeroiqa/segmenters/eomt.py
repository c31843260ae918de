"""EoMT: panoptic segments of an image by one forward pass of a vision transformer, by transformers.

Kerssies et al.: Your ViT is secretly an image segmentation model, CVPR 2025. A segment is what one query of
the network finds: a thing, or a part of the background (sky, road). Segments do not overlap.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroiqa.errors import ImageError, UserError
from zeroiqa.files.damage import stumbles
from zeroiqa.segmenters.eomt_weights import EomtModel, find_checkpoint, load
from zeroiqa.segmenters.regions import RegionRule
from zeroiqa.segmenters.sam2.segmenter import checked, device_errors
from zeroiqa.suggestions import did_you_mean
from zeroiqa.weights.checks import transformers
from zeroiqa.weights.devices import find_device, find_dtype
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.types import Image, Mask, Pixels, Region
    from zeroiqa.weights.checkpoint import Checkpoint

_MOST_PIXELS = 1 << 22
"""Of the raster on which segments of a larger image are made: each needs 12 bytes a pixel, and what the
network itself gives is a sixteenth of 640 x 640 pixels."""


@dataclass(frozen=True)
class PanopticParameters:
    """Names, meanings and defaults are those of transformers' `post_process_panoptic_segmentation`.

    Raises:
        UserError: a value is no number in [0, 1].
    """

    threshold: float = 0.8
    """A query counts if the probability of its class is above this."""
    mask_threshold: float = 0.5
    """A pixel is in a segment if its probability is at least this; each goes to one query at most."""
    overlap_mask_area_threshold: float = 0.8
    """... and a segment counts if more than this share of its pixels is not taken by better ones."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise UserError(f"{name} is a number from 0 to 1, not {value!r}.")

    @property
    def id(self) -> str:
        """Every choice, for the segmenter's id."""
        return ",".join(f"{name}={float(value)}" for name, value in asdict(self).items())


class EomtSegmenter:
    """Regions of the panoptic segments that EoMT finds, as transformers' image processor makes them.

    Building one is cheap; the weights are loaded with the first image. They are read from safetensors and
    stay float32; on CUDA the computation is in bfloat16 by autocast. Of the options, device, dtype and
    offline count. An image runs alone, so that its regions never depend on those beside it.

    Args:
        argument: A repository of the hub or a folder; after commas fields of `PanopticParameters`, such as
            "FOLDER,threshold=0.5".
        options: How to load and run the weights.
        rule: Fields of `RegionRule`; masks are kept at the image's size, or at 4 megapixels of a larger one.

    Raises:
        UserError: there is no argument, or a value in it or in the rule is none.
    """

    images_per_call = 1

    def __init__(
        self,
        argument: str | None = None,
        *,
        options: ModelOptions = ModelOptions(),  # noqa: B008 -- frozen
        **rule: Any,
    ) -> None:
        self._model_name, self._parameters = _parse(argument or "")
        self._options, self._rule = options, RegionRule(**rule)
        self._found: Checkpoint | None = None
        self._loaded: EomtModel | None = None

    @property
    def id(self) -> str:
        """Weights, type of the computation and every parameter.

        Raises:
            UserError: the weights are neither on this disk nor to be had, or there is no such device or type.
        """
        weights, dtype = self._checkpoint().fingerprint()[:16], str(self._dtype()).removeprefix("torch.")
        return f"eomt-v1:weights={weights},dtype={dtype},{self._parameters.id},{self._rule.id}"

    def segment(self, image: Image) -> list[Region]:
        """The regions of one image in the order of the network's queries, the complement last.

        Raises:
            ImageError: the pixels are not RGB in uint8, or one side is too long for the other.
            UserError: the network cannot be loaded, memory is short, or the device is gone.
        """
        pixels = checked(image)
        model = self._model()
        with device_errors(model.device, f"eomt:{self._model_name}"):
            return self._rule.regions(self._masks(model, pixels, image.name), image.size)

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """The regions of several images; raises as `segment` does, if only for one of them."""
        for image in images:
            checked(image)
        return [self.segment(image) for image in images]

    def release(self) -> None:
        """Let go of the weights; the next image loads them again."""
        self._loaded = None

    @torch.inference_mode()
    def _masks(self, model: EomtModel, pixels: Pixels, name: str) -> Iterator[Mask]:
        """The segments, each of shape (height, width) on the raster on which they are made."""
        size: tuple[int, int] = pixels.shape[:2]
        prepared = _prepared(model, pixels, name)
        dtype = self._dtype()
        lower = dtype != torch.float32
        with torch.autocast(model.device.type, dtype if lower else None, enabled=lower):
            answer = model.network(prepared)
        found = _likely(answer, self._parameters.threshold)
        if not found.class_queries_logits.shape[1]:
            return
        [segments] = model.processor.post_process_panoptic_segmentation(
            found, target_sizes=[_raster(size)], **asdict(self._parameters)
        )
        labels = segments["segmentation"].cpu().numpy()
        for segment in segments["segments_info"]:
            yield labels == segment["id"]

    def _checkpoint(self) -> Checkpoint:
        if self._found is None:
            options = self._options
            self._found = find_checkpoint(self._model_name, offline=options.offline, replies=options.replies)
        return self._found

    def _model(self) -> EomtModel:
        if self._loaded is None:
            self._loaded = load(self._checkpoint(), self._options)
        return self._loaded

    def _dtype(self) -> torch.dtype:
        """Lower than float32 on CUDA only, unless asked for."""
        device, dtype = find_device(self._options.device), self._options.dtype
        return (
            torch.float32 if dtype.startswith("auto") and device.type != "cuda" else find_dtype(dtype, device)
        )


def _parse(argument: str) -> tuple[str, PanopticParameters]:
    """The model, and what is said after commas."""
    model, *changes = argument.split(",")
    if not model:
        raise UserError(
            "The segmenter eomt needs a model: write eomt:OWNER/NAME or eomt:FOLDER, such as "
            "eomt:tue-mps/coco_panoptic_eomt_large_640."
        )
    known = [field.name for field in fields(PanopticParameters)]
    parameters = PanopticParameters()
    for change in changes:
        key, equals, text = (part.strip() for part in change.partition("="))
        if not equals:
            raise UserError(f"{change.strip()!r} in eomt:{argument} is no KEY=VALUE; write one.")
        if key not in known:
            raise UserError(
                f"There is no parameter {key!r} of eomt; {did_you_mean(key, known)}known: {', '.join(known)}."
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except stumbles():
            value = text
        parameters = replace(parameters, **{key: value})
    return model, parameters


def _prepared(model: EomtModel, pixels: Pixels, name: str) -> torch.Tensor:
    """The image as the network takes it: made smaller, padded to a square, shape (1, 3, side, side)."""
    side = model.side
    height, width = transformers("image_transforms").get_size_with_aspect_ratio(pixels.shape[:2], side, side)
    if not min(height, width):
        raise ImageError(
            f"{name} is {pixels.shape[1]} x {pixels.shape[0]} pixels, of which nothing is left when its long "
            f"side becomes {side}; cut it."
        )
    # torch takes no array that is read-only or runs backwards
    picture = torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))
    if max(height, width) > side:  # the library leaves an image alone whose short side is right already
        smaller = min(height, side), min(width, side)
        picture = torch.nn.functional.interpolate(picture[None], smaller, mode="bilinear", antialias=True)[0]
    prepared: torch.Tensor = model.processor(
        images=picture,
        input_data_format="channels_first",  # or three rows could be taken for the three colours
        do_pad=True,  # whatever is configured: the network takes nothing but squares
        device=model.device if model.device.type == "cuda" else torch.device("cpu"),
        return_tensors="pt",
    )["pixel_values"]
    return prepared.to(model.device)


def _likely(answer: Any, threshold: float) -> SimpleNamespace:
    """The queries that the library keeps: it brings all others to the image's size before it drops them."""
    classes = answer.class_queries_logits.float()
    scores, labels = classes.softmax(dim=-1).max(dim=-1)
    kept = (scores > threshold) & (labels != classes.shape[-1] - 1)  # the last class is "no object"
    return SimpleNamespace(
        class_queries_logits=classes[:, kept[0]],
        masks_queries_logits=answer.masks_queries_logits[:, kept[0]].float(),
    )


def _raster(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the masks of an image: its own, or less for a large one."""
    factor = min(1.0, math.sqrt(_MOST_PIXELS / math.prod(size)))
    height, width = (max(1, round(factor * side)) for side in size)
    return height, width
