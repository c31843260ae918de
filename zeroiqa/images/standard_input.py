"""Read what "-" names: a list of paths on standard input, or one image, whose bytes are kept in a file."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO

from zeroiqa.errors import UserError
from zeroiqa.files.text import decoded
from zeroiqa.images import lists
from zeroiqa.images.containers import file_format
from zeroiqa.images.lists import Listed
from zeroiqa.images.sieve import HEAD, begins_like_an_image

KEPT = Path("zeroiqa-runs", "stdin")
"""Where an image is kept: workers read it there, and so does whoever resumes the run."""
_LARGEST_LIST = 256 << 20
_LARGEST_IMAGE = 1 << 30
_BLOCK = 512
_PIECE = 1 << 20
_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}
_NO_LIST = re.compile(
    rb"\x1f\x8b|PK\x03\x04|7z\xbc\xaf|Rar!\x1a|%PDF-|BZh\d1AY|\xfd7zXZ|\x28\xb5\x2f\xfd|.{4}ftyp|PAR1",
    re.DOTALL,
)
"""What archives, documents and videos begin with, which somebody may pipe."""


def read_standard_input(stream: TextIO | None) -> str | Iterator[Listed]:
    """The path of the file that keeps an image, or what a list names.

    An image is called by the hash of its bytes: the same one is the same file, and its run goes on.

    Args:
        stream: What is read; `sys.stdin` if None. Without `buffer` it is text, and so a list.

    Raises:
        UserError: it is closed, too long, or neither of both; or the image cannot be kept.
    """
    stream = stream or sys.stdin
    if stream is None or stream.closed:
        raise UserError("Standard input is closed, so - names nothing; pipe a list of paths or an image.")
    raw: IO[bytes] | None = getattr(stream, "buffer", None)
    if raw is None:
        return lists.lines(stream.read())
    head = _read(raw, _BLOCK)
    if begins_like_an_image(head[:HEAD]):
        return _kept(head, raw)
    return _list(head, raw)


def read_list(stream: TextIO | None) -> Iterator[Listed]:
    """What a list on standard input names.

    Raises:
        UserError: it is closed, too long, or no list.
    """
    if stream is None or stream.closed:
        raise UserError("Standard input is closed, so - names nothing; pipe a list of paths.")
    raw: IO[bytes] | None = getattr(stream, "buffer", None)
    if raw is None:
        return lists.lines(stream.read())
    head = _read(raw, _BLOCK)
    if begins_like_an_image(head[:HEAD]):
        raise UserError("Standard input is an image, where a list of paths is wanted.")
    return _list(head, raw)


def _list(head: bytes, raw: IO[bytes]) -> Iterator[Listed]:
    if _NO_LIST.match(head) or head[257:262] == b"ustar":
        raise UserError(
            "Standard input is neither a list of paths nor an image that is read; write it to a file and "
            "name that, or convert it first."
        )
    data = head + _read(raw, _LARGEST_LIST)
    if len(data) > _LARGEST_LIST:
        raise _too_long("a list", _LARGEST_LIST)
    return lists.lines(decoded(data, "standard input"))


def _read(raw: IO[bytes], size: int) -> bytes:
    """So many bytes, or what there is; a pipe gives them piece by piece."""
    pieces = io.BytesIO()
    while pieces.tell() < size and (piece := raw.read(min(_PIECE, size - pieces.tell()))):
        pieces.write(piece)
    return pieces.getvalue()


def _kept(head: bytes, raw: IO[bytes]) -> str:
    try:
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=KEPT, prefix=".zeroiqa-", delete=False) as file:
            try:
                return _written(file, head, raw)
            finally:
                Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"The image on standard input cannot be kept in {KEPT} ({error.strerror or error}); give the "
            "command in a folder that can be written to, or name a file."
        ) from error


def _written(file: IO[bytes], head: bytes, raw: IO[bytes]) -> str:
    """Write all of the image into a temporary file, and give it its name."""
    digest, size, piece = hashlib.sha256(), 0, head
    while piece:
        size += len(piece)
        if size > _LARGEST_IMAGE:
            raise _too_long("an image", _LARGEST_IMAGE)
        digest.update(piece)
        file.write(piece)
        piece = raw.read(_PIECE)
    file.close()
    kind = file_format(head[:HEAD]) or ""
    path = KEPT / f"{digest.hexdigest()[:32]}{_SUFFIXES.get(kind, f'.{kind.lower()}')}"
    if not path.is_file() or path.stat().st_size != size:  # else it keeps its time, by which a run knows it
        os.replace(file.name, path)  # noqa: PTH105
    return str(path)


def _too_long(what: str, limit: int) -> UserError:
    return UserError(
        f"Standard input is longer than {limit >> 20} MiB, too much for {what}; write it to a file and name "
        "that."
    )
