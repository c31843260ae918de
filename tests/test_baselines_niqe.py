"""NIQE as published: its number, the files of its parameters, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests.command import zeroiqa
from tests.niqe_reference import reference
from zeroiqa.baselines import find_baseline, find_measured
from zeroiqa.baselines.niqe.features import block_features, half_size
from zeroiqa.baselines.niqe.measure import kodak_statistics, niqe_kodak
from zeroiqa.baselines.niqe.model import Gaussian, niqe
from zeroiqa.baselines.registry import _registry
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.decode import decode
from zeroiqa.nss.shapes import build_shape_grid
from zeroiqa.raters import build_rater, find_rater
from zeroiqa.samples import folder
from zeroiqa.standards import load_standard
from zeroiqa.types import Region, View

SEVEN = load_standard("quality-word-7")


def waves(height: int, width: int) -> np.ndarray:
    """A picture of three colours and some noise."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).normal(size=y.shape) * 6
    planes = [127.5 + 60 * np.sin(x / (3 + c) + y / 17) + 40 * np.cos(y / (2 + c)) + noise for c in range(3)]
    return np.rint(np.stack(planes, axis=-1)).clip(0, 255).astype(np.uint8)


def partly(pixels: np.ndarray, colour: tuple[int, int, int], columns: slice) -> np.ndarray:
    filled = pixels.copy()
    filled[:, columns] = colour
    return filled


PICTURES = {
    "a sample": (lambda: decode(folder() / "rocket.png").pixels, 23.376204),
    "not of whole blocks": (lambda: waves(301, 397), 24.912569),
    "waves": (lambda: waves(288, 384), 24.742965),
    "two blocks": (lambda: waves(288, 384)[:96, :192], 26.995285),
    "half black": (lambda: partly(waves(288, 384), (0, 0, 0), slice(192)), 30.660778),
    "partly of one colour": (lambda: partly(waves(288, 384), (120, 90, 33), slice(100, 300)), None),
    "noise": (lambda: np.random.default_rng(0).integers(0, 256, (250, 301, 3), dtype=np.uint8), 55.911518),
}
"""Name -> picture, and its NIQE by BasicSR 1.4.2 (Apache-2.0; `niqe` on the same gray) with our statistics of
24 Kodak photographs; None where rounding errors of flat areas decide, which are larger there."""


@pytest.mark.parametrize("name", PICTURES)
def test_the_number_is_that_of_the_method_written_down_plainly_and_of_another_package(name):
    make, of_basicsr = PICTURES[name]
    pixels, pristine = make(), kodak_statistics()
    with np.errstate(all="raise"):
        value = niqe_kodak(pixels)
    assert value == pytest.approx(reference(pixels, pristine.mean, pristine.covariance), abs=1e-6)
    if of_basicsr is not None:
        assert value == pytest.approx(of_basicsr, abs=0.001)


def test_blocks_without_structure_keep_their_shapes_and_leave_the_covariance():
    pixels = partly(waves(96, 288), (0, 0, 0), slice(96))
    features, _ = block_features(pixels[..., 0].astype(float), build_shape_grid())
    shapes = [0, 2, 6, 10, 14]
    flat = features[0, :18]
    assert flat[shapes] == pytest.approx([0.2] * 5)
    assert np.isnan(np.delete(flat, shapes)).sum() >= 9
    assert np.isfinite(features[1:]).all()


def test_half_the_size_is_bicubic_with_antialiasing():
    """Away from the edges, which Pillow leaves out of its sums, its BICUBIC is MATLAB's (a = -0.5)."""
    plane = np.random.default_rng(0).choice([0.0, 255.0], (96, 192))
    theirs = Image.fromarray(plane.astype(np.float32)).resize((96, 48), Image.Resampling.BICUBIC)
    assert half_size(plane)[2:-2, 2:-2] == pytest.approx(np.asarray(theirs)[2:-2, 2:-2], abs=1e-3)
    assert half_size(plane).min() < 0  # not clipped


def test_a_covariance_without_an_inverse_has_a_pseudo_inverse():
    pixels, random = waves(192, 192), np.random.default_rng(0)
    few = random.normal(size=(3, 36)) @ np.diag(np.linspace(0.1, 2, 36))
    pristine = Gaussian(kodak_statistics().mean, few.T @ few)
    expected = reference(pixels, pristine.mean, pristine.covariance)
    assert niqe(pixels, pristine) == pytest.approx(expected, rel=1e-6)


TOO_SMALL = {
    "95 rows": (waves(95, 500), "500 x 95 pixels hold 0"),
    "one block": (waves(191, 191), "191 x 191 pixels hold 1"),
    "no structure": (np.full((300, 300, 3), 90, np.uint8), "have structure, but of 9 at most one has"),
}


@pytest.mark.parametrize("name", TOO_SMALL)
def test_an_image_without_a_number_is_refused_and_a_region_has_none(name):
    pixels, sentence = TOO_SMALL[name]
    rater = build_rater("baseline:niqe-kodak")
    whole = View(pixels, None, pixels.shape[:2])
    with pytest.raises(ImageError, match=f"NIQE needs two .*{sentence}"):
        rater.rate([whole], [SEVEN])
    region = Region((0, 0, pixels.shape[1], pixels.shape[0]), 0.5, "object")
    mask = np.ones(pixels.shape[:2], bool)
    for view in (View(pixels, region, (900, 900)), View(pixels, region, (900, 900), None, mask)):
        assert rater.rate([view], [SEVEN]) == [[None]]


def written(path: Path, mean: np.ndarray, covariance: np.ndarray) -> Path:
    """A file of parameters, under the names of the release (.mat) or of BasicSR (.npz)."""
    if path.suffix == ".mat":
        scipy.io.savemat(path, {"mu_prisparam": mean[None], "cov_prisparam": covariance}, do_compression=True)
    else:
        window = np.ones((7, 7)) / 49
        np.savez(path, mu_pris_param=mean[None], cov_pris_param=covariance, gaussian_window=window)
    return path


@pytest.mark.parametrize("suffix", (".mat", ".npz"))
def test_a_file_of_parameters_decides_the_number_and_its_hash_the_id(tmp_path, suffix, caplog):
    pristine, pixels = kodak_statistics(), waves(288, 384)
    file = written(tmp_path / f"parameters{suffix}", pristine.mean, pristine.covariance)
    with caplog.at_level(logging.WARNING):
        rater = build_rater(f"baseline:niqe:{file}")
    assert "has other numbers than the published ones" in caplog.text
    [[rating]] = rater.rate([View(pixels, None, pixels.shape[:2])], [SEVEN])
    assert rating.value == pytest.approx(niqe_kodak(pixels), rel=1e-12)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert rater.id == f"baseline niqe 3 {digest} lower-is-better"
    assert find_rater(f"baseline:niqe:{file}").lower_is_better(rater.id)


def parameters(**arrays: object) -> dict[str, object]:
    """Of BasicSR's names, some in place of the right ones."""
    pristine = kodak_statistics()
    return {"mu_pris_param": pristine.mean[None], "cov_pris_param": pristine.covariance, **arrays}


REFUSED = {
    "missing": (None, "No such file"),
    "empty": (b"", "it has 0 bytes"),
    "long": (bytes(2 << 20), "it has 2,097,152 bytes"),
    "text": (b"image,mos\na.png,1\n" * 20, "Unknown mat file type"),
    "cut": (b"PK\x03\x04" + bytes(90), "zip"),
    "other": ({"pop_mu": np.ones(36), "pop_cov": np.eye(36)}, "it holds pop_mu, pop_cov in place of"),
    "short": (parameters(mu_pris_param=np.ones((1, 35))), "have 1 x 35 and 36 x 36 numbers in place of"),
    "flat": (parameters(cov_pris_param=np.ones((36, 35))), "have 1 x 36 and 36 x 35 numbers"),
    "not finite": (parameters(mu_pris_param=np.full(36, np.nan)), "its mu_pris_param is no array of finite"),
    "words": (parameters(mu_pris_param=np.array(["a"] * 36)), "its mu_pris_param is no array of finite"),
    "not symmetric": (parameters(cov_pris_param=np.triu(np.ones((36, 36)))), "is no covariance"),
    "negative": (parameters(cov_pris_param=-np.eye(36)), "its cov_pris_param is no covariance"),
    "pickle": (parameters(mu_pris_param=np.array([{}])), "allow_pickle"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_file_is_refused_in_one_sentence(name, tmp_path):
    content, sentence = REFUSED[name]
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        with file.open("wb") as opened:
            np.savez(opened, **content)
    refused(file, sentence)


def refused(file: Path, sentence: str) -> None:
    with pytest.raises(UserError, match="^The file of NIQE's parameters .* give modelparameters") as error:
        build_rater(f"baseline:niqe:{file}")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_an_archive_that_unpacks_to_megabytes_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mu_pris_param.npy", bytes(4 << 20))
    refused(tmp_path / "bomb", "unpacks to more than")


def test_a_damaged_file_that_crashes_the_reader_of_scipy_is_refused(tmp_path):
    file, name = tmp_path / "damaged.mat", b"mu_prisparam"
    scipy.io.savemat(file, {"mu_prisparam": np.ones((1, 36)), "cov_prisparam": np.eye(36)})
    whole = file.read_bytes()
    behind = -(-(whole.index(name) + len(name)) // 8) * 8  # the type of the numbers, of which there are 18
    file.write_bytes(whole[:behind] + (0x6309).to_bytes(4, "little") + whole[behind + 4 :])
    refused(file, "cannot be read (")  # it crashes or raises, by what lies in memory behind SciPy's table


def test_an_archive_is_refused_wherever_it_is_damaged(tmp_path):
    pristine, random = kodak_statistics(), np.random.default_rng(0)
    whole = written(tmp_path / "whole.npz", pristine.mean, pristine.covariance).read_bytes()
    for _ in range(60):
        place = int(random.integers(4, len(whole)))
        damaged = whole[:place] + bytes(random.integers(0, 256, 9, np.uint8)) + whole[place + 9 :]
        (tmp_path / "damaged.npz").write_bytes(damaged)
        with suppress(UserError):
            build_rater(f"baseline:niqe:{tmp_path / 'damaged.npz'}")


def test_what_an_old_version_scored_as_niqe_can_still_be_read(tmp_path, monkeypatch):
    """A run by version 2 is made: of other numbers, but named and stored as those were."""
    old = replace(find_measured("piqe"), name="niqe", title="NIQE")
    with monkeypatch.context() as then:
        then.setitem(_registry().builtin, "niqe", old)
        done = zeroiqa(tmp_path, "score", folder(), "--baseline", "niqe", "-o", "run", "--format", "jsonl")
    rows = map(json.loads, done.stdout.splitlines())
    opinions = "".join(f"{row['path']},{-row['score']}\n" for row in rows)
    (tmp_path / "opinions.csv").write_text(f"image,mos\n{opinions}")
    assert "baseline niqe 2 lower-is-better" in (tmp_path / "run" / "run.json").read_text()
    for command in (
        ("status", "run"),
        ("rescore", "run"),
        ("evaluate", "run", "--mos", "opinions.csv", "--resamples", "0"),
        ("compare", "run", "--mos", "opinions.csv", "--resamples", "0"),
    ):
        done = zeroiqa(tmp_path, *command)
        assert done.returncode == 0, done.stderr
        assert "rescore" in command or "1.000" in done.stdout or "7 of 7 images scored" in done.stdout
    again = zeroiqa(tmp_path, "score", folder(), "--baseline", "niqe", "-o", "run")
    assert again.returncode == 1
    assert "write niqe:FILE" in again.stderr and "niqe-kodak" in again.stderr


def test_the_catalogue_says_what_is_published_and_what_is_ours():
    assert "As published" in find_baseline("niqe").note
    kodak = find_baseline("niqe-kodak")
    assert kodak.title == "NIQE (Kodak statistics)"
    assert "Not NIQE's published numbers" in kodak.note and "24 Kodak photographs" in kodak.training


PUBLISHED = {
    "kodak24/01.png": 3.448795,
    "kodak24/05.png": 2.856308,
    "kodak24/08.png": 3.104630,
    "kodak24/19.png": 2.676218,
    "biq2021_dev/images/ss01 (1057).jpg": 8.033368,
    "biq2021_dev/images/ss01 (175).jpg": 3.771746,
    "biq2021_dev/images/ss01 (731).jpg": 4.638082,
    "biq2021_dev/images/ss02 (1371).jpg": 3.986669,
}
"""NIQE with the published parameters, of pixels as they are stored (175 is not turned upright), by an
independent implementation in double precision after the MATLAB files; BasicSR 1.4.2 agrees to .0012, pyiqa
0.1.16 to .0097."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_photographs_have_their_published_numbers(name, dev_data):
    rater = build_rater(f"baseline:niqe:{dev_data / 'niqe_published_parameters.npz'}")
    pixels = np.asarray(Image.open(dev_data / name).convert("RGB"))
    [[rating]] = rater.rate([View(pixels, None, pixels.shape[:2])], [SEVEN])
    assert rating.value == pytest.approx(PUBLISHED[name], abs=0.0001)
