"""Find members of tar archives and rows of tables by their paths: ARCHIVE.tar/MEMBER, TABLE.parquet/ROW."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from zeroiqa.errors import UserError
from zeroiqa.files.storage import location
from zeroiqa.images import archives, table_rows
from zeroiqa.images.ref import ImageRef
from zeroiqa.images.sieve import keys_of

_SUFFIXES = (archives.SUFFIX, *archives.COMPRESSED, table_rows.SUFFIX)
_INTO_ARCHIVE = re.compile(rf"(?:{'|'.join(map(re.escape, _SUFFIXES))})/+(?=[^/])", re.IGNORECASE)


class NamedMembers:
    """Finds members by their paths; each archive is searched once.

    Args:
        prompts: Whether the text KEY.txt in an archive is the prompt of KEY.jpg.
        image_column: That of tables; if left out, the one that holds images.
    """

    def __init__(self, *, prompts: bool = False, image_column: str | None = None) -> None:
        self._prompts = prompts
        self.image_column = image_column
        self.tables: list[str] = []
        """The lists and tables that were read beside, in their order."""
        self._is_file = cache(_is_file)
        self._members = cache(_members)

    def archive_of(self, path: str) -> str | None:
        """The archive or table that a path leads into; None if it leads into none.

        Args:
            path: A path or an address in an object store. Nothing is looked at where no part of it is called
                like an archive.
        """
        ends = (found.start() + len(found[0].rstrip("/")) for found in _INTO_ARCHIVE.finditer(path))
        return next((path[:end] for end in ends if self._is_file(path[:end])), None)

    def find(self, path: str) -> ImageRef | None:
        """The member that a path leads to; None if it leads into no archive, or there is no such member.

        Raises:
            UserError: the archive is compressed, damaged or cut off, or cannot be read.
        """
        archive = self.archive_of(path)
        if archive is None:
            return None
        if archive.lower().endswith(table_rows.SUFFIX):
            return table_rows.row_of(archive, path[len(archive) :].strip("/"), self.image_column)
        members, key = self._members(archive), _key(path[len(archive) :])
        ref = members.get(key)
        if ref is None or not self._prompts:
            return ref
        texts = filter(None, (members.get(f"{name}.txt") for name in keys_of(key)))
        return ref._replace(prompt=next(map(archives.prompt_of, texts), None))


def _is_file(path: str) -> bool:
    try:
        return location(path).is_file()
    except (OSError, ValueError, UserError):  # whoever opens what the whole path means says so
        return False


def _members(archive: str) -> Mapping[str, ImageRef]:
    modified = archives.time_of(archive)
    return {_key(str(ref.member)): ref._replace(modified=modified) for ref in archives.all_members(archive)}


def _key(name: str) -> str:
    return "/".join(filter(None, archives.parts_of(name)))
