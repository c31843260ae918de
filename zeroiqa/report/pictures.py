"""Small pictures of images for a page: their size follows from how many share its bytes."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image as PilImage

from zeroiqa.errors import ImageError, UnreachableError
from zeroiqa.guards.together import image_errors
from zeroiqa.images.opencv import cv2
from zeroiqa.runs.prefetch import ahead

if TYPE_CHECKING:
    from zeroiqa.images.decode import DecodePolicy
    from zeroiqa.images.decoder import Decoder
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.types import Pixels

MOST_PICTURES = 10_000
"""Images of a page with pictures; with more it is a table."""
_BYTES = 40_000_000
"""Of all pictures of a page; base64 makes four bytes of three."""
_THUMBNAIL, _LEAST_THUMBNAIL, _PREVIEW = 400, 96, 1280
"""Pixels of the longer side, at most or at least."""
_BYTES_OF_A_PIXEL = 0.4
"""Of a small WebP picture of a photo with fine detail; what needs more is coded at a lower quality."""
_LEAST_GAIN = 1.6
"""How much longer the side of a preview is than that of a thumbnail, to be worth its bytes."""
_QUALITIES = (80, 60, 40, 20)


class Sizes(NamedTuple):
    """Of the pictures of a page."""

    thumbnail: int
    """Longer side in pixels."""
    thumbnail_bytes: int
    """At most."""
    preview: int
    """Longer side in pixels; 0 where there are none."""
    preview_bytes: int


class Picture(NamedTuple):
    """What a page has of one image."""

    thumbnail: str = ""
    """WebP in base64; empty where there is no picture."""
    preview: str = ""
    """A larger one; empty where the page has no room, or the image is not larger."""
    why_not: str = ""
    """A word for the place of a picture that cannot be made."""


def sizes(images: int) -> Sizes:
    """How large the pictures of so many images are, from 1 to `MOST_PICTURES`."""
    share = _BYTES // images
    thumbnail = max(_LEAST_THUMBNAIL, min(_THUMBNAIL, _side(share)))
    of_thumbnail = min(share, round(_area(thumbnail) * _BYTES_OF_A_PIXEL))
    of_preview = share - of_thumbnail
    preview = min(_PREVIEW, _side(of_preview))
    if preview < _LEAST_GAIN * thumbnail:
        return Sizes(thumbnail, of_thumbnail, 0, 0)
    return Sizes(thumbnail, of_thumbnail, preview, min(of_preview, round(_area(preview) * _BYTES_OF_A_PIXEL)))


def _side(share: int) -> int:
    """The longer side of a picture of 4:3 that has so many bytes."""
    return math.isqrt(round(share / _BYTES_OF_A_PIXEL * 4 / 3))


def _area(side: int) -> float:
    return side * side * 3 / 4


@dataclass(frozen=True)
class Studio:
    """Makes the pictures of images in a few threads."""

    decoder: Decoder
    policy: DecodePolicy
    sizes: Sizes

    @contextmanager
    def pictures(self, refs: Sequence[ImageRef | None]) -> Iterator[Iterator[Picture]]:
        """Yield an iterator over the pictures of some images, in their order; None: of one that is gone."""
        with ahead(refs, self.picture, _same, _WAITING) as found:
            yield found

    def picture(self, ref: ImageRef | None) -> Picture:
        """Thumbnail and preview of one image, or why there is none."""
        if ref is None:
            return Picture(why_not="gone")
        try:
            with image_errors(ref.name):
                least = max(self.sizes.thumbnail, self.sizes.preview)
                pixels = self.decoder.decode(ref, self.policy, least=least).pixels
                return self._picture(pixels)
        except UnreachableError:
            return Picture(why_not="not found")
        except ImageError as error:
            return Picture(why_not="changed" if error.cause == "changed" else "not readable")

    def _picture(self, pixels: Pixels) -> Picture:
        wanted, preview = self.sizes, ""
        if wanted.preview and max(pixels.shape) > wanted.thumbnail:
            pixels = shrunk(pixels, wanted.preview)
            preview = coded(pixels, wanted.preview_bytes)
        return Picture(coded(shrunk(pixels, wanted.thumbnail), wanted.thumbnail_bytes), preview)


_WAITING = 16
_same: Callable[[Picture], Picture] = lambda picture: picture  # noqa: E731


def shrunk(pixels: Pixels, longest: int) -> Pixels:
    """The picture with a longer side of at most so many pixels."""
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return small


def coded(pixels: Pixels, most: int) -> str:
    """WebP in base64, of at most so many bytes before that: by a lower quality, then by fewer pixels."""
    while True:
        for quality in _QUALITIES:
            file = io.BytesIO()
            PilImage.fromarray(pixels).save(file, "WEBP", quality=quality, method=2)
            if file.tell() <= most:
                return base64.b64encode(file.getvalue()).decode("ascii")
        longest = max(pixels.shape[:2])
        if longest <= _LEAST_THUMBNAIL // 2:
            return base64.b64encode(file.getvalue()).decode("ascii")
        pixels = shrunk(pixels, longest * 3 // 4)
