from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zeroiqa.segmenters.regions import regions_from_masks
from zeroiqa.types import Image
from zeroiqa.views import cut_views


def bright_image(height=10, width=12, prompt=None):
    """No pixel is 0, so that a zero is always a fill."""
    pixels = np.random.default_rng(0).integers(1, 256, (height, width, 3), dtype=np.uint8)
    pixels.setflags(write=False)
    return Image(pixels, name="bright", prompt=prompt)


def regions_of(masks, image, complement=True):
    return regions_from_masks(masks, image.size, min_area=0, complement=complement, keep_masks=True)


def one_pixel(y, x, size=(10, 12)):
    mask = np.zeros(size, dtype=bool)
    mask[y, x] = True
    return mask


@st.composite
def images_with_masks(draw):
    height, width = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    shape = draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    return bright_image(height, width), draw(st.lists(hnp.arrays(bool, shape), min_size=1, max_size=3))


@pytest.mark.parametrize(("crop", "count"), [("whole", 1), ("bbox", 4), ("mask", 4)])
def test_whole_image_comes_first_then_the_regions_in_order(crop, count):
    image = bright_image(prompt="a cat")
    regions = regions_of([one_pixel(1, 2), one_pixel(3, 4)], image)
    views = cut_views(image, regions, crop)
    assert [view.region for view in views] == [None, *regions][:count]
    assert {view.prompt for view in views} == {"a cat"}
    assert {view.image_size for view in views} == {(10, 12)}


@pytest.mark.parametrize("crop", ["whole", "bbox", "mask"])
def test_image_without_regions_is_one_view(crop):
    image = bright_image()
    (view,) = cut_views(image, [], crop)
    assert view.pixels is image.pixels


def test_box_crop_of_one_pixel_is_that_pixel():
    image = bright_image()
    _, view, _ = cut_views(image, regions_of([one_pixel(3, 4)], image), "bbox")
    assert view.pixels.tolist() == [[image.pixels[3, 4].tolist()]]


def test_box_crop_shares_the_read_only_memory_of_the_image():
    image = bright_image()
    view = cut_views(image, regions_of([one_pixel(3, 4)], image), "bbox")[1]
    assert np.shares_memory(view.pixels, image.pixels)
    with pytest.raises(ValueError, match="read-only"):
        view.pixels[:] = 0


@given(images_with_masks())
def test_box_crop_has_the_original_pixels_around_the_object(case):
    image, masks = case
    regions = regions_of(masks, image)
    for view in cut_views(image, regions, "bbox")[1:]:
        x0, y0, x1, y1 = view.region.box
        np.testing.assert_array_equal(view.pixels, image.pixels[y0:y1, x0:x1])


@given(images_with_masks())
def test_mask_crop_is_zero_exactly_outside_the_mask(case):
    image, masks = case
    height, width = image.size
    rows = (np.arange(height) + 0.5) * masks[0].shape[0] // height
    columns = (np.arange(width) + 0.5) * masks[0].shape[1] // width
    nearest = np.ix_(rows.astype(int), columns.astype(int))
    kept = [mask for mask in masks if mask.any()]
    views = cut_views(image, regions_of(masks, image, complement=False), "mask")[1:]
    for mask, view in zip(kept, views, strict=True):
        x0, y0, x1, y1 = view.region.box
        inside = mask[nearest]
        assert inside.sum() == inside[y0:y1, x0:x1].sum() > 0
        expected = np.where(inside[..., None], image.pixels, 0)[y0:y1, x0:x1]
        np.testing.assert_array_equal(view.pixels, expected)


@given(images_with_masks())
def test_mask_crops_of_a_mask_and_its_complement_add_up_to_the_image(case):
    image, masks = case
    total = np.zeros_like(image.pixels)
    for view in cut_views(image, regions_of(masks[:1], image), "mask")[1:]:
        x0, y0, x1, y1 = view.region.box
        total[y0:y1, x0:x1] += view.pixels
    np.testing.assert_array_equal(total, image.pixels)


def test_mask_crop_leaves_the_image_alone():
    image = bright_image()
    before = image.pixels.copy()
    cut_views(image, regions_of([one_pixel(3, 4)], image), "mask")
    np.testing.assert_array_equal(image.pixels, before)


def test_mask_crop_without_masks_is_refused():
    image = bright_image()
    regions = regions_from_masks([], image.size, min_area=0, complement=True, keep_masks=False)
    with pytest.raises(AssertionError, match="masks=True"):
        cut_views(image, regions, "mask")
