from __future__ import annotations

import numpy as np
import pytest

from zeroiqa import rle
from zeroiqa.errors import UserError
from zeroiqa.images.decode import decode
from zeroiqa.images.opencv import cv2
from zeroiqa.samples import folder
from zeroiqa.segmenters import build_segmenter
from zeroiqa.segmenters.graph import GraphParameters, GraphSegmenter
from zeroiqa.types import Image

PHOTOS = ["astronaut.jpg", "cat.jpg", "coffee.jpg", "rocket.png"]


def sample(name):
    return decode(folder() / name)


def constant(height, width, value=90):
    return Image(np.full((height, width, 3), value, dtype=np.uint8), "constant")


def resized(image, factor):
    pixels = cv2.resize(image.pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return Image(pixels, image.name)


def flag():
    """Three vertical stripes of very different colours, 60 x 90 pixels."""
    colours = np.array([[0, 0, 160], [250, 250, 250], [200, 0, 0]], dtype=np.uint8)
    return Image(np.ascontiguousarray(np.broadcast_to(colours.repeat(30, axis=0), (60, 90, 3))), "flag")


def test_stripes_of_a_flag_are_its_regions():
    regions = build_segmenter("graph").segment(flag())
    assert sorted(region.box[0] for region in regions) == pytest.approx([0, 30, 60], abs=2)
    assert [region.area for region in regions] == pytest.approx([1 / 3] * 3, abs=0.05)


def test_neighbours_of_almost_the_same_colour_are_merged():
    pixels = np.full((60, 90, 3), 120, dtype=np.uint8)
    pixels[:, 45:] = 123
    assert len(build_segmenter("graph").segment(Image(pixels, "halves"))) == 1


def test_regions_of_one_colour_that_do_not_touch_stay_apart():
    pixels = flag().pixels.copy()
    pixels[:, 60:] = pixels[0, 0]
    assert len(build_segmenter("graph").segment(Image(pixels, "stripes"))) == 3


@pytest.mark.parametrize("name", PHOTOS)
def test_photo_has_a_few_regions_that_partition_it(name):
    regions = build_segmenter("graph", masks=True).segment(sample(name))
    assert 3 <= len(regions) <= 20
    assert {region.kind for region in regions} == {"object"}
    np.testing.assert_array_equal(sum(rle.decode(region.mask).astype(int) for region in regions), 1)


@pytest.mark.parametrize("name", PHOTOS)
def test_largest_region_comes_first(name):
    areas = [region.area for region in build_segmenter("graph").segment(sample(name))]
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] >= GraphParameters().min_size


@pytest.mark.parametrize("name", PHOTOS)
def test_two_segmenters_give_the_same_regions(name):
    first, second = (build_segmenter("graph", masks=True).segment(sample(name)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("factor", [0.5, 3])
@pytest.mark.parametrize("name", PHOTOS)
def test_regions_hardly_depend_on_the_resolution(name, factor):
    image = sample(name)
    segmenter = build_segmenter("graph")
    areas = [region.area for region in segmenter.segment(image)]
    other = [region.area for region in segmenter.segment(resized(image, factor))]
    assert len(other) == pytest.approx(len(areas), abs=2)
    assert other[0] == pytest.approx(areas[0], abs=0.12)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 4000), (4000, 16), (300, 200)])
def test_constant_image_is_one_region(height, width):
    (region,) = build_segmenter("graph").segment(constant(height, width))
    assert (region.box, region.area) == ((0, 0, width, height), 1.0)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 4000), (4000, 16), (17, 100_000)])
def test_noise_of_an_extreme_shape_is_covered(height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    regions = build_segmenter("graph").segment(Image(pixels, "noise"))
    assert sum(region.area for region in regions) == pytest.approx(1)


def test_masks_have_the_working_resolution():
    image = constant(600, 1200)
    (region,) = build_segmenter("graph", masks=True).segment(image)
    height, width = region.mask.size
    assert width == pytest.approx(2 * height, abs=1)
    assert height * width == pytest.approx(GraphParameters().working_pixels, rel=0.01)


def test_small_regions_go_to_the_complement_at_a_larger_threshold():
    regions = build_segmenter("graph", min_area=0.1).segment(sample("astronaut.jpg"))
    assert min(region.area for region in regions) >= 0.1
    assert [region.kind for region in regions].count("complement") == 1
    assert regions[-1].kind == "complement"


def test_image_is_not_changed():
    image = sample("cat.jpg")
    before = image.pixels.copy()
    build_segmenter("graph").segment(image)
    np.testing.assert_array_equal(image.pixels, before)


def test_fewer_regions_are_left_where_more_is_merged():
    image = sample("coffee.jpg")
    counts = [
        len(GraphSegmenter(parameters=GraphParameters(merge_below=value)).segment(image))
        for value in (1, 3, 9, 99)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 1


def test_id_names_every_parameter():
    standard, other = GraphSegmenter(), GraphSegmenter(parameters=GraphParameters(sigma=1.5))
    assert "sigma=0.8" in standard.id
    assert "sigma=1.5" in other.id


def test_argument_is_refused():
    with pytest.raises(UserError, match="takes no argument"):
        build_segmenter("graph:7")
