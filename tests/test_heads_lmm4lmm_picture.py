from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from zeroiqa.heads.lmm4lmm.picture import pixel_values, tiling


@pytest.mark.parametrize(
    ("width", "height", "grid"),
    [(1024, 1024, (2, 2)), (448, 448, (1, 1)), (896, 448, (2, 1)), (300, 900, (1, 3)), (6000, 1000, (6, 1))],
)
def test_tiles_follow_the_shape_and_of_equal_shapes_the_size(width, height, grid):
    assert tiling(width, height) == grid  # the first three: spec, section 10


@pytest.mark.parametrize("shape", [(16, 16), (3000, 20), (37, 900), (1024, 1024)])
def test_every_image_becomes_five_tiles(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    values = pixel_values(pixels)
    assert values.shape == (5, 3, 448, 448) and values.dtype == torch.float32


def test_the_tiles_are_the_quarters_row_by_row_and_then_the_whole():
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32, :32], pixels[:32, 32:], pixels[32:, :32], pixels[32:, 32:] = 0, 85, 170, 255
    tiles = pixel_values(pixels)
    means = tiles[:4, :, 100:300, 100:300].mean((2, 3))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    for tile, level in enumerate((0, 85, 170, 255)):
        torch.testing.assert_close(means[tile], (level / 255 - mean) / deviation, atol=1e-5, rtol=0)
    torch.testing.assert_close(tiles[4, :, 50, 50], means[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(tiles[4, :, 400, 400], means[3], atol=1e-5, rtol=0)


def test_an_image_is_made_a_square_first_and_resized_from_that():
    pixels = np.random.default_rng(1).integers(0, 256, (90, 200, 3), dtype=np.uint8)
    square = Image.fromarray(pixels).resize((1024, 1024), Image.Resampling.BICUBIC)
    assert torch.equal(pixel_values(pixels), pixel_values(np.asarray(square)))
