"""Tell from its headers whether decoding a file may take very long or much memory.

Every count in a file is bounded before it gets here, so the work for any file is; but decoders are written in
C and cannot be interrupted, and damage can make them slow in ways that no header shows. A file that is
suspicious is to be decoded where it can be stopped.
"""

from __future__ import annotations

from typing import NamedTuple

_PIXELS = 100_000_000
"""A decoder takes up to a second per 30 million and 4 to 25 bytes for each; cameras give 12 to 60 million."""
_PASSES = 1_000_000_000
"""Pixels times scans: some 3 seconds; a photo of 12 million and 10 scans has a tenth of that."""
_BYTES = 256 << 20
_PARTS = 100_000
"""Strips, tiles or chunks; a large slide has some thousands."""
_THIN, _PIXELS_OF_A_BYTE = 16_000_000, 2000
"""From so many pixels on, so many per byte are no photo; white paper as PNG has 1,032, as JPEG 300."""


class Facts(NamedTuple):
    """What the headers of a file say about the work for a decoder."""

    pixels: int
    """Width times height."""
    there: int
    """Bytes that code them."""
    passes: int = 1
    """How often a decoder goes over them: the scans of a JPEG, the frames behind an AVIF."""
    parts: int = 1
    """Strips, tiles, chunks or blocks that they lie in."""
    slow: str = ""
    """What the file is if its kind alone is slow to decode ("a large RLE bitmap")."""


def suspicion(facts: Facts) -> str | None:
    """Why decoding may take very long or much memory ("it has 250 megapixels"); None for ordinary photos."""
    if facts.pixels > _PIXELS:
        return f"it has {facts.pixels / 1e6:.0f} megapixels"
    if facts.there > _BYTES:
        return f"it has {facts.there >> 20} MiB of image data"
    if facts.pixels * facts.passes > _PASSES:
        return f"its {facts.pixels / 1e6:.0f} megapixels are coded in {facts.passes} passes"
    if facts.parts > _PARTS:
        return f"it is cut into {facts.parts} parts"
    if facts.pixels > max(_THIN, facts.there * _PIXELS_OF_A_BYTE):
        return f"it has {facts.pixels / 1e6:.0f} megapixels in {facts.there} bytes"
    return f"it is {facts.slow}" if facts.slow else None
