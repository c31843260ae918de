"""SAM 2 as a segmenter equals the package's mask generator; its id, its refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny.sam2 import build_official, picture
from zeroiqa import load_method, rle
from zeroiqa.errors import ImageError, UserError
from zeroiqa.segmenters.granularity import MaskParameters, load_granularity
from zeroiqa.segmenters.sam2.generation import GeneratedMasks
from zeroiqa.segmenters.sam2.official import Sam2Segmenter, StockSegmenter
from zeroiqa.segmenters.sam2.official_weights import cards
from zeroiqa.types import Image, Region
from zeroiqa.weights.options import ModelOptions

PERMISSIVE = MaskParameters(points_per_side=6, pred_iou_thresh=0.5, stability_score_thresh=0.05)


def ours(folder: Path, **choices: Any) -> Sam2Segmenter:
    return Sam2Segmenter(str(folder), **{"parameters": PERMISSIVE, **choices})


def theirs(folder: Path, **choices: Any) -> StockSegmenter:
    return StockSegmenter(f"sam2:{folder}", **{"parameters": PERMISSIVE, **choices})


def assert_same(regions: Sequence[Region], wanted: Sequence[Region], pixels: int) -> None:
    assert [region.kind for region in regions] == [region.kind for region in wanted]
    for region, other in zip(regions, wanted, strict=True):
        assert region.box == other.box
        assert abs(region.area - other.area) * pixels <= 2  # logits within rounding of the threshold


@pytest.mark.parametrize("size", [(300, 451), (16, 16), (1, 200), (200, 1), (40, 1500), (700, 500)])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"multimask_output": False},
        {"box_nms_thresh": 1.0},
        {"mask_threshold": 4.0, "pred_iou_thresh": 0.0},
    ],
)
def test_regions_are_those_of_the_package(
    tiny_sam2: Path, size: tuple[int, int], change: dict[str, Any]
) -> None:
    parameters = replace(PERMISSIVE, **change)
    image = picture(*size)
    choices = {"parameters": parameters, "min_area": 0.0, "masks": True}
    wanted = theirs(tiny_sam2, **choices).segment(image)
    found = ours(tiny_sam2, **choices).segment(image)
    assert len(wanted) > (10 if "box_nms_thresh" in change else 0)
    assert_same(found, wanted, image.pixels[..., 0].size)
    for region in found:
        assert region.mask is not None
        mask = rle.decode(region.mask)
        assert mask.shape == size
        assert mask.mean() == pytest.approx(region.area)


class KnownMasks(torch.nn.Module):
    """In place of a mask decoder: ellipses, whose place and size depend on the point in their own way."""

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.conv_s0, self.conv_s1 = decoder.conv_s0, decoder.conv_s1  # the image encoder uses them
        self.points = 0

    def forward(self, *, sparse_prompt_embeddings: torch.Tensor, **_: Any) -> tuple[Any, ...]:
        self.points += len(sparse_prompt_embeddings)
        x, y, wide, high = sparse_prompt_embeddings[:, 0, :4].sigmoid().T[:, :, None, None, None]
        side = (torch.arange(64) + 0.5) / 64
        v, u = torch.meshgrid(side, side, indexing="ij")
        size = torch.tensor([0.1, 0.3, 0.6])[:, None, None]
        logits = (
            400 * size * (1 - torch.hypot((u - x) / (size * (0.3 + wide)), (v - y) / (size * (0.3 + high))))
        )
        estimates = 0.7 + 0.3 * torch.cat([x, y, wide], dim=1)[:, :, 0, 0]
        return logits, estimates, None, None


@pytest.mark.parametrize("size", [(300, 451), (64, 1000)])
def test_a_decoder_that_a_user_puts_in_is_seen_and_gives_the_regions_of_the_package(
    tiny_sam2: Path, size: tuple[int, int]
) -> None:
    parameters = MaskParameters(points_per_side=8, pred_iou_thresh=0.8, stability_score_thresh=0.9)
    segmenters = [build(tiny_sam2, parameters=parameters, min_area=0.0) for build in (ours, theirs)]
    found = []
    for segmenter in segmenters:
        model = segmenter.network.model
        model.sam_mask_decoder = KnownMasks(model.sam_mask_decoder)
        found.append(segmenter.segment(picture(*size)))
        assert model.sam_mask_decoder.points == 64
    assert len(found[0]) > 5
    assert_same(*found, size[0] * size[1])


@pytest.mark.parametrize("seed", range(4))
def test_regions_of_other_weights_are_those_of_the_package(tmp_path: Path, seed: int) -> None:
    folder = build_official(tmp_path, seed=seed + 1, large_masks=seed % 2 == 1)
    image = picture(240, 320, seed)
    for min_area in (0.0, 0.01):
        assert_same(
            ours(folder, min_area=min_area).segment(image),
            theirs(folder, min_area=min_area).segment(image),
            240 * 320,
        )


def test_batch_gives_what_single_images_give(tiny_sam2: Path) -> None:
    images = [picture(100, 140), picture(16, 400, 1), picture(200, 200, 2)]
    segmenter = ours(tiny_sam2, min_area=0.0)
    for image, regions in zip(images, segmenter.segment_batch(images), strict=True):
        assert_same(regions, segmenter.segment(image), image.pixels[..., 0].size)
    assert segmenter.segment_batch([]) == []
    assert segmenter.images_per_call > 1


def drawn(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> GeneratedMasks:
    """Masks of rectangles x0, y0, x1, y1, as the generation gives them."""
    masks = torch.full((len(boxes), *size), -9.0)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = 9.0
    ends, scores = torch.tensor(boxes), torch.ones(len(boxes))
    return GeneratedMasks(
        size, masks, ends, (masks > 0).sum((1, 2)), scores, scores, torch.ones(len(boxes), 2)
    )


def test_the_profile_dog_iqa_on_a_checkpoint_of_sam_2_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the Python interface; then with masks of the test's own in place of the network's."""
    folder = build_official(tmp_path / "sam", version="2.0")
    method = load_method(
        "embedded",
        granularity="dog-iqa",
        segmenter=f"sam2:{folder}",
        regions=True,
        raters=["fake"],
        device="cpu",
        dtype="bfloat16",
        segmenter_dtype="float32",
    )
    segmenter = method.segmenter
    assert isinstance(segmenter, Sam2Segmenter)
    assert ",dtype=float32," in segmenter.id
    assert segmenter.id.endswith(
        ",min_mask_region_area=1000,min_area=0.0,complement=True,masks=False,min_pixels=1000,"
        "complement_rule=remainder"
    )
    image = picture(100, 100)
    assert segmenter.segment(image)[-1].weight in (None, 1.0)  # random masks have no piece that is so large

    asked = []
    masks = drawn((100, 100), (0, 0, 40, 50), (0, 0, 40, 25), (50, 0, 90, 24), (50, 50, 77, 87))

    def generated(
        network: Any, images: Any, parameters: MaskParameters, at_once: int
    ) -> list[GeneratedMasks]:
        asked.append(parameters)
        return [masks for _ in images]

    monkeypatch.setattr("zeroiqa.segmenters.sam2.segmenter.generate_masks", generated)
    first, nested, rest = segmenter.segment(image)  # 2,000 and 1,000 pixels; 960 and 999 are too small
    assert (first.area, nested.area) == (0.2, 0.1)
    assert (rest.kind, rest.area, rest.weight) == ("complement", 0.8, 0.7)
    assert asked == [load_granularity("dog-iqa").masks]


def test_small_masks_are_dropped(tiny_sam2: Path) -> None:
    image = picture(200, 300)
    parameters = replace(PERMISSIVE, box_nms_thresh=1.0)
    choices: dict[str, Any] = {"complement": False, "parameters": parameters}
    everything = ours(tiny_sam2, min_area=0.0, **choices).segment(image)
    for min_area in (0.05, 0.3, 0.6):
        kept = ours(tiny_sam2, min_area=min_area, **choices).segment(image)
        assert kept == [region for region in everything if region.area >= min_area]
        assert 0 < len(kept) < len(everything)


def test_without_masks_the_complement_is_the_image(tiny_sam2: Path) -> None:
    strict = replace(PERMISSIVE, pred_iou_thresh=1.0)
    regions = ours(tiny_sam2, parameters=strict).segment(picture(30, 50))
    assert regions == [Region((0, 0, 50, 30), 1.0, "complement")]
    assert ours(tiny_sam2, parameters=strict, complement=False).segment(picture(30, 50)) == []


def test_two_segmenters_live_in_one_process(tiny_sam2: Path, tmp_path: Path) -> None:
    image = picture(120, 90)
    other = build_official(tmp_path, size=128, seed=5)
    first = ours(tiny_sam2).segment(image)
    second = ours(other).segment(image)
    both = ours(tiny_sam2), ours(other), ours(tiny_sam2)
    assert [segmenter.segment(image) for segmenter in both] == [first, second, first]
    assert first != second


def test_lower_type_is_computed_by_autocast(tiny_sam2: Path) -> None:
    segmenter = ours(tiny_sam2, options=ModelOptions(device="cpu", dtype="bfloat16"))
    assert "dtype=bfloat16" in segmenter.id
    network = segmenter.network
    assert {parameter.dtype for parameter in network.model.parameters()} == {torch.float32}
    features = network.encode([picture(50, 60).pixels])
    assert features.high_res_feats[0].dtype == torch.bfloat16
    logits, estimates = network.decode(features, torch.zeros(4, dtype=torch.int64), torch.rand(4, 2), True)
    assert logits.dtype == estimates.dtype == torch.float32
    assert segmenter.segment(picture(50, 60))
    assert theirs(tiny_sam2, options=ModelOptions(dtype="bfloat16")).segment(picture(50, 60))


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.zeros((8, 9), np.uint8), "uint8 of shape (8, 9)"),
        (np.zeros((8, 9, 1), np.uint8), "uint8 of shape (8, 9, 1)"),
        (np.zeros((8, 9, 4), np.uint8), "uint8 of shape (8, 9, 4)"),
        (np.zeros((8, 9, 3), np.float32), "float32 of shape (8, 9, 3)"),
        (np.zeros((0, 9, 3), np.uint8), "uint8 of shape (0, 9, 3)"),
        (np.zeros((8, 0, 3), np.uint8), "uint8 of shape (8, 0, 3)"),
        ([[1, 2, 3]], "list"),
    ],
)
def test_pixels_of_another_kind_are_refused(tiny_sam2: Path, pixels: Any, found: str) -> None:
    for segmenter in (ours(tiny_sam2), theirs(tiny_sam2)):
        with pytest.raises(ImageError) as caught:
            segmenter.segment(Image(pixels, "odd.png"))
        message = str(caught.value)
        assert "RGB pixels" in message and f"odd.png are {found}" in message


def test_building_and_naming_load_no_weights(tiny_sam2: Path) -> None:
    for segmenter in (ours(tiny_sam2), theirs(tiny_sam2)):
        assert segmenter.id
        assert segmenter._loaded is None


def test_id_changes_with_every_parameter(tiny_sam2: Path, tmp_path: Path) -> None:
    base = MaskParameters()
    changed: dict[str, Any] = {
        "points_per_side": 8,
        "pred_iou_thresh": 0.7,
        "stability_score_thresh": 0.9,
        "stability_score_offset": 0.5,
        "mask_threshold": 0.1,
        "box_nms_thresh": 0.6,
        "multimask_output": False,
        "min_mask_region_area": 1000,
    }
    assert changed.keys() == {field.name for field in fields(base)}
    ids = [ours(tiny_sam2, parameters=base).id]
    ids += [ours(tiny_sam2, parameters=replace(base, **{name: new})).id for name, new in changed.items()]
    ids += [
        ours(tiny_sam2, parameters=base, min_area=0.02).id,
        ours(tiny_sam2, parameters=base, complement=False).id,
        ours(tiny_sam2, parameters=base, masks=True).id,
        ours(tiny_sam2, parameters=base, options=ModelOptions(dtype="bfloat16")).id,
        ours(build_official(tmp_path / "other", seed=1), parameters=base).id,
        theirs(tiny_sam2, parameters=base).id,
    ]
    assert len(set(ids)) == len(ids)
    assert ours(tiny_sam2, parameters=base).id == ids[0]


def test_id_names_the_model(tiny_sam2: Path) -> None:
    file = str(tiny_sam2 / "model.pt")
    assert Sam2Segmenter(file, name="sam2.1-tiny").id.startswith("sam2-v1:sam2.1-tiny,weights=")
    assert StockSegmenter(f"sam2.1-base+:{file}").id.startswith("sam2-stock-v1:sam2.1-base+,weights=")


@pytest.mark.parametrize("argument", ["sam2.1-huge", "", "graph"])
def test_stock_generator_runs_on_these_models_only(argument: str) -> None:
    with pytest.raises(UserError, match=f"runs on {cards()['sam2.1-tiny'].name}.* not on '{argument}'"):
        StockSegmenter(argument)


@pytest.mark.parametrize("segmenter", [Sam2Segmenter, StockSegmenter])
def test_threshold_out_of_range_is_refused(segmenter: Any) -> None:
    with pytest.raises(UserError, match="min_area"):
        segmenter("sam2:x", min_area=1.5)


def test_device_that_is_not_there_is_refused(tiny_sam2: Path) -> None:
    with pytest.raises(UserError, match="no device cuda:99"):
        _ = ours(tiny_sam2, options=ModelOptions(device="cuda:99")).id


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory on cpu"),
        (
            RuntimeError("CUDA error: device-side assert triggered\nmore"),
            "cpu failed while sam2 was segmenting",
        ),
    ],
)
@pytest.mark.parametrize("build", [ours, theirs])
def test_errors_of_the_device_are_sentences(
    tiny_sam2: Path, build: Any, error: Exception, message: str
) -> None:
    segmenter = build(tiny_sam2)

    def fail(batch: torch.Tensor) -> None:
        raise error

    segmenter.network.model.forward_image = fail
    with pytest.raises(UserError, match=message):
        segmenter.segment(picture(20, 20))


def test_mistakes_of_the_program_are_not_hidden(tiny_sam2: Path) -> None:
    segmenter = ours(tiny_sam2)
    segmenter.network.model.forward_image = lambda batch: batch.reshape(7)
    with pytest.raises(RuntimeError, match="shape"):
        segmenter.segment(picture(20, 20))


@pytest.mark.gpu
def test_gpu_computes_in_bfloat16_unless_told_otherwise(tiny_sam2: Path) -> None:
    automatic = ours(tiny_sam2, options=ModelOptions(device="cuda"))
    assert "dtype=bfloat16" in automatic.id
    assert automatic.images_per_call == 8
    images = [picture(300, 451, seed) for seed in range(3)]
    assert all(automatic.segment_batch(images))
    single = ModelOptions(device="cuda", dtype="float32")
    found = ours(tiny_sam2, options=single, min_area=0.0).segment(images[0])
    wanted = theirs(tiny_sam2, options=single, min_area=0.0).segment(images[0])
    assert [region.kind for region in found] == [region.kind for region in wanted]
    for region, other in zip(found, wanted, strict=True):
        assert region.area == pytest.approx(other.area, abs=0.005)
