"""The errors that zeroiqa raises on purpose.

A message is one sentence (two at most): what is wrong, what was found, what to do.
"""

from zeroiqa.names import harmless


class UserError(Exception):
    """Something that the user can put right; the command line prints the message and exits with 1."""

    def __str__(self) -> str:
        """The message; no terminal obeys what a name in it holds, and it is one line."""
        return harmless(super().__str__())


class ImageError(UserError):
    """One image cannot be decoded or rated; a run records it as that image's error row and goes on."""


def printable(name: str) -> str:
    """A name that cannot break a message: control characters and bytes outside UTF-8 become escapes."""
    return name if name.isprintable() else repr(name)[1:-1]
