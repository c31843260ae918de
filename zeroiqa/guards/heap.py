"""Keep memory that is free for the next image, instead of fetching it from the system again.

The malloc of glibc gives arrays of some megabytes back as soon as they are free, and the system clears every
page that it hands out: of a photo of 12 megapixels that takes about as long as decoding it.
"""

from __future__ import annotations

import ctypes
import sys

KEPT = 256 << 20
"""Bytes at most that stay with the process when all is free; images of 36 megapixels need no more."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, by <malloc.h>."""


def keep_freed_memory() -> bool:
    """Let this process keep up to `KEPT` bytes that are free; False where the C library is another one.

    This is for processes that are ours: a program that calls the package decides on its own memory.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and all(mallopt(each, KEPT) for each in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
