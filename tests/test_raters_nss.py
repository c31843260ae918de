from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.errors import UserError
from zeroiqa.images.decode import decode
from zeroiqa.images.opencv import cv2
from zeroiqa.nss.measures import measure
from zeroiqa.nss.naturalness import PristineModel, load_model
from zeroiqa.raters.nss import (
    LEAST_SIDE,
    MOST_PIXELS,
    NAME,
    NssRater,
    canonical_scale,
    level_cuts,
    level_logprobs,
    picture_to_measure,
    quality,
)
from zeroiqa.standards import load_standard
from zeroiqa.types import Region, View

ROOT = Path(__file__).parents[1]
SEVEN = load_standard("quality-word-7")
CUTS = (-3.98, -2.02, -0.58, 0.50, 1.18, 1.83)


def whole(pixels: np.ndarray) -> View:
    return View(pixels, None, pixels.shape[:2])


def crop(pixels: np.ndarray, box: tuple[int, int, int, int]) -> View:
    x0, y0, x1, y1 = box
    area = (x1 - x0) * (y1 - y0) / (pixels.shape[0] * pixels.shape[1])
    return View(pixels[y0:y1, x0:x1], Region(box, area, "object"), pixels.shape[:2])


def expected(logprobs: tuple[float, ...]) -> float:
    return sum(level * math.exp(value) for level, value in enumerate(logprobs, start=1))


@pytest.fixture(scope="module")
def model() -> PristineModel:
    return load_model()


@pytest.fixture(scope="module")
def rater() -> NssRater:
    return NssRater()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return skimage.data.astronaut()


def q(view: View, model: PristineModel) -> float:
    return quality(measure(picture_to_measure(view), model))


# From quality to levels


def test_seven_levels_have_the_published_cuts():
    assert level_cuts(7) == CUTS


@pytest.mark.parametrize("k", range(2, 10))
def test_cuts_rise_for_every_number_of_levels(k):
    cuts = level_cuts(k)
    assert len(cuts) == k - 1
    assert all(low < high for low, high in pairwise(cuts))


def test_two_levels_are_cut_at_the_median_photograph():
    assert level_cuts(2) == (0.0,)


@given(st.floats(-60, 60), st.integers(2, 9))
def test_level_probabilities_are_finite_and_sum_to_one(value, k):
    logprobs = level_logprobs(value, level_cuts(k))
    assert len(logprobs) == k
    assert all(math.isfinite(logprob) for logprob in logprobs)
    assert math.fsum(map(math.exp, logprobs)) == pytest.approx(1, abs=1e-12)


def test_level_probabilities_are_differences_of_logistic_shares():
    shares = [0.0] + [1 / (1 + math.exp(-(cut - 0.3) / 0.5)) for cut in CUTS] + [1.0]
    probabilities = [high - low for low, high in pairwise(shares)]
    assert list(map(math.exp, level_logprobs(0.3, CUTS))) == pytest.approx(probabilities, abs=1e-12)


@given(st.floats(-20, 8), st.floats(0.001, 10))
def test_expected_level_rises_with_quality(value, step):
    higher = expected(level_logprobs(value + step, CUTS))
    assert expected(level_logprobs(value, CUTS)) <= higher + 1e-12  # exp and log round


# The rater


def test_id_names_the_preset_and_is_the_same_for_every_instance(rater):
    assert rater.id.startswith(f"{NAME} ")
    assert rater.id == NssRater().id


def test_rater_takes_no_argument():
    with pytest.raises(UserError, match="takes no argument, found 'core'"):
        NssRater("core")


@pytest.mark.parametrize("name", ("authenticity-word-7", "correspondence-word-7", "quality-float"))
def test_standards_without_quality_levels_are_refused(rater, name):
    with pytest.raises(UserError, match=name):
        rater.check(load_standard(name))
    with pytest.raises(UserError, match=name):
        rater.rate([], [load_standard(name)])


def test_ratings_come_per_view_and_standard_with_full_mass(rater, astronaut):
    standards = [load_standard("quality-word-3"), SEVEN, load_standard("quality-number-7")]
    ratings = rater.rate([whole(astronaut), crop(astronaut, (0, 0, 200, 300))], standards)
    assert [[len(rating.logprobs) for rating in row] for row in ratings] == [[3, 7, 7]] * 2
    assert all(rating.mass == 1.0 for row in ratings for rating in row)
    assert ratings[0][1] == ratings[0][2]


def test_a_rating_depends_on_its_view_alone(rater, astronaut):
    views = [crop(astronaut, (100, 0, 400, 200)), whole(astronaut), crop(astronaut, (0, 0, 50, 50))]
    together = rater.rate(views, [SEVEN])
    assert together == [rater.rate([view], [SEVEN])[0] for view in views]
    assert together[::-1] == rater.rate(views[::-1], [SEVEN])


def test_a_view_of_shared_memory_is_rated_as_its_copy(rater, astronaut):
    view = crop(astronaut, (100, 20, 400, 200))
    copy = View(view.pixels.copy(), view.region, view.image_size)
    assert rater.rate([view], [SEVEN]) == rater.rate([copy], [SEVEN])


@pytest.mark.parametrize("size", ((1, 1), (1, 700), (700, 1), (16, 16), (47, 33), (97, 95), (512, 700)))
def test_any_picture_is_rated_finitely_and_without_a_warning(rater, size):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    pictures = [noise, np.zeros_like(noise), np.full_like(noise, 128), np.full_like(noise, 255)]
    with np.errstate(all="raise"):
        ratings = rater.rate([whole(picture) for picture in pictures], [SEVEN])
    assert all(math.isfinite(value) for row in ratings for value in row[0].logprobs)


@pytest.mark.parametrize("box", ((0, 0, 1, 1), (0, 0, 512, 1), (300, 0, 303, 512), (10, 20, 50, 300)))
def test_any_crop_is_rated_finitely_and_without_a_warning(rater, astronaut, box):
    with np.errstate(all="raise"):
        [[rating]] = rater.rate([crop(astronaut, box)], [SEVEN])
    assert all(map(math.isfinite, rating.logprobs))


def test_other_processes_and_thread_counts_give_the_same_bits(rater):
    program = (
        "import skimage.data; from zeroiqa.raters.nss import NssRater; from zeroiqa.types import View;"
        "from zeroiqa.standards import load_standard; p = skimage.data.astronaut();"
        "[[rating]] = NssRater().rate([View(p, None, p.shape[:2])], [load_standard('quality-word-7')]);"
        "print(rating.logprobs)"
    )
    [[here]] = rater.rate([whole(skimage.data.astronaut())], [SEVEN])
    for threads in ("1", "3"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), threads)
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **limits, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == repr(here.logprobs)


def test_rating_never_imports_torch():
    program = (
        "import sys, numpy as np; from zeroiqa.raters.nss import NssRater; from zeroiqa.types import View;"
        "from zeroiqa.standards import load_standard; p = np.zeros((20, 20, 3), np.uint8);"
        "NssRater().rate([View(p, None, (20, 20))], [load_standard('quality-word-7')]);"
        "print(sorted({'torch', 'scipy', 'skimage', 'pandas'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# The scale


@pytest.mark.parametrize(
    ("size", "scale"),
    (
        ((512, 512), 1),
        ((410, 600), 1),
        ((640, 2560), 1),
        ((400, 600), 1.28),
        ((3000, 4000), 512 / 3000),
        ((20, 30), 25.6),
    ),
)
def test_shorter_side_becomes_512_pixels_unless_it_is_near(size, scale):
    assert canonical_scale(*size) == pytest.approx(scale)
    assert canonical_scale(*size[::-1]) == canonical_scale(*size)


@given(st.integers(1, 3000), st.integers(1, 100_000))
def test_no_image_is_measured_at_more_pixels_than_the_bound(height, width):
    scale = canonical_scale(height, width)
    sides = [max(scale * side, LEAST_SIDE) for side in (height, width)]
    assert sides[0] * sides[1] <= MOST_PIXELS * (1 + 1e-9)


def test_a_crop_is_measured_at_the_scale_of_its_image():
    image = np.zeros((1024, 2048, 3), np.uint8)
    assert picture_to_measure(crop(image, (0, 0, 800, 1000))).shape == (500, 400, 3)
    assert picture_to_measure(whole(image)).shape == (512, 1024, 3)


def test_a_small_crop_is_continued_by_reflection_and_not_enlarged(astronaut):
    picture = picture_to_measure(crop(astronaut, (200, 100, 250, 180)))
    assert picture.shape == (LEAST_SIDE, LEAST_SIDE, 3)
    assert (picture[:80, :50] == astronaut[100:180, 200:250]).all()


def test_a_sharp_object_is_rated_above_an_empty_background(rater, astronaut):
    blurred = cv2.GaussianBlur(astronaut, (0, 0), 6)
    mixed = np.concatenate([astronaut[:, :256], blurred[:, 256:]], axis=1)
    [[subject], [background]] = rater.rate(
        [crop(mixed, (0, 0, 256, 512)), crop(mixed, (256, 0, 512, 512))], [SEVEN]
    )
    assert expected(subject.logprobs) > expected(background.logprobs) + 1


def test_red_and_blue_are_not_swapped(model):
    red = np.zeros((512, 512, 3), np.uint8)
    red[..., 0] = np.random.default_rng(0).integers(0, 256, (512, 512))
    # gray = 0.299 R + 0.587 G + 0.114 B
    assert measure(red, model).contrast == pytest.approx(0.299 * red[..., 0].std(), abs=0.2)
    assert measure(red[..., ::-1].copy(), model).contrast == pytest.approx(0.114 * red[..., 0].std(), abs=0.2)


# Values of the description of the method


@pytest.mark.parametrize(("level", "value"), ((128, -16.1), (0, -18.3), (255, -15.8)))
def test_constant_pictures_get_the_described_quality(level, value, model):
    assert q(whole(np.full((512, 512, 3), level, np.uint8)), model) == pytest.approx(value, abs=0.05)


@pytest.mark.parametrize(("side", "value", "tolerance"), ((512, -6.1, 0.4), (8, -6.0, 0.6)))
def test_noise_gets_about_the_described_quality(side, value, tolerance, model):
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    assert q(whole(noise), model) == pytest.approx(value, abs=tolerance)


ACCEPTANCE = {
    "01": (2.950, -0.628, 0.896, 0.802, 111, 1.412, 39.990, 8.729, 12.282, 1.950),
    "05": (2.957, -0.664, 0.889, 1.092, 77, 1.069, 48.443, 4.389, 15.809, 1.976),
    "20": (2.761, -0.952, 1.154, 2.709, 235, 1.669, 87.188, 0.934, 10.883, -0.266),
    "23": (2.054, -1.702, 1.557, 1.429, 97, 0.950, 46.619, 7.251, 29.216, 1.280),
}


@pytest.mark.parametrize("name", ACCEPTANCE)
def test_pristine_photographs_get_the_described_measures(name, dev_data, model):
    m = measure(decode(dev_data / "kodak24" / f"{name}.png").pixels, model)
    found = (m.sharpness, m.restless, m.unnatural, m.separation, m.median, m.noise)
    found += (m.contrast, m.cast, m.colourfulness, quality(m))
    assert found == pytest.approx(ACCEPTANCE[name], abs=0.02)
    assert m.median == ACCEPTANCE[name][4]


def test_pristine_photographs_span_the_described_qualities(dev_data, model):
    paths = sorted((dev_data / "kodak24").glob("*.png"))
    qualities = [q(whole(decode(path).pixels), model) for path in paths]
    summary = (min(qualities), float(np.median(qualities)), max(qualities))
    assert summary == pytest.approx((-0.27, 1.53, 2.74), abs=0.02)
