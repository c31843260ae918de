"""From an image to the tiles that LMM4LMM sees: a square, its four quarters and the whole (published code).

The image is made 1024 x 1024, whatever its shape, so that the tiling, which the paper describes by shape and
size, always finds 2 x 2 tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image as PilImage

if TYPE_CHECKING:
    from zeroiqa.types import Pixels

SIDE = 1024
"""Pixels, in both directions, that every image is resized to first."""
MOST_TILES = 6
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def pixel_values(pixels: Pixels, tile: int = 448) -> torch.Tensor:
    """The normalised tiles of an image, row by row, and the whole last: shape (5, 3, tile, tile), float32.

    Args:
        pixels: RGB, uint8, shape (height, width, 3).
        tile: Side of a tile in pixels.
    """
    square = PilImage.fromarray(pixels).resize((SIDE, SIDE), PilImage.Resampling.BICUBIC)
    columns, rows = tiling(SIDE, SIDE, tile)
    large = square.resize((columns * tile, rows * tile), PilImage.Resampling.BICUBIC)
    boxes = [
        (column * tile, row * tile, (column + 1) * tile, (row + 1) * tile)
        for row in range(rows)
        for column in range(columns)
    ]
    tiles = [large.crop(box) for box in boxes]
    if len(tiles) > 1:
        tiles.append(square.resize((tile, tile), PilImage.Resampling.BICUBIC))
    values = torch.from_numpy(np.stack([np.asarray(each) for each in tiles])).permute(0, 3, 1, 2) / 255
    mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in (_MEAN, _DEVIATION))
    return (values - mean) / deviation


def tiling(width: int, height: int, tile: int = 448, most: int = MOST_TILES) -> tuple[int, int]:
    """Columns and rows of tiles for an image: the closest aspect ratio; of equal ones, more if it is large.

    Args:
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        tile: Side of a tile in pixels.
        most: Tiles at most.
    """
    candidates = sorted(
        (
            (columns, rows)
            for columns in range(1, most + 1)
            for rows in range(1, most + 1)
            if columns * rows <= most
        ),
        key=lambda grid: grid[0] * grid[1],
    )
    best, closest = (1, 1), float("inf")
    for columns, rows in candidates:
        distance = abs(width / height - columns / rows)
        larger = width * height > 0.5 * tile * tile * columns * rows
        if distance < closest or (distance == closest and larger):
            best, closest = (columns, rows), distance
    return best
