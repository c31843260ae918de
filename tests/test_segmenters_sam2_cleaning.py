"""Holes and islands of masks: as the package sam2 treats them where its CUDA extension is there."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

pytest.importorskip("sam2")

from tests.tiny.sam2 import picture
from zeroiqa.errors import UserError
from zeroiqa.segmenters.granularity import MaskParameters
from zeroiqa.segmenters.sam2.cleaning import cleaned
from zeroiqa.segmenters.sam2.official import Sam2Segmenter, StockSegmenter
from zeroiqa.types import Region

SCALED = 62
"""Of the 64 x 64 logits of a tiny model as 1000 are of 256 x 256."""


def components(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """In place of the package's CUDA extension: labels and areas of 8-connected components, (N, 1, H, W)."""
    labels, areas = np.zeros(mask.shape, np.int64), np.zeros(mask.shape, np.int64)
    for number, (plane,) in enumerate(mask.cpu().numpy()):
        labels[number, 0], found = ndimage.label(plane, np.ones((3, 3)))
        sizes = np.bincount(labels[number, 0].ravel(), minlength=found + 1)
        areas[number, 0] = np.where(plane, sizes[labels[number, 0]], 0)
    return torch.from_numpy(labels), torch.from_numpy(areas)


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package finds components."""
    from zeroiqa.segmenters.sam2.official_weights import import_sam2

    monkeypatch.setattr(import_sam2("utils.misc"), "get_connected_components", components)


def drawn(*lines: str) -> torch.Tensor:
    """Logits of one mask: 3 for #, -3 for a point, 0 (which is outside) for o."""
    return torch.tensor([[{"#": 3.0, ".": -3.0, "o": 0.0}[cell] for cell in line] for line in lines])[None]


@pytest.mark.parametrize(
    ("most", "given", "wanted"),
    [
        (1, ("####", "#.##", "####"), "#### #+## ####"),  # a hole of exactly that size is filled
        (1, ("#####", "#..##", "#####"), "##### #..## #####"),
        (
            2,
            ("#####", "#.###", "##.##"),
            "##### #+### ##+##",
        ),  # by a corner it is one hole, also at the border
        (1, ("#####", "#.###", "##.##"), "##### #.### ##.##"),
        (1, ("####", "#o##", "####"), "#### #+## ####"),  # the threshold itself is outside
        (1, ("#...", "....", "...#"), "-... .... ...-"),  # islands, at corners of the image, too
        (2, ("#...", ".#..", "...#"), "-... .-.. ...-"),
        (8, ("#####", "#...#", "#.#.#", "#...#", "#####"), "##### #+++# #+-+# #+++# #####"),
        (
            8,
            (".....", ".###.", ".#.#.", ".###.", "....."),
            "..... .---. .-+-. .---. .....",
        ),  # a ring: spec 2.1
        (9, ("###", "###", "###"), "--- --- ---"),  # nothing is left
        (9, ("...", "...", "..."), "+++ +++ +++"),  # all of it is a hole
    ],
)
def test_holes_are_filled_and_islands_go(most: int, given: tuple[str, ...], wanted: str) -> None:
    logits = drawn(*given)
    kept = logits.clone()
    result = cleaned(logits, most)
    assert torch.equal(logits, kept)
    signs = {3.0: "#", -3.0: ".", 0.0: "o", 10.0: "+", -10.0: "-"}
    assert " ".join("".join(signs[cell] for cell in row) for row in result[0].tolist()) == wanted


@pytest.mark.parametrize("most", [1, 40, 1000, 10**6])
def test_logits_are_those_of_the_package(extension: None, most: int) -> None:
    """Of smooth noise, which has components of all sizes; the package cleans before it upsamples."""
    from sam2.utils.transforms import SAM2Transforms

    rng = np.random.default_rng(most)
    planes = [ndimage.gaussian_filter(rng.normal(size=(256, 256)), sigma) for sigma in (0, 1, 3, 12)]
    logits = torch.from_numpy(np.array([plane / plane.std() for plane in planes])).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the package scripts its transforms
        transforms = SAM2Transforms(1024, 0.0, most, most)
    theirs = transforms.postprocess_masks(logits[None], (256, 256))[0]
    assert torch.equal(cleaned(logits, most), theirs)
    assert not torch.equal(theirs, logits)
    assert cleaned(logits[:0], most).shape == (0, 256, 256)


@pytest.mark.parametrize("mask_threshold", [0.0, 2.0])
def test_masks_are_those_of_the_package_s_generator(
    extension: None, tiny_sam2: Path, mask_threshold: float
) -> None:
    """Also where masks are cut at another threshold than 0, at which the package's predictor cleans still."""
    parameters = MaskParameters(6, 0.5, 0.05, 0.7, mask_threshold, 1.0, min_mask_region_area=SCALED)
    image = picture(300, 451)

    def regions(kind: Any, folder: str, least: int) -> list[Region]:
        own = replace(parameters, min_mask_region_area=least)
        found: list[Region] = kind(folder, parameters=own, min_area=0.0).segment(image)
        return found

    found = regions(Sam2Segmenter, str(tiny_sam2), SCALED)
    wanted = regions(StockSegmenter, f"sam2:{tiny_sam2}", SCALED)
    assert [(region.kind, region.box) for region in found] == [(each.kind, each.box) for each in wanted]
    areas = [region.area for region in wanted]
    two_pixels = 2 / (300 * 451)  # logits within rounding of the threshold
    assert [region.area for region in found] == pytest.approx(areas, abs=two_pixels)
    plain = regions(Sam2Segmenter, str(tiny_sam2), 0)
    assert len({region.box for region in found} - {region.box for region in plain}) > 2


def test_the_package_s_generator_says_that_it_cannot(tiny_sam2: Path) -> None:
    parameters = MaskParameters(2, 0.0, 0.0, min_mask_region_area=SCALED)
    with pytest.raises(UserError, match=r"cannot clean masks here \(.*_C.*\), as min_mask_region_area = 62"):
        StockSegmenter(f"sam2:{tiny_sam2}", parameters=parameters).segment(picture(30, 40))


@pytest.mark.gpu
def test_a_gpu_cleans_the_same() -> None:
    logits = torch.randn(5, 64, 64)
    assert torch.equal(cleaned(logits.cuda(), 20).cpu(), cleaned(logits, 20))
