"""Decode text files as people's programs write them: UTF-8 with or without its mark, UTF-16, UTF-32."""

from __future__ import annotations

import re

from zeroiqa.errors import UserError

_UTF16 = (
    (re.compile(rb"(?:[\t\n\r -~]\0){4}"), "utf-16-le"),
    (re.compile(rb"(?:\0[\t\n\r -~]){4}"), "utf-16-be"),
)
"""What plain text in UTF-16 begins with where its mark is missing."""


def decoded(data: bytes, shown: str, *, strict: bool = False) -> str:
    """The text of a file, in whichever encoding; see `decode_text`.

    Args:
        data: The content of the file.
        shown: Its name for a message.
        strict: Refuse bytes that are not UTF-8.

    Raises:
        UserError: it is damaged UTF-16; or, where `strict` says so, it is no UTF-8.
    """
    try:
        return decode_text(data, strict=strict)
    except UnicodeDecodeError as error:
        raise UserError(f"{shown} is not UTF-8 text; save it as UTF-8.") from error


def decode_text(data: bytes, *, strict: bool = False) -> str:
    """UTF-8 (other bytes stay what they are in a path) or, as Windows writes it, UTF-16; marked or not.

    Raises:
        UnicodeDecodeError: it is damaged UTF-16; or, where `strict` says so, it is no UTF-8.
    """
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return data.decode("utf-32")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    for pattern, encoding in _UTF16:
        if pattern.match(data):
            return data.decode(encoding)
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "strict" if strict else "surrogateescape")
