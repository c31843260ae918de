"""Log variance of the Laplacian: the classic measure of focus. Higher is better.

Pech-Pacheco, Cristobal, Chamorro-Martinez, Fernandez-Valdivia: Diatom autofocusing in brightfield microscopy,
ICPR 2000.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.nss.planes import gray_plane, inner, laplacian

if TYPE_CHECKING:
    from zeroiqa.types import Mask, Pixels


def log_laplacian(pixels: Pixels, *, inside: Mask | None = None) -> float | None:
    """ln(1 + variance of the 3 x 3 Laplacian of the gray picture); higher is sharper.

    Args:
        pixels: RGB, shape (height, width, 3), uint8.
        inside: The pixels that count, shape (height, width); None for all.

    Returns:
        A number of at least 0; the 1 keeps a constant picture finite and changes no order. None where no
        pixel has all its neighbours inside.
    """
    response = laplacian(gray_plane(pixels))
    values = response.ravel() if inside is None else response[inner(inside)]
    if values.size == 0:
        return None
    total = int(values.sum(dtype=np.float64))  # of whole numbers: no sum is rounded
    squares = int(np.square(values).sum(dtype=np.float64))
    return math.log1p((values.size * squares - total**2) / values.size**2)
