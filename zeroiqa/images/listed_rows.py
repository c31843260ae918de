"""Which image each row of a table of paths, or with the files themselves, is."""

from __future__ import annotations

import os
from collections.abc import Iterator

from zeroiqa.files.storage import is_remote, location
from zeroiqa.images import lists, table_rows
from zeroiqa.images.listed_paths import ListedImages, spellings
from zeroiqa.images.members import NamedMembers
from zeroiqa.images.sieve import EXTENSIONS


def folder_of(table: str) -> str:
    """The folder that the paths in a list count from first; empty for the current one."""
    return f"{location(table).parent}" if is_remote(table) else os.path.dirname(table)  # noqa: PTH120


def place_of(path: str, folder: str, images: ListedImages) -> str:
    """Where a listed path leads.

    Args:
        path: As it is written in the list.
        folder: That of the list.
        images: Knows what is in it.

    Raises:
        UserError: two images are called so.
    """
    if is_remote(path):
        return path
    if is_remote(folder) and not spellings(path)[-1].startswith("/"):
        return f"{location(folder) / path}"
    return images.place(path)


def paths_of_rows(table: str, image_column: str | None = None) -> Iterator[str | None]:
    """The path of each row's image, as `zeroiqa.images.find.find_images` calls it; None where it names none.

    Args:
        table: Path or address of a table.
        image_column: That of the images, where several could be.

    Raises:
        UserError: the table cannot be read, or has no column of images.
    """
    members = NamedMembers(image_column=image_column)
    if table.lower().endswith(table_rows.SUFFIX):
        found = table_rows.column_of(table, image_column)
        if found.kind != "paths":
            yield from (ref.path for ref in table_rows.rows_of(table, found.name))
            return
        image_column = found.name
    folder = folder_of(table)
    images = ListedImages(folder, EXTENSIONS, members)
    for row in lists.read_rows(table, image_column):
        if not row.path.strip():
            yield None
            continue
        place = place_of(row.path, folder, images)
        member = members.find(place)
        yield place if member is None else member.path
