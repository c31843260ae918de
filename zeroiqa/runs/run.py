"""A run folder: created, opened again, or refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError, printable
from zeroiqa.runs import plan, store
from zeroiqa.runs.files import created, remove_leftovers, replaced, writing
from zeroiqa.runs.identity import (
    ARITHMETIC,
    differences,
    environment,
    identity_of,
    run_id_of,
    without_additions,
)
from zeroiqa.settings import Settings, settings_from_dict
from zeroiqa.version import __version__

if TYPE_CHECKING:
    from zeroiqa.inputs import Source

FORMAT = 1
"""Goes up when an older zeroiqa could misread the folder."""
_RECORD = "run.json"
_KEYS = {"run_id", "format", "settings", "labels", "identity", "environment"}


@dataclass(frozen=True)
class Run:
    """A run folder whose plan exists. Small and picklable: worker processes are given one."""

    folder: Path
    run_id: str
    settings: Settings
    identity: Mapping[str, Any] = field(hash=False)
    """What the run id stands for: ids of policy, segmenter, raters; standards; digest of the inputs."""
    labels: Mapping[str, str] = field(hash=False)
    """Standard name -> what its scores are called; kept in run.json, so that reading needs no standard."""
    shards: tuple[int, ...]
    """Images in each shard, in plan order."""
    warnings: tuple[str, ...] = ()
    """What the user should know: libraries have changed since the run was started."""
    added: tuple[str, ...] = ()
    """Raters that the run did not have until it was opened this time."""

    @property
    def n_images(self) -> int:
        """Images planned."""
        return sum(self.shards)

    @property
    def n_shards(self) -> int:
        """Shards planned."""
        return len(self.shards)

    @property
    def stages(self) -> tuple[str, ...]:
        """Folders that hold one part per shard, in the order in which they are filled."""
        return (store.REGIONS, *map(store.rating_stage, self.settings.raters))

    def count_images(self, shards: Iterable[int]) -> int:
        """Images in some of the shards."""
        return sum(self.shards[shard] for shard in shards)


@dataclass(frozen=True)
class RunStatus:
    """How far a run is."""

    images: int
    """Images planned."""
    shards: int
    """Shards planned."""
    finished: Mapping[str, int]
    """Stage -> shards whose part is there."""
    scored: int
    """Images of wholly finished shards without an error."""
    errors: int
    """Images of wholly finished shards with an error."""
    error_kinds: Counter[str]
    """Error sentence without the image's own path -> images."""


def run_id(settings: Settings, sources: Sequence[Source]) -> str:
    """The id that a run of these settings over these images has.

    Raises:
        UserError: a segmenter, rater or standard is unknown or does not fit.
    """
    return run_id_of(_identity(settings, sources)[0])


def open_run(folder: Path, settings: Settings, sources: Sequence[Source], *, preset: str) -> Run:
    """Create a run, or open the one that is there if it is the same, or the same with fewer raters.

    Further raters are added to it: the parts that are there stay, and their own ratings become pending.

    Args:
        folder: New, empty, or that run's folder.
        settings: How to score.
        sources: The images, in the order of the results.
        preset: Where the settings came from; noted, not compared.

    Raises:
        UserError: the folder holds something else or cannot be written, or a name in the settings is unknown.
    """
    identity, labels = _identity(settings, sources)
    if not _is_run(folder):
        _create(folder, settings, preset, identity, labels)
    record = _read_record(folder)
    there = record["identity"]
    if without_additions(identity, there) != there:
        raise UserError(_refusal(folder, there, without_additions(identity, there), sources))
    if there != identity:
        record = _extend(folder, record, settings, identity)
    if plan.owner(folder) != record["run_id"]:  # the creation was interrupted
        plan.write_plan(folder, sources, record["run_id"])
    added = tuple(name for name in settings.raters if name not in there["raters"])
    run = replace(_run(folder, record, settings), added=added)
    tidy(run)
    return run


def load_run(folder: Path) -> Run:
    """Open a run that exists, without its images or models.

    Raises:
        UserError: the folder is no run, is damaged, or was written by a newer zeroiqa.
    """
    record = _read_record(folder)
    return _run(folder, record, settings_from_dict(record["settings"], f"{folder / _RECORD}"))


def is_current(run: Run) -> bool:
    """Whether nobody has added raters to the run since it was opened."""
    return bool(_read_record(run.folder)["run_id"] == run.run_id)


def tidy(run: Run) -> None:
    """Remove what killed processes left half written."""
    for stage in ("", *run.stages):
        remove_leftovers(run.folder / stage)


def pending(run: Run, raters: Sequence[str] | None = None) -> list[int]:
    """The shards that have something left to do, in plan order; for some of the raters, or for all."""
    chosen = run.settings.raters if raters is None else raters
    stages = (store.REGIONS, *map(store.rating_stage, chosen))
    done = set.intersection(*(store.finished_shards(run.folder, stage) for stage in stages))
    return [shard for shard in range(run.n_shards) if shard not in done]


def status(run: Run) -> RunStatus:
    """How far a run is. Reads the error columns of all finished parts, nothing else.

    Raises:
        UserError: a part is damaged.
    """
    finished = {stage: store.finished_shards(run.folder, stage) for stage in run.stages}
    whole = sorted(set.intersection(*finished.values()))
    kinds: Counter[str] = Counter()
    with plan.shard_reader(run.folder) as planned:
        for shard in whole:
            errors: dict[int, str] = {}
            for stage in reversed(run.stages):  # an image's first error is the one that it is listed with
                errors |= store.read_errors(run.folder, stage, shard)
            names = {row.image: printable(row.file) for row in planned(shard)} if errors else {}
            kinds.update(error.replace(names[image], "").lstrip(": ") for image, error in errors.items())
    return RunStatus(
        images=run.n_images,
        shards=run.n_shards,
        finished={stage: len(shards) for stage, shards in finished.items()},
        scored=run.count_images(whole) - kinds.total(),
        errors=kinds.total(),
        error_kinds=kinds,
    )


def _identity(settings: Settings, sources: Sequence[Source]) -> tuple[dict[str, Any], dict[str, str]]:
    from zeroiqa.pipeline import build_method  # loads OpenCV, which `zeroiqa rescore` does without

    method = build_method(settings)
    images = ((source.path, source.prompt) for source in sources)
    return identity_of(settings, method, images), method.labels


def _create(
    folder: Path, settings: Settings, preset: str, identity: Mapping[str, Any], labels: Mapping[str, str]
) -> None:
    """Write run.json; of several processes that do so at once, the first one decides what the run is."""
    record: dict[str, Any] = {
        "run_id": run_id_of(identity),
        "format": FORMAT,
        "zeroiqa": __version__,
        "preset": preset,
        "settings": settings.to_dict(),
        "labels": dict(labels),
        "identity": identity,
        "environment": environment(settings),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with created(folder / _RECORD) as file:
        file.write(_text(record))


def _extend(
    folder: Path, record: Mapping[str, Any], settings: Settings, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """Replace run.json by one with more raters. Interrupted after it, the plan is missing; see `open_run`."""
    larger = {
        **record,
        "run_id": run_id_of(identity),
        "settings": settings.to_dict(),
        "identity": identity,
        "environment": {**environment(settings), **record["environment"]},
    }
    with replaced(folder / _RECORD) as file:
        file.write(_text(larger))
    return larger


def _text(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=2).encode() + b"\n"


def _is_run(folder: Path) -> bool:
    """False where a run can be created; refuses what is neither. Hidden files do not count."""
    with writing(folder):
        if not folder.exists():
            return False
        if not folder.is_dir():
            raise UserError(f"{folder} is a file; give an empty or new folder with -o.")
        if (folder / _RECORD).is_file():
            return True
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others:
        raise UserError(
            f"{folder} holds other files (first: {others[0]}); give an empty or new folder with -o."
        )
    return False


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / _RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        found = f"has no {_RECORD}" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {found}, so it is no run; give the folder of a run.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); use another folder.") from error
    if isinstance(record, dict) and isinstance(record.get("format"), int) and record["format"] > FORMAT:
        raise UserError(
            f"{folder} was written by zeroiqa {record.get('zeroiqa')} (format {record['format']}); "
            f"this is {__version__}, which reads up to format {FORMAT}: pip install -U zeroiqa."
        )
    if not isinstance(record, dict) or not record.keys() >= _KEYS:
        raise UserError(f"{path} was not written by zeroiqa; give an empty or new folder with -o.")
    return record


def _run(folder: Path, record: Mapping[str, Any], settings: Settings) -> Run:
    if plan.owner(folder) != record["run_id"]:
        raise UserError(
            f"{folder / plan.NAME} is missing or belongs to another run; give the command of the run again."
        )
    return Run(
        folder=folder,
        run_id=record["run_id"],
        settings=settings,
        identity=record["identity"],
        labels=record["labels"],
        shards=plan.planned_sizes(folder),
        warnings=_warnings(folder, record["environment"], settings),
    )


def _warnings(folder: Path, then: Mapping[str, str], settings: Settings) -> tuple[str, ...]:
    now = environment(settings)
    changed = [
        f"{library} {version} (now {now.get(library, 'missing')})"
        for library, version in then.items()
        if now.get(library) != version
    ]
    if not changed:
        return ()
    return (f"{folder} was started with {', '.join(changed)}; scores may differ between the two.",)


def _refusal(
    folder: Path, there: Mapping[str, Any], here: Mapping[str, Any], sources: Sequence[Source]
) -> str:
    fields = differences(there, here)
    if not fields:
        return _other_images(folder, sources)
    listed = ", ".join(
        f"{key} is {_plain(then)} there and {_plain(now)} here" for key, (then, now) in fields.items()
    )
    ways = ["choose another folder with -o"]
    if next(folder.rglob("part-*.parquet"), None) is None:
        ways.append("delete this one, which holds no result yet")
    if set(fields) <= set(ARITHMETIC):
        ways.append(f"`zeroiqa rescore {folder}`")
    elif set(fields) <= {"raters", "rater_weights"}:
        ways.append("name all its raters to add others to them")
        ways.append(f"choose some of them with `zeroiqa rescore {folder} --member NAME`")
    return f"{folder} holds a run with other settings: {listed}; {', or '.join(ways)}."


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _other_images(folder: Path, sources: Sequence[Source]) -> str:
    there = {row.file: row.prompt for row in plan.all_planned(folder)}
    here = {source.path: source.prompt and plan.escaped(source.prompt) for source in sources}
    only_there = [f"{path} only there" for path in there if path not in here]
    only_here = [f"{path} only here" for path in here if path not in there]
    prompts = [path for path in here if path in there and here[path] != there[path]]
    if only_there or only_here:
        examples = ", ".join(only_there[:1] + only_here[:1])
        what = f"{len(there)} planned there, {len(here)} found here: {examples}"
    elif prompts:
        what = f"the prompt of {prompts[0]} is {there[prompts[0]]!r} there and {here[prompts[0]]!r} here"
    else:
        what = "the same ones in another order"
    return f"{folder} holds a run over other images ({what}); choose another folder with -o."
