"""`ImageRef`: where an image is, and what is known of it before it is read."""

from __future__ import annotations

import os
from typing import NamedTuple, TypeAlias

from zeroiqa.names import escaped

_Content: TypeAlias = bytes


class ImageRef(NamedTuple):
    """One image: a file, an object of a store, a member of an archive, a row of a table, or bytes."""

    path: str
    """Of the file or object; of a member, that of its archive, "/" and its name. Bytes outside UTF-8 are
    surrogate escapes, as Python has them. Of bytes in memory, what they are called."""
    bytes: int = 0
    """The size of the file when it was found; 0 if that is not known, and then any size is taken."""
    prompt: str | None = None
    """The text that the image was generated from."""
    archive: str | None = None
    """The tar archive or Parquet table that it is in."""
    offset: int | None = None
    """Where its bytes begin in the archive; or which row of the table it is."""
    modified: int | None = None
    """When the file, object or archive was written, in nanoseconds since 1970 (UTC); None takes any time."""
    root: str = ""
    """The folder that a relative path counts from; empty: the current one."""
    content: _Content | None = None
    """The bytes of the file where they are in memory; then nothing is opened."""
    column: str | None = None
    """The column of the table that holds its bytes; None where `archive` is no table."""

    @property
    def name(self) -> str:
        """The path in valid UTF-8, for people and tables."""
        return escaped(self.path)

    @property
    def place(self) -> str:
        """The file or object to open."""
        place = self.path if self.archive is None else self.archive
        return place if not self.root or "://" in place else os.path.join(self.root, place)  # noqa: PTH118

    @property
    def as_it_is_now(self) -> ImageRef:
        """The same place, whatever file is there by now; a member is where it was found all the same."""
        return self._replace(bytes=0 if self.archive is None else self.bytes, modified=None)

    @property
    def member(self) -> str | None:
        """Its name in its archive or table; None if it is in none."""
        return None if self.archive is None else self.path.removeprefix(f"{self.archive}/")
