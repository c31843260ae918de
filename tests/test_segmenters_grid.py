from __future__ import annotations

import numpy as np
import pytest

from zeroiqa import rle
from zeroiqa.errors import UserError
from zeroiqa.segmenters import build_segmenter
from zeroiqa.types import Image

EMBEDDED = ("graph", "grid")


def image(height, width):
    return Image(np.zeros((height, width, 3), dtype=np.uint8), name="black")


def test_cells_come_row_by_row_and_the_last_is_the_complement():
    regions = build_segmenter("grid:3x2").segment(image(20, 30))
    assert [region.box for region in regions] == [
        (0, 0, 10, 10),
        (10, 0, 20, 10),
        (20, 0, 30, 10),
        (0, 10, 10, 20),
        (10, 10, 20, 20),
        (20, 10, 30, 20),
    ]
    assert [region.kind for region in regions] == ["object"] * 5 + ["complement"]


def test_grid_without_argument_has_three_columns_and_two_rows():
    assert build_segmenter("grid").id == build_segmenter("grid:3x2").id


def test_one_cell_is_the_whole_image_as_complement():
    (region,) = build_segmenter("grid:1x1").segment(image(20, 30))
    assert (region.box, region.area, region.kind) == ((0, 0, 30, 20), 1.0, "complement")


def test_cells_below_the_threshold_leave_the_whole_image():
    (region,) = build_segmenter("grid:3x2", min_area=0.2).segment(image(20, 30))
    assert (region.area, region.kind) == (1.0, "complement")


def test_areas_add_up_to_one_whatever_the_size_of_the_image():
    regions = build_segmenter("grid:16x16", min_area=0).segment(image(17, 331))
    assert len(regions) == 256
    assert sum(region.area for region in regions) == pytest.approx(1)


def test_complement_and_masks_are_options():
    regions = build_segmenter("grid:2x1", complement=False, masks=True).segment(image(20, 30))
    assert [region.kind for region in regions] == ["object"]
    assert rle.decode(regions[0].mask).tolist() == [[True, False]]


@pytest.mark.parametrize(
    "argument", ["", "3", "3x", "x3", "0x2", "2x17", "-1x2", "3x2x1", "ax2", " 3x2", "3X2"]
)
def test_bad_grid_is_refused_with_an_example(argument):
    with pytest.raises(UserError, match="such as grid:3x2, not grid:" + argument):
        build_segmenter(f"grid:{argument}")


def test_unknown_segmenter_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="^unknown segmenter 'grpah'; did you mean 'graph'"):
        build_segmenter("grpah")


@pytest.mark.parametrize("name", EMBEDDED)
def test_threshold_is_checked_when_the_segmenter_is_built(name):
    with pytest.raises(UserError, match="from 0 to 1, not 5"):
        build_segmenter(name, min_area=5)


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_option_is_in_the_id(name):
    options = ({}, {"min_area": 0.02}, {"complement": False}, {"masks": True})
    assert len({build_segmenter(name, **option).id for option in options}) == len(options)
