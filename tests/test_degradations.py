"""Degraded copies: those of imagecorruptions 1.1.2 (PyPI, Apache-2.0), which is no dependency."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from skimage.color import hsv2rgb, rgb2hsv

from zeroiqa.comparison import SEVERITIES, Degradation
from zeroiqa.degradations import content_seed, degrade, degraded_copies
from zeroiqa.errors import ImageError, UserError

OFFICIAL = {
    ("zoom_blur", 3): "44f9fb3e6fdb305c",
    ("zoom_blur", 5): "a0db2b9fd5aa6207",
    ("spatter", 1): "59480d9198c5f66e",
    ("spatter", 3): "b378ef1ae2ebd6ed",
    ("fog", 1): "0177fd3c2e9fc1f9",
    ("fog", 4): "2a1d392d0c5fe3be",
}
"""(Name, severity) -> SHA-256, its beginning, of what the package makes of `PATCHES` after np.random.seed(7),
its plasma map in float32 as in Q-Debias' copy (numpy 2.4, SciPy 1.17, OpenCV 5.0). Tolerance: 0 levels."""


def patches(seed: int, height: int, width: int) -> np.ndarray:
    """Patches of random colour."""
    drawn = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return drawn.repeat(-(-height // 6), axis=0).repeat(-(-width // 8), axis=1)[:height, :width]


PATCHES = patches(1, 41, 67)
FOUR = [Degradation(*each) for each in (("zoom_blur", 3), ("spatter", 3), ("saturate", 3), ("fog", 4))]


def checksum(pixels: np.ndarray) -> str:
    return sha256(pixels.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "severity"), OFFICIAL)
def test_the_packages_own_pictures(name: str, severity: int) -> None:
    made = degrade(name, PATCHES, severity, np.random.RandomState(7))
    assert checksum(made) == OFFICIAL[name, severity]


@pytest.mark.parametrize(("severity", "factor"), [(1, 0.3), (2, 0.1), (3, 2)])
def test_saturation_is_that_of_hsv_within_a_level(severity: int, factor: float) -> None:
    hsv = rgb2hsv(PATCHES / 255)  # the package's way, by scikit-image
    hsv[..., 1] = np.clip(hsv[..., 1] * factor, 0, 1)
    wanted = (np.clip(hsv2rgb(hsv), 0, 1) * 255).astype(np.uint8)
    made = degrade("saturate", PATCHES, severity, np.random.RandomState(0))
    assert np.abs(made.astype(int) - wanted).max() <= 1
    assert (made != PATCHES).mean() > 0.3


def test_gray_stays_as_it_is_where_colour_is_what_changes() -> None:
    gray = np.repeat(np.arange(256, dtype=np.uint8).repeat(8).reshape(32, 64)[..., None], 3, axis=2)
    for severity in SEVERITIES["saturate"]:
        assert np.array_equal(degrade("saturate", gray, severity, np.random.RandomState(0)), gray)


def test_one_generator_serves_all_copies_in_their_order_and_follows_from_the_content() -> None:
    before = PATCHES.copy()
    copies = degraded_copies(PATCHES, FOUR)
    random = np.random.RandomState(content_seed(PATCHES))
    for copy, each in zip(copies, FOUR, strict=True):
        assert copy.shape == PATCHES.shape and copy.dtype == np.uint8
        assert np.array_equal(copy, degrade(each.name, PATCHES, each.severity, random))
    assert np.array_equal(PATCHES, before)
    again = degraded_copies(np.asfortranarray(PATCHES), FOUR)
    assert [*map(checksum, again)] == [*map(checksum, copies)]
    assert len({*map(checksum, copies)}) == 4
    turned = degraded_copies(PATCHES, [FOUR[3], FOUR[1]])  # draws for the fog come first
    assert not np.array_equal(turned[0], copies[3])
    other = PATCHES.copy()
    other[0, 0, 0] ^= 1
    assert content_seed(other) != content_seed(PATCHES) != content_seed(PATCHES.reshape(67, 41, 3))


def test_black_stays_black_in_fog_and_no_drop_leaves_a_picture_as_it_is() -> None:
    black = np.zeros((32, 32, 3), dtype=np.uint8)
    assert not degrade("fog", black, 4, np.random.RandomState(0)).any()
    for seed, drops in ((81, False), (82, True)):  # found by trying; the package divides by zero at 81
        assert degrade("spatter", black, 1, np.random.RandomState(seed)).any() == drops


def test_every_severity_that_is_offered_is_computed_and_differs() -> None:
    for name, severities in SEVERITIES.items():
        made = [degrade(name, PATCHES, each, np.random.RandomState(0)) for each in severities]
        assert len({*map(checksum, [PATCHES, *made])}) == len(severities) + 1


@pytest.mark.parametrize(
    ("name", "severity"), [("mist", 3), ("fog", 0), ("fog", 6), ("spatter", 4), ("saturate", 4)]
)
def test_what_there_is_not_is_refused(name: str, severity: int) -> None:
    with pytest.raises(UserError, match=f"{name}.*{severity}; known: zoom_blur 1 to 5, spatter 1 to 3"):
        degrade(name, PATCHES, severity, np.random.RandomState(0))


@pytest.mark.parametrize("name", SEVERITIES)
def test_pictures_below_32_pixels_are_refused(name: str) -> None:
    with pytest.raises(ImageError, match="100 x 31 pixels.*at least 32"):
        degrade(name, np.zeros((31, 100, 3), dtype=np.uint8), 3, np.random.RandomState(0))
