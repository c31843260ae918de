"""The one place that imports OpenCV."""

from __future__ import annotations

from typing import Any

import cv2 as _cv2

cv2: Any = _cv2  # its stubs know no dtypes and refuse scalars; the modules that use it state what they get

__all__ = ["cv2"]
