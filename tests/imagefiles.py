"""Image files whose right pixels are known, made by Pillow or byte by byte."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image as PilImage
from PIL import features

from zeroiqa.opencv import cv2

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


def tiff(samples: np.ndarray, order: str, tags: dict[int, tuple[int, ...]]) -> bytes:
    """An uncompressed TIFF file of one strip; the tags are 16-bit or, if large, 32-bit numbers."""
    body = samples.tobytes()
    offset = 8 + len(body)
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
