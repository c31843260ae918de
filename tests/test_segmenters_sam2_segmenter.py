"""What segmenters by a network share, on a network that knows the answer."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.mask_oracle import Shape, ShapeNetwork, disc, everything, rectangle
from zeroiqa.errors import ImageError, UserError
from zeroiqa.segmenters.granularity import MaskParameters
from zeroiqa.segmenters.sam2.segmenter import NetworkSegmenter, by_halves, device_errors
from zeroiqa.types import Image, Region
from zeroiqa.weights.options import ModelOptions

PARAMETERS = MaskParameters(points_per_side=8, stability_score_thresh=0.5)
IMAGE = Image(np.zeros((120, 160, 3), np.uint8), "grey")


@dataclass(frozen=True)
class Failing(ShapeNetwork):
    """Raises when it decodes."""

    error: Exception | None = None

    def decode(self, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.error
        raise self.error


class Known(NetworkSegmenter):
    """Of known shapes."""

    kind = "known-v1"

    def __init__(self, *shapes: Shape, network: ShapeNetwork | None = None, **choices: Any) -> None:
        super().__init__("known", **{"parameters": PARAMETERS, **choices})
        self.given = network or ShapeNetwork(shapes)
        self.loads: list[tuple[torch.device, torch.dtype]] = []

    def _weights(self) -> str:
        return "weights=0123456789abcdef"

    def _load(self, device: torch.device, dtype: torch.dtype) -> ShapeNetwork:
        self.loads.append((device, dtype))
        return self.given


def test_regions_are_the_objects_best_first_then_the_rest() -> None:
    segmenter = Known(disc(0.25, 0.5, 0.15, estimate=0.85), rectangle(0.55, 0.2, 0.9, 0.8, estimate=0.93))
    regions = segmenter.segment(IMAGE)
    assert [region.kind for region in regions] == ["object", "object", "complement"]
    square, round_one, rest = regions
    assert square.box == pytest.approx((0.55 * 160, 0.2 * 120, 0.9 * 160, 0.8 * 120), abs=3)
    assert square.area == pytest.approx(0.35 * 0.6, abs=0.02)
    assert round_one.area == pytest.approx(np.pi * 0.15**2, abs=0.02)
    assert rest.area == pytest.approx(1 - square.area - round_one.area, abs=0.001)


@pytest.mark.parametrize("complement", [True, False])
def test_a_mask_of_everything_leaves_no_rest(complement: bool) -> None:
    regions = Known(everything(), complement=complement).segment(IMAGE)
    assert regions == [Region((0, 0, 160, 120), 1.0, "object")]


def test_small_objects_are_part_of_the_rest() -> None:
    shapes = disc(0.25, 0.5, 0.15), disc(0.7, 0.5, 0.08)
    areas = [region.area for region in Known(*shapes, complement=False, min_area=0.0).segment(IMAGE)]
    assert len(areas) == 2
    kept = Known(*shapes, min_area=0.05).segment(IMAGE)
    assert [region.area for region in kept] == [max(areas), 1 - max(areas)]
    # a mask that has exactly the least area is kept
    assert len(Known(*shapes, complement=False, min_area=min(areas)).segment(IMAGE)) == 2


def test_network_is_loaded_once_and_with_the_first_image() -> None:
    segmenter = Known(disc(0.5, 0.5, 0.2), options=ModelOptions(device="cpu"))
    assert segmenter.id and segmenter.images_per_call == 2
    assert segmenter.segment_batch([]) == [] and segmenter.loads == []
    segmenter.segment_batch([IMAGE, IMAGE])
    segmenter.segment(IMAGE)
    assert segmenter.loads == [(torch.device("cpu"), torch.float32)]


def test_one_odd_image_fails_its_batch_before_anything_is_loaded() -> None:
    segmenter = Known(disc(0.5, 0.5, 0.2))
    with pytest.raises(ImageError, match=r"odd are uint8 of shape \(4, 5\)"):
        segmenter.segment_batch([IMAGE, Image(np.zeros((4, 5), np.uint8), "odd")])
    assert segmenter.loads == []


def test_id_changes_with_every_choice() -> None:
    changed: dict[str, Any] = {
        "points_per_side": 9,
        "pred_iou_thresh": 0.7,
        "stability_score_thresh": 0.9,
        "stability_score_offset": 0.5,
        "mask_threshold": 0.1,
        "box_nms_thresh": 0.6,
        "multimask_output": False,
        "min_mask_region_area": 1000,
    }
    assert changed.keys() == {field.name for field in fields(PARAMETERS)}
    choices: list[dict[str, Any]] = [
        *({"parameters": replace(PARAMETERS, **{name: value})} for name, value in changed.items()),
        {"min_area": 0.02},
        {"complement": False},
        {"min_pixels": 1000},
        {"complement_rule": "remainder"},
        {"masks": True},
        {"options": ModelOptions(dtype="bfloat16")},
        {},
    ]
    assert len({Known(**choice).id for choice in choices}) == len(choices)
    assert Known().id.startswith("known-v1:weights=0123456789abcdef,dtype=")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory on cpu"),
        (
            RuntimeError("CUDA error: an assert\nmore"),
            r"cpu failed while known was .* \(CUDA error: an assert",
        ),
    ],
)
def test_errors_of_the_device_are_sentences(error: Exception, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Known(network=Failing((), error=error)).segment(IMAGE)


def test_mistakes_of_the_program_are_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"):
        Known(network=Failing((), error=RuntimeError("shape mismatch"))).segment(IMAGE)
    with pytest.raises(RuntimeError, match="shape mismatch"), device_errors(torch.device("cpu"), "x"):
        raise RuntimeError("shape mismatch")


@pytest.mark.parametrize("most", [1, 2, 3, 9])
def test_a_batch_is_halved_until_it_fits(most: int) -> None:
    def compute(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if len(part) > most:
            raise torch.OutOfMemoryError
        return part * 2, part.sum(1)

    batch = torch.rand(5, 3)
    doubled, sums = by_halves(compute, batch)
    assert torch.equal(doubled, batch * 2) and torch.equal(sums, batch.sum(1))


def test_one_image_that_does_not_fit_is_a_sentence() -> None:
    def compute(part: torch.Tensor) -> tuple[torch.Tensor]:
        raise torch.OutOfMemoryError

    with pytest.raises(UserError, match="not enough memory on cpu to encode one image"):
        by_halves(compute, torch.rand(3, 3))


def test_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(UserError, match="min_area"):
        Known(min_area=1.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [(ModelOptions(device="cuda:99"), "no device cuda:99"), (ModelOptions(dtype="int7"), "no type")],  # type: ignore[arg-type]
)
def test_what_is_not_there_is_refused(options: ModelOptions, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _ = Known(options=options).id
