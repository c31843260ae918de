"""List the images below a folder of an object store, or those that match a pattern there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from zeroiqa.errors import UserError
from zeroiqa.files.storage import Entry, RemotePath
from zeroiqa.images.sieve import HEAD, HEADS, Sieve, begins_like_an_image, is_nameless

REQUESTS = 16
"""To an object store at once."""
_AT_ONCE = 256
_VAIN = HEADS // 10
"""Objects without a suffix that are looked into in vain: each is a request."""
_RUN = ("/run.json", "/plan.parquet")


def objects_below(folder: RemotePath, sieve: Sieve, also: tuple[str, ...] = ()) -> Iterator[Entry]:
    """The wanted images below a folder, by the bytes of their names.

    Args:
        folder: The folder.
        sieve: Tells what is an image, and counts the rest.
        also: Suffixes of objects that are taken whatever is in them: tables.

    Raises:
        FileNotFoundError: there is no such folder.
        UserError: the store refuses.
    """
    return _wanted(folder, list(folder.objects()), sieve, also, hidden=False)


def matching_objects(pattern: RemotePath, shown: str, sieve: Sieve, also: tuple[str, ...]) -> Iterator[Entry]:
    """The wanted images that a pattern means; `*` and `**` are its only signs.

    Args:
        pattern: With at least one sign.
        shown: The same for a message.
        sieve: Tells what is an image, and counts the rest.
        also: Suffixes of objects that are taken whatever is in them: archives.

    Raises:
        FileNotFoundError: there is no folder that it begins with.
        UserError: it has no bucket before its first sign, or the store refuses.
    """
    folder = beginning(pattern)
    if not folder.key:
        raise UserError(f"{shown} has no bucket before its first *; write {pattern.scheme}://BUCKET/....")
    parts = re.split(r"(\*\*/|\*)", pattern.key)
    signs = {"**/": r"(?:[^/.][^/]*/)*", "*": "[^/]*"}
    matching = re.compile("".join(signs.get(part) or re.escape(part) for part in parts), re.DOTALL)
    found = [entry for entry in folder.objects() if matching.fullmatch(entry.path.key)]
    return _wanted(folder, found, sieve, also, hidden="/." in pattern.key.removeprefix(folder.key))


def beginning(pattern: RemotePath) -> RemotePath:
    """The folder before the first sign of a pattern; its key is empty where that is in the bucket's name."""
    return RemotePath(pattern.scheme, pattern.key[: pattern.key.index("*")].rpartition("/")[0])


def _wanted(
    folder: RemotePath, found: list[Entry], sieve: Sieve, also: tuple[str, ...], *, hidden: bool
) -> Iterator[Entry]:
    below = {entry.path.key.removeprefix(folder.key).lstrip("/"): entry for entry in found}
    for run in _runs(below):
        sieve.leave_run(run)
    reached = {path: entry for path, entry in below.items() if hidden or sieve.reaches(path)}
    heads = _heads(
        each for each in reached.items() if is_nameless(each[0]) and sieve.selection.wants(each[0])
    )
    for path, entry in reached.items():
        if path.lower().endswith(also):
            if sieve.enters(path, hidden=hidden):
                yield entry
        elif sieve.keeps(path, lambda path=path: heads.get(path, b""), hidden=hidden):  # type: ignore[misc]
            yield entry


def _runs(paths: Iterable[str]) -> Iterator[str]:
    """The folders that hold runs."""
    names = set(paths)
    for path in names:
        folder = path.removesuffix(_RUN[0])
        if folder != path and f"{folder}{_RUN[1]}" in names:
            yield folder


def _heads(nameless: Iterable[tuple[str, Entry]]) -> dict[str, bytes]:
    """What objects begin with, as long as enough of them are images."""
    heads: dict[str, bytes] = {}
    vain, left = 0, iter(nameless)
    with ThreadPoolExecutor(REQUESTS) as threads:
        while vain < _VAIN and (group := list(islice(left, _AT_ONCE))):
            for (path, _), head in zip(group, threads.map(_head, group), strict=True):
                heads[path] = head
                vain += not begins_like_an_image(head)
    return heads


def _head(named: tuple[str, Entry]) -> bytes:
    """The first bytes of an object; nothing if it cannot be read: decoding never sees it then."""
    try:
        with named[1].path.open() as file:
            return bytes(file.read(HEAD))
    except (OSError, UserError):
        return b""
