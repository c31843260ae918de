"""run.json: what a run is, written once; later only raters and regions are added to it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zeroiqa.errors import UserError
from zeroiqa.files.atomic import created, replaced, writing
from zeroiqa.files.damage import read_json, reading, shortened
from zeroiqa.files.storage import Location
from zeroiqa.runs.identity import ARITHMETIC, environment, run_id_of
from zeroiqa.runs.record_schema import wrong_record
from zeroiqa.settings import Settings
from zeroiqa.suggestions import did_you_mean_path
from zeroiqa.version import __version__

NAME = "run.json"
FORMAT = 4
"""Goes up when an older zeroiqa could misread the folder. 2: images can be added to the plan. 3: there are
revisions, and later generations of parts. 4: a run may lack the regions that its settings allow, and get them
by a revision."""
_KEYS = {"run_id", "format", "settings", "labels", "identity", "environment"}


def create(
    folder: Location,
    settings: Settings,
    preset: str,
    identity: Mapping[str, Any],
    labels: Mapping[str, str],
    kinds: Mapping[str, str],
    versions: Mapping[str, str],
    origin: Mapping[str, str],
) -> None:
    """Write run.json; of several processes that do so at once, the first one decides what the run is.

    Args:
        folder: Of the run.
        settings: As asked for.
        preset: Where they came from.
        identity: What the run id stands for.
        labels: Standard name -> what its scores are called.
        kinds: Standard name -> kind.
        versions: The libraries that compute its regions and ratings.
        origin: Its `origin_here`; empty where its images come from several folders.

    Raises:
        UserError: it cannot be written.
    """
    record: dict[str, Any] = {
        "run_id": run_id_of(identity),
        "format": FORMAT,
        "zeroiqa": __version__,
        "preset": preset,
        "settings": settings.to_dict(),
        "labels": dict(labels),
        "kinds": dict(kinds),
        "identity": identity,
        "arithmetic": _arithmetic(settings),
        "environment": dict(versions),
        "origin": dict(origin),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with created(folder / NAME) as file:
        file.write(_text(record))


def origin_here(folder: Location) -> dict[str, str]:
    """The current folder, from which relative paths of images count: itself, and as seen from the run's."""
    cwd = str(Path.cwd())
    if not isinstance(folder, Path):
        return {"cwd": cwd}
    return {"cwd": cwd, "from_run": os.path.relpath(cwd, folder.absolute())}


def extend(
    folder: Location, record: Mapping[str, Any], settings: Settings, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """Replace run.json by one with more raters, with regions, or with settings that change no score."""
    larger = {
        **record,
        "run_id": run_id_of(identity),
        "format": FORMAT,
        "settings": settings.to_dict(),
        "identity": identity,
        "arithmetic": _arithmetic(settings),
        "environment": {**environment(settings), **record["environment"]},
    }
    with replaced(folder / NAME) as file:
        file.write(_text(larger))
    return larger


def ensure_format(folder: Location) -> None:
    """Have run.json say what is needed to read the folder, before something is put there that is new."""
    record = read_record(folder)
    if record["format"] < FORMAT:
        with replaced(folder / NAME) as file:
            file.write(_text({**record, "format": FORMAT}))


def is_run(folder: Location) -> bool:
    """Whether a run is there; False where one can be created. Hidden files do not count.

    Raises:
        UserError: something else is there.
    """
    with writing(folder):
        if not folder.exists():
            return False
        if not folder.is_dir():
            raise UserError(f"{folder} is a file; give an empty or new folder with -o.")
        if (folder / NAME).is_file():
            return True
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others:
        raise UserError(
            f"{folder} holds other files (first: {others[0]}); give an empty or new folder with -o."
        )
    return False


def read_record(folder: Location) -> dict[str, Any]:
    """What run.json says.

    Raises:
        UserError: there is none, it is damaged, or a newer zeroiqa wrote it.
    """
    path = folder / NAME
    with reading(path, "put it back as it was, or score in another folder (-o)"):
        try:
            record = read_json(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            found, hint = f"has no {NAME}", ""
            if not folder.exists():
                found, hint = "does not exist", did_you_mean_path(str(folder))
            raise UserError(f"{folder} {found}, so it is no run; give the folder of a run.{hint}") from error
        if not isinstance(record, dict) or not record.keys() & _KEYS:
            raise UserError(f"{path} was not written by zeroiqa; give an empty or new folder with -o.")
        if isinstance(record.get("format"), int) and record["format"] > FORMAT:
            raise UserError(
                f"{folder} was written by zeroiqa {shortened(str(record.get('zeroiqa')))} (format "
                f"{shortened(str(record['format']))}); this is {__version__}, which reads up to format "
                f"{FORMAT}: pip install -U zeroiqa."
            )
        if wrong := wrong_record(record):
            raise ValueError(wrong)
    known: dict[str, Any] = record
    return known


def _arithmetic(settings: Settings) -> dict[str, Any]:
    """What scores.csv is by, a second time: an edit of one place is found by the other."""
    fields = settings.to_dict()
    return {key: fields[key] for key in ARITHMETIC}


def _text(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=2).encode() + b"\n"
