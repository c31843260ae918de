"""Masks of everything in an image: a grid of points asks a network, filters keep the good and distinct ones.

The result is that of sam2's SAM2AutomaticMaskGenerator. The order of the work is another one: nothing of the
image's size is made for a candidate. Candidates are dropped by their estimated IoU first; stability, area and
box are computed from the decoder's logits (see `upsampling`); what is left when duplicates are suppressed can
be brought to full size, one mask at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from zeroiqa.errors import UserError
from zeroiqa.segmenters.sam2.cleaning import cleaned
from zeroiqa.segmenters.sam2.upsampling import Upsampling
from zeroiqa.weights.devices import is_out_of_memory

if TYPE_CHECKING:
    from zeroiqa.segmenters.granularity import MaskParameters
    from zeroiqa.types import Mask, Pixels


class MaskNetwork(Protocol):
    """An image encoder, and a decoder that makes masks of points."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        ...

    def encode(self, images: Sequence[Pixels]) -> Any:
        """Features of a batch of images, in any form that `decode` takes."""
        ...

    def decode(
        self, features: Any, images: torch.Tensor, points: torch.Tensor, multimask_output: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks at points.

        Args:
            features: From `encode`.
            images: For each point the position of its image in the batch, int64, shape (P,).
            points: x and y in [0, 1] of the image, float32, shape (P, 2).
            multimask_output: Whether a point gives three masks or one.

        Returns:
            Logits, float32, shape (P, M, height, width), and estimates of the masks' IoU, shape (P, M).
        """
        ...


@dataclass(frozen=True)
class GeneratedMasks:
    """The masks of one image, best first by the network's estimate; tensors on the network's device."""

    image_size: tuple[int, int]
    """Height and width in pixels."""
    logits: torch.Tensor
    """Of the decoder, float32, shape (N, height, width); their size is not the image's."""
    boxes: torch.Tensor
    """x0, y0, x1, y1 in image pixels, end exclusive, int64, shape (N, 4); zeros for an empty mask."""
    pixels: torch.Tensor
    """How many image pixels each mask has, int64, shape (N,)."""
    predicted_iou: torch.Tensor
    """The network's estimates, float32, shape (N,)."""
    stability_score: torch.Tensor
    """IoU of the mask at a higher and a lower threshold, float32, shape (N,)."""
    points: torch.Tensor
    """Where the network was asked: x, y in image pixels, float32, shape (N, 2)."""

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, chosen: torch.Tensor) -> GeneratedMasks:
        """Those chosen by a mask of booleans or by positions."""
        return GeneratedMasks(self.image_size, *(tensor[chosen] for tensor in self.tensors))

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """What there is of each mask, in the order of the fields."""
        return self.logits, self.boxes, self.pixels, self.predicted_iou, self.stability_score, self.points

    def full_size(self, number: int, threshold: float) -> Mask:
        """One mask at the image's size, on the CPU: where its upsampled logits are above the threshold."""
        logits = self.logits[number][None, None]
        upsampled = torch.nn.functional.interpolate(
            logits, self.image_size, mode="bilinear", align_corners=False
        )
        mask: Mask = (upsampled[0, 0] > threshold).cpu().numpy()
        return mask


def point_grid(points_per_side: int) -> torch.Tensor:
    """Centres of a square grid's cells over [0, 1]^2, row by row: x and y, float64, shape (n * n, 2)."""
    half = 1 / (2 * points_per_side)
    line = np.linspace(half, 1 - half, points_per_side)
    return torch.from_numpy(np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2))


@torch.inference_mode()
def generate_masks(
    network: MaskNetwork, images: Sequence[Pixels], parameters: MaskParameters, points_per_batch: int
) -> list[GeneratedMasks]:
    """All masks of each image, duplicates suppressed.

    Args:
        network: Encodes the images together.
        images: RGB, each of shape (height, width, 3), uint8; of any sizes.
        parameters: What is asked for and what is kept.
        points_per_batch: Points for one call of the decoder; those of several images where one has fewer. It
            changes no result beyond rounding; it is halved where memory runs out.

    Raises:
        UserError: there is no memory for one point.
    """
    sizes = [image.shape[:2] for image in images]
    features = network.encode(images)
    found: list[list[GeneratedMasks]] = [[] for _ in images]
    grid = point_grid(parameters.points_per_side)
    corners = torch.tensor([[(width, height)] for height, width in sizes])
    places = (grid * corners).float()  # in pixels; rounded where the package rounds
    points = places / corners
    for part in _parts(len(images), len(grid), points_per_batch):
        owners = torch.cat([torch.full((len(numbers),), image) for image, numbers in part])
        prompts = torch.cat([points[image, numbers] for image, numbers in part]).to(network.device)
        logits, estimates = _decode(network, features, owners, prompts, parameters.multimask_output)
        counts = [len(numbers) for _, numbers in part]
        for (image, numbers), own, estimated in zip(
            part, torch.split(logits, counts), torch.split(estimates, counts), strict=True
        ):
            at = places[image, numbers].to(own.device)
            found[image].append(_good(own, estimated, at, sizes[image], parameters))
    return [_distinct(_joined(parts), parameters.box_nms_thresh) for parts in found]


def _parts(images: int, points: int, most: int) -> Iterator[list[tuple[int, torch.Tensor]]]:
    """For each call of the decoder its images and the numbers of their points.

    Whole images as long as they fit; the points of one are divided only if they do not.
    """
    together = max(1, most // points)
    for first in range(0, images, together):
        for numbers in torch.split(torch.arange(points), most):
            yield [(image, numbers) for image in range(first, min(first + together, images))]


def _decode(
    network: MaskNetwork, features: Any, owners: torch.Tensor, points: torch.Tensor, multimask: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ask the decoder; where memory runs out, for one half of the points after the other."""
    try:
        logits, estimates = network.decode(features, owners, points, multimask)
        if logits.device.type == "mps":  # where there is no float64, which measuring masks needs
            return logits.cpu(), estimates.cpu()
        return logits, estimates
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(points) == 1:
            raise UserError(
                f"There is not enough memory on {network.device} for the masks of one point; choose a "
                "smaller segmenter (sam2.1-tiny) or another device (--device)."
            ) from error
    half = len(points) // 2
    parts = [
        _decode(network, features, owners[part], points[part], multimask)
        for part in (slice(half), slice(half, None))
    ]
    return torch.cat([logits for logits, _ in parts]), torch.cat([estimates for _, estimates in parts])


def _good(
    logits: torch.Tensor,
    estimates: torch.Tensor,
    places: torch.Tensor,
    image_size: tuple[int, int],
    parameters: MaskParameters,
) -> GeneratedMasks:
    """The candidates of one image at some points that pass the thresholds, in the order of the points."""
    places = places.repeat_interleave(estimates.shape[1], dim=0)
    logits, estimates = logits.flatten(0, 1), estimates.flatten(0, 1)
    if parameters.pred_iou_thresh > 0:
        chosen = estimates > parameters.pred_iou_thresh
        logits, estimates, places = logits[chosen], estimates[chosen], places[chosen]

    if parameters.min_mask_region_area > 0:
        logits = cleaned(logits, parameters.min_mask_region_area)
    upsampling = Upsampling((logits.shape[1], logits.shape[2]), image_size, logits.device)
    middle, offset = parameters.mask_threshold, parameters.stability_score_offset
    inner, outer = (upsampling.extent(logits, middle + shift).pixels for shift in (offset, -offset))
    stability = inner / outer
    if parameters.stability_score_thresh > 0:
        chosen = stability >= parameters.stability_score_thresh
        logits, estimates, places = logits[chosen], estimates[chosen], places[chosen]
        stability = stability[chosen]
    extent = upsampling.extent(logits, middle)
    return GeneratedMasks(image_size, logits, extent.boxes, extent.pixels, estimates, stability, places)


def _joined(parts: Sequence[GeneratedMasks]) -> GeneratedMasks:
    together = zip(*(part.tensors for part in parts), strict=True)
    return GeneratedMasks(parts[0].image_size, *map(torch.cat, together))


def _distinct(masks: GeneratedMasks, box_nms_thresh: float) -> GeneratedMasks:
    """Without those whose box overlaps that of a better one, best first."""
    from torchvision.ops import batched_nms  # type: ignore[import-untyped]

    last_inside = masks.boxes.clone()
    last_inside[:, 2:] -= (masks.pixels > 0).long()[:, None]  # the package's boxes end at their last pixel
    one_kind = torch.zeros(len(masks), dtype=torch.int64, device=masks.boxes.device)
    kept = batched_nms(last_inside.float(), masks.predicted_iou, one_kind, box_nms_thresh)
    return masks.take(kept)
