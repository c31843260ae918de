"""What the bytes of an image file say before a decoder sees them: format, size, orientation, completeness.

The size must be known before anything is allocated. And Pillow answers damaged metadata with Python warnings,
which cannot be silenced in a thread-safe way: it is only given metadata that have been checked here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from zeroiqa.errors import ImageError

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
    ("a Photoshop document", re.compile(rb"8BPS")),
    ("an OpenEXR image", re.compile(rb"\x76\x2f\x31\x01")),
    ("a portable bitmap (PNM)", re.compile(rb"P[1-7]\s")),
    (
        "a camera raw file",
        re.compile(rb"II\*\0....CR|IIRO|IIRS|IIU\0|MMOR|FUJIFILMCCD-RAW|....ftypcrx", re.DOTALL),
    ),
)
_RAW_NAME = re.compile(r"(?is).*\.(dng|cr2|cr3|nef|nrw|arw|srf|sr2|orf|rw2|pef|srw|raf)")

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# APP1 to 13, APP15, comment; JFIF (APP0) and Adobe (APP14) say how the colours are stored
_JPEG_METADATA = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
_JPEG_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8}
"""Type of a TIFF value -> its size."""
_TIFF_SINGLE = frozenset({256, 257, 259, 262, 266, 274, 277, 278, 284, 296, 322, 323})
"""Tags with one value that say how the pixels are stored."""
_TIFF_SUB_DIRECTORIES = frozenset({34665, 34853, 40965})
_ORIENTATION, _SAMPLES_PER_PIXEL, _DNG_VERSION = 274, 277, 50706


class Jpeg(NamedTuple):
    """A JPEG file taken apart."""

    exif: bytes
    """The EXIF block, empty if there is none."""
    stream: bytes
    """The first picture of the file without metadata: what a decoder needs, and nothing else."""


class _Entry(NamedTuple):
    """One entry of a TIFF directory."""

    tag: int
    values: int
    """How many values it has."""
    end: int
    """Where its values end in the file."""
    value: int | None
    """The first value of a 16- or 32-bit integer entry that lies inside the file."""


def file_format(head: bytes) -> str | None:
    """JPEG, PNG, GIF, BMP, TIFF, WEBP, AVIF or HEIC by the first 64 bytes; else None."""
    name = next((name for name, magic in _MAGIC if magic.match(head)), None)
    return "AVIF" if name == "HEIC" and b"avif" in head[16:64] else name  # brands that both formats use


def unsupported_kind(head: bytes, path: str) -> str | None:
    """What a file is that people take for an image and must convert first ("a PDF document"), or None.

    Many camera raw files are TIFF files whose first picture is a thumbnail: they are told by their file name.
    """
    if _RAW_NAME.fullmatch(path):
        return "a camera raw file"
    return next((kind for kind, magic in _KNOWN_BUT_UNSUPPORTED if magic.match(head)), None)


def damaged(shown: str, what: object) -> ImageError:
    """The error of a file that begins like an image and does not go on like one."""
    return ImageError(
        f"{shown} cannot be decoded: {what}; if it is truncated or damaged, copy or download it again."
    )


def read_jpeg(data: bytes, shown: str) -> Jpeg:
    """Walk the markers of a JPEG file up to its end-of-image marker.

    Whatever follows it (the other pictures of a multi-picture file, a motion photo's video) is left out.

    Raises:
        ImageError: the end-of-image marker or a part before it is missing, or samples do not have 8 bits.
    """
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    view, position, exif, scan, framed = memoryview(data), 2, b"", 0, False
    while True:
        found = _JPEG_MARKER.search(data, position)
        if found is None:
            raise damaged(shown, "the file ends before the end-of-image marker")
        marker, start = data[found.start() + 1], found.start()
        if marker == 0xD9:
            break
        position = found.end()
        if marker in (0x01, 0xD8):  # markers without a segment
            continue
        position += int.from_bytes(data[position : position + 2], "big")
        if position > len(data):
            raise damaged(shown, "the file ends inside a marker segment")
        if marker in _JPEG_FRAME:
            framed = True
            if data[start + 4] != 8:
                raise ImageError(
                    f"{shown} is a {data[start + 4]}-bit JPEG; convert it to 8-bit JPEG or 16-bit PNG first."
                )
        if marker == 0xE1 and not exif and data[start + 4 : start + 10] == b"Exif\0\0":
            exif = data[start + 10 : position]
        if marker == 0xDA and not scan:
            scan = start
        elif not scan and marker not in _JPEG_METADATA:
            kept.append(view[start:position])
    if not (scan and framed):
        raise damaged(shown, "it holds no picture")
    return Jpeg(exif, b"".join([*kept, view[scan : found.end()]]))


def webp_size(data: bytes, shown: str) -> tuple[int, int]:
    """Width and height from the header of a WebP file, whose decoder would allocate them while opening it.

    Raises:
        ImageError: the header is not one of a WebP file.
    """
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(data) >= 30:
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    raise damaged(shown, "its WebP header is damaged")


def check_png(data: bytes, shown: str) -> None:
    """Raise `ImageError` if a PNG file has no end chunk."""
    if b"IEND\xae\x42\x60\x82" not in data:
        raise damaged(shown, "the file ends before the end chunk")


def check_tiff(data: bytes, shown: str) -> None:
    """Check the first directory of a TIFF or BigTIFF file and the EXIF directories below it.

    Raises:
        ImageError: a value lies outside the file or cannot be; or it is a camera raw file in TIFF's clothes.
    """
    try:
        for entry in _directory(data):
            if entry.tag == _DNG_VERSION:
                raise ImageError(
                    f"{shown} is a camera raw file (DNG), which is not read; convert it to PNG or JPEG first."
                )
            _check_entry(entry, len(data))
            if entry.tag in _TIFF_SUB_DIRECTORIES and entry.value is not None:
                for inner in _directory(data, entry.value):
                    _check_entry(inner, len(data))
    except ValueError as error:
        raise damaged(shown, error) from error


def _check_entry(entry: _Entry, size: int) -> None:
    if entry.end > size:
        raise ValueError(f"its tag {entry.tag} points beyond the end of the file")
    if entry.tag in _TIFF_SINGLE and entry.values != 1:
        raise ValueError(f"its tag {entry.tag} has {entry.values} values instead of one")
    if entry.tag == _SAMPLES_PER_PIXEL and entry.value is not None and entry.value > 6:
        raise ValueError(f"it has {entry.value} samples per pixel")


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block asks for; 1 if it says nothing or nothing sensible."""
    try:
        for entry in _directory(exif.removeprefix(b"Exif\0\0")):
            if entry.tag == _ORIENTATION:
                return entry.value if entry.value is not None and 1 <= entry.value <= 8 else 1
    except ValueError:
        pass
    return 1


def _directory(data: bytes, offset: int | None = None) -> Iterator[_Entry]:
    """The entries of the directory at `offset` (default: the first one) of a TIFF structure."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("its TIFF header is damaged")
    try:
        big = struct.unpack_from(order + "H", data, 2)[0] == 43
        word, head, inline = ("Q", order + "HHQ", 8) if big else ("I", order + "HHI", 4)
        if offset is None:
            offset = struct.unpack_from(order + word, data, inline)[0]
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
        position = offset + (8 if big else 2)
        for _ in range(count):
            tag, kind, number = struct.unpack_from(head, data, position)
            size, start = _TIFF_BYTES.get(kind, 0) * number, position + struct.calcsize(head)
            position = start + inline
            if size > inline:
                (start,) = struct.unpack_from(order + word, data, start)
            code = {3: "H", 4: "I", 13: "I"}.get(kind)
            readable = code is not None and start + size <= len(data) and number > 0
            value = struct.unpack_from(f"{order}{code}", data, start)[0] if readable else None
            yield _Entry(tag, number, start + size, value)
    except (struct.error, OverflowError) as error:
        raise ValueError("the file ends inside a directory of tags") from error
