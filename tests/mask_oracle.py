"""The sam2 package's own generator over any mask network: what ours is held against."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

from zeroiqa.segmenters.granularity import MaskParameters
from zeroiqa.segmenters.sam2.generation import GeneratedMasks, MaskNetwork

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

POINTS_PER_BATCH = 64


class _Predictor:
    """A mask network in the form that the package's generator calls."""

    def __init__(self, network: MaskNetwork) -> None:
        self.network, self.device = network, network.device
        self._transforms = SimpleNamespace(transform_coords=self._normalised)

    @staticmethod
    def _normalised(points: torch.Tensor, normalize: bool, orig_hw: tuple[int, int]) -> torch.Tensor:
        height, width = orig_hw
        return points / torch.tensor([width, height])

    def set_image(self, image: Pixels) -> None:
        self.size, self.features = image.shape[:2], self.network.encode([image])

    def reset_predictor(self) -> None:
        self.features = None

    def _predict(
        self, points: torch.Tensor, labels: torch.Tensor, multimask_output: bool, return_logits: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        owner = torch.zeros(len(points), dtype=torch.int64)
        logits, estimates = self.network.decode(self.features, owner, points[:, 0], multimask_output)
        full = torch.nn.functional.interpolate(logits, self.size, mode="bilinear", align_corners=False)
        return full, estimates, logits


def package_masks(network: MaskNetwork, image: Pixels, parameters: MaskParameters) -> list[dict[str, Any]]:
    """The records of SAM2AutomaticMaskGenerator.generate."""
    model: Any = SimpleNamespace(image_size=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the package scripts its transforms
        generator = SAM2AutomaticMaskGenerator(model, points_per_batch=POINTS_PER_BATCH, **asdict(parameters))
    generator.predictor = _Predictor(network)
    return generator.generate(image)


def disagreement(ours: GeneratedMasks, theirs: Sequence[dict[str, Any]]) -> str:
    """What differs in number, order, boxes, areas or scores; empty if nothing does."""
    if len(ours) != len(theirs):
        return f"{len(ours)} masks instead of {len(theirs)}"
    for number, record in enumerate(theirs):
        x0, y0, x1, y1 = ours.boxes[number].tolist()
        last = 1 if record["area"] else 0  # the package's boxes end at their last pixel
        if [x0, y0, x1 - x0 - last, y1 - y0 - last] != record["bbox"]:
            return f"mask {number}: box {ours.boxes[number].tolist()} instead of {record['bbox']}"
        pairs = {
            "area": (int(ours.pixels[number]), record["area"]),
            "predicted_iou": (float(ours.predicted_iou[number]), record["predicted_iou"]),
            "stability_score": (float(ours.stability_score[number]), record["stability_score"]),
            "point_coords": (ours.points[number].tolist(), record["point_coords"][0]),
        }
        for name, (mine, wanted) in pairs.items():
            if mine != wanted and not (mine != mine and wanted != wanted):  # an empty mask's stability is NaN
                return f"mask {number}: {name} {mine} instead of {wanted}"
    return ""


@dataclass(frozen=True)
class Shape:
    """A known object: a signed distance, positive inside, in a unit square."""

    distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    slope: float
    """Logits per unit of distance: a steep border is a stable mask."""
    estimate: float
    """What the network says of its IoU."""
    everywhere: bool = False
    """Whether every point gives it, not only those inside."""


def disc(x: float, y: float, radius: float, slope: float = 600, estimate: float = 0.9) -> Shape:
    return Shape(lambda u, v: radius - torch.hypot(u - x, v - y), slope, estimate)


def rectangle(x0: float, y0: float, x1: float, y1: float, slope: float = 600, estimate: float = 0.9) -> Shape:
    def distance(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.minimum(torch.minimum(u - x0, x1 - u), torch.minimum(v - y0, y1 - v))

    return Shape(distance, slope, estimate)


def everything(estimate: float = 0.9) -> Shape:
    return Shape(lambda u, v: torch.ones_like(u), 10, estimate, everywhere=True)


def nothing(estimate: float = 0.9) -> Shape:
    return Shape(lambda u, v: -torch.ones_like(u), 10, estimate, everywhere=True)


@dataclass(frozen=True)
class ShapeNetwork:
    """A decoder that knows the answer: a point gives the shapes that hold it, at most three, else none.

    The point moves each mask a little, so that the many masks of one object are near-duplicates, not copies.
    """

    shapes: Sequence[Shape]
    logits_size: tuple[int, int] = (64, 64)
    jitter: float = 0.004

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def encode(self, images: Sequence[Pixels]) -> int:
        return len(images)

    def decode(
        self, features: int, images: torch.Tensor, points: torch.Tensor, multimask_output: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert images.max() < features
        height, width = self.logits_size
        v, u = torch.meshgrid(
            (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij"
        )
        most = 3 if multimask_output else 1
        logits = torch.full((len(points), most, height, width), -20.0)
        estimates = torch.zeros(len(points), most)
        for number, (x, y) in enumerate(points):
            holding = [shape for shape in self.shapes if shape.everywhere or shape.distance(x, y) >= 0]
            wobble = self.jitter * torch.sin(37 * x + 61 * y)
            for place, shape in enumerate(holding[:most]):
                logits[number, place] = shape.slope * (shape.distance(u, v) + wobble)
                estimates[number, place] = shape.estimate + 0.05 * torch.cos(23 * x - 41 * y)
        return logits, estimates
