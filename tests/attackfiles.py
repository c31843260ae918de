"""Files made to take long or much memory: each is small beside the work that it asks for.

Each function gives the bytes of one attack; `n` is how large it is made: the work must not grow faster.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image as PilImage
from PIL import features

from tests.imagefiles import chunk, noise, png, quadrants, save, tiff

SIDE = 15_800
"""Of a picture of 250 megapixels, about the most that is decoded."""
Attack = Callable[[int], bytes]
ATTACKS: dict[str, Attack] = {}


def attack(make: Attack) -> Attack:
    ATTACKS[make.__name__.replace("_", " ")] = make
    return make


# ------------------------------------------------------------------------------------------------------ JPEG


def _jpeg(**options: object) -> bytes:
    return save(quadrants(), "JPEG", **options)


def _before_frame(data: bytes, more: bytes) -> bytes:
    return data[:2] + more + data[2:]


def _in_scan(data: bytes, more: bytes) -> bytes:
    return data[:-2] + more + data[-2:]


def _claiming(data: bytes, marker: int, side: int = SIDE) -> bytes:
    at = data.index(bytes((0xFF, marker))) + 5
    return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]


@attack
def jpeg_empty_metadata(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff\xe1\0\2" * n)


@attack
def jpeg_empty_tables(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff\xdb\0\2" * n)


@attack
def jpeg_restart_intervals(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff\xdd\0\4\0\1" * n)


@attack
def jpeg_frames(n: int) -> bytes:
    data = _jpeg()
    at = data.index(b"\xff\xc0")
    return _before_frame(data, data[at : at + 19] * n)


@attack
def jpeg_fill_bytes(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff" * n)


@attack
def jpeg_fill_bytes_in_scan(n: int) -> bytes:
    return _in_scan(_jpeg(), b"\xff" * n)


@attack
def jpeg_garbage_between_markers(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff\0" * n)


@attack
def jpeg_restarts_in_scan(n: int) -> bytes:
    return _in_scan(_jpeg(), b"\xff\xd0\xff\xd5" * n)


@attack
def jpeg_bare_markers_in_scan(n: int) -> bytes:
    return _in_scan(_jpeg(), b"\xff\1" * n)


@attack
def jpeg_tables_between_scans(n: int) -> bytes:
    return _in_scan(_jpeg(progressive=True), b"\xff\xc4\0\2" * n)


@attack
def jpeg_scans(n: int) -> bytes:
    data = _jpeg(progressive=True)
    return _in_scan(data, data[data.rindex(b"\xff\xda") : -2] * n)


@attack
def jpeg_empty_scans(n: int) -> bytes:
    return _in_scan(_jpeg(progressive=True), b"\xff\xda\0\2" * n)


@attack
def jpeg_claim(n: int) -> bytes:
    return _claiming(_jpeg(), 0xC0)


@attack
def jpeg_claim_progressive(n: int) -> bytes:
    return _claiming(_jpeg(progressive=True), 0xC2)


@attack
def jpeg_claim_arithmetic(n: int) -> bytes:
    data = _claiming(_jpeg(), 0xC0)
    at = data.index(b"\xff\xc0") + 1
    return data[:at] + b"\xc9" + data[at + 1 :]


# ------------------------------------------------------------------------------------------------------- PNG


def _png(before: bytes = b"", after: bytes = b"") -> bytes:
    data = png(quadrants(), 2, before=before)
    return data[:-12] + after + data[-12:]


@attack
def png_empty_text(n: int) -> bytes:
    return _png(chunk(b"tEXt", b"") * n)


@attack
def png_empty_data(n: int) -> bytes:
    return _png(chunk(b"IDAT", b"") * n)


@attack
def png_frames(n: int) -> bytes:
    frame = chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", bytes(4))
    return _png(chunk(b"acTL", struct.pack(">II", n, 0)), frame * n)


@attack
def png_compressed_text(n: int) -> bytes:
    return _png(chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(n * 100))) * 8)


@attack
def png_compressed_profile(n: int) -> bytes:
    return _png(chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(n * 1000))))


@attack
def png_damaged_text(n: int) -> bytes:
    return _png(chunk(b"tEXt", b"x")[:-1] + b"?", b"\0\0\0\0tEXt????" * n)


@attack
def png_candidates_after_damage(n: int) -> bytes:
    """Behind a damaged chunk, every 8 bytes could begin one that reaches nearly to the end."""
    return _png(b"\xff\0\0\0tEXt" + (struct.pack(">I", 6 * n) + b"IDAT") * n)


@attack
def png_data_behind_the_picture(n: int) -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in quadrants())
    data = _png()
    at = data.index(b"IDAT") - 4
    return data[:at] + chunk(b"IDAT", zlib.compress(rows + bytes(1000 * n))) + data[-12:]


@attack
def png_claim(n: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@attack
def png_claim_interlaced(n: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


# -------------------------------------------------------------------------------------------------- GIF, WebP

GIF = save(quadrants(), "GIF")
FRAME = GIF.index(b",", 13 + 3 * (2 << (GIF[10] & 7)))


@attack
def gif_unknown_bytes(n: int) -> bytes:
    return GIF[:FRAME] + bytes(n) + GIF[FRAME:]


@attack
def gif_empty_extensions(n: int) -> bytes:
    return GIF[:FRAME] + b"!\xfe\0" * n + GIF[FRAME:]


@attack
def gif_tiny_blocks(n: int) -> bytes:
    return GIF[:FRAME] + b"!\xfe" + b"\1x" * n + b"\0" + GIF[FRAME:]


@attack
def gif_tiny_blocks_of_data(n: int) -> bytes:
    at = FRAME + 10
    return GIF[:at] + GIF[at : at + 1] + b"\1\0" * n + GIF[at + 1 :]


@attack
def gif_clear_codes(n: int) -> bytes:
    block = b"\xff" + (b"\x80\x00\x02\x08\x20" * 51)  # may be any codes; those that clear are among them
    return GIF[: FRAME + 10] + b"\7" + block * (n // 64) + b"\0;"


@attack
def gif_frames(n: int) -> bytes:
    return GIF[:-1] + GIF[FRAME:-1] * (n // 100) + b";"


@attack
def gif_claim(n: int) -> bytes:
    return GIF[:6] + struct.pack("<HH", SIDE, SIDE) + GIF[10:]


@attack
def gif_claim_of_frame(n: int) -> bytes:
    return GIF[: FRAME + 5] + struct.pack("<HH", SIDE, SIDE) + GIF[FRAME + 9 :]


def _riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@attack
def webp_empty_chunks(n: int) -> bytes:
    return _riff(b"JUNK\0\0\0\0" * n + save(quadrants(), "WEBP")[12:])


@attack
def webp_extended_headers(n: int) -> bytes:
    header = b"VP8X\x0a\0\0\0" + bytes(4) + (47).to_bytes(3, "little") + (31).to_bytes(3, "little")
    return _riff(header * n + save(quadrants(), "WEBP")[12:])


@attack
def webp_alpha_chunks(n: int) -> bytes:
    return _riff(b"ALPH\0\0\0\0" * n + save(quadrants(), "WEBP")[12:])


@attack
def webp_frames(n: int) -> bytes:
    frames = [quadrants()[..., ::step] for step in (1, -1)]
    first, second = (PilImage.fromarray(np.ascontiguousarray(each)) for each in frames)
    data = save(first, "WEBP", save_all=True, append_images=[second], lossless=True)
    at = data.rindex(b"ANMF")
    return _riff(data[12:] + data[at:] * (n // 100))


@attack
def webp_claim_lossy(n: int) -> bytes:
    data = save(quadrants(), "WEBP")
    return data[:26] + struct.pack("<HH", SIDE, SIDE) + data[30:]


@attack
def webp_claim_lossless(n: int) -> bytes:
    data = save(quadrants(), "WEBP", lossless=True)
    return data[:21] + struct.pack("<I", SIDE - 1 | SIDE - 1 << 14) + data[25:]


# ------------------------------------------------------------------------------------------------------ TIFF


@attack
def tiff_directories_of_one_directory(n: int) -> bytes:
    entries = min(n, 65_000)
    directory = struct.pack("<H", entries) + struct.pack("<HHII", 330, 4, 1, 10 + 12 * entries + 4) * entries
    return b"II*\0\x08\0\0\0" + (directory + bytes(4)) * 2


@attack
def tiff_chain_of_directories(n: int) -> bytes:
    entry = struct.pack("<HHHII", 1, 254, 4, 1, 1)
    return (
        b"II*\0\x08\0\0\0" + b"".join(entry + struct.pack("<I", 8 + 18 * k) for k in range(1, n)) + bytes(18)
    )


@attack
def exif_directories_of_one_directory(n: int) -> bytes:
    return png(quadrants(), 2, before=chunk(b"eXIf", tiff_directories_of_one_directory(n)))


def _tiff_claim(compression: int, body: bytes, photometric: int = 1, bits: int = 8) -> bytes:
    samples = np.frombuffer(body, np.uint8)[None]
    tags = {256: (SIDE,), 257: (SIDE,), 258: (bits,), 259: (compression,), 262: (photometric,), 277: (1,)}
    return tiff(samples, "<", tags | {278: (SIDE,)})


@attack
def tiff_claim_stored(n: int) -> bytes:
    return _tiff_claim(1, bytes(1000))


@attack
def tiff_claim_lzw(n: int) -> bytes:
    return _tiff_claim(5, b"\x80\0" + bytes(1000))


@attack
def tiff_claim_deflate(n: int) -> bytes:
    return _tiff_claim(8, zlib.compress(bytes(100_000)))


@attack
def tiff_claim_packbits(n: int) -> bytes:
    return _tiff_claim(32773, b"\x81\0" * 1000)


@attack
def tiff_claim_fax(n: int) -> bytes:
    return _tiff_claim(4, b"\xff" * 3000, bits=1)


@attack
def tiff_claim_false_counts(n: int) -> bytes:
    data = _tiff_claim(7, save(quadrants()[..., 0].copy(), "JPEG"))
    at = data.index(struct.pack("<HHI", 279, 3, 1))
    return data[:at] + struct.pack("<HHII", 279, 4, 1, 1 << 31) + data[at + 12 :]


@attack
def tiff_claim_jpeg(n: int) -> bytes:
    return _tiff_claim(7, save(quadrants()[..., 0].copy(), "JPEG"))


@attack
def tiff_strips_of_one_place(n: int) -> bytes:
    """Each of the strips is the whole file, in which much has to be read for little."""
    rows = min(n, 20_000)
    row = b"\1\x40\0\xbf\xff" + bytes(64) + struct.pack(">I", zlib.adler32(bytes(64)))
    body = np.frombuffer(b"\x78\x9c" + b"\0\0\0\xff\xff" * (n // 5) + row, np.uint8)[None]  # empty blocks
    tags = {256: (64,), 257: (rows,), 258: (8,), 259: (8,), 262: (1,), 277: (1,), 278: (1,)}
    return tiff(body, "<", tags | {273: (8,) * rows, 279: (body.size,) * rows})


@attack
def tiff_tiles_of_one_pixel(n: int) -> bytes:
    side = int(min(n, 4_000_000) ** 0.5)
    tags = {256: (side,), 257: (side,), 258: (8,), 262: (1,), 277: (1,), 322: (1,), 323: (1,)}
    body = noise(1, 64)
    tags |= {259: (1,), 324: (8,) * side**2, 325: (1,) * side**2}
    return tiff(body, "<", tags, bare=True)


@attack
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


@attack
def bmp_claim_run_lengths(n: int) -> bytes:
    return _bmp(SIDE, SIDE, 8, 1, b"\0\1")


@attack
def bmp_claim_stored(n: int) -> bytes:
    return _bmp(SIDE, SIDE, 24, 0, bytes(100))


@attack
def bmp_run_lengths_of_nothing(n: int) -> bytes:
    return _bmp(64, 64, 8, 1, b"\0\2\0\0" * n + b"\0\1")


@attack
def bmp_run_lengths_of_one_pixel(n: int) -> bytes:
    side = int((8 * n) ** 0.5)
    return _bmp(side, side, 8, 1, b"\1\5" * n + b"\0\1")


@attack
def bmp_jumps(n: int) -> bytes:
    return _bmp(SIDE, SIDE, 8, 1, b"\0\2\xff\xff" * min(n, 63) + b"\0\1")


def _avif(**options: object) -> bytes:
    return save(quadrants(64, 96), "AVIF", **options) if features.check("avif") else b""


@attack
def avif_headers(n: int) -> bytes:
    return _avif() + b"\x12\0\x0a\x0a" + (b"\x12\0\x0a\x0a" + bytes(16)) * (n // 4)


@attack
def avif_extents(n: int) -> bytes:
    return _avif() + (b"ispe" + bytes(4) + struct.pack(">II", 96, 64)) * (n // 4)


@attack
def avif_items(n: int) -> bytes:
    return _avif() + b"infe\2\0\0\0\1\0\0mime" * (n // 4)


@attack
def avif_claim(n: int) -> bytes:
    data = _avif()
    return data.replace(
        b"ispe" + bytes(4) + struct.pack(">II", 96, 64), b"ispe" + bytes(4) + struct.pack(">II", SIDE, SIDE)
    )


@attack
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
