"""Turn the rows of bytes of a TIFF picture into samples with a meaning.

Pillow knows a list of layouts, and 16-bit colours are not among them. So libtiff, by Pillow, only undoes the
compression: it is told that each row is one of grey bytes. What the bytes mean is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage

from zeroiqa.errors import ImageError
from zeroiqa.images import pixels
from zeroiqa.images.containers import damaged
from zeroiqa.images.formats import tiff_compression
from zeroiqa.images.formats import tiff_directories as tags

if TYPE_CHECKING:
    from zeroiqa.images.formats.tiff_directories import Directory

    Array = npt.NDArray[Any]

_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
"""PhotometricInterpretation -> bands of colour: grey from white, grey, RGB, palette, CMYK, YCbCr, L*a*b*."""
_WHITE_IS_0, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 3, 5, 6, 8
_UNREAD_COLOURS = {
    4: "a transparency mask", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32844: "LogL", 32845: "LogLuv",
}  # fmt: skip
_SAMPLES = {2: "signed integer", 3: "floating-point", 5: "complex", 6: "complex"}
_ASSOCIATED, _UNASSOCIATED, _COREL = 1, 2, 999
_MOST_BANDS = 16
_REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], np.uint8)


@dataclass(frozen=True)
class _Layout:
    """How the samples of a picture lie and what they stand for."""

    width: int
    height: int
    bits: int
    bands: int
    """Of colour and all others."""
    photometric: int
    compression: int
    in_planes: bool
    alpha: int | None
    """The band that says how opaque a pixel is."""
    associated: bool
    """Whether the colours are multiplied by it."""

    @property
    def colours(self) -> int:
        return _COLOURS[self.photometric]


def samples(picture: Directory, shown: str) -> Array:
    """The samples of a picture as `pixels.to_rgb` takes them.

    Args:
        picture: From `tiff_directories.find_picture`; its size is within the policy.
        shown: The file's name for messages.

    Raises:
        ImageError: the file ends before its samples do, they are damaged, or a compression, layout or colour
            space is not read; it is named.
    """
    try:
        layout = _layout(picture, shown)
        if not tiff_compression.of_bytes(layout.compression) or layout.photometric in (_YCBCR, _LAB):
            return pixels.samples(tiff_compression.opened(picture, shown), shown)
        bands = layout.colours if layout.alpha is None else max(layout.colours, layout.alpha + 1)
        if layout.in_planes:
            array = np.concatenate([_band(picture, layout, shown, k) for k in range(bands)], axis=-1)
        else:
            array = _band(picture, layout, shown, 0)
    except ValueError as error:
        raise damaged(shown, error) from error
    return _meaning(array, layout, picture, shown)


def _layout(picture: Directory, shown: str) -> _Layout:
    compression = picture.value(tags.COMPRESSION, tiff_compression.NONE)
    tiff_compression.check(compression, shown)
    photometric = picture.value(tags.PHOTOMETRIC)
    if compression == tiff_compression.OLD_JPEG:
        photometric = _YCBCR
    bands = picture.value(tags.SAMPLES, _COLOURS.get(photometric, 1) if photometric == _YCBCR else 1)
    if photometric not in _COLOURS:
        kind = _UNREAD_COLOURS.get(photometric, f"of the unknown kind {photometric}")
        raise ImageError(f"{shown} is a TIFF image whose pixels are {kind}; convert it to RGB or grey first.")
    bits = _bits(picture, shown)
    colours = _COLOURS[photometric]
    if bands < colours and not (photometric == _YCBCR and bands == 1):
        raise ValueError(f"it has {bands} bands and needs {colours}")
    if bands > _MOST_BANDS or (colours == 1 and bands > 2):
        raise ImageError(
            f"{shown} has {bands} bands that are not said to be colours, which is not read; "
            "save the ones to look at as grey or RGB."
        )
    extra = picture.values(tags.EXTRA_SAMPLES, _MOST_BANDS)
    if not extra and bands == colours + 1:
        extra = (_UNASSOCIATED,)  # what writers mean that leave the tag out
    kinds = (_ASSOCIATED, _UNASSOCIATED, _COREL)
    alpha = next((k for k, kind in enumerate(extra[: bands - colours]) if kind in kinds), None)
    return _Layout(
        *picture.size,
        bits,
        bands,
        photometric,
        compression,
        bands > 1 and picture.value(tags.PLANES, 1) == 2,
        None if alpha is None else colours + alpha,
        alpha is not None and extra[alpha] == _ASSOCIATED,
    )


def _bits(picture: Directory, shown: str) -> int:
    """Of one sample; all have the same and are unsigned."""
    bits = picture.values(tags.BITS, _MOST_BANDS) or (1,)
    formats = picture.values(tags.SAMPLE_FORMAT, _MOST_BANDS)
    kind = next((_SAMPLES[each] for each in formats if each in _SAMPLES), None)
    if kind is None and len(set(bits)) > 1:
        kind = "-".join(map(str, bits)) + "-bit"
    elif kind is None and bits[0] not in (1, 2, 4, 8, 16):
        kind = f"{bits[0]}-bit"
    if kind:
        raise ImageError(
            f"{shown} holds {kind} samples, which are not read; convert it to 8 or 16 bits first."
        )
    return bits[0]


def _band(picture: Directory, layout: _Layout, shown: str, plane: int) -> Array:
    """Shape (height, width, bands together in a row): samples as stored, uint8 or uint16."""
    together = 1 if layout.in_planes else layout.bands
    grid = tiff_compression.grid(picture, together * layout.bits, plane)
    rows = tiff_compression.rows(picture, grid, layout.compression, shown)
    if layout.compression == tiff_compression.NONE and picture.value(tags.FILL_ORDER) == 2:
        rows = _REVERSED[rows]
    shape = layout.height, layout.width, together
    if layout.bits == 8:
        rows.resize(shape, refcheck=False)  # keeps its memory, and does not hold it by a view
        array = rows
    elif layout.bits == 16:
        array = rows.view(f"{picture.order}u2").reshape(shape).astype(np.uint16, copy=False)
    else:
        places = np.arange(8 - layout.bits, -1, -layout.bits, dtype=np.uint8)
        parts = rows[..., None] >> places & (1 << layout.bits) - 1
        array = parts.reshape(layout.height, -1)[:, : layout.width * together].reshape(shape)
    if layout.compression != tiff_compression.NONE and picture.value(tags.PREDICTOR, 1) == 2:
        for left in range(0, layout.width, grid.width):  # differences begin anew in each tile
            part = array[:, left : left + grid.width]
            np.add.accumulate(part, axis=1, dtype=part.dtype, out=part)
    return array


def _meaning(array: Array, layout: _Layout, picture: Directory, shown: str) -> Array:
    """Grey, RGB or either with alpha, of 8 or 16 bits."""
    colour = array if layout.bands == layout.colours else array[..., : layout.colours]
    alpha = None if layout.alpha is None else array[..., layout.alpha : layout.alpha + 1]
    most = (1 << layout.bits) - 1
    if layout.photometric == _PALETTE:
        colour = _from_palette(colour, picture, layout.bits, shown)
    elif layout.bits < 8:
        colour = colour * np.uint8(255 // most)
    if layout.photometric == _WHITE_IS_0:
        colour = np.invert(colour)
    if layout.photometric == _CMYK:
        ink = np.ascontiguousarray(_eighth(colour))
        size = layout.width, layout.height
        colour = np.asarray(PilImage.frombuffer("CMYK", size, ink, "raw", "CMYK", 0, 1).convert("RGB"))
    if alpha is None:
        return colour
    if layout.bits < 8:
        alpha = alpha * np.uint8(255 // most)
    if layout.photometric in (_PALETTE, _CMYK):
        alpha = _eighth(alpha)
    if layout.associated:
        colour = _divided(colour, alpha)
    return np.concatenate([colour, alpha], axis=-1)


def _from_palette(index: Array, picture: Directory, bits: int, shown: str) -> Array:
    palette = np.array(picture.values(tags.PALETTE, 3 << 16), np.uint16)
    if bits > 8 or palette.size != 3 << bits:
        raise damaged(shown, f"its palette has {palette.size} values and {bits} bits")
    return (palette.reshape(3, -1).T >> 8).astype(np.uint8)[index[..., 0]]


def _eighth(array: Array) -> Array:
    """16 bits as 8, rounded."""
    return array if array.dtype == np.uint8 else ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _divided(colour: Array, alpha: Array) -> Array:
    """Colours without the alpha by which they were multiplied."""
    most = np.iinfo(colour.dtype).max
    share = np.maximum(alpha, 1).astype(np.uint32)
    straight = (colour.astype(np.uint32) * most + share // 2) // share
    smallest: Array = np.minimum(straight, most)
    return smallest.astype(colour.dtype)
