"""What was done when, and by whom: a line of JSON for every shard that a process has committed.

Events are for watching and checking. No score is made from them, and a run that has lost all of them is
whole: what they would say is in the parts.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from zeroiqa.answers import LATER_COUNTS, Answers, answers_of
from zeroiqa.errors import UserError
from zeroiqa.files.atomic import created
from zeroiqa.files.damage import parse_json, stumbles
from zeroiqa.files.schema import NUMBER, TEXT, WHOLE, ListOf, MapOf, Record, first_wrong, perhaps
from zeroiqa.files.storage import Location, RemotePath
from zeroiqa.runs import parts
from zeroiqa.runs.findings import find, kinds_of, limits, rater_of
from zeroiqa.version import __version__

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation
    from zeroiqa.runs.planned_run import PlannedRun

FOLDER = "events"
_LONGEST = 1e9
"""Seconds of work on one shard, of an event that is believed."""
_ANSWERS = Record(
    dict.fromkeys(("images", "low_images", "regions", "low_regions", "unanswered", "unasked"), WHOLE)
    | {name: perhaps(NUMBER) for name in ("limit", "smallest", "smallest_region")},
    optional=dict.fromkeys(LATER_COUNTS, WHOLE),
)
_PART = Record({"bytes": WHOLE, "sha256": TEXT, "errors": MapOf(ListOf(WHOLE))})
_EVENT = Record(
    dict.fromkeys(("time", "host", "worker", "zeroiqa"), TEXT)
    | dict.fromkeys(("pid", "shard", "images", "errors"), WHOLE)
    | {"seconds": NUMBER, "raters": ListOf(TEXT), "parts": MapOf(_PART)}
)
_PIECE = 1 << 20  # bytes
_READERS = 16
_TOKEN = secrets.token_hex(8)
"""Of this process: containers may share the name of the host and its number."""


class PartOf(NamedTuple):
    """Names a part."""

    stage: str
    shard: int
    generation: int = 0


@dataclass(frozen=True)
class PartEvent:
    """One part that was committed."""

    bytes: int
    """Its size."""
    sha256: str
    """Of the whole file, in hex."""
    errors: Mapping[str, tuple[int, ...]] = field(hash=False)
    """Error sentence without the image's own path -> numbers of the images that have it."""
    answers: Mapping[str, Answers] | None = field(default=None, hash=False)
    """Standard -> how much of the answers lies on its levels, by the limits of that day; empty for regions.
    None: written when images whose answers were no level were not yet among the errors."""
    causes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    """Cause of an error -> the images that have it, as the part says."""


@dataclass(frozen=True)
class Event:
    """One shard that a process has done what was missing of."""

    time: datetime
    """When its last part was there, by the clock of the host, in UTC."""
    host: str
    pid: int
    worker: str
    """What the process was given, for people: a GPU, a task of an array; may be empty."""
    shard: int
    raters: tuple[str, ...]
    """Those of the pass; other passes over the same shard have events of their own."""
    images: int
    """Of the shard, those that were worked on."""
    errors: int
    """Of them, with an error in one of the parts."""
    seconds: float
    """Of work on this shard, at least 0."""
    zeroiqa: str
    """Version that did it."""
    parts: Mapping[str, PartEvent] = field(hash=False)
    """Stage -> its part; those stages only that were missing."""
    token: str = ""
    """Random, one for each process; empty in events of older versions."""
    generation: int = 0
    """Of the parts."""

    @property
    def process(self) -> tuple[str, int, str]:
        """Tells the process from all others that have ever worked on the run."""
        return self.host, self.pid, self.token


@dataclass(frozen=True)
class Events:
    """All that can be read of a run's events."""

    found: tuple[Event, ...]
    """Process after process; those of one process in the order of its work."""
    damaged: int
    """Lines or files that are no event: cut off by a kill or a full disk, or edited."""

    def parts(self) -> dict[PartOf, PartEvent]:
        """What the events say of each part; the latest of several."""
        by_time = sorted(self.found, key=lambda event: event.time)
        return {
            PartOf(stage, event.shard, event.generation): part
            for event in by_time
            for stage, part in event.parts.items()
        }


def record(
    run: PlannedRun, shard: int, *, stages: Sequence[str], raters: Sequence[str], seconds: float, images: int
) -> None:
    """Append the event of a shard whose parts are committed.

    What the event tells of a part is read from its file: two processes that did the same shard tell the same.
    An event that cannot be written is lost, and the run goes on.

    Args:
        run: The run.
        shard: Its number.
        stages: Those whose parts were missing before; nothing is recorded if none was.
        raters: Of the pass.
        seconds: Of work.
        images: That were worked on.
    """
    if not stages:
        return
    with suppress(OSError, UserError):
        generation = run.revisions.generation(shard)
        events = {stage: _part(run, PartOf(stage, shard, generation)) for stage in stages}
        broken = {image for part in events.values() for images in part.errors.values() for image in images}
        event = Event(
            time=datetime.now(UTC),
            host=platform.node(),
            pid=os.getpid(),
            worker=_label(os.environ),
            shard=shard,
            raters=tuple(raters),
            images=images,
            errors=len(broken),
            seconds=round(max(seconds, 0.0), 6),
            zeroiqa=__version__,
            parts=events,
            token=_TOKEN,
            generation=generation,
        )
        _append(run.folder / FOLDER, event)


def read_events(folder: Location) -> Events:
    """All events of a run folder. What cannot be read is counted and skipped."""
    found: list[Event] = []
    damaged = 0
    for line in _lines(folder / FOLDER):
        event = None if line is None else _event(line)
        if event is None:
            damaged += 1
        else:
            found.append(event)
    return Events(tuple(found), damaged)


class Content(NamedTuple):
    """What a part says of its images."""

    errors: Mapping[str, tuple[int, ...]]
    """As those of a `PartEvent`; so are the others."""
    causes: Mapping[str, tuple[int, ...]]
    answers: Mapping[str, Answers]
    """Empty for regions."""

    def by_image(self) -> dict[int, tuple[str, str | None]]:
        """Number of an image -> its error, and the cause if it has one."""
        causes = {image: cause for cause, images in self.causes.items() for image in images}
        return {image: (kind, causes.get(image)) for kind, images in self.errors.items() for image in images}


def content(
    run: PlannedRun,
    part: PartOf,
    logged: PartEvent | None,
    aggregation: Aggregation,
    without: Set[int] = frozenset(),
) -> Content:
    """What a part says, by its event, or by itself where that says too little.

    Args:
        run: The run.
        part: Of one of its stages.
        logged: From `Events.parts`; None where there is no event.
        aggregation: Says what mass is low.
        without: Images that do not count; the event, which counts them, is of no use then.

    Raises:
        UserError: the part is not there or damaged.
    """
    rater = rater_of(run, part.stage)
    if without or (logged is not None and not _tells_of(logged, run.images_of(part.shard))):
        logged = None
    if logged is not None and rater is None:
        return Content(logged.errors, logged.causes, {})
    if logged is not None and logged.answers is not None and rater is not None:
        by_event = {standard: each.limit for standard, each in logged.answers.items()}
        if by_event == limits(run, rater, aggregation):
            return Content(logged.errors, logged.causes, logged.answers)
    found = find(run, part.stage, part.shard, aggregation, generation=part.generation, without=without)
    return Content(kinds_of(run, part.shard, found.errors), _by_cause(found.causes), found.answers)


def digest(path: Location) -> tuple[int, str]:
    """Size in bytes and SHA-256 in hex of a file.

    Raises:
        OSError: it cannot be read.
    """
    size, sha256 = 0, hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            sha256.update(piece)
            size += len(piece)
    return size, sha256.hexdigest()


def _part(run: PlannedRun, part: PartOf) -> PartEvent:
    size, sha256 = digest(parts.part_path(run.folder, *part))
    found = find(run, part.stage, part.shard, generation=part.generation)
    errors = kinds_of(run, part.shard, found.errors)
    return PartEvent(size, sha256, errors, found.answers, _by_cause(found.causes))


def _by_cause(causes: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for image, cause in causes.items():
        found.setdefault(cause, []).append(image)
    return {cause: tuple(images) for cause, images in found.items()}


def _tells_of(part: PartEvent, images: range) -> bool:
    """Whether an event speaks of no other images than those that the shard has."""
    counts = (each.images + each.unasked for each in (part.answers or {}).values())
    return all(image in images for numbers in part.errors.values() for image in numbers) and all(
        count <= len(images) for count in counts
    )


def _label(environment: Mapping[str, str]) -> str:
    names = {"SLURM_ARRAY_TASK_ID": "task", "CUDA_VISIBLE_DEVICES": "GPU"}
    return ", ".join(f"{name} {environment[key]}" for key, name in names.items() if environment.get(key))


def _append(folder: Location, event: Event) -> None:
    text = json.dumps(_to_json(event), allow_nan=False) + "\n"
    host = re.sub(r"[^A-Za-z0-9.]", "_", event.host)
    name = f"{host}-{event.pid}-{event.token}"
    if isinstance(folder, RemotePath):  # nothing can be appended to there
        with created(folder / f"{name}-{event.shard}-{event.time:%H%M%S%f}.jsonl") as file:
            file.write(text.encode())
        return
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / f"{name}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, text.encode())  # at once: readers see whole lines
    finally:
        os.close(descriptor)


def _lines(folder: Location) -> Iterator[str | None]:
    """The lines of all files; None for a file that cannot be read."""
    paths: Iterator[Location] = folder.glob("*.jsonl")
    with ThreadPoolExecutor(_READERS) as readers:  # in an object store, every event is one request
        for text in readers.map(_text, sorted(paths, key=str)):
            yield from (None,) if text is None else (line for line in text.split("\n") if line.strip())


def _text(path: Location) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except (OSError, UserError):
        return None


def _to_json(event: Event) -> dict[str, Any]:
    by_stage: dict[str, dict[str, Any]] = {
        stage: {
            "bytes": part.bytes,
            "sha256": part.sha256,
            "errors": part.errors,
            "answers": part.answers and {standard: vars(each) for standard, each in part.answers.items()},
            "causes": part.causes,
        }
        for stage, part in event.parts.items()
    }
    time = event.time.isoformat(timespec="milliseconds")
    return {**vars(event), "time": time, "parts": by_stage}


def _event(line: str) -> Event | None:
    """None for what is no event; fields of later versions are left out."""
    try:
        fields = parse_json(line)
        if first_wrong(fields, _EVENT) is not None:
            return None
        event = Event(
            time=datetime.fromisoformat(fields["time"]).astimezone(UTC),
            host=str(fields["host"]),
            pid=int(fields["pid"]),
            worker=str(fields["worker"]),
            shard=int(fields["shard"]),
            raters=tuple(map(str, fields["raters"])),
            images=int(fields["images"]),
            errors=int(fields["errors"]),
            seconds=float(fields["seconds"]),
            zeroiqa=str(fields["zeroiqa"]),
            parts={str(stage): _part_of(part) for stage, part in fields["parts"].items()},
            token=str(fields.get("token", "")),
            generation=int(fields.get("generation", 0)),
        )
    except stumbles():
        return None
    return event if 0 <= event.seconds <= _LONGEST else None


def _part_of(fields: Mapping[str, Any]) -> PartEvent:
    errors = {str(kind): tuple(map(int, images)) for kind, images in fields["errors"].items()}
    found = fields.get("answers")
    if found is not None and (wrong := first_wrong(found, MapOf(_ANSWERS), "answers")):
        raise ValueError(wrong)
    answers = None if found is None else {str(name): answers_of(each) for name, each in found.items()}
    causes = {str(cause): tuple(map(int, images)) for cause, images in fields.get("causes", {}).items()}
    return PartEvent(int(fields["bytes"]), str(fields["sha256"]), errors, answers, causes)
