"""Image files whose right pixels are known, made by Pillow or byte by byte."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image as PilImage
from PIL import features

from zeroiqa.images.opencv import cv2

RED, GREEN, BLUE, YELLOW = (220, 30, 40), (20, 180, 60), (30, 50, 200), (230, 210, 20)


def quadrants(height: int = 32, width: int = 48) -> np.ndarray:
    """Four flat colours: no two orientations look the same, and JPEG hardly changes them."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = RED, GREEN
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = BLUE, YELLOW
    return picture


def noise(*shape: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def save(picture: np.ndarray | PilImage.Image, kind: str, **options: object) -> bytes:
    picture = picture if isinstance(picture, PilImage.Image) else PilImage.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples: np.ndarray, colour: int, depth: int = 8, before: bytes = b"") -> bytes:
    """A PNG file of unfiltered rows; colour 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    rows = samples.astype(">u2" if depth == 16 else np.uint8)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, colour, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + end


def tiff(samples: np.ndarray, order: str, tags: dict[int, tuple[int, ...]], *, bare: bool = False) -> bytes:
    """An uncompressed TIFF file of one strip; the tags are 16-bit or, if large, 32-bit numbers.

    `bare`: they are all there are.
    """
    body = samples.tobytes()
    offset = 8 + len(body)
    if not bare:
        tags = {
            256: (samples.shape[1],),
            257: (samples.shape[0],),
            259: (1,),
            273: (8,),
            279: (len(body),),
        } | tags
    directory, extra = struct.pack(order + "H", len(tags)), b""
    after = offset + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        code, kind = ("I", 4) if max(values) > 0xFFFF else ("H", 3)
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(packed) > 4:
            extra, packed = extra + packed, struct.pack(order + "I", after + len(extra))
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", offset)
    return head + body + directory + bytes(4) + extra


def packed(samples: np.ndarray, bits: int, order: str) -> list[bytes]:
    """Rows of a TIFF picture: samples of shape (height, width, bands), each row from a byte on."""
    rows = samples.reshape(len(samples), -1)
    if bits >= 8:
        return [row.astype(f"{order}u{bits // 8}").tobytes() for row in rows]
    places = (rows[..., None] >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8)
    return [row.tobytes() for row in np.packbits(places.reshape(len(rows), -1), axis=1)]


def packbits(data: bytes) -> bytes:
    return b"".join(
        bytes((len(data[k : k + 128]) - 1,)) + data[k : k + 128] for k in range(0, len(data), 128)
    )


def lzw(data: bytes) -> bytes:
    """TIFF's variant: the highest bits first, codes of 9 to 12 bits, longer ones from one code early on."""
    table, bits, word = {bytes((k,)): k for k in range(256)}, [f"{256:09b}"], b""
    used, width = 258, 9
    for value in data:
        longer = word + bytes((value,))
        if longer in table:
            word = longer
            continue
        bits.append(f"{table[word]:0{width}b}")
        table[longer], used, word = used, used + 1, bytes((value,))
        width = max(9, used.bit_length())
        if used == 4095:
            bits.append(f"{256:012b}")
            table, used, width = {bytes((k,)): k for k in range(256)}, 258, 9
    text = "".join([*bits, f"{table[word]:0{width}b}", f"{257:0{width}b}"])
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


TIFF_COMPRESSIONS = {1: bytes, 5: lzw, 8: zlib.compress, 32773: packbits}


def tiff_picture(
    samples: np.ndarray,
    photometric: int,
    bits: int = 8,
    *,
    order: str = "<",
    compression: int = 1,
    planes: bool = False,
    tile: int = 0,
    strip: int = 0,
    differences: bool = False,
    tags: dict[int, tuple[int, ...]] | None = None,
) -> bytes:
    """A TIFF file of samples of shape (height, width, bands) as strips or square tiles."""
    height, width, bands = samples.shape
    split = [samples[..., k : k + 1] for k in range(bands)] if planes else [samples]
    down, across = (tile, tile) if tile else (strip or height, width)
    parts = []
    for plane in split:
        if tile:
            plane = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
        for top in range(0, len(plane), down):
            for left in range(0, plane.shape[1], across):
                part = plane[top : top + down, left : left + across].astype(np.int64)
                if differences:
                    part = np.diff(part, axis=1, prepend=0) % (1 << bits)
                parts.append(TIFF_COMPRESSIONS[compression](b"".join(packed(part, bits, order))))
    offsets = tuple(8 + sum(map(len, parts[:k])) for k in range(len(parts)))
    counts = tuple(map(len, parts))
    place = {322: (tile,), 323: (tile,), 324: offsets, 325: counts} if tile else {
        273: offsets, 278: (down,), 279: counts
    }  # fmt: skip
    stated = {
        256: (width,), 257: (height,), 258: (bits,) * bands, 259: (compression,), 262: (photometric,),
        277: (bands,), 284: (2 if planes else 1,), **({317: (2,)} if differences else {}), **place,
    }  # fmt: skip
    return tiff(np.frombuffer(b"".join(parts), np.uint8)[None], order, stated | (tags or {}), bare=True)


def joined(*pictures: bytes, below: dict[int, int] | None = None) -> bytes:
    """Little-endian TIFF files as the pages of one; `below`: page -> the page that is its SubIFD."""
    data, starts = b"", []
    below = below or {}
    moved = (273, 324)  # offsets of strips and tiles
    for picture in pictures:
        base, body = len(data), bytearray(picture)
        (start,) = struct.unpack_from("<I", body, 4)
        (count,) = struct.unpack_from("<H", body, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number, place = struct.unpack_from("<HHII", body, entry)
            size = {3: 2, 4: 4}[kind]
            if tag in moved:
                at = entry + 8 if size * number <= 4 else place
                form = f"<{number}{'H' if kind == 3 else 'I'}"
                values = [value + base for value in struct.unpack_from(form, body, at)]
                struct.pack_into(form, body, at, *values)
            if size * number > 4:
                struct.pack_into("<I", body, entry + 8, place + base)
        starts.append(base + start)
        data += bytes(body)
    whole = bytearray(data)
    struct.pack_into("<I", whole, 4, starts[0])
    chain = [k for k in range(len(pictures)) if k not in below.values()]
    for k, following in zip(chain, [*chain[1:], None], strict=True):
        (count,) = struct.unpack_from("<H", whole, starts[k])
        after = 0 if following is None else starts[following]
        struct.pack_into("<I", whole, starts[k] + 2 + 12 * count, after)
    for page, inner in below.items():
        (count,) = struct.unpack_from("<H", whole, starts[page])
        for entry in range(starts[page] + 2, starts[page] + 2 + 12 * count, 12):
            if struct.unpack_from("<H", whole, entry) == (330,):
                struct.pack_into("<HHII", whole, entry, 330, 4, 1, starts[inner])
    return bytes(whole)


def eighth(samples: np.ndarray) -> np.ndarray:
    """16-bit samples in 8 bits, as the policy rounds them."""
    return np.floor(samples.astype(float) / 257 + 0.5).astype(np.uint8)


def closeness(image: np.ndarray, expected: np.ndarray) -> int:
    assert image.shape == expected.shape
    return int(np.abs(image.astype(int) - expected).max())


BACKGROUND = (10, 130, 250)


def over(colour: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int] = BACKGROUND) -> np.ndarray:
    share = alpha.astype(float)[..., None] / 255
    return np.floor(colour * share + np.array(background) * (1 - share) + 0.5).astype(np.uint8)


ENCODED = {
    "JPEG": save(cv2.GaussianBlur(noise(64, 80, 3), (0, 0), 1), "JPEG", quality=90),
    "progressive": save(cv2.GaussianBlur(noise(64, 80, 3), (0, 0), 1), "JPEG", quality=90, progressive=True),
    "PNG": save(noise(64, 80, 3), "PNG"),
    "WEBP": save(noise(64, 80, 3), "WEBP", quality=90),
    "GIF": save(noise(64, 80, 3), "GIF"),
    "BMP": save(noise(64, 80, 3), "BMP"),
    "TIFF": save(noise(64, 80, 3), "TIFF"),
} | ({"AVIF": save(noise(64, 80, 3), "AVIF")} if features.check("avif") else {})
