from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from zeroiqa.images.decode import decode
from zeroiqa.images.opencv import cv2
from zeroiqa.nss.naturalness import MODEL_FILE, SHIFTS, PristineModel, block_features, load_model
from zeroiqa.nss.planes import block_means, gray_plane, local_contrast, mirrored
from zeroiqa.nss.shapes import build_shape_grid

ROOT = Path(__file__).parents[1]


def fit_pristine(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "fit_pristine.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


@pytest.fixture(scope="module")
def model() -> PristineModel:
    return load_model()


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return skimage.data.astronaut()


def test_shape_grid_finds_the_shape_of_known_distributions():
    grid = build_shape_grid()
    # E|x|^2 / E x^2 is 2 / pi for a normal (shape 2) and 1 / 2 for a Laplace distribution (shape 1)
    assert grid.shapes[grid.nearest(np.array([2 / math.pi, 0.5]))] == pytest.approx([2, 1], abs=1e-9)


def test_shape_grid_rises_strictly():
    grid = build_shape_grid()
    assert (np.diff(grid.ratios) > 0).all()
    assert (grid.shapes[0], grid.shapes[-1], len(grid.shapes)) == (0.2, 10.0, 9801)


def test_block_means_drop_incomplete_blocks():
    plane = np.arange(35, dtype=np.float32).reshape(5, 7)
    assert block_means(plane, 2) == pytest.approx(plane[:4, :6].reshape(2, 2, 3, 2).mean(axis=(1, 3)))


def test_mirrored_keeps_the_picture_and_continues_it_by_reflection():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    continued = mirrored(picture, 5)
    assert (continued[:2, :2] == picture).all()
    assert (continued[2, :2] == picture[1]).all()
    assert continued.shape == (5, 5, 3)


def test_local_contrast_of_a_bright_flat_area_is_that_of_centred_values():
    gray = (254 + np.random.default_rng(0).integers(0, 2, (40, 50))).astype(np.float32)
    gray[:, 25:] = 255
    mean, deviation = local_contrast(gray)
    weights = cv2.getGaussianKernel(7, 7 / 6).ravel()
    window = np.outer(weights, weights)
    for y, x in ((20, 10), (20, 22), (7, 40)):
        area = gray[y - 3 : y + 4, x - 3 : x + 4].astype(np.float64)
        expected = (window * area).sum()
        assert mean[y, x] == pytest.approx(expected, abs=1e-4)
        centred = (window * (area - expected) ** 2).sum()
        assert deviation[y, x] ** 2 == pytest.approx(centred, abs=1e-4)
    assert not deviation[3:-3, 29:].any()


def test_features_of_a_block_are_the_moments_written_out(astronaut):
    gray = gray_plane(astronaut)[:96, :96].astype(np.float64)
    features, activity = block_features(gray.astype(np.float32), build_shape_grid())
    mean = cv2.GaussianBlur(gray, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    power = cv2.GaussianBlur(gray**2, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    deviation = np.sqrt(np.maximum(power - mean**2, 0))
    m = (gray - mean) / (deviation + 1)
    assert features.shape == (1, 36)
    assert activity == pytest.approx([deviation.mean()], rel=1e-4)
    assert features[0, 1] == pytest.approx(m.var(), rel=1e-4)
    for column, shift in zip((2, 6, 10, 14), SHIFTS, strict=True):
        product = m * np.roll(m, shift, (0, 1))
        shape, _, left, right = features[0, column : column + 4]
        factor = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
        assert left == pytest.approx(factor * math.sqrt(np.mean(product[product < 0] ** 2)), rel=1e-3)
        assert right == pytest.approx(factor * math.sqrt(np.mean(product[product > 0] ** 2)), rel=1e-3)


def test_the_shipped_model_is_the_one_described(model):
    assert model.mean[:6] == pytest.approx([2.938, 0.396, 0.888, 0.118, 0.172, 0.276], abs=0.001)
    assert model.mean[[6, 18, 19]] == pytest.approx([0.908, 3.323, 0.437], abs=0.001)
    assert np.linalg.eigvalsh(model.covariance)[[0, -1]] == pytest.approx([2.7e-6, 4.04], rel=0.02)


def test_the_shipped_model_names_its_photographs():
    with np.load(MODEL_FILE, allow_pickle=False) as data:
        assert [line.split()[0] for line in data["photographs"]] == [f"{n:02d}.png" for n in range(1, 25)]
        assert data["blocks"].sum() == 150


def test_distance_adds_the_covariance_of_the_image_itself(model):
    tight = np.tile(model.mean + 0.1, (5, 1))
    wide = tight + np.random.default_rng(0).normal(size=tight.shape)
    wide += tight.mean(axis=0) - wide.mean(axis=0)
    assert model.distance(wide) < model.distance(tight)


def test_distance_ignores_blocks_without_structure(model):
    rows = np.random.default_rng(0).normal(size=(4, 36))
    assert model.distance(np.vstack([rows, np.full((1, 36), np.nan)])) == model.distance(rows)
    assert model.distance(np.full((2, 36), np.nan)) is None


def test_distance_rises_with_blur_and_with_noise(astronaut, model):
    def distance(picture):
        return model.distance(block_features(gray_plane(picture), model.grid)[0])

    rng = np.random.default_rng(0)
    blurred = [
        distance(astronaut),
        *(distance(cv2.GaussianBlur(astronaut, (0, 0), sigma)) for sigma in (1.5, 4)),
    ]
    noise = rng.normal(size=astronaut.shape)
    noisy = [distance(np.clip(astronaut + noise * sigma, 0, 255).astype(np.uint8)) for sigma in (0, 16, 40)]
    assert blurred == sorted(blurred)
    assert noisy == sorted(noisy)


ACCEPTANCE = {"01": 0.896, "05": 0.889, "20": 1.154, "23": 1.557}
"""Log distance of Kodak photographs at their own size, from the description of the method."""


@pytest.mark.parametrize("name", ACCEPTANCE)
def test_log_distance_of_pristine_photographs_is_as_described(name, dev_data, model):
    gray = gray_plane(decode(dev_data / "kodak24" / f"{name}.png").pixels)
    distance = model.distance(block_features(gray, model.grid)[0])
    assert math.log(distance) == pytest.approx(ACCEPTANCE[name], abs=0.02)


def test_refitting_gives_the_shipped_statistics_and_twice_the_same_bytes(dev_data, tmp_path):
    outputs = [tmp_path / "first", tmp_path / "second"]
    for output in outputs:
        output.mkdir()
        said = fit_pristine(dev_data / "kodak24", "--output", output).stdout
        assert said.count("150 blocks of 24 photographs\n") == 2
    for shipped in (MODEL_FILE, ROOT / "zeroiqa" / "baselines" / "niqe" / "kodak.npz"):
        first, second = (output / shipped.name for output in outputs)
        assert first.read_bytes() == second.read_bytes()
        with np.load(first) as refitted, np.load(shipped) as expected:
            for name in ("mean", "covariance", "blocks"):
                assert refitted[name] == pytest.approx(expected[name], abs=1e-4)


def test_a_changed_photograph_is_refused(tmp_path):
    (tmp_path / "01.png").write_bytes(b"not the photograph")
    done = fit_pristine(tmp_path)
    assert done.returncode == 1
    assert "is not the published photograph" in done.stderr
