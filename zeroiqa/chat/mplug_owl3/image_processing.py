"""From a picture to the views that mPLUG-Owl3 encodes: tiles of a grid and the whole picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage

Picture: TypeAlias = PilImage.Image | npt.NDArray[np.uint8]


class TileGrid(NamedTuple):
    """How a picture is cut."""

    rows: int
    columns: int


class CutPicture(NamedTuple):
    """A picture that was cut already, for any number of texts."""

    views: npt.NDArray[np.float32]
    """(views, 3, side, side), in the order of their placeholders."""
    grid: TileGrid | None
    """As which it is written; None for one placeholder."""


GRIDS = tuple(TileGrid(*grid) for grid in ((2, 2), (1, 3), (1, 4), (3, 1), (4, 1), (2, 3), (3, 2)))
"""In the order in which ties are decided; there is none of a single tile, so that every picture is cut."""
_EPSILON = 1e-5


@dataclass(frozen=True)
class MplugOwl3ImageProcessor:
    """Resizes (PIL, bicubic, antialiased, distorting), cuts, and scales to [-1, 1]."""

    side: int
    """Of a view, in pixels: 384 for 240728, 378 for 241101."""
    cut: bool = True
    """Whether pictures are cut at all; otherwise a picture is one view, itself."""

    def choose_grid(self, width: int, height: int) -> TileGrid:
        """The grid whose shape is most like the picture's, and then, whose size is.

        Likeness is the intersection over union of two boxes that share a corner: of the grid, and of the
        picture scaled to the grid's width (times 100) or as it is. Computed in float32, as by its authors.
        """
        float32 = np.float32
        scores = []
        for rows, columns in GRIDS:
            box = columns * self.side, rows * self.side
            scaled = int(float32(height / width) * float32(box[0]))
            shape, size = _overlap(box, (box[0], scaled)), _overlap(box, (width, height))
            scores.append(shape * float32(100) + size)
        return GRIDS[int(np.argmax(scores))]

    def __call__(
        self, picture: Picture, cut: bool | None = None
    ) -> tuple[npt.NDArray[np.float32], TileGrid | None]:
        """Make the views.

        Args:
            picture: Of any mode and size; an array is (height, width, 3).
            cut: In place of the processor's own setting.

        Returns:
            (views, 3, side, side): the tiles row by row and then the whole picture, or that alone; the grid,
            None where nothing was cut.
        """
        image = picture if isinstance(picture, PilImage.Image) else PilImage.fromarray(picture)
        image = image.convert("RGB")
        whole = self._tiles(image, TileGrid(1, 1))
        if not (self.cut if cut is None else cut):
            return whole, None
        grid = self.choose_grid(*image.size)
        return np.concatenate([self._tiles(image, grid), whole]), grid

    def _tiles(self, image: PilImage.Image, grid: TileGrid) -> npt.NDArray[np.float32]:
        side = self.side
        resized = image.resize((grid.columns * side, grid.rows * side), PilImage.Resampling.BICUBIC)
        values = (np.asarray(resized, dtype=np.float32) / 255 - 0.5) / 0.5
        tiles = values.reshape(grid.rows, side, grid.columns, side, 3).transpose(0, 2, 4, 1, 3)
        return np.ascontiguousarray(tiles.reshape(-1, 3, side, side), dtype=np.float32)


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> np.float32:
    """Intersection over union of two boxes (width, height) that share a corner."""
    common = min(one[0], other[0]) * min(one[1], other[1])
    union = one[0] * one[1] + other[0] * other[1] - common
    return np.float32(common) / (np.float32(union) + np.float32(_EPSILON))
