"""Pictures of images with what their regions are rated: of any shape, with any number of regions."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from zeroiqa import rle
from zeroiqa.images.decode import decode
from zeroiqa.pipeline import Method, build_method, explain_image, with_masks
from zeroiqa.report.annotated import annotated
from zeroiqa.report.overlay import colour_of
from zeroiqa.results import ImageScore
from zeroiqa.samples import folder
from zeroiqa.settings import load_settings
from zeroiqa.types import Image, Region


@pytest.fixture(scope="module")
def method() -> Method:
    settings = load_settings(overrides={"lam": 1.0})
    return with_masks(build_method(settings), settings)


@pytest.fixture(scope="module")
def photo(method: Method) -> Image:
    return decode(folder() / "coffee.jpg", method.policy)


@pytest.fixture(scope="module")
def score(photo: Image, method: Method) -> ImageScore:
    return explain_image(photo, method)[1]


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(axis=-1).any())


def test_every_object_is_outlined_in_its_colour_and_the_score_is_in_the_corner(
    photo: Image, score: ImageScore
) -> None:
    picture = np.asarray(annotated(photo, score))
    assert picture.shape == photo.pixels.shape
    assert len(score.regions) > 10
    for index, region in enumerate(score.regions):
        assert region.kind != "object" or has(picture, colour_of(index))
    assert picture[:30, :60].max() == 255 and picture[:30, :60].min() < 40
    other = replace(
        score, scores={label: replace(each, score=each.score + 1) for label, each in score.scores.items()}
    )
    assert (np.asarray(annotated(photo, other))[:30, :60] != picture[:30, :60]).any()


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1, 1), (512, 512)),
        ((32, 48), (320, 480)),
        ((30, 2000), (200, 1024)),
        ((900, 20), (900, 320)),
        ((1500, 2000), (768, 1024)),
    ],
)
def test_a_picture_of_any_shape_has_room_for_what_is_said(
    size: tuple[int, int], wanted: tuple[int, int], photo: Image, method: Method
) -> None:
    pixels = cv2.resize(photo.pixels, size[::-1], interpolation=cv2.INTER_AREA)
    image = Image(np.ascontiguousarray(pixels), "photo")
    picture = annotated(image, explain_image(image, method)[1])
    assert picture.width >= wanted[1] and picture.height >= wanted[0]
    if min(size) > 1:
        assert has(np.asarray(picture), colour_of(0))


def test_a_pixel_of_a_small_picture_becomes_a_block(method: Method) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[::2] = 200
    image = Image(pixels, "stripes")
    alone = replace(explain_image(image, method)[1], regions=())
    shown = np.asarray(annotated(image, _without_regions(alone)))
    assert shown.shape == (512, 512, 3) and (shown[384:448] == 200).all() and (shown[448:] == 0).all()


def test_more_regions_than_labels_have_room_are_listed_below(photo: Image, score: ImageScore) -> None:
    (label, own), *_ = score.scores.items()
    cells = []
    for place in range(140):
        mask = np.zeros(photo.size, bool)
        x, y = 40 + 36 * (place % 14), 60 + 32 * (place // 14)
        mask[y : y + 30, x : x + 34] = True
        cells.append(Region((x, y, x + 34, y + 30), float(mask.mean()), "object", rle.encode(mask)))
    many = replace(own, region_levels=(3.0,) * 140, region_contributions=(own.score / 280,) * 140)
    picture = annotated(photo, replace(score, scores={label: many}, regions=tuple(cells)))
    assert picture.height > photo.size[0] + 200
    assert np.asarray(picture)[photo.size[0] :].max() == 255


def test_regions_without_masks_are_boxes_and_a_level_that_is_missing_is_said(
    photo: Image, score: ImageScore
) -> None:
    (label, own), *_ = score.scores.items()
    regions = (Region((100, 100, 300, 300), 0.17, "object"), Region((0, 0, 600, 400), 0.83, "complement"))
    bare = replace(own, region_levels=(None, 2.0), region_contributions=(0.0, 0.5))
    picture = np.asarray(annotated(photo, replace(score, scores={label: bare}, regions=regions)))
    edge = picture[150:250, 100]
    assert (edge == colour_of(0)).all(axis=-1).all()
    assert (picture[350:, 450:] == photo.pixels[350:, 450:]).all(), "the rest keeps its colours"


def _without_regions(score: ImageScore) -> ImageScore:
    scores = {
        label: replace(each, region_levels=(), region_contributions=(), global_contribution=each.score)
        for label, each in score.scores.items()
    }
    return replace(score, scores=scores, regions=())
