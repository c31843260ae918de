"""Images of every format that can be encoded here, and ways to damage them."""

from __future__ import annotations

import importlib.util
import io
import random
import re
import struct
import zlib

from PIL import Image as PilImage

from tests.imagefiles import ENCODED, noise, png, save, tiff_picture

KINDS = ("bytes flipped", "cut", "swapped", "header changed", "size changed", "zeroed", "doubled")
SIDES = (0, 1, 15, 64, 4000, 10_000, 15_000, 15_800, 16_383, 65_535)


def _seeds() -> dict[str, bytes]:
    colours = PilImage.fromarray(noise(64, 80, 3))
    seeds = ENCODED | {
        "16-bit PNG": png(noise(64, 80, 3, dtype="uint16"), 2, 16),
        "palette PNG": save(colours.quantize(64), "PNG"),
        "RGBA PNG": save(noise(64, 80, 4), "PNG"),
        "grey JPEG": save(noise(64, 80), "JPEG"),
        "CMYK JPEG": save(colours.convert("CMYK"), "JPEG"),
        "lossless WEBP": save(noise(64, 80, 4), "WEBP", lossless=True),
        "animated WEBP": save(colours, "WEBP", save_all=True, append_images=[colours.rotate(90)]),
        "animated GIF": save(colours, "GIF", save_all=True, append_images=[colours.rotate(90)]),
        "animated PNG": save(colours, "PNG", save_all=True, append_images=[colours.rotate(90)]),
        "32-bit BMP": save(noise(64, 80, 4), "BMP"),
        "8-bit BMP": save(noise(64, 80), "BMP"),
        "16-bit TIFF": tiff_picture(noise(64, 80, 3, dtype="uint16"), 2, 16),
        "LZW TIFF": save(colours, "TIFF", compression="tiff_lzw"),
        "deflate TIFF": save(colours, "TIFF", compression="tiff_adobe_deflate"),
        "JPEG TIFF": save(colours, "TIFF", compression="jpeg"),
        "fax TIFF": save(colours.convert("1"), "TIFF", compression="group4"),
        "pages TIFF": save(colours, "TIFF", save_all=True, append_images=[colours.rotate(90)]),
    }
    if importlib.util.find_spec("pillow_heif"):
        import pillow_heif

        buffer = io.BytesIO()
        pillow_heif.from_pillow(colours).save(buffer, quality=90)
        seeds["HEIC"] = buffer.getvalue()
    return seeds


SEEDS = _seeds()


def resized(data: bytes, width: int, height: int) -> bytes:
    """The file with another size in its header, and a checksum that fits."""
    out = bytearray(data)
    frame = re.search(rb"\xff[\xc0-\xc2]\0.\x08", data, re.DOTALL)
    extent = data.find(b"ispe")
    if data.startswith(b"\x89PNG"):
        out[16:24] = struct.pack(">II", width, height)
        out[29:33] = struct.pack(">I", zlib.crc32(out[12:29]))
    elif data.startswith(b"GIF"):
        out[6:10] = struct.pack("<HH", width, height)
    elif data.startswith(b"BM"):
        out[18:26] = struct.pack("<ii", width, height)
    elif data[12:16] == b"VP8X":
        out[24:30] = (width % 2**24).to_bytes(3, "little") + (height % 2**24).to_bytes(3, "little")
    elif data[12:16] == b"VP8 ":
        out[26:30] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    elif data[12:16] == b"VP8L":
        out[21:25] = struct.pack("<I", width & 0x3FFF | (height & 0x3FFF) << 14)
    elif data.startswith(b"II*"):
        (start,) = struct.unpack_from("<I", data, 4)
        for entry in range(start + 2, start + 26, 12):  # width and height come first
            if struct.unpack_from("<H", data, entry)[0] in (256, 257):
                side = width if struct.unpack_from("<H", data, entry)[0] == 256 else height
                struct.pack_into("<HII", out, entry + 2, 4, 1, side)
    elif extent > 0:
        out[extent + 8 : extent + 16] = struct.pack(">II", width, height)
    elif frame:
        out[frame.start() + 5 : frame.start() + 9] = struct.pack(">HH", height, width)
    return bytes(out)


def mutated(data: bytes, kind: str, chance: random.Random) -> bytes:
    """`data` with a damage of this kind."""
    out = bytearray(data)
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    if kind == "size changed":
        return resized(data, chance.choice(SIDES), chance.choice(SIDES))
    if kind == "cut":
        return bytes(out[:start])
    if kind == "swapped":
        middle = chance.randrange(len(data) + 1)
        first, second, third = sorted((start, middle, end))
        return bytes(out[:first] + out[second:third] + out[first:second] + out[third:])
    if kind == "zeroed":
        out[start:end] = bytes(end - start)
    elif kind == "doubled":
        out[start:start] = out[start:end] * chance.randrange(1, 40)
    elif kind == "header changed":  # any number near the beginning or the end, where sizes are
        width = chance.choice((1, 2, 4))
        head = min(len(out) - 4, 600)
        at = chance.randrange(head) if chance.random() < 0.7 else len(out) - 4 - chance.randrange(head)
        value = chance.choice((0, 1, 255, 4000, 10_000, 65_535, 2**31 - 1, 2**32 - 1, chance.getrandbits(32)))
        out[at : at + width] = (value % 256**width).to_bytes(width, chance.choice(("little", "big")))
    else:
        for _ in range(chance.randrange(1, 12)):
            out[chance.randrange(len(out))] = chance.randrange(256)
    return bytes(out)
