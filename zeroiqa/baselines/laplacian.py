"""Log variance of the Laplacian: the classic measure of focus. Higher is better.

Pech-Pacheco, Cristobal, Chamorro-Martinez, Fernandez-Valdivia: Diatom autofocusing in brightfield microscopy,
ICPR 2000.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.baselines.planes import gray_plane, laplacian

if TYPE_CHECKING:
    from zeroiqa.types import Pixels


def log_laplacian(pixels: Pixels) -> float:
    """ln(1 + variance of the 3 x 3 Laplacian of the gray picture); higher is sharper.

    Args:
        pixels: RGB, shape (height, width, 3), uint8.

    Returns:
        A number of at least 0; the 1 keeps a constant picture finite and changes no order.
    """
    return math.log1p(float(laplacian(gray_plane(pixels)).var(dtype=np.float64)))
