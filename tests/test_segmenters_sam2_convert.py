"""A converted checkpoint computes what the official one does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny.sam2 import build_official, picture
from zeroiqa.errors import UserError
from zeroiqa.segmenters.granularity import MaskParameters
from zeroiqa.segmenters.sam2.convert import convert, main
from zeroiqa.segmenters.sam2.generation import generate_masks, point_grid
from zeroiqa.segmenters.sam2.hf import HfSam2Network, HfSam2Segmenter
from zeroiqa.segmenters.sam2.hf_weights import find_checkpoint, load
from zeroiqa.segmenters.sam2.official import Sam2Segmenter
from zeroiqa.segmenters.sam2.official_network import Sam2Network, preprocess
from zeroiqa.segmenters.sam2.official_weights import find_checkpoint as find_official
from zeroiqa.segmenters.sam2.official_weights import load_model

CPU = torch.device("cpu")
PERMISSIVE = MaskParameters(points_per_side=6, pred_iou_thresh=0.5, stability_score_thresh=0.05)


def networks(official: Path, converted: Path) -> tuple[Sam2Network, HfSam2Network]:
    convert(f"sam2:{official}", converted)
    return (
        Sam2Network(load_model(find_official("sam2", str(official)), CPU)),
        HfSam2Network(*load(find_checkpoint(str(converted)), CPU)),
    )


@pytest.mark.parametrize(("size", "version"), [(128, "2.1"), (256, "2.1"), (128, "2.0")])
def test_features_masks_and_estimates_are_the_same(tmp_path: Path, size: int, version: str) -> None:
    folder = build_official(tmp_path / "a", size=size, seed=size, version=version)
    official, converted = networks(folder, tmp_path / "b")
    images = [picture(size, size, seed).pixels for seed in range(3)]  # which neither of the two scales
    batch = torch.stack([preprocess(image, size) for image in images])
    torch.testing.assert_close(converted.preprocess(images), batch, rtol=0, atol=1e-5)

    features, others = official.encode(images), converted.encode(images)
    for ours, theirs in zip((*features.high_res_feats, features.image_embed), others, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    owners, points = torch.arange(3).repeat_interleave(9), point_grid(3).float().repeat(3, 1)
    for multimask in (True, False):
        answers = official.decode(features, owners, points, multimask)
        for ours, theirs in zip(answers, converted.decode(others, owners, points, multimask), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    assert answers[0].std() > 1  # they are worth comparing


@pytest.mark.parametrize("large_masks", [False, True])
def test_generated_masks_are_the_same(tmp_path: Path, large_masks: bool) -> None:
    pair = networks(build_official(tmp_path / "a", seed=3, large_masks=large_masks), tmp_path / "b")
    images = [picture(256, 256, seed).pixels for seed in range(3)]
    for ours, theirs in zip(*(generate_masks(one, images, PERMISSIVE, 64) for one in pair), strict=True):
        assert len(ours) == len(theirs) > 0
        assert torch.equal(ours.points, theirs.points)
        assert (ours.boxes - theirs.boxes).abs().max() <= 1  # logits within rounding of the threshold
        assert (ours.pixels - theirs.pixels).abs().max() <= 4
        torch.testing.assert_close(ours.predicted_iou, theirs.predicted_iou, rtol=0, atol=1e-4)


def test_regions_of_photos_are_close(tmp_path: Path) -> None:
    official = build_official(tmp_path / "a")
    convert(f"sam2:{official}", tmp_path / "b")
    for seed, size in enumerate([(300, 451), (700, 500)]):
        image = picture(*size, seed)
        found, wanted = (
            kind(str(folder), parameters=PERMISSIVE).segment(image)
            for kind, folder in ((HfSam2Segmenter, tmp_path / "b"), (Sam2Segmenter, official))
        )
        assert [region.kind for region in found] == [region.kind for region in wanted]
        for region, other in zip(found, wanted, strict=True):
            assert region.area == pytest.approx(other.area, abs=0.01)


def test_random_state_is_left_as_it_was(tiny_sam2: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    wanted = torch.rand(1)
    torch.manual_seed(7)
    convert(f"sam2:{tiny_sam2}", tmp_path / "new" / "folder")
    assert torch.equal(torch.rand(1), wanted)


def other_config(tmp_path: Path, **changes: Any) -> str:
    """The tiny checkpoint with other values in its configuration, and the tensors that then belong to it."""
    from omegaconf import OmegaConf

    from zeroiqa.segmenters.sam2.official_weights import build_model

    folder = build_official(tmp_path / "changed")
    config = OmegaConf.load(folder / "config.yaml")
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value)
    OmegaConf.save(config, folder / "config.yaml")
    model = build_model(folder / "config.yaml")
    kept = torch.load(folder / "model.pt")["model"]
    model.load_state_dict({name: kept.get(name, tensor) for name, tensor in model.state_dict().items()})
    torch.save({"model": model.state_dict()}, folder / "model.pt")
    return f"sam2:{folder}"


def test_what_transformers_has_no_place_for_is_refused(tmp_path: Path) -> None:
    name = other_config(tmp_path, model__pred_obj_scores_mlp=False)
    with pytest.raises(UserError, match=r"another architecture.*pred_obj_score_head.*--segmenter sam2:"):
        convert(name, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_what_transformers_computes_otherwise_is_refused(tmp_path: Path) -> None:
    name = other_config(tmp_path, model__iou_prediction_use_sigmoid=False)
    with pytest.raises(UserError, match="computes something else in transformers"):
        convert(name, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_command(tiny_sam2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"sam2:{tiny_sam2}", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == f"Use it with --segmenter hf-sam2:{tmp_path / 'a'}\n"
    assert main([f"sam2:{tmp_path / 'none'}", str(tmp_path / "b")]) == 2
    assert "There is no file or folder" in capsys.readouterr().err
    for place in ("zeroiqa.segmenters.sam2.convert", "zeroiqa.segmenters.convert_sam2"):  # where it was
        done = subprocess.run([sys.executable, "-m", place, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and "hf-sam2" in done.stdout
