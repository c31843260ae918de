"""SAM 2 by the official package sam2: with our own mask generation, or with the package's.

Ravi et al., SAM 2: Segment anything in images and videos, 2024. It runs where PyTorch does, on CUDA in
bfloat16 by autocast, as the package's authors do, else in float32. The weights stay float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroiqa.errors import UserError, one_line
from zeroiqa.segmenters.sam2.official_network import Sam2Network
from zeroiqa.segmenters.sam2.official_weights import (
    Sam2Checkpoint,
    cards,
    find_checkpoint,
    import_sam2,
    load_model,
)
from zeroiqa.segmenters.sam2.segmenter import NetworkSegmenter, checked, device_errors

if TYPE_CHECKING:
    from zeroiqa.segmenters.granularity import MaskParameters
    from zeroiqa.types import Image, Pixels, Region

_POINTS_PER_BATCH = 64  # the package's default; every point's three masks are kept at the image's size


class Sam2Segmenter(NetworkSegmenter):
    """Regions of SAM 2's masks by our own mask generation.

    Args:
        argument: File of the checkpoint, for the name "sam2" also a folder of config.yaml and a .pt file;
            None takes the named model from the hub.
        name: That of a card, such as sam2.1-tiny or sam2.0-large, or sam2 for any checkpoint.
        choices: As for `NetworkSegmenter`.

    Raises:
        UserError: `min_area` is outside [0, 1].
    """

    kind = "sam2-v1"

    def __init__(self, argument: str | None = None, *, name: str = "sam2", **choices: Any) -> None:
        super().__init__(name, **choices)
        self._argument = argument
        self._found: Sam2Checkpoint | None = None

    def _checkpoint(self) -> Sam2Checkpoint:
        if self._found is None:
            options = self._options
            self._found = find_checkpoint(
                self._name, self._argument, offline=options.offline, replies=options.replies
            )
        return self._found

    def _weights(self) -> str:
        return f"{self._name},weights={self._checkpoint().fingerprint[:16]}"

    def _load(self, device: torch.device, dtype: torch.dtype) -> Sam2Network:
        return Sam2Network(load_model(self._checkpoint(), device), dtype)


class StockSegmenter(Sam2Segmenter):
    """The package's own SAM2AutomaticMaskGenerator with the same parameters: slow, and what ours is held to.

    Args:
        argument: What it runs on: any name of `Sam2Segmenter`, with its argument after a second colon; None
            is sam2.1-large.
        name: Its own, for messages.
        choices: As for `NetworkSegmenter`.

    Raises:
        UserError: `min_area` is outside [0, 1], or there is no such name.
    """

    kind = "sam2-stock-v1"

    def __init__(self, argument: str | None = None, *, name: str = "sam2-stock", **choices: Any) -> None:
        model, colon, rest = ("sam2.1-large" if argument is None else argument).partition(":")
        if model not in (*cards(), "sam2"):
            raise UserError(
                f"The segmenter {name} runs on {', '.join(cards())} or sam2:FILE_OR_FOLDER, not on {model!r}."
            )
        super().__init__(rest if colon else None, name=model, **choices)
        self._generator: Any = None

    @property
    def images_per_call(self) -> int:
        """It looks at one image after the other."""
        return 1

    def release(self) -> None:
        """Let go of the weights, which its generator holds, too."""
        super().release()
        self._generator = None

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """The regions of several images, one after the other, in the package's order, the complement last."""
        return [self._segment(checked(image)) for image in images]

    def _segment(self, pixels: Pixels) -> list[Region]:
        network = self.network
        assert isinstance(network, Sam2Network)
        if self._generator is None:
            self._generator = _generator(network.model, self._parameters)
        with device_errors(network.device, self._name), torch.inference_mode(), network.autocast():
            found = self._generated(pixels)
        masks = (np.asarray(mask["segmentation"], dtype=bool) for mask in found)
        return self._rule.regions(masks, (pixels.shape[0], pixels.shape[1]))

    def _generated(self, pixels: Pixels) -> list[dict[str, Any]]:
        """The package's records; the id would be wrong where it warns that it leaves masks as they are."""
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "(?s).*Skipping the post-processing step", UserWarning)
            try:
                records: list[dict[str, Any]] = self._generator.generate(np.array(pixels))
            except UserWarning as skipped:
                why = one_line(skipped).partition(" Skipping")[0]
                raise UserError(
                    f"The package sam2 cannot clean masks here ({why}), as min_mask_region_area = "
                    f"{self._parameters.min_mask_region_area} asks for; take {self._name}, which cleans them "
                    "anywhere, or min_mask_region_area=0."
                ) from skipped
        return records


def _generator(model: Any, parameters: MaskParameters) -> Any:
    module = import_sam2("automatic_mask_generator")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, about how the package compiles its preprocessing
        generator = module.SAM2AutomaticMaskGenerator(
            model, points_per_batch=_POINTS_PER_BATCH, **asdict(parameters)
        )
    generator.predictor._bb_feat_sizes = [(model.image_size // stride,) * 2 for stride in (4, 8, 16)]
    return generator
