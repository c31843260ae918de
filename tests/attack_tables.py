"""TIFF, BMP, AVIF files that ask for much work, and metadata: what lies where its tables say."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import features

from tests.attack_streams import SIDE, jpeg_scans
from tests.imagefiles import chunk, noise, png, quadrants, save, tiff

# ------------------------------------------------------------------------------------------------------ TIFF


def tiff_directories_of_one_directory(n: int) -> bytes:
    entries = min(n, 65_000)
    directory = struct.pack("<H", entries) + struct.pack("<HHII", 330, 4, 1, 10 + 12 * entries + 4) * entries
    return b"II*\0\x08\0\0\0" + (directory + bytes(4)) * 2


def tiff_chain_of_directories(n: int) -> bytes:
    entry = struct.pack("<HHHII", 1, 254, 4, 1, 1)
    return (
        b"II*\0\x08\0\0\0" + b"".join(entry + struct.pack("<I", 8 + 18 * k) for k in range(1, n)) + bytes(18)
    )


def exif_directories_of_one_directory(n: int) -> bytes:
    return png(quadrants(), 2, before=chunk(b"eXIf", tiff_directories_of_one_directory(n)))


def _tiff_claim(compression: int, body: bytes, photometric: int = 1, bits: int = 8) -> bytes:
    samples = np.frombuffer(body, np.uint8)[None]
    tags = {256: (SIDE,), 257: (SIDE,), 258: (bits,), 259: (compression,), 262: (photometric,), 277: (1,)}
    return tiff(samples, "<", tags | {278: (SIDE,)})


def tiff_claim_stored(n: int) -> bytes:
    return _tiff_claim(1, bytes(1000))


def tiff_claim_lzw(n: int) -> bytes:
    return _tiff_claim(5, b"\x80\0" + bytes(1000))


def tiff_claim_deflate(n: int) -> bytes:
    return _tiff_claim(8, zlib.compress(bytes(100_000)))


def tiff_claim_packbits(n: int) -> bytes:
    return _tiff_claim(32773, b"\x81\0" * 1000)


def tiff_claim_fax(n: int) -> bytes:
    return _tiff_claim(4, b"\xff" * 3000, bits=1)


def tiff_claim_false_counts(n: int) -> bytes:
    data = _tiff_claim(7, save(quadrants()[..., 0].copy(), "JPEG"))
    at = data.index(struct.pack("<HHI", 279, 3, 1))
    return data[:at] + struct.pack("<HHII", 279, 4, 1, 1 << 31) + data[at + 12 :]


def tiff_claim_jpeg(n: int) -> bytes:
    return _tiff_claim(7, save(quadrants()[..., 0].copy(), "JPEG"))


def tiff_strips_of_one_place(n: int) -> bytes:
    """Each of the strips is the whole file, in which much has to be read for little."""
    rows = min(n, 20_000)
    row = b"\1\x40\0\xbf\xff" + bytes(64) + struct.pack(">I", zlib.adler32(bytes(64)))
    body = np.frombuffer(b"\x78\x9c" + b"\0\0\0\xff\xff" * (n // 5) + row, np.uint8)[None]  # empty blocks
    tags = {256: (64,), 257: (rows,), 258: (8,), 259: (8,), 262: (1,), 277: (1,), 278: (1,)}
    return tiff(body, "<", tags | {273: (8,) * rows, 279: (body.size,) * rows})


def tiff_tiles_of_one_pixel(n: int) -> bytes:
    side = int(min(n, 4_000_000) ** 0.5)
    tags = {256: (side,), 257: (side,), 258: (8,), 262: (1,), 277: (1,), 322: (1,), 323: (1,)}
    body = noise(1, 64)
    tags |= {259: (1,), 324: (8,) * side**2, 325: (1,) * side**2}
    return tiff(body, "<", tags, bare=True)


def tiff_jpeg_scans(n: int) -> bytes:
    body = jpeg_scans(n)
    tags = {256: (48,), 257: (32,), 258: (8, 8, 8), 259: (7,), 262: (6,), 277: (3,), 278: (32,), 530: (2, 2)}
    return tiff(np.frombuffer(body, np.uint8)[None], "<", tags)


# ------------------------------------------------------------------------------------------------- BMP, HEIF


def _bmp(width: int, height: int, bits: int, compression: int, body: bytes) -> bytes:
    palette = bytes(1024) if bits == 8 else b""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, 0, 0)
    offset = 54 + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + info + palette + body


def bmp_claim_run_lengths(n: int) -> bytes:
    return _bmp(SIDE, SIDE, 8, 1, b"\0\1")


def bmp_claim_stored(n: int) -> bytes:
    return _bmp(SIDE, SIDE, 24, 0, bytes(100))


def bmp_run_lengths_of_nothing(n: int) -> bytes:
    return _bmp(64, 64, 8, 1, b"\0\2\0\0" * n + b"\0\1")


def bmp_run_lengths_of_one_pixel(n: int) -> bytes:
    side = int((8 * n) ** 0.5)
    return _bmp(side, side, 8, 1, b"\1\5" * n + b"\0\1")


def bmp_jumps(n: int) -> bytes:
    return _bmp(SIDE, SIDE, 8, 1, b"\0\2\xff\xff" * min(n, 63) + b"\0\1")


def _avif(**options: object) -> bytes:
    return save(quadrants(64, 96), "AVIF", **options) if features.check("avif") else b""


def avif_headers(n: int) -> bytes:
    return _avif() + b"\x12\0\x0a\x0a" + (b"\x12\0\x0a\x0a" + bytes(16)) * (n // 4)


def avif_extents(n: int) -> bytes:
    return _avif() + (b"ispe" + bytes(4) + struct.pack(">II", 96, 64)) * (n // 4)


def avif_items(n: int) -> bytes:
    return _avif() + b"infe\2\0\0\0\1\0\0mime" * (n // 4)


def avif_claim(n: int) -> bytes:
    data = _avif()
    return data.replace(
        b"ispe" + bytes(4) + struct.pack(">II", 96, 64), b"ispe" + bytes(4) + struct.pack(">II", SIDE, SIDE)
    )


def avif_frames(n: int) -> bytes:
    """The frames of one picture once more and once more, and lengths that cover them."""
    data = _avif()
    start = data.index(b"mdat") + 4
    frame = data.index(b"\x0a", start)
    once = len(data) - start
    more = data[frame:] * min(n // 1000, 20_000)
    for width in (once, once + 8):
        data = data.replace(struct.pack(">I", width), struct.pack(">I", width + len(more)))
    return data + more
