"""Read the format and the size of an image from the bytes of its file, before anything is decoded.

The size must be known before anything is allocated. And Pillow answers damaged metadata with Python warnings,
which cannot be silenced in a thread-safe way: it is only given what decides pixels.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from zeroiqa.errors import ImageError
from zeroiqa.images.suspicion import Facts

_MAGIC = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("BMP", re.compile(rb"BM.{8}", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("AVIF", re.compile(rb"....ftyp(avif|avis)", re.DOTALL)),
    ("HEIC", re.compile(rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL)),
)
_KNOWN_BUT_UNSUPPORTED = (
    (
        "an SVG drawing",
        re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]", re.DOTALL),
    ),
    ("a PDF document", re.compile(rb"%PDF-")),
    ("a PostScript file", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
    ("a JPEG 2000 image", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("a JPEG XL image", re.compile(rb"\0\0\0\x0cJXL |\xff\x0a")),
    ("an icon or a cursor (ICO, CUR)", re.compile(rb"\0\0[\1\2]\0[^\0]\0")),
    ("an icon (ICNS)", re.compile(rb"icns")),
    ("a JPEG XR image", re.compile(rb"II\xbc[\0\1]")),
    ("a DirectDraw surface (DDS)", re.compile(rb"DDS ")),
    ("a QOI image", re.compile(rb"qoif")),
    ("a Photoshop document", re.compile(rb"8BPS")),
    ("an OpenEXR image", re.compile(rb"\x76\x2f\x31\x01")),
    ("a portable bitmap (PNM)", re.compile(rb"P[1-7]\s")),
    (
        "a camera raw file",
        re.compile(
            rb"II\*\0....(CR|IIII)|MM\0\*....MMMM|II\x1a\0....HEAPCCDR|IIRO|IIRS|IIU\0|MMOR|\0MRM|FOVb"
            rb"|FUJIFILMCCD-RAW|....ftypcrx",
            re.DOTALL,
        ),
    ),
)
_RAW_NAME = re.compile(
    r"(?is).*\.(3fr|ari|arw|bay|cap|cr2|cr3|crw|dcr|dcs|dng|drf|eip|erf|fff|gpr|iiq|k25|kdc|mdc|mef|mos|mrw|nef|nrw"
    r"|orf|pef|ptx|pxn|r3d|raf|raw|rw2|rwl|rwz|sr2|srf|srw|x3f)"
)
_PICTURE_NAME = re.compile(
    r"(?is).*\.(svgz?|psd|psb|xcf|kra|jp2|j2k|j2c|jpx|jxl|jxr|hdp|wdp|exr|hdr|qoi|p[bgpn]m|icns?|ico|cur|eps|tga|dds"
    r"|pcx|fits?)"
)


BLANK_PIXELS = 32_000_000
"""Up to this many may have next to no data: a blank picture of WebP or AVIF is a few bytes at any size."""
_PIXELS_OF_A_BYTE = 100_000
"""The most of a larger picture in any format; blank AVIF, the most compact, reaches half of that."""


class Picture(NamedTuple):
    """The first picture of a file: what a decoder needs, and nothing else."""

    data: bytes
    exif: bytes = b""
    """The EXIF block, empty if there is none."""
    several: bool = False
    """Whether the file holds more frames."""
    size: tuple[int, int] | None = None
    """Width and height, where the decoder would allocate them while opening the file."""
    needed: int = 0
    """The fewest bytes that so many pixels can have in this format; 0 if that is not known."""
    there: int = 0
    """How many bytes of pixels there are."""
    variants: tuple[bytes, ...] = ()
    """`data` with other ends: nothing is missing exactly if all give the same pixels."""
    extent: int = 0
    """Pixels that the file speaks of, where `size` is not known."""
    passes: int = 1
    """How often a decoder goes over the pixels."""
    parts: int = 1
    """How many chunks or blocks hold them."""
    slow: str = ""
    """What the file is if its kind alone is slow to decode."""

    @property
    def facts(self) -> Facts:
        """What the decoder has to do."""
        pixels = self.size[0] * self.size[1] if self.size else self.extent
        return Facts(pixels, self.there, self.passes * (1 + len(self.variants)), self.parts, self.slow)


def file_format(head: bytes) -> str | None:
    """JPEG, PNG, GIF, BMP, TIFF, WEBP, AVIF or HEIC by the first 64 bytes; else None."""
    name = next((name for name, magic in _MAGIC if magic.match(head)), None)
    return "AVIF" if name == "HEIC" and b"avif" in head[16:64] else name  # brands that both formats use


def unsupported_kind(head: bytes, path: str) -> str | None:
    """What a file is that people take for an image and must convert first ("a PDF document"), or None.

    Many camera raw files are TIFF files whose first picture is a thumbnail: those whose tags do not say so
    are told by their file name.
    """
    if _RAW_NAME.fullmatch(path):
        return "a camera raw file"
    return next((kind for kind, magic in _KNOWN_BUT_UNSUPPORTED if magic.match(head)), None)


def check_format(head: bytes, shown: str, name: str) -> str:
    """The format of a file by its first bytes.

    Raises:
        ImageError: it is none that is read.
    """
    unsupported = unsupported_kind(head[:1024], name)
    if unsupported:
        raise ImageError(f"{shown} is {unsupported}, which is not read; convert it to PNG or JPEG first.")
    kind = file_format(head[:64])
    if kind is None:
        raise ImageError(f"{shown} is not an image that can be read: it begins with {head[:16]!r}.")
    return kind


def check_pixels(width: int, height: int, most: int, shown: str) -> None:
    """Raise `ImageError` if a picture has more pixels than are decoded."""
    if width * height > most:
        raise ImageError(f"{shown} is {width} x {height} pixels; at most {most} are decoded; scale it down.")


def is_unread_picture(path: str) -> bool:
    """Whether a file is called like a picture of a format that is not read, such as .nef, .psd or .jxl."""
    return _RAW_NAME.fullmatch(path) is not None or _PICTURE_NAME.fullmatch(path) is not None


def damaged(shown: str, what: object) -> ImageError:
    """The error of a file that begins like an image and does not go on like one."""
    return ImageError(
        f"{shown} cannot be decoded: {what}; if it is truncated or damaged, copy or download it again."
    )


def check_claim(picture: Picture, width: int, height: int, shown: str) -> None:
    """Refuse a header that claims pixels for which the data there cannot be enough.

    Raises:
        ImageError: see above; found before memory is taken.
    """
    pixels = width * height
    needed = max(picture.needed, pixels // _PIXELS_OF_A_BYTE if pixels > BLANK_PIXELS else 0)
    if picture.there < needed:
        raise damaged(
            shown, f"its header says {width} x {height} pixels, and it has {picture.there} bytes of them"
        )
