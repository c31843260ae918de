"""JPEG, PNG, GIF and WebP files that ask for much work: markers, chunks and blocks, one after the other."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image as PilImage

from tests.imagefiles import chunk, png, quadrants, save

SIDE = 15_800
"""Of a picture of 250 megapixels, about the most that is decoded."""


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


def jpeg_empty_metadata(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff\xe1\0\2" * n)


def jpeg_empty_tables(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff\xdb\0\2" * n)


def jpeg_restart_intervals(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff\xdd\0\4\0\1" * n)


def jpeg_frames(n: int) -> bytes:
    data = _jpeg()
    at = data.index(b"\xff\xc0")
    return _before_frame(data, data[at : at + 19] * n)


def jpeg_fill_bytes(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff" * n)


def jpeg_fill_bytes_in_scan(n: int) -> bytes:
    return _in_scan(_jpeg(), b"\xff" * n)


def jpeg_garbage_between_markers(n: int) -> bytes:
    return _before_frame(_jpeg(), b"\xff\0" * n)


def jpeg_restarts_in_scan(n: int) -> bytes:
    return _in_scan(_jpeg(), b"\xff\xd0\xff\xd5" * n)


def jpeg_bare_markers_in_scan(n: int) -> bytes:
    return _in_scan(_jpeg(), b"\xff\1" * n)


def jpeg_tables_between_scans(n: int) -> bytes:
    return _in_scan(_jpeg(progressive=True), b"\xff\xc4\0\2" * n)


def jpeg_scans(n: int) -> bytes:
    data = _jpeg(progressive=True)
    return _in_scan(data, data[data.rindex(b"\xff\xda") : -2] * n)


def jpeg_empty_scans(n: int) -> bytes:
    return _in_scan(_jpeg(progressive=True), b"\xff\xda\0\2" * n)


def jpeg_claim(n: int) -> bytes:
    return _claiming(_jpeg(), 0xC0)


def jpeg_claim_progressive(n: int) -> bytes:
    return _claiming(_jpeg(progressive=True), 0xC2)


def jpeg_claim_arithmetic(n: int) -> bytes:
    data = _claiming(_jpeg(), 0xC0)
    at = data.index(b"\xff\xc0") + 1
    return data[:at] + b"\xc9" + data[at + 1 :]


# ------------------------------------------------------------------------------------------------------- PNG


def _png(before: bytes = b"", after: bytes = b"") -> bytes:
    data = png(quadrants(), 2, before=before)
    return data[:-12] + after + data[-12:]


def png_empty_text(n: int) -> bytes:
    return _png(chunk(b"tEXt", b"") * n)


def png_empty_data(n: int) -> bytes:
    return _png(chunk(b"IDAT", b"") * n)


def png_frames(n: int) -> bytes:
    frame = chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", bytes(4))
    return _png(chunk(b"acTL", struct.pack(">II", n, 0)), frame * n)


def png_compressed_text(n: int) -> bytes:
    return _png(chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(n * 100))) * 8)


def png_compressed_profile(n: int) -> bytes:
    return _png(chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(n * 1000))))


def png_damaged_text(n: int) -> bytes:
    return _png(chunk(b"tEXt", b"x")[:-1] + b"?", b"\0\0\0\0tEXt????" * n)


def png_candidates_after_damage(n: int) -> bytes:
    """Behind a damaged chunk, every 8 bytes could begin one that reaches nearly to the end."""
    return _png(b"\xff\0\0\0tEXt" + (struct.pack(">I", 6 * n) + b"IDAT") * n)


def png_data_behind_the_picture(n: int) -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in quadrants())
    data = _png()
    at = data.index(b"IDAT") - 4
    return data[:at] + chunk(b"IDAT", zlib.compress(rows + bytes(1000 * n))) + data[-12:]


def png_claim(n: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def png_claim_interlaced(n: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


# -------------------------------------------------------------------------------------------------- GIF, WebP

GIF = save(quadrants(), "GIF")
FRAME = GIF.index(b",", 13 + 3 * (2 << (GIF[10] & 7)))


def gif_unknown_bytes(n: int) -> bytes:
    return GIF[:FRAME] + bytes(n) + GIF[FRAME:]


def gif_empty_extensions(n: int) -> bytes:
    return GIF[:FRAME] + b"!\xfe\0" * n + GIF[FRAME:]


def gif_tiny_blocks(n: int) -> bytes:
    return GIF[:FRAME] + b"!\xfe" + b"\1x" * n + b"\0" + GIF[FRAME:]


def gif_tiny_blocks_of_data(n: int) -> bytes:
    at = FRAME + 10
    return GIF[:at] + GIF[at : at + 1] + b"\1\0" * n + GIF[at + 1 :]


def gif_clear_codes(n: int) -> bytes:
    block = b"\xff" + (b"\x80\x00\x02\x08\x20" * 51)  # may be any codes; those that clear are among them
    return GIF[: FRAME + 10] + b"\7" + block * (n // 64) + b"\0;"


def gif_frames(n: int) -> bytes:
    return GIF[:-1] + GIF[FRAME:-1] * (n // 100) + b";"


def gif_claim(n: int) -> bytes:
    return GIF[:6] + struct.pack("<HH", SIDE, SIDE) + GIF[10:]


def gif_claim_of_frame(n: int) -> bytes:
    return GIF[: FRAME + 5] + struct.pack("<HH", SIDE, SIDE) + GIF[FRAME + 9 :]


def _riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def webp_empty_chunks(n: int) -> bytes:
    return _riff(b"JUNK\0\0\0\0" * n + save(quadrants(), "WEBP")[12:])


def webp_extended_headers(n: int) -> bytes:
    header = b"VP8X\x0a\0\0\0" + bytes(4) + (47).to_bytes(3, "little") + (31).to_bytes(3, "little")
    return _riff(header * n + save(quadrants(), "WEBP")[12:])


def webp_alpha_chunks(n: int) -> bytes:
    return _riff(b"ALPH\0\0\0\0" * n + save(quadrants(), "WEBP")[12:])


def webp_frames(n: int) -> bytes:
    frames = [quadrants()[..., ::step] for step in (1, -1)]
    first, second = (PilImage.fromarray(np.ascontiguousarray(each)) for each in frames)
    data = save(first, "WEBP", save_all=True, append_images=[second], lossless=True)
    at = data.rindex(b"ANMF")
    return _riff(data[12:] + data[at:] * (n // 100))


def webp_claim_lossy(n: int) -> bytes:
    data = save(quadrants(), "WEBP")
    return data[:26] + struct.pack("<HH", SIDE, SIDE) + data[30:]


def webp_claim_lossless(n: int) -> bytes:
    data = save(quadrants(), "WEBP", lossless=True)
    return data[:21] + struct.pack("<I", SIDE - 1 | SIDE - 1 << 14) + data[25:]
