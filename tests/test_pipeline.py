"""The method as a whole, with the fake rater and the grid segmenter."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from zeroiqa.errors import ImageError, UserError
from zeroiqa.pipeline import Method, find_regions, rate_image, rate_images, score_image
from zeroiqa.raters.fake import FakeRater
from zeroiqa.scoring.images import score_images
from zeroiqa.scoring.method import load_method
from zeroiqa.standards import Standard
from zeroiqa.types import Image, Rating, View

FAKE = {"segmenter": "grid:2x2", "raters": ["fake"], "lam": 1.0}


def picture(seed: int = 0, height: int = 48, width: int = 64) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image(pixels, f"picture {seed}", prompt="a cat")


class CountingRater:
    """The fake rater, with the number of views that it was shown."""

    id = "counting"

    def __init__(self, images_per_call: int = 1) -> None:
        self.images_per_call = images_per_call
        self.seen = 0
        self.calls = 0
        self.check = FakeRater(None).check

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        self.seen += len(views)
        self.calls += 1
        if any((view.pixels == 0).all() for view in views):
            raise ImageError("too dark to rate.")
        return FakeRater(None).rate(views, standards)


def with_rater(method: Method, rater: CountingRater) -> Method:
    return Method(
        method.policy, method.segmenter, {"r": rater}, method.standards, method.crop, method.aggregation
    )


def test_the_score_is_between_one_and_seven_and_repeatable() -> None:
    method = load_method(**FAKE)
    first, second = score_image(picture(), method), score_image(picture(), method)
    assert first == second
    assert 1 <= first.score <= 7
    assert len(first.regions) == 4


def test_other_pixels_give_another_score() -> None:
    method = load_method(**FAKE)
    assert len({score_image(picture(seed), method).score for seed in range(5)}) == 5


@pytest.mark.parametrize(("crop", "calls"), [("bbox", 5), ("mask", 5), ("whole", 1)])
def test_a_rater_is_called_once_for_the_image_and_once_for_each_region(crop: str, calls: int) -> None:
    rater = CountingRater()
    score_image(picture(), with_rater(load_method(**FAKE, crop=crop), rater))
    assert rater.seen == calls


def test_a_crop_that_is_the_whole_image_is_rated_once_and_used_twice() -> None:
    method = load_method(segmenter="grid:1x1", raters=["fake"], regions=True)
    rater = CountingRater()
    image = picture()
    (regions,) = find_regions([image], method)
    (ratings,) = rate_image(image, regions, rater, method).values()
    assert rater.seen == 1
    assert len(ratings) == 2
    assert ratings[0] == ratings[1]


def test_a_crop_that_is_the_whole_image_is_rated_again_where_crops_are_asked_otherwise() -> None:
    method = load_method(
        segmenter="grid:1x1",
        raters=["fake"],
        standards=["dog-iqa-word-7", "quality-word-7"],
        regions=True,
    )
    rater = CountingRater()
    image = picture()
    (regions,) = find_regions([image], method)
    ratings = rate_image(image, regions, rater, method)
    assert rater.seen == 2
    assert ratings["dog-iqa-word-7"][0] != ratings["dog-iqa-word-7"][1]
    assert ratings["quality-word-7"][0] is ratings["quality-word-7"][1]


def test_an_ensemble_of_one_is_its_member_and_of_two_their_mean() -> None:
    def score(*raters: str) -> float:
        return score_image(picture(), load_method(segmenter="grid", raters=raters, lam=1.0)).score

    assert score("fake", "fake:2") == pytest.approx((score("fake") + score("fake:2")) / 2, abs=1e-9)


def test_images_that_are_rated_by_one_call_score_as_they_do_alone() -> None:
    rater = CountingRater(images_per_call=3)
    method = with_rater(load_method(**FAKE), rater)
    images = [picture(seed) for seed in range(7)]
    alone = [score_image(image, method) for image in images]
    rater.calls = 0
    assert list(score_images(images, method=method)) == alone
    assert rater.calls == 3


def test_image_that_cannot_be_rated_is_the_only_error_of_its_call() -> None:
    method = with_rater(load_method(**FAKE), CountingRater(images_per_call=3))
    images = [picture(seed) for seed in range(4)]
    images[1] = replace(images[1], pixels=np.zeros((48, 64, 3), np.uint8))
    results = score_images(images, method=method)
    assert [result.error for result in results] == [None, "too dark to rate.", None, None]
    assert results[2] == score_image(images[2], method)


def test_several_standards_are_scored_side_by_side() -> None:
    names = ("quality-word-7", "authenticity-word-7", "correspondence-word-7")
    result = score_image(picture(), load_method(**FAKE, standards=names))
    assert list(result.scores) == ["quality", "authenticity", "correspondence"]
    assert len({score.score for score in result.scores.values()}) == 3


def test_a_rater_that_cannot_use_a_standard_is_refused_before_any_image() -> None:
    with pytest.raises(UserError, match="authenticity"):
        load_method(standards=["authenticity-word-7"])


def test_the_embedded_preset_puts_a_sharp_photo_above_its_blurred_copy() -> None:
    from zeroiqa.images.decode import decode
    from zeroiqa.samples import folder

    method = load_method()
    sharp, blurred = (
        score_image(decode(folder() / name, method.policy), method).score
        for name in ("cat.jpg", "cat_blurred.jpg")
    )
    assert sharp > blurred + 1


class DescribingRater(CountingRater):
    """The same, which also describes views, and counts those, too."""

    described = 0

    def descriptions(self, views: Sequence[View]) -> list[str | None]:
        self.described += len(views)
        return [f"{view.pixels.shape[1]} pixels wide" for view in views]


def test_a_whole_image_is_described_once() -> None:
    rater = DescribingRater()
    method = replace(with_rater(load_method(**FAKE), rater), describe=True)
    image = picture()
    (first,) = rate_images([(image, ())], rater, method)
    known = {name: by_view[0] for name, by_view in first.items()}
    (again,) = rate_images([(image, find_regions([image], method)[0])], rater, method, [known])
    assert [by_view[0] for by_view in again.values()] == list(known.values())
    assert rater.described == 1 and next(iter(known.values())).description == "64 pixels wide"
