"""Turn the bytes of an image file into pixels under one policy; `decoder` adds a time limit to this.

Pillow decodes every file. Of 8-bit JPEG it gives the pixels that OpenCV gives, and unlike OpenCV it writes
nothing to standard error about damaged data. It is given the pixels of the first picture and no metadata
(`containers`, and a module for each format that has some). What it gets wrong or leaves open is done here and
in `pixels`: orientation, 16 bits, transparency, the pixel limit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
    features,
)
from PIL import Image as PilImage

from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.images import containers, pixels
from zeroiqa.images.containers import Picture
from zeroiqa.images.formats import bmp, tiff_directories, tiff_samples
from zeroiqa.images.formats.bmp import Bitmap
from zeroiqa.images.formats.gif import read_gif
from zeroiqa.images.formats.heif_picture import read_heif
from zeroiqa.images.formats.jpeg import read_jpeg
from zeroiqa.images.formats.png import read_png
from zeroiqa.images.formats.tiff_directories import Page, exif_orientation
from zeroiqa.images.formats.webp import read_webp
from zeroiqa.images.read import read
from zeroiqa.images.ref import ImageRef
from zeroiqa.images.suspicion import suspicion
from zeroiqa.types import Image

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from zeroiqa.types import Pixels

__all__ = ["DecodePolicy", "Opened", "decode", "from_array", "from_pil", "opened", "parse_colour"]

_SMALL_SIDE, _LONG_ASPECT = 64, 8
_SEVERAL = "the file holds several frames or pages; the first one was used"
_NO_END = "the file has no end-of-image marker; all of its image data are there"
_TRANSPARENT = (
    "the image is blank through its alpha: every pixel is transparent, and the background was scored"
)


@dataclass(frozen=True)
class DecodePolicy:
    """How a file becomes pixels; part of a run's identity.

    The result is always upright RGB with 8 bits per channel:

    * EXIF orientation is applied (and TIFF's; HEIC and AVIF rotate by their own properties).
    * Transparent pixels are composited on `background`, in the file's own (gamma-encoded) values, rounded. An
      alpha channel that is 0 everywhere is a warning; in BMP files it means that there is none.
    * 16-bit samples are divided by 257 and rounded, never clipped; fewer than 8 bits are scaled to 8; the
      decoders of HEIC and AVIF scale 10 and 12 bits to 8. Other integers and floats are errors.
    * Bands of TIFF beyond the colours and alpha are left out; several that are no colours are an error.
    * CMYK (in JPEG stored inverted, as Adobe does and browsers assume) becomes (255 - C)(255 - K) / 255 and
      so on. Embedded colour profiles are not applied: the values are taken as sRGB.
    * Of a file with several frames or pages the first one is used that is not marked as a thumbnail, with a
      warning if there are more.
    * A PNG without end chunk or with a wrong checksum of a critical chunk and any file whose first frame is
      incomplete are truncated or damaged: an error. A JPEG without end-of-image marker is scored, with a
      warning, if every pixel and every scan is there. Metadata, damaged or not, decide nothing. Damage
      inside JPEG, WebP or AVIF data that their decoders accept is not found.
    * More than `max_pixels` is an error, found in the header before anything is allocated, and so are pixels
      for which the data cannot be enough, and more scans, markers, chunks, blocks, tags or pictures within
      pictures than encoders write. Of a file of more than 64 MiB and 8 bytes a pixel, only that much is read.
    * A shorter side under `min_side` is an error; one under 64 pixels, or an aspect over 8:1, is a warning.
    """

    background: tuple[int, int, int] = (255, 255, 255)
    """RGB, 0 to 255 each, seen through transparent pixels."""
    max_pixels: int = 250_000_000
    """Width times height that is still decoded."""
    min_side: int = 16
    """Pixels on the shorter side under which quality cannot be judged."""

    def __post_init__(self) -> None:
        """Raise `UserError` for values outside their range."""
        if len(self.background) != 3 or not all(
            isinstance(v, int) and 0 <= v <= 255 for v in self.background
        ):
            raise UserError(f"The background is {self.background!r}; give three whole numbers from 0 to 255.")
        if self.max_pixels < 1 or self.min_side < 1:
            raise UserError(
                f"max_pixels is {self.max_pixels} and min_side is {self.min_side}; both must be 1 or more."
            )

    @property
    def id(self) -> str:
        """Policies of one id decode alike."""
        background = "-".join(map(str, self.background))
        return f"decode2(background={background},max_pixels={self.max_pixels},min_side={self.min_side})"


_DEFAULT = DecodePolicy()


@dataclass(frozen=True)
class Opened:
    """A file whose headers have been walked and are plausible; no pixel is decoded yet."""

    kind: str
    """JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF or HEIC."""
    content: Picture | Bitmap | Page
    policy: DecodePolicy
    name: str
    prompt: str | None = None

    @property
    def suspicion(self) -> str | None:
        """Why decoding may take very long or much memory, for a sentence; None for ordinary photos."""
        return suspicion(self.content.facts)

    def decode(self, least: int = 0) -> Image:
        """The pixels. All that can hang or take much memory is done here.

        Args:
            least: For a picture to look at: of a JPEG, an eighth, a quarter or half of each side may do, as
                long as the longer one keeps so many pixels. 0: every pixel.

        Raises:
            ImageError: they are damaged, or not all there.
        """
        shown = printable(self.name)
        with _pillow_errors(shown):
            rgb, notes = _decode(self.kind, self.content, self.policy, shown, least)
        return Image(rgb, self.name, self.prompt, notes + _size_warnings(rgb))


def opened(
    data: bytes, policy: DecodePolicy = _DEFAULT, *, name: str = "image", prompt: str | None = None
) -> Opened:
    """Walk the headers of a file: a bounded piece of work, whatever the file is.

    Args:
        data: The bytes of the file.
        policy: See `DecodePolicy`.
        name: The image's name.
        prompt: The text that the image was generated from.

    Raises:
        ImageError: it is no image that can be read, its size is outside the policy, or its headers claim what
            cannot be there.
    """
    shown = printable(name)
    kind = _format(data, shown, name)
    with _pillow_errors(shown):
        content = _CONTENT[kind](data, shown)
    if content.size:
        _check_size(*content.size, policy, shown)
    if isinstance(content, Picture) and content.size:
        containers.check_claim(content, *content.size, shown)
    return Opened(kind, content, policy, name, prompt)


def decode(
    source: ImageRef | str | os.PathLike[str] | bytes,
    policy: DecodePolicy = _DEFAULT,
    *,
    name: str | None = None,
    prompt: str | None = None,
) -> Image:
    """Decode a JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIC file, told by its content and not by its name.

    Args:
        source: Where the image is; or a path, an address (s3://, gs://), or the bytes of a file.
        policy: See `DecodePolicy`.
        name: The image's name; `ImageRef.name` if not given.
        prompt: The text that the image was generated from; that of the reference if not given.

    Raises:
        ImageError: the file cannot be read or decoded, or its size is outside the policy.
        UserError: an object store refuses everything or cannot be reached.
    """
    if isinstance(source, bytes):
        source = ImageRef("image", content=source)
    ref = source if isinstance(source, ImageRef) else ImageRef(os.fspath(source))
    content = read(ref, policy.max_pixels)
    return opened(content, policy, name=name or ref.name, prompt=prompt or ref.prompt).decode()


def from_array(
    array: npt.NDArray[Any],
    policy: DecodePolicy = _DEFAULT,
    *,
    name: str = "array",
    prompt: str | None = None,
) -> Image:
    """An image from samples in memory; the samples are copied.

    Args:
        array: Shape (height, width) or (height, width, C) with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA,
            in this order (OpenCV's BGR must be reversed first); uint8, uint16 (divided by 257) or bool.
        policy: See `DecodePolicy`.
        name: The image's name.
        prompt: The text that the image was generated from.

    Raises:
        ImageError: another shape or type, or a size outside the policy.
    """
    shown = printable(name)
    array = np.asarray(array)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise ImageError(
            f"{shown} has the shape {array.shape}; give (height, width) or (height, width, 1 to 4)."
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise ImageError(
            f"{shown} holds {array.dtype} samples, whose range is not known; convert to uint8 (0 to 255)."
        )
    _check_size(array.shape[1], array.shape[0], policy, shown)
    rgb, notes = _finished(array.copy(order="C"), 1, policy)
    return Image(rgb, name, prompt, notes + _size_warnings(rgb))


def from_pil(
    picture: PilImage.Image,
    policy: DecodePolicy = _DEFAULT,
    *,
    name: str = "image",
    prompt: str | None = None,
) -> Image:
    """An image from a Pillow image of any mode; of an animation, the frame at which it stands.

    An orientation in its EXIF block is applied, as in a file. 16-bit RGB has lost its low byte in Pillow.

    Raises:
        ImageError: the image cannot be loaded, or its mode or size is outside the policy.
    """
    shown = printable(name)
    _check_size(picture.width, picture.height, policy, shown)
    with _pillow_errors(shown):
        rgb, notes = _finished(pixels.samples(picture, shown), _orientation(picture), policy)
    return Image(rgb, name, prompt, notes + _size_warnings(rgb))


def parse_colour(text: str) -> tuple[int, int, int]:
    """RGB from "#rrggbb".

    Raises:
        UserError: the text is anything else.
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise UserError(f"{text!r} is not a colour; write it as #rrggbb, for example #ffffff.")
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def _format(data: bytes, shown: str, name: str) -> str:
    kind = containers.check_format(data[:1024], shown, name)
    if kind == "AVIF" and not features.check("avif"):
        raise ImageError(
            f"{shown} is an AVIF image, which this Pillow cannot read; pip install --upgrade pillow."
        )
    return kind


def _heif_reader(shown: str) -> Callable[[BytesIO], ImageFile]:
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError as error:
        raise ImageError(f"{shown} is a HEIC image, which needs pip install 'zeroiqa[heic]'.") from error
    return cast("Callable[[BytesIO], ImageFile]", HeifImageFile)


_READERS: dict[str, Callable[[BytesIO], ImageFile]] = {
    # The classes themselves, not PIL.Image.open: that has its own pixel limit, global and lower than ours.
    "AVIF": AvifImagePlugin.AvifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
_CONTENT: dict[str, Callable[[bytes, str], Picture | Bitmap | Page]] = {
    "AVIF": read_heif,
    "BMP": bmp.read_bmp,
    "GIF": read_gif,
    "HEIC": read_heif,
    "JPEG": read_jpeg,
    "PNG": read_png,
    "TIFF": tiff_directories.find_picture,
    "WEBP": read_webp,
}


def _decode(
    kind: str, content: Picture | Bitmap | Page, policy: DecodePolicy, shown: str, least: int
) -> tuple[Pixels, tuple[str, ...]]:
    """RGB and what is odd about the file."""
    if isinstance(content, Page):
        samples = tiff_samples.samples(content.directory, shown)
        return _finished(samples, content.orientation, policy, (_SEVERAL,) if content.several else ())
    if isinstance(content, Bitmap):
        return _finished(bmp.samples(content, shown), 1, policy)
    samples, orientation, several = _decoded(kind, content, policy, shown, least)
    if any(
        not np.array_equal(samples, _decoded(kind, content._replace(data=other), policy, shown, least)[0])
        for other in content.variants
    ):
        raise containers.damaged(shown, "the file ends inside its image data")
    notes = ((_SEVERAL,) if several else ()) + ((_NO_END,) if content.variants else ())
    return _finished(samples, orientation, policy, notes)


def _decoded(
    kind: str, content: Picture, policy: DecodePolicy, shown: str, least: int
) -> tuple[npt.NDArray[Any], int, bool]:
    """The samples that Pillow reads, their orientation, and whether there are other frames."""
    reader = _heif_reader(shown) if kind == "HEIC" else _READERS[kind]
    picture = reader(BytesIO(content.data))
    _check_size(picture.width, picture.height, policy, shown)
    containers.check_claim(content, picture.width, picture.height, shown)
    if least:
        scale = least / max(picture.size)
        picture.draft(None, (max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))
    several = content.several or bool(getattr(picture, "is_animated", False))
    orientation = exif_orientation(content.exif) if content.exif else _orientation(picture)
    return pixels.samples(picture, shown, lambda: reader(BytesIO(content.data))), orientation, several


def _finished(
    samples: npt.NDArray[Any], orientation: int, policy: DecodePolicy, notes: tuple[str, ...] = ()
) -> tuple[Pixels, tuple[str, ...]]:
    """Upright RGB, and the notes with one about transparency if there is nothing to see."""
    notes += (_TRANSPARENT,) if pixels.transparent(samples) else ()
    return pixels.to_rgb(pixels.upright(samples, orientation), policy.background), notes


def _orientation(picture: PilImage.Image) -> int:
    """The EXIF orientation that a loaded picture still needs; Pillow turns TIFF while loading."""
    return 1 if picture.format == "TIFF" else exif_orientation(picture.info.get("exif") or b"")


@contextmanager
def _pillow_errors(shown: str) -> Iterator[None]:
    """Turn whatever a decoder raises into `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{shown} does not fit into memory; scale it down first.") from error
    except (
        PilImage.DecompressionBombError
    ) as error:  # only its WebP reader has a limit that cannot be avoided
        raise ImageError(
            f"{shown} has more pixels than Pillow reads of it; convert it to PNG first."
        ) from error
    except Exception as error:  # on damaged data Pillow's plugins raise nearly everything
        reason = " ".join(f"{error}".split()).rstrip(".")  # libheif writes several lines
        raise containers.damaged(shown, reason or type(error).__name__) from error


def _check_size(width: int, height: int, policy: DecodePolicy, shown: str) -> None:
    containers.check_pixels(width, height, policy.max_pixels, shown)
    if min(width, height) < policy.min_side:
        raise ImageError(
            f"{shown} is {width} x {height} pixels; at least {policy.min_side} on the shorter side are "
            "needed to judge quality."
        )


def _size_warnings(rgb: Pixels) -> tuple[str, ...]:
    height, width = rgb.shape[:2]
    short, long = min(height, width), max(height, width)
    warnings = []
    if short < _SMALL_SIDE:
        warnings.append(
            f"the image is small ({width} x {height} pixels): a score says little below {_SMALL_SIDE} pixels"
        )
    if long > _LONG_ASPECT * short:
        warnings.append(
            f"the image is long ({width} x {height} pixels): raters distort aspects over {_LONG_ASPECT}:1"
        )
    return tuple(warnings)
