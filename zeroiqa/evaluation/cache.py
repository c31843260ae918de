"""A cache around segmenters and raters: what several runs have in common is computed once.

It is one SQLite file, so that an interrupted ablation computes nothing twice either.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError
from zeroiqa.files.damage import reading
from zeroiqa.rle import decode
from zeroiqa.types import Image, Rater, Rating, Region, Rle, Segmenter, View

if TYPE_CHECKING:
    from zeroiqa.segmenters.entry import SegmenterOptions
    from zeroiqa.standards import Standard


_WHAT, _ADVICE = "What earlier runs of the ablation computed", "delete memory.sqlite and begin again"


@dataclass
class Calls:
    """How much a model computed, and how much was in the cache."""

    computed: int = 0
    """Views under standards that a rater rated, or images that a segmenter segmented."""
    reused: int = 0
    """Those that were in the cache."""
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def add(self, computed: int, reused: int) -> None:
        """Count more of both; several threads may call this at once."""
        with self._lock:
            self.computed += computed
            self.reused += reused


class ResultCache:
    """Results by key; `open_cache` opens one."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database, self._lock = database, Lock()
        database.execute("create table if not exists known (key blob primary key, value text) without rowid")

    def get(self, key: bytes) -> Any:
        """The value of a key, or None."""
        with self._lock:
            row = self._database.execute("select value from known where key = ?", (key,)).fetchone()
        with reading(_WHAT, _ADVICE):
            return None if row is None else json.loads(row[0])

    def put(self, values: dict[bytes, Any]) -> None:
        """Store the values; they are on the disk when this returns."""
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        with self._lock, self._database:
            self._database.executemany("insert or replace into known values (?, ?)", rows)


@contextmanager
def open_cache(path: Path) -> Iterator[ResultCache]:
    """The cache in a file, which is made if it does not exist.

    Raises:
        UserError: it cannot be opened, or is no such file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, check_same_thread=False)
        try:
            yield ResultCache(database)
        finally:
            database.close()
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"The file {path} cannot be used ({error}); delete it or choose another folder."
        ) from error


class CachedSegmenter:
    """A segmenter that segments each image once for all runs."""

    def __init__(
        self,
        segmenter: Segmenter,
        cache: ResultCache,
        calls: Calls,
        *,
        masks: bool,
        rule: SegmenterOptions | None = None,
    ) -> None:
        """Wrap.

        Args:
            segmenter: One that keeps masks.
            cache: What all runs share.
            calls: Gets the counts.
            masks: Whether the regions keep their masks.
            rule: Which of the segmenter's masks, all of which it has to give then, become regions; None: all,
                as they are.
        """
        self._segmenter, self._cache, self._calls, self._masks = segmenter, cache, calls, masks
        self._rule = rule
        self.id = segmenter.id
        self.images_per_call = segmenter.images_per_call

    def segment(self, image: Image) -> list[Region]:
        """As the segmenter; raises as it does."""
        return self.segment_batch([image])[0]

    def segment_batch(self, images: Sequence[Image]) -> list[list[Region]]:
        """As the segmenter; raises as it does."""
        keys = [_key(self.id, image.pixels) for image in images]
        known = {key: self._cache.get(key) for key in keys}
        new = [place for place, key in enumerate(keys) if known[key] is None]
        if new:
            found = self._segmenter.segment_batch([images[place] for place in new])
            stored = {
                keys[place]: [asdict(region) for region in each]
                for place, each in zip(new, found, strict=True)
            }
            self._cache.put(stored)
            known |= {key: json.loads(json.dumps(value)) for key, value in stored.items()}
        self._calls.add(len(new), len(keys) - len(new))
        with reading(_WHAT, _ADVICE):
            return [self._regions(known[key], image) for key, image in zip(keys, images, strict=True)]

    def _regions(self, records: list[dict[str, Any]], image: Image) -> list[Region]:
        if self._rule is None:
            return [_region(record, self._masks) for record in records]
        from zeroiqa.segmenters.regions import regions_from_masks

        stored = (_region(record, masks=True).mask for record in records)
        return regions_from_masks(
            (decode(mask) for mask in stored if mask is not None),
            image.size,
            min_area=self._rule.min_area,
            complement=self._rule.complement,
            keep_masks=self._masks,
            min_pixels=self._rule.min_pixels,
            complement_rule=self._rule.complement_rule,
        )


class CachedRater:
    """A rater that rates each view under each standard once for all runs."""

    def __init__(self, rater: Rater, cache: ResultCache, calls: Calls) -> None:
        """Wrap.

        Args:
            rater: Anything that rates.
            cache: What all runs share.
            calls: Gets the counts.
        """
        self._rater, self._cache, self._calls = rater, cache, calls
        self.id = rater.id
        self.images_per_call = rater.images_per_call

    def check(self, standard: Standard) -> None:
        """As the rater; raises as it does."""
        self._rater.check(standard)

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        """As the rater; raises as it does. Views that lack the same standards share a call."""
        keys = [[self._key(view, each) for each in standards] for view in views]
        known = {key: _with_answer(self._cache.get(key)) for row in keys for key in row}
        unknown: dict[bytes, tuple[int, int]] = {}  # each unknown key where it comes first
        for place, row in enumerate(keys):
            for column, key in enumerate(row):
                if known[key] is None:
                    unknown.setdefault(key, (place, column))
        for columns, places in _by_columns(unknown.values()).items():
            chosen = [standards[column] for column in columns]
            answers = self._rater.rate([views[place] for place in places], chosen)
            new = {
                keys[place][column]: [None if rating is None else asdict(rating)]
                for place, ratings in zip(places, answers, strict=True)
                for column, rating in zip(columns, ratings, strict=True)
            }
            self._cache.put(new)
            known |= new
        self._calls.add(len(unknown), len(views) * len(standards) - len(unknown))
        with reading(_WHAT, _ADVICE):
            return [[_rating(known[key][0]) for key in row] for row in keys]

    def _key(self, view: View, standard: Standard) -> bytes:
        asked = view.prompt if standard.needs_prompt else ""
        crop = "\0crop" if standard.crops_differ and view.region is not None else ""
        return _key(f"{self.id}\0{standard.hash}\0{asked}{crop}", view.pixels)


def _with_answer(stored: Any) -> Any:
    """What is stored; None where an earlier version did so without the answer: it is computed again."""
    old = isinstance(stored, list) and stored[0] is not None and "answer" not in stored[0]
    return None if old else stored


def _by_columns(cells: Iterable[tuple[int, int]]) -> dict[tuple[int, ...], list[int]]:
    """Cells (row, column) -> columns -> the rows that want just these: each is one call."""
    columns: dict[int, list[int]] = defaultdict(list)
    for row, column in cells:
        columns[row].append(column)
    rows: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, own in columns.items():
        rows[tuple(own)].append(row)
    return rows


def _key(what: str, pixels: Any) -> bytes:
    digest = blake2b(f"{what}\0{pixels.shape}\0".encode(errors="backslashreplace"), digest_size=20)
    digest.update(pixels.tobytes())
    return digest.digest()


def _region(record: dict[str, Any], masks: bool) -> Region:
    mask = record["mask"] if masks else None
    return Region(
        box=(record["box"][0], record["box"][1], record["box"][2], record["box"][3]),
        area=record["area"],
        kind=record["kind"],
        mask=None if mask is None else Rle((mask["size"][0], mask["size"][1]), tuple(mask["counts"])),
        weight=record.get("weight"),  # files of earlier versions have none
    )


def _rating(record: dict[str, Any] | None) -> Rating | None:
    return None if record is None else replace(Rating(**record), logprobs=tuple(record["logprobs"]))
