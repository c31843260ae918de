"""The errors that zeroiqa raises on purpose.

A message is one sentence (two at most): what is wrong, what was found, what to do.
"""

from __future__ import annotations

from typing import ClassVar

from zeroiqa.names import harmless


class UserError(Exception):
    """Something that the user can put right; the command line prints the message and exits with 1."""

    def __str__(self) -> str:
        """The message; no terminal obeys what a name in it holds, and it is one line."""
        return harmless(super().__str__())


class UnknownNameError(UserError):
    """Nothing of the kind that was asked for has a name; something of another kind may.

    Args:
        message: The sentence.
        kind: What was asked for: "rater", "baseline", "preset" ...
        name: What it was called.
    """

    def __init__(self, message: str, kind: str, name: str) -> None:
        super().__init__(message)
        self.kind, self.name = kind, name

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, str]]:
        """Workers send their errors."""
        return type(self), (self.args[0], self.kind, self.name)


class ImageError(UserError):
    """One image cannot be decoded or rated; a run records it as that image's error row and goes on."""

    cause: ClassVar[str | None] = None
    """What a run records besides, so that it can tell what may heal; None: the image itself is at fault."""


class UnreachableError(ImageError):
    """The file of an image cannot be read at all now; it may be once its disk or store is back."""

    cause = "unreachable"


class ChangedError(ImageError):
    """The file of an image is not the one that a run has planned or begun to score."""

    cause = "changed"


def one_line(error: object, *, kind: bool = False) -> str:
    """What an exception says, for the brackets of a sentence: in one line of at most 200 characters.

    Args:
        error: The exception, or its text.
        kind: Whether the name of its class stands before it; where it says nothing, that stands alone.
    """
    text = " ".join(str(error).split())
    if kind or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return text if len(text) <= 200 else f"{text[:197]}..."


def printable(name: str) -> str:
    """A name that cannot break a message: control characters and bytes outside UTF-8 become escapes."""
    return name if name.isprintable() else repr(name)[1:-1]
