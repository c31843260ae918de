"""SAM 2 by transformers: its network is the model, its regions are those of the package's mask generation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch

from tests.mask_oracle import disagreement, package_masks
from tests.tiny.hf_sam2 import build, build_video
from tests.tiny.sam2 import picture
from zeroiqa import rle
from zeroiqa.errors import ImageError, UserError
from zeroiqa.segmenters.granularity import MaskParameters
from zeroiqa.segmenters.sam2.generation import generate_masks, point_grid
from zeroiqa.segmenters.sam2.hf import HfSam2Network, HfSam2Segmenter
from zeroiqa.segmenters.sam2.hf_weights import find_checkpoint, load
from zeroiqa.types import Image, Region
from zeroiqa.weights.options import ModelOptions

PERMISSIVE = MaskParameters(points_per_side=6, pred_iou_thresh=0.5, stability_score_thresh=0.05)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny") / "hf")


@pytest.fixture(scope="module")
def network(folder: Path) -> HfSam2Network:
    return HfSam2Network(*load(find_checkpoint(str(folder)), CPU))


def segmenter(folder: Path, **choices: Any) -> HfSam2Segmenter:
    return HfSam2Segmenter(str(folder), **{"parameters": PERMISSIVE, **choices})


def assert_close(found: tuple[torch.Tensor, ...], wanted: tuple[torch.Tensor, ...]) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


# The network


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("counts", [(9,), (1,), (4, 4), (3, 1, 5)])
def test_masks_are_those_of_the_model_on_pixels(
    network: HfSam2Network, multimask: bool, counts: tuple[int, ...]
) -> None:
    from transformers import Sam2Processor

    images = [picture(300, 200).pixels, picture(64, 512, 1).pixels, picture(256, 256, 2).pixels][
        : len(counts)
    ]
    owners = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    points = torch.rand(len(owners), 2, generator=torch.Generator().manual_seed(0))
    logits, estimates = network.decode(network.encode(images), owners, points, multimask)
    assert logits.dtype == estimates.dtype == torch.float32
    assert logits.shape == (len(owners), 3 if multimask else 1, 64, 64)

    processor = Sam2Processor(network.processor)
    for number, image in enumerate(images):
        places = points[owners == number] * torch.tensor([image.shape[1], image.shape[0]])
        inputs = processor(
            images=image, input_points=[[[point] for point in places.tolist()]], return_tensors="pt"
        )
        with torch.inference_mode():
            wanted = network.model(
                pixel_values=inputs["pixel_values"],
                input_points=inputs["input_points"].float(),
                multimask_output=multimask,
            )
        own = owners == number
        assert_close((logits[own], estimates[own]), (wanted.pred_masks[0], wanted.iou_scores[0]))


def test_features_do_not_depend_on_the_batch(network: HfSam2Network) -> None:
    images = [picture(300, 200).pixels, picture(64, 512, 1).pixels, picture(256, 256, 2).pixels]
    together = network.encode(images)
    for number, image in enumerate(images):
        assert_close(tuple(level[number : number + 1] for level in together), network.encode([image]))


def test_masks_depend_on_their_own_image_and_point_alone(network: HfSam2Network) -> None:
    images = [picture(300, 200).pixels, picture(64, 512, 1).pixels]
    points = point_grid(3).float()
    for order in ([0, 1, 1, 0, 0, 1, 0, 1, 1], [1, 1, 1, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1, 1]):
        owners = torch.tensor(order)
        mixed = network.decode(network.encode(images), owners, points, True)
        for number, image in enumerate(images):
            own = owners == number
            alone = network.decode(network.encode([image]), owners[own] * 0, points[own], True)
            assert_close((mixed[0][own], mixed[1][own]), alone)
        assert (mixed[0][1:] - mixed[0][:1]).abs().amax((1, 2, 3)).min() > 1  # the tiny model does look


def test_other_images_give_other_masks(network: HfSam2Network) -> None:
    images = [picture(200, 200, seed).pixels for seed in range(4)]
    points = torch.full((4, 2), 0.4)
    logits, _ = network.decode(network.encode(images), torch.arange(4), points, True)
    for one in range(4):
        for other in range(one):
            assert ((logits[one] > 0) != (logits[other] > 0)).float().mean() > 0.02


def test_images_of_three_rows_and_of_any_layout_are_prepared_alike(network: HfSam2Network) -> None:
    for size in ((3, 50), (50, 3), (3, 3), (40, 60), (1, 1)):
        pixels = picture(*size).pixels
        wanted = network.preprocess([pixels])
        frozen = pixels.copy()
        frozen.setflags(write=False)
        flipped = np.ascontiguousarray(pixels[::-1, ::-1])[::-1, ::-1]
        for same in (frozen, flipped, np.asfortranarray(pixels)):
            assert torch.equal(network.preprocess([same]), wanted)
        assert wanted.shape == (1, 3, 256, 256)
        normalised = (pixels.reshape(-1, 3).mean(0) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        assert wanted.mean((0, 2, 3)).tolist() == pytest.approx(normalised.tolist(), abs=0.2)


def test_decoder_that_a_user_wraps_is_called(folder: Path) -> None:
    network = HfSam2Network(*load(find_checkpoint(str(folder)), CPU))
    features = network.encode([picture(50, 50).pixels])
    network.model.mask_decoder.register_forward_hook(
        lambda module, given, answer: (torch.ones_like(answer[0]), *answer[1:])
    )
    logits, _ = network.decode(features, torch.zeros(2, dtype=torch.int64), torch.rand(2, 2), True)
    assert (logits == 1).all()


@pytest.mark.parametrize(
    "size", [(300, 451), (16, 16), (1, 200), (200, 1), (3, 90), (40, 1500), (700, 500), (1, 1)]
)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"multimask_output": False},
        {"box_nms_thresh": 1.0},
        {"mask_threshold": 4.0, "pred_iou_thresh": 0.0},
    ],
)
def test_generated_masks_are_those_of_the_package(
    network: HfSam2Network, size: tuple[int, int], change: dict[str, Any]
) -> None:
    parameters = replace(PERMISSIVE, **change)
    pixels = picture(*size).pixels
    # of one size: the calls of the decoder are the same, and so is their rounding
    found = generate_masks(network, [pixels], parameters, points_per_batch=64)[0]
    assert len(found) > (10 if "box_nms_thresh" in change else 0)
    assert disagreement(found, package_masks(network, pixels, parameters)) == ""


def test_a_model_for_videos_gives_the_same_masks(folder: Path, tmp_path: Path) -> None:
    video = segmenter(build_video(folder, tmp_path), min_area=0.0)
    image = picture(120, 90)
    assert video.segment(image) == segmenter(folder, min_area=0.0).segment(image)


# The segmenter


def test_regions_are_the_generated_masks(folder: Path, network: HfSam2Network) -> None:
    image = picture(200, 300)
    regions = segmenter(folder, min_area=0.0, masks=True).segment(image)
    masks = generate_masks(network, [image.pixels], PERMISSIVE, 16)[0]
    objects = [region for region in regions if region.kind == "object"]
    assert len(objects) == len(masks) > 0
    for number, region in enumerate(objects):
        assert region.box == tuple(masks.boxes[number].tolist())
        assert region.area == int(masks.pixels[number]) / 60_000
        assert region.mask is not None
        assert np.array_equal(rle.decode(region.mask), masks.full_size(number, 0.0))
    assert regions[-1].kind == "complement"


def test_batch_gives_what_single_images_give(folder: Path) -> None:
    images = [picture(100, 140), picture(16, 400, 1), picture(200, 200, 2)]
    built = segmenter(folder, min_area=0.0)
    for image, regions in zip(images, built.segment_batch(images), strict=True):
        single = built.segment(image)
        assert [(region.kind, region.box) for region in regions] == [(one.kind, one.box) for one in single]
        for region, one in zip(regions, single, strict=True):
            assert abs(region.area - one.area) * image.pixels[..., 0].size <= 2  # rounding of the logits
    assert built.segment_batch([]) == []
    assert built.images_per_call > 1


def test_small_masks_are_dropped(folder: Path) -> None:
    image = picture(200, 300)
    choices: dict[str, Any] = {"complement": False, "parameters": replace(PERMISSIVE, box_nms_thresh=1.0)}
    everything = segmenter(folder, min_area=0.0, **choices).segment(image)
    for min_area in (0.05, 0.3, 0.6):
        kept = segmenter(folder, min_area=min_area, **choices).segment(image)
        assert kept == [region for region in everything if region.area >= min_area]
        assert len(kept) < len(everything)


def test_without_masks_the_complement_is_the_image(folder: Path) -> None:
    strict = replace(PERMISSIVE, pred_iou_thresh=1.0)
    regions = segmenter(folder, parameters=strict).segment(picture(30, 50))
    assert regions == [Region((0, 0, 50, 30), 1.0, "complement")]


def test_lower_type_is_computed_by_autocast(folder: Path) -> None:
    built = segmenter(folder, options=ModelOptions(device="cpu", dtype="bfloat16"))
    assert "dtype=bfloat16" in built.id
    network = built.network
    assert isinstance(network, HfSam2Network)
    assert {parameter.dtype for parameter in network.model.parameters()} == {torch.float32}
    features = network.encode([picture(50, 60).pixels])
    assert features[0].dtype == torch.bfloat16
    logits, estimates = network.decode(features, torch.zeros(4, dtype=torch.int64), torch.rand(4, 2), True)
    assert logits.dtype == estimates.dtype == torch.float32
    assert built.segment(picture(50, 60))


def test_building_and_naming_load_no_weights(folder: Path) -> None:
    built = segmenter(folder)
    assert built.id.startswith("hf-sam2-v1:weights=")
    assert built._loaded is None


def test_id_changes_with_parameters_and_weights(folder: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other", seed=1)
    ids = [
        segmenter(folder).id,
        segmenter(folder, parameters=MaskParameters()).id,
        segmenter(folder, min_area=0.02).id,
        segmenter(folder, complement=False).id,
        segmenter(folder, masks=True).id,
        segmenter(folder, options=ModelOptions(dtype="bfloat16")).id,
        segmenter(other).id,
    ]
    assert len(set(ids)) == len(ids)
    assert segmenter(copytree(folder, tmp_path / "renamed")).id == ids[0]


@pytest.mark.parametrize("argument", [None, ""])
def test_a_model_must_be_named(argument: str | None) -> None:
    with pytest.raises(UserError, match="write hf-sam2:OWNER/NAME or hf-sam2:FOLDER"):
        HfSam2Segmenter(argument)


def test_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(UserError, match="min_area"):
        HfSam2Segmenter("x", min_area=1.5)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.zeros((8, 9), np.uint8), "uint8 of shape (8, 9)"),
        (np.zeros((8, 9, 4), np.uint8), "uint8 of shape (8, 9, 4)"),
        (np.zeros((8, 9, 3), np.float32), "float32 of shape (8, 9, 3)"),
        (np.zeros((0, 9, 3), np.uint8), "uint8 of shape (0, 9, 3)"),
        ([[1, 2, 3]], "list"),
    ],
)
def test_pixels_of_another_kind_are_refused(folder: Path, pixels: Any, found: str) -> None:
    with pytest.raises(ImageError) as caught:
        segmenter(folder).segment(Image(pixels, "odd.png"))
    assert "RGB pixels" in str(caught.value) and f"odd.png are {found}" in str(caught.value)


@pytest.mark.gpu
def test_gpu_computes_in_bfloat16_unless_told_otherwise(folder: Path) -> None:
    automatic = segmenter(folder, options=ModelOptions(device="cuda"))
    assert "dtype=bfloat16" in automatic.id
    assert automatic.images_per_call == 8
    images = [picture(300, 451, seed) for seed in range(3)]
    assert all(automatic.segment_batch(images))
    there = segmenter(folder, options=ModelOptions(device="cuda", dtype="float32"), min_area=0.0)
    for found, wanted in zip(
        there.segment_batch(images), segmenter(folder, min_area=0.0).segment_batch(images), strict=True
    ):
        assert [region.kind for region in found] == [region.kind for region in wanted]
        for region, other in zip(found, wanted, strict=True):
            assert region.area == pytest.approx(other.area, abs=0.005)
