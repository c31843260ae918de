from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.data

from zeroiqa.baselines.laplacian import log_laplacian
from zeroiqa.images.opencv import cv2


def test_log_laplacian_of_a_single_bright_pixel_is_known():
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[5, 5] = 100
    # the response is -400 once, 100 four times: its sum is 0 and its squares sum to 200,000
    assert log_laplacian(picture) == pytest.approx(math.log1p(200_000 / 100))


def test_it_is_the_logarithm_of_the_usual_variance():
    photo = skimage.data.astronaut()
    variance = cv2.Laplacian(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var()
    assert log_laplacian(photo) == pytest.approx(math.log(1 + variance), rel=1e-12)
