"""Regions painted over their image."""

from __future__ import annotations

import numpy as np
import pytest

from zeroiqa import rle
from zeroiqa.report.overlay import labelled, overlay, resized_mask
from zeroiqa.types import Image, Region

GREY = Image(np.full((40, 60, 3), 100, np.uint8), name="grey")


def region(rows, columns, *, size=(40, 60), kind="object"):
    mask = np.zeros(size, bool)
    mask[rows, columns] = True
    y, x = np.nonzero(mask)
    box = (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1)
    return Region(box, float(mask.mean()), kind, rle.encode(mask))


def changed(painted):
    return (painted != 100).any(axis=2)


def test_exactly_the_object_is_painted():
    painted = overlay(GREY, [region(slice(5, 20), slice(0, 30))])
    wanted = np.zeros((40, 60), bool)
    wanted[5:20, 0:30] = True
    assert (changed(painted) == wanted).all()
    assert (GREY.pixels == 100).all(), "the image itself stays"


def test_the_outline_stands_out_from_the_inside():
    painted = overlay(GREY, [region(slice(5, 20), slice(10, 30))])
    assert (painted[5, 10:30] == painted[5, 10]).all() and (painted[5:20, 29] == painted[5, 10]).all()
    assert (painted[6:19, 11:29] == painted[10, 15]).all()
    assert (painted[10, 15] != painted[5, 10]).any()


def test_the_complement_and_no_regions_leave_the_image_as_it_is():
    assert (overlay(GREY, [region(slice(0, 40), slice(0, 60), kind="complement")]) == 100).all()
    assert (overlay(GREY, []) == 100).all()


@pytest.mark.parametrize("order", [1, -1])
def test_a_small_object_is_seen_on_a_large_one_in_any_order(order):
    large, small = region(slice(0, 40), slice(0, 60)), region(slice(10, 20), slice(10, 20))
    painted = overlay(GREY, [large, small][::order])
    assert (painted[15, 15] != painted[30, 30]).any()


def test_neighbours_in_the_list_have_colours_of_their_own():
    strips = [region(slice(4 * index, 4 * index + 4), slice(0, 60)) for index in range(10)]
    painted = overlay(GREY, strips)
    assert len({tuple(painted[4 * index, 5]) for index in range(10)}) == 10


@pytest.mark.parametrize(("longest", "size"), [(None, (40, 60)), (60, (40, 60)), (30, (20, 30)), (1, (1, 1))])
def test_a_large_image_is_shown_smaller_and_never_larger(longest, size):
    painted = overlay(GREY, [region(slice(5, 20), slice(0, 30))], longest=longest)
    assert painted.shape == (*size, 3)


def test_a_mask_of_a_lower_resolution_covers_the_same_part():
    coarse = region(slice(0, 10), slice(0, 15), size=(20, 30))
    mask = resized_mask(coarse, (60, 40))
    assert mask.shape == (40, 60)
    assert mask[:20, :30].all() and mask.sum() == 20 * 30


def test_a_label_is_black_and_white_in_its_corner():
    picture = np.asarray(labelled(np.full((200, 300, 3), 128, np.uint8), "score 5.87", "area 16%"))
    for corner in (picture[:40, :140], picture[-40:, -140:]):
        assert corner.min() == 0 and corner.max() == 255
    assert (picture[60:140] == 128).all()
