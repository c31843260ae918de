from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from tests.severity import ladder
from zeroiqa.baselines.piqe import _blocks, _has_flat_edge, _is_noisy, piqe
from zeroiqa.images.decode import decode
from zeroiqa.images.opencv import cv2
from zeroiqa.samples import folder

OF_MATLAB = {
    "astronaut.jpg": (37.692, 0.2),
    "astronaut_dark_noisy.jpg": (59.874, 9.0),
    "cat.jpg": (33.796, 0.5),
    "coffee.jpg": (29.733, 0.2),
    "coffee_compressed.jpg": (72.428, 0.3),
    "rocket.png": (41.624, 0.4),
}
"""Sample -> its PIQE by pypiqe 1.2 (MIT), a port of MATLAB's piqe, and how far ours is from that."""


@pytest.mark.parametrize("name", OF_MATLAB)
def test_matlab_stretches_the_gray_and_mirrors_incomplete_blocks(name):
    """With both done beforehand ours gives its number to a quarter; what is left is its odd surround."""
    theirs, apart = OF_MATLAB[name]
    pixels = decode(folder() / name).pixels
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    stretched = np.round(255 * (gray / gray.max())).astype(np.uint8)
    down, right = (-side % 16 for side in gray.shape)
    whole = np.pad(stretched, ((0, down), (0, right)), mode="symmetric")
    assert piqe(np.repeat(whole[..., None], 3, axis=2)) == pytest.approx(theirs, abs=0.25)
    assert piqe(pixels) == pytest.approx(theirs, abs=apart)


def a_block(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, 16, 16))


def test_picture_without_an_active_block_gets_the_worst_score():
    assert piqe(np.full((64, 64, 3), 128, np.uint8)) == 100


def test_blocks_are_cut_row_by_row():
    plane = np.arange(40 * 50, dtype=np.float32).reshape(40, 50)
    blocks = _blocks(plane)
    assert blocks.shape == (6, 16, 16)
    assert (blocks[4] == plane[16:32, 16:32]).all()


@pytest.mark.parametrize("edge", ("top", "bottom", "left", "right"))
def test_a_flat_run_of_six_pixels_on_any_edge_is_noticed(edge):
    block = a_block()
    assert not _has_flat_edge(block)[0]
    line = {"top": block[0, 0], "bottom": block[0, -1], "left": block[0, :, 0], "right": block[0, :, -1]}[
        edge
    ]
    line[6], line[7:12], line[12] = 3, 0.3, 3
    assert not _has_flat_edge(block)[0]
    line[12] = 0.3
    assert _has_flat_edge(block)[0]


def test_a_flat_run_inside_a_block_is_not_a_distortion():
    block = a_block()
    block[0, 5, 2:14] = 0.3
    assert not _has_flat_edge(block)[0]


def test_even_noise_is_noise_and_a_lone_centre_line_is_not():
    line = np.zeros((1, 16, 16))
    line[0, :, 7] = 4.0
    assert _is_noisy(a_block())[0]
    assert not _is_noisy(line)[0]


@pytest.mark.parametrize("kind", ("jpeg", "gaussian blur", "white noise"))
def test_the_severest_level_is_worse_than_the_pristine_photo(kind):
    levels = ladder(skimage.data.astronaut(), kind)
    assert piqe(levels[5]) > piqe(levels[0])
