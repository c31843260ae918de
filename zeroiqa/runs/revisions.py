"""Revisions: what has changed in a run since its images were planned.

RUN/revision-0001.parquet and so on are each created once, under a number that is free, and never written
again. A revision says of some images that they are other files now, that they shall be tried again, that they
get regions, or that they are gone. The parts of a shard that one asks to be computed again carry its number:
their generation.
"""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias, get_args

import pyarrow as pa

from zeroiqa.files.atomic import created, table, table_writer
from zeroiqa.files.damage import reading
from zeroiqa.files.storage import Location
from zeroiqa.names import escaped
from zeroiqa.runs import parts, plan, record
from zeroiqa.runs.part_checks import check_columns

PREFIX = "revision-"
"""What the names of the files begin with."""
What: TypeAlias = Literal["replaced", "segmented", "retried", "gone", "back", "pruned"]
_REQUESTS: tuple[What, ...] = ("retried", "segmented", "replaced")
"""Those that have something computed again, each more than the one before."""
_TOKEN = b"zeroiqa.written-by"
_SCHEMA_FIELDS: dict[str, pa.DataType] = {
    "image": pa.int64(),
    "change": pa.string(),
    "bytes": pa.int64(),
    "modified": pa.int64(),
    "offset": pa.int64(),
    "prompt": pa.string(),
}


class Change(NamedTuple):
    """What has become of one image. All but the first two count for `replaced` and `back` alone."""

    image: int
    """Position in the plan."""
    change: What
    """`replaced`: it is another file, or has another prompt, and is computed again wholly. `segmented`: its
    regions are found and rated, and what failed is computed again; in effect once run.json says that the run
    has regions. `retried`: what failed is computed again. `gone`: it is not found any more. `back`: it is
    found again. `pruned`: it is gone, and left out of every table."""
    bytes: int = 0
    """As the plan has it, for the file of now; so are the others."""
    modified: int | None = None
    offset: int | None = None
    prompt: str | None = None


_Requests: TypeAlias = tuple[tuple[int, Mapping[int, What]], ...]
"""Number of a revision, and which images of one shard it asks for; in order."""


@dataclass(frozen=True)
class Revisions:
    """All revisions of a run together; to be had from `read`."""

    number: int = 0
    """Of the newest one; 0 if there is none."""
    gone: frozenset[int] = frozenset()
    """Images that are not found any more, those included that are pruned."""
    pruned: frozenset[int] = frozenset()
    """Images that are left out of every table."""
    segmented: frozenset[int] = frozenset()
    """Images that get regions which the run did not have when they were planned."""
    _now: Mapping[int, Change] = field(default_factory=dict, hash=False)
    """Image -> what replaces its row of the plan."""
    _requests: Mapping[int, _Requests] = field(default_factory=dict, hash=False)
    """Shard -> what is to be computed again."""

    def planned(self, row: plan.Planned) -> plan.Planned:
        """The row of the plan as it is now."""
        now = self._now.get(row.image)
        if now is None:
            return row
        return row._replace(
            ref=row.ref._replace(bytes=now.bytes, modified=now.modified, offset=now.offset, prompt=now.prompt)
        )

    def planned_table(self, rows: pa.Table) -> pa.Table:
        """The same for rows as the plan stores them."""
        if self._now.keys().isdisjoint(rows["image"].to_pylist()):
            return rows
        records = rows.to_pylist()
        for row in records:
            if (now := self._now.get(row["image"])) is not None:
                row |= {name: getattr(now, name) for name in ("bytes", "modified", "offset", "prompt")}
        return pa.Table.from_pylist(records, rows.schema)

    def replaced(self, shard: int, image: int) -> int:
        """The newest revision that makes an image of a shard another file; 0 if none does."""
        requests = self._requests.get(shard, ())
        return max((number for number, images in requests if images.get(image) == "replaced"), default=0)

    def generation(self, shard: int) -> int:
        """The newest revision that asks for images of a shard to be computed again; 0 if none does."""
        return self.generations(shard)[-1]

    def generations(self, shard: int) -> tuple[int, ...]:
        """All generations that the parts of a shard may be of, from 0 on."""
        return (0, *(number for number, _ in self._requests.get(shard, ())))

    def again(self, shard: int, since: int) -> Mapping[int, What]:
        """The images of a shard that its parts of a generation lack, and why: the most that is asked for."""
        found: dict[int, What] = {}
        for number, images in self._requests.get(shard, ()):
            if number > since:
                for image, change in images.items():
                    found[image] = max(found.get(image, change), change, key=_REQUESTS.index)
        return found


def add(folder: Location, changes: Sequence[Change]) -> int:
    """Write a revision of those changes that are not in effect already; how many they are.

    Of two processes that do so at once, the second reads what the first one wrote, and adds what is missing
    then. What another process has asked to be tried again meanwhile is not asked for twice.

    Raises:
        UserError: the folder cannot be read or written.
    """
    wanted = [each._replace(prompt=each.prompt and escaped(each.prompt)) for each in changes]
    seen = max(_files(folder), default=0)
    while True:
        new = _missing(folder, wanted, seen)
        if not new:
            return 0
        record.ensure_format(folder)  # before an older version could read on as if nothing had changed
        path, token = folder / _name(_free(folder)), secrets.token_hex(16)
        rows = pa.Table.from_pylist([change._asdict() for change in new], _schema(token))
        with created(path) as file, table_writer(file, rows.schema) as writer:
            writer.write_table(rows)
        if _token_of(path) == token:  # else another process was first
            return len(new)


def read(folder: Location, *, regions: bool = True) -> Revisions:
    """The revisions of a run.

    Args:
        folder: Of the run.
        regions: Whether it has regions; if not, those that ask for some are not in effect.

    Raises:
        UserError: one of them, or the plan, cannot be read.
    """
    files = _files(folder)
    if not files:
        return Revisions()
    ends = list(accumulate(plan.planned_sizes(folder)))
    now: dict[int, Change] = {}
    missing: dict[int, What] = {}
    requests: dict[int, dict[int, dict[int, What]]] = {}
    segmented: set[int] = set()
    for number, path in sorted(files.items()):
        for change in _changes(path, ends[-1]):
            if change.change in ("replaced", "back"):
                now[change.image] = change
                missing.pop(change.image, None)
            elif change.change in ("gone", "pruned"):
                missing[change.image] = change.change
            if change.change == "segmented":
                segmented.add(change.image)
            if change.change in _REQUESTS and (regions or change.change != "segmented"):
                by_number = requests.setdefault(bisect_right(ends, change.image), {})
                by_number.setdefault(number, {})[change.image] = change.change
    return Revisions(
        number=max(files),
        gone=frozenset(missing),
        pruned=frozenset(image for image, change in missing.items() if change == "pruned"),
        segmented=frozenset(segmented),
        _now=now,
        _requests={shard: tuple(by_number.items()) for shard, by_number in requests.items()},
    )


def _missing(folder: Location, changes: Sequence[Change], seen: int) -> list[Change]:
    """Those that the revisions of now do not say."""
    there = read(folder)
    later = {
        change.image for number, path in _files(folder).items() if number > seen for change in _changes(path)
    }
    return [each for each in changes if not _in_effect(each, there, later)]


def _in_effect(change: Change, there: Revisions, later: set[int]) -> bool:
    gone = change.image in there.gone
    match change.change:
        case "replaced" | "back":
            now = there._now.get(change.image)
            return not gone and now is not None and now[2:] == change[2:]
        case "segmented":
            return change.image in there.segmented
        case "retried":
            return change.image in later
        case "gone":
            return gone
        case "pruned":
            return change.image in there.pruned


def _files(folder: Location) -> dict[int, Location]:
    """Number -> file, in no order."""
    found = {}
    for path in folder.glob(f"{PREFIX}*.parquet"):
        number = path.stem.removeprefix(PREFIX)
        if number.isdecimal() and path.name == _name(int(number)):
            found[int(number)] = path
    return found


def _free(folder: Location) -> int:
    """A number that neither a revision has nor parts of a revision that is lost."""
    taken = (
        generation
        for path in folder.rglob("part-*-*.parquet")
        if (part := parts.part_of(path.name)) is not None
        for generation in part[1:]
    )
    return 1 + max((*_files(folder), *taken), default=0)


def _name(number: int) -> str:
    return f"{PREFIX}{number:04d}.parquet"


def _schema(token: str) -> pa.Schema:
    return pa.schema(_SCHEMA_FIELDS, metadata={_TOKEN: token.encode()})


def _token_of(path: Location) -> str:
    with _reading(path), table(path) as rows:
        return str((rows.schema_arrow.metadata or {}).get(_TOKEN, b"").decode())


def _changes(path: Location, images: int | None = None) -> Sequence[Change]:
    """What one file says."""
    with _reading(path), table(path) as rows:
        check_columns(rows, pa.schema(_SCHEMA_FIELDS), ())
        columns = [column.to_pylist() for column in rows.read().columns]
        changes = [Change(*row) for row in zip(*columns, strict=True)]
        for change in changes:
            if change.change not in get_args(What):
                raise ValueError(f"{change.change!r} is no change")
            if change.image < 0 or (images is not None and change.image >= images):
                raise ValueError(f"the plan has no image {change.image}")
    return changes


def _reading(path: Location) -> AbstractContextManager[None]:
    advice = "delete it and give the command of the run again, which finds out anew what has changed"
    return reading(path, advice, "The revision")
