"""Turn a Pillow picture into upright RGB: the arithmetic of the decode policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage

from zeroiqa.errors import ImageError
from zeroiqa.images.opencv import cv2

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from zeroiqa.types import Pixels

    Array = npt.NDArray[Any]

_STRIP = 1 << 20
_ROTATE = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIP = {2: 1, 4: 0, 7: -1}
_UNFIT_MODES = {"I": "32-bit or signed integer", "F": "floating-point"}
_DEEP_COLOURS = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
"""How Pillow calls 16-bit colours of PNG -> what gives their low bytes."""


def samples(picture: PilImage.Image, shown: str, reopen: Callable[[], ImageFile] | None = None) -> Array:
    """The samples of a picture as stored, except that palettes, CMYK and the like have become RGB or RGBA.

    Args:
        picture: Any mode; loaded here if it is not yet.
        shown: Its name for messages.
        reopen: Gives the same picture, not loaded, once more, so that this one may be closed; without it
            16-bit colours keep only their high byte.

    Returns:
        Shape (height, width) or (height, width, C), C = 2, 3 or 4 as in `to_rgb`; uint8 or uint16.

    Raises:
        ImageError: the samples have no defined range.
    """
    deep = _rawmode(picture) if reopen else ""
    if picture.mode in _UNFIT_MODES:
        raise ImageError(
            f"{shown} holds {_UNFIT_MODES[picture.mode]} samples, whose range is not known; "
            "convert it to 8 or 16 bits first."
        )
    picture.load()
    if picture.mode.startswith("I;16"):
        return _keyed(array_of(picture), picture.info.get("transparency"))
    if reopen and deep == "LA;16B":
        picture.close()
        both = array_of(_reread(reopen, "RGBA"))  # the bytes of two 16-bit samples
        return both.view(">u2").astype(np.uint16)
    if reopen and deep in _DEEP_COLOURS:
        wide = array_of(picture).astype(np.uint16)
        picture.close()
        np.left_shift(wide, 8, out=wide)
        for top, low in _strips(_reread(reopen, _DEEP_COLOURS[deep])):
            wide[top : top + len(low)] |= low
        return _keyed(wide, picture.info.get("transparency"))
    if picture.mode == "1" and not picture.has_transparency_data:
        return array_of(picture, "L")
    if picture.has_transparency_data:
        return array_of(picture.convert("LA") if picture.mode == "La" else picture, "RGBA")
    return array_of(picture, "" if picture.mode in ("L", "RGB") else "RGB")


def upright(array: Array, orientation: int) -> Array:
    """Samples as they are to be seen, given the EXIF orientation (1 to 8) under which they are stored."""
    if orientation in _ROTATE:
        return cast("Array", cv2.rotate(array, _ROTATE[orientation]))
    if orientation in (5, 7):
        array = cv2.transpose(array)
    return cv2.flip(array, _FLIP[orientation]) if orientation in _FLIP else array


def to_rgb(array: Array, background: tuple[int, int, int]) -> Pixels:
    """Samples as 8-bit RGB; what is 8-bit RGB already keeps its memory.

    Args:
        array: Shape (height, width) or (height, width, C): C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA;
            uint8, or uint16, which is divided by 257 and rounded.
        background: What is seen through transparent pixels: (alpha v + (255 - alpha) background) / 255,
            rounded.
    """
    array = array[..., None] if array.ndim == 2 else array
    height, width, bands = array.shape
    if bands == 3 and array.dtype == np.uint8:
        return array
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = array[top : top + rows]
        if strip.dtype != np.uint8:
            strip = ((strip.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if bands in (2, 4) and (strip[..., -1:] != 255).any():
            alpha = strip[..., -1:].astype(np.uint16)
            strip = (strip[..., :-1] * alpha + (255 - alpha) * np.array(background, np.uint16) + 127) // 255
        elif bands in (2, 4):
            strip = strip[..., :-1]
        rgb[top : top + rows] = strip
    return rgb


def transparent(array: Array) -> bool:
    """Whether the samples, as in `to_rgb`, have an alpha channel that is 0 everywhere once it has 8 bits."""
    if array.ndim == 2 or array.shape[2] not in (2, 4):
        return False
    return int(array[..., -1].max()) <= (0 if array.dtype == np.uint8 else 128)


def array_of(picture: PilImage.Image, mode: str = "") -> Array:
    """The samples of a loaded picture, converted to another mode if one is given."""
    array: Array | None = None
    for top, strip in _strips(picture, mode):
        if array is None:
            array = np.empty((picture.height, *strip.shape[1:]), strip.dtype.newbyteorder("="))
        array[top : top + len(strip)] = strip
    assert array is not None
    return array


def _strips(picture: PilImage.Image, mode: str = "") -> Iterator[tuple[int, Array]]:
    """Strips of a picture, each with its first row: four times as fast as all at once, in less memory."""
    rows = max(1, _STRIP // picture.width)
    for top in range(0, picture.height, rows):
        box = 0, top, picture.width, min(top + rows, picture.height)
        other = mode not in ("", picture.mode)  # no variable keeps one: the next takes its memory
        yield top, np.asarray(picture.crop(box).convert(mode) if other else picture.crop(box))


def _rawmode(picture: PilImage.Image) -> str:
    """How the samples lie in the file, in Pillow's notation ("RGB;16B")."""
    tiles = getattr(picture, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    return str(arguments if isinstance(arguments, str) else (arguments or ("",))[0])


def _reread(reopen: Callable[[], ImageFile], rawmode: str) -> ImageFile:
    """The picture under another reading of the same bytes.

    Pillow cannot hold 16-bit colours: it keeps the high byte of each sample, and, told the wrong byte order,
    the low.
    """
    picture = reopen()
    picture.tile = [
        tile._replace(args=rawmode if isinstance(tile.args, str) else (rawmode, *(tile.args or ("",))[1:]))
        for tile in picture.tile
    ]
    picture.load()
    return picture


def _keyed(array: Array, key: Any) -> Array:
    """16-bit samples with alpha 0 where they have the one transparent colour of a PNG file, if it has one."""
    if key is None:
        return array
    array = array if array.ndim == 3 else array[..., None]
    alpha = np.where((array[..., :3] == np.asarray(key)).all(-1, keepdims=True), 0, 65535)
    return np.concatenate([array, alpha.astype(np.uint16)], axis=-1)
