from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zeroiqa import rle
from zeroiqa.errors import UserError
from zeroiqa.segmenters.regions import regions_from_masks
from zeroiqa.types import Region, Rle

SIZE = (10, 10)


def find(masks, image_size=SIZE, *, min_area=0.01, complement=True, keep_masks=True, **rule):
    return regions_from_masks(
        masks, image_size, min_area=min_area, complement=complement, keep_masks=keep_masks, **rule
    )


def rectangle(x0, y0, x1, y1, size=SIZE):
    mask = np.zeros(size, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def first_pixels(count, size=SIZE):
    return (np.arange(size[0] * size[1]) < count).reshape(size)


@st.composite
def mask_lists(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    return shape, draw(st.lists(hnp.arrays(bool, shape), max_size=5))


FRACTIONS = st.sampled_from([0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.9, 1])


@pytest.mark.parametrize("threshold", range(1, 100))
def test_area_equal_to_threshold_is_kept(threshold):
    regions = find([first_pixels(threshold)], min_area=threshold / 100, complement=False)
    assert [region.area for region in regions] == [threshold / 100]


@pytest.mark.parametrize("threshold", range(1, 100))
def test_area_one_pixel_below_threshold_is_dropped(threshold):
    assert find([first_pixels(threshold - 1)], min_area=threshold / 100, complement=False) == []


def test_pixels_of_dropped_masks_belong_to_the_complement():
    kept, dropped = rectangle(0, 0, 5, 10), rectangle(8, 8, 10, 10)
    regions = find([kept, dropped], min_area=0.05)
    assert [region.kind for region in regions] == ["object", "complement"]
    np.testing.assert_array_equal(rle.decode(regions[1].mask), ~kept)


def test_complement_equal_to_threshold_is_kept():
    assert [region.kind for region in find([first_pixels(95)], min_area=0.05)] == ["object", "complement"]


def test_complement_below_threshold_is_dropped():
    assert [region.kind for region in find([first_pixels(96)], min_area=0.05)] == ["object"]


@pytest.mark.parametrize("masks", [[], [np.zeros(SIZE, dtype=bool)], [first_pixels(4)]])
def test_without_a_kept_mask_the_complement_is_the_whole_image(masks):
    whole = Region((0, 0, 10, 10), 1.0, "complement", Rle(SIZE, (0, 100)))
    assert find(masks, min_area=0.05) == [whole]


def test_whole_image_needs_no_mask_where_none_is_asked_for():
    assert find([], keep_masks=False) == [Region((0, 0, 10, 10), 1.0, "complement", None)]


def test_mask_of_the_whole_image_leaves_no_complement():
    regions = find([np.ones(SIZE, dtype=bool)], min_area=0)
    assert regions == [Region((0, 0, 10, 10), 1.0, "object", Rle(SIZE, (0, 100)))]


@pytest.mark.parametrize("masks", [[], [first_pixels(4)]])
def test_without_complement_and_kept_masks_there_are_no_regions(masks):
    assert find(masks, min_area=0.05, complement=False) == []


def test_disconnected_complement_is_one_region():
    regions = find([rectangle(4, 0, 6, 10)])
    assert [(region.kind, region.area) for region in regions] == [("object", 0.2), ("complement", 0.8)]
    assert regions[1].box == (0, 0, 10, 10)


def test_kept_masks_stay_in_the_order_given_and_the_complement_is_last():
    masks = [rectangle(0, 0, 2, 2), rectangle(0, 0, 9, 9), rectangle(5, 5, 8, 8)]
    regions = find(masks)
    assert [region.area for region in regions] == [0.04, 0.81, 0.09, 0.19]
    assert regions[-1].kind == "complement"


def test_overlapping_masks_keep_their_full_areas():
    regions = find([rectangle(0, 0, 10, 6), rectangle(0, 4, 10, 10)])
    assert [region.area for region in regions] == [0.6, 0.6]


def test_mask_at_the_border_has_a_box_that_ends_there():
    assert find([rectangle(7, 8, 10, 10)])[0].box == (7, 8, 10, 10)


def test_box_of_one_pixel_is_one_pixel():
    assert find([rectangle(3, 4, 4, 5)])[0].box == (3, 4, 4, 5)


def test_zero_threshold_keeps_one_pixel_and_drops_the_empty_mask():
    regions = find([np.zeros(SIZE, dtype=bool), first_pixels(1)], min_area=0, complement=False)
    assert [region.area for region in regions] == [0.01]


def test_threshold_one_keeps_only_a_mask_of_the_whole_image():
    masks = [first_pixels(99), first_pixels(100)]
    assert [region.area for region in find(masks, min_area=1)] == [1.0]


@pytest.mark.parametrize("min_area", [-0.01, 1.01, float("nan"), float("inf")])
def test_threshold_outside_zero_to_one_is_refused(min_area):
    with pytest.raises(UserError, match="from 0 to 1"):
        find([first_pixels(50)], min_area=min_area)


def test_box_of_a_coarse_mask_is_scaled_outwards_to_image_pixels():
    mask = np.zeros((3, 3), dtype=bool)
    mask[1, 1] = True
    region = find([mask], image_size=(10, 100))[0]
    assert region.box == (33, 3, 67, 7)
    assert region.area == pytest.approx(1 / 9)
    assert region.mask.size == (3, 3)


def test_masks_are_kept_only_where_asked_for():
    assert [region.mask for region in find([first_pixels(50)], keep_masks=False)] == [None, None]


def test_masks_may_come_from_a_generator():
    masks = [rectangle(0, 0, 5, 5), rectangle(2, 2, 9, 9)]
    assert find(mask for mask in masks) == find(masks)


def test_masks_are_not_changed():
    masks = [rectangle(0, 0, 5, 5), rectangle(2, 2, 9, 9)]
    copies = [mask.copy() for mask in masks]
    find(masks)
    np.testing.assert_array_equal(masks, copies)


LARGE = (50, 100)


@pytest.mark.parametrize(
    ("kept", "weight", "area"),
    [
        # pixels of each mask, from the first on -> weight and area of the rest (by the authors' get_mask.py)
        ((), 1.0, 1.0),  # no mask: the whole image
        ((999,), 1.0, 1.0),  # none is kept: the whole image
        ((1000,), 0.8, 0.8),
        ((1000, 1000), 0.6, 0.8),  # duplicates count twice
        ((3000, 1500, 1000), None, None),  # nested, 5,500: rest below 0, though 2,000 pixels are uncovered
        ((3000, 1000), 0.2, 0.4),  # nested; the rest of 1,000 is kept
        ((3000, 1001), None, None),  # 999 are not
        ((4001,), None, None),
        ((4000,), 0.2, 0.2),
        ((3000, 999), 0.4, 0.4),  # what is not kept is in no sum
        ((5000,), None, None),
    ],
)
def test_rest_by_the_sum_of_the_areas_is_that_of_dog_iqa(kept, weight, area):
    masks = [first_pixels(count, LARGE) for count in kept]
    regions = find(masks, LARGE, min_area=0, min_pixels=1000, complement_rule="remainder")
    large = [count / 5000 for count in kept if count >= 1000]
    assert [region.area for region in regions] == [*large, *([] if area is None else [area])]
    assert [region.kind for region in regions[len(large) :]] == ([] if area is None else ["complement"])
    assert [region.weight for region in regions] == [
        *([None] * len(large)),
        *([] if area is None else [weight]),
    ]
    if area is not None:
        rest = np.logical_or.reduce([np.zeros(LARGE, bool), *masks[: len(large)]])
        np.testing.assert_array_equal(rle.decode(regions[-1].mask), ~rest)


@pytest.mark.parametrize("rule", ["union", "remainder"])
def test_whole_image_is_a_region_however_small_it_is(rule):
    (whole,) = find([first_pixels(99)], min_pixels=1000, complement_rule=rule)
    assert (whole.box, whole.area, whole.weight) == (
        (0, 0, 10, 10),
        1.0,
        1.0 if rule == "remainder" else None,
    )
    assert find([], min_pixels=1000, complement_rule=rule, complement=False) == []


@pytest.mark.parametrize(("image_size", "kept"), [((999, 20), 0), ((1000, 20), 1), ((2000, 10), 1)])
def test_pixels_are_those_of_the_image_where_masks_are_smaller(image_size, kept):
    """A mask of 5 of 100 pixels is 999 of 19,980, and 1,000 of 20,000."""
    regions = find([first_pixels(5)], image_size, min_area=0, min_pixels=1000, complement=False)
    assert len(regions) == kept


@given(mask_lists(), FRACTIONS)
def test_rules_differ_in_the_complement_alone(case, min_area):
    shape, masks = case
    by_union, by_sum = (
        find(masks, shape, min_area=min_area, complement_rule=rule) for rule in ("union", "remainder")
    )
    objects = [region for region in by_union if region.kind == "object"]
    assert [region for region in by_sum if region.kind == "object"] == objects
    for region in by_sum[len(objects) :]:
        assert replace(region, weight=None) == by_union[-1]
        assert 0 < region.weight <= region.area
        assert region.weight == pytest.approx(1 - sum(each.area for each in objects))


@given(mask_lists(), FRACTIONS)
def test_regions_are_exactly_the_masks_that_reach_the_threshold_then_the_complement(case, min_area):
    shape, masks = case
    least = max(1, int(np.ceil(round(min_area * shape[0] * shape[1], 9))))
    expected = [mask for mask in masks if mask.sum() >= least]
    rest = ~np.logical_or.reduce([np.zeros(shape, dtype=bool), *expected])
    if rest.sum() >= least:
        expected.append(rest)
    regions = find(masks, shape, min_area=min_area)
    assert [region.area for region in regions] == [mask.mean() for mask in expected]
    for region, mask in zip(regions, expected, strict=True):
        np.testing.assert_array_equal(rle.decode(region.mask), mask)


@given(mask_lists(), FRACTIONS)
def test_complement_is_disjoint_from_the_kept_masks_and_covers_the_rest(case, min_area):
    shape, masks = case
    regions = find(masks, shape, min_area=min_area)
    assume(regions and regions[-1].kind == "complement")
    *kept, complement = (rle.decode(region.mask) for region in regions)
    assert not any((mask & complement).any() for mask in kept)
    assert np.logical_or.reduce([*kept, complement]).all()


@given(mask_lists(), st.tuples(st.integers(0, 20), st.integers(0, 20)))
def test_boxes_are_inside_the_image_and_hold_their_masks(case, extra):
    shape, masks = case
    height, width = shape[0] + extra[0], shape[1] + extra[1]
    for region in find(masks, (height, width), min_area=0):
        x0, y0, x1, y1 = region.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        mask = rle.decode(region.mask)
        rows, columns = np.nonzero(mask)
        assert x0 <= columns.min() * width / mask.shape[1] < x0 + 1
        assert x1 - 1 < (columns.max() + 1) * width / mask.shape[1] <= x1
        assert y0 <= rows.min() * height / mask.shape[0] < y0 + 1
        assert y1 - 1 < (rows.max() + 1) * height / mask.shape[0] <= y1
