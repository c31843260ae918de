"""Log variance of the Laplacian: the classic measure of focus. Higher is better.

Pech-Pacheco, Cristobal, Chamorro-Martinez, Fernandez-Valdivia: Diatom autofocusing in brightfield microscopy,
ICPR 2000.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.opencv import cv2

if TYPE_CHECKING:
    from zeroiqa.types import Pixels


def log_laplacian(pixels: Pixels) -> float:
    """ln(1 + variance of the 3 x 3 Laplacian of the gray picture); higher is sharper.

    Args:
        pixels: RGB, shape (height, width, 3), uint8.

    Returns:
        A number of at least 0; the 1 keeps a constant picture finite and changes no order.
    """
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_32F))
    return math.log1p(float(deviation[0, 0]) ** 2)
