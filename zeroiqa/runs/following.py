"""What has come and gone under the names that a run follows, and how the run learns of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.files.storage import Location
from zeroiqa.names import escaped
from zeroiqa.runs import plan, record, revisions
from zeroiqa.runs.naming import Naming, as_planned, is_list, root_of
from zeroiqa.runs.plan import Planned
from zeroiqa.runs.revisions import Change

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef


class Followed(NamedTuple):
    """How many images a run has learned of when it was opened; or would have, had it not been fixed."""

    new: int = 0
    gone: int = 0
    back: int = 0


class Reworded(NamedTuple):
    """An image whose prompt is another one than planned."""

    path: str
    there: str | None
    here: str | None


@dataclass(frozen=True)
class News:
    """How the images that a command finds differ from those that a run has."""

    new: tuple[ImageRef, ...]
    """The run does not have these."""
    missing: tuple[Planned, ...]
    """The command does not find these; those left out that are known to be gone."""
    gone: frozenset[int]
    """Of the missing, those that the names of the command led to, and do no more."""
    back: tuple[Planned, ...]
    """Found, though they were gone."""
    reworded: Reworded | None
    """The first one."""
    named: frozenset[str]
    """All names under which images of the run were planned, chosen from as the command does."""

    @property
    def counts(self) -> Followed:
        """For people."""
        return Followed(len(self.new), len(self.gone), len(self.back))


def from_its_root(
    folder: Location, naming: Naming | None, sources: Sequence[ImageRef]
) -> tuple[Naming | None, Sequence[ImageRef], str]:
    """What a command names and finds in the spelling of a run, and what relative paths count from there.

    The last is empty for the current folder. Where there is no run yet, all stays as it is.

    Raises:
        UserError: run.json or the plan cannot be read.
    """
    if not (folder / record.NAME).is_file() or plan.first_inputs(folder) is None:
        return naming, sources, ""
    here, paths = str(Path.cwd()), plan.paths(folder)
    root = root_of(folder, record.read_record(folder).get("origin", {}), paths)
    seen = naming if naming is None or root == here else naming.seen_from(here, root)
    return seen, as_planned(sources, paths, root), "" if root == here else root


def look(folder: Location, naming: Naming | None, sources: Sequence[ImageRef], root: str = "") -> News:
    """Compare what a command finds with what a run has; nothing is written.

    Args:
        folder: Of the run.
        naming: What the command names, canonical for the run's root; None for exact images.
        sources: What it finds, in the spelling of the run; see `zeroiqa.runs.naming.as_planned`.
        root: What the run's relative paths count from.

    Raises:
        UserError: the plan or a revision cannot be read.
    """
    there = revisions.read(folder)
    left = {source.path: source for source in sources}
    missing: list[Planned] = []
    back: list[Planned] = []
    gone: set[int] = set()
    named: set[str] = set()
    reworded = None
    for planned_for, rows in plan.by_naming(folder):
        followed = naming is not None and naming.covers(planned_for)
        listed = followed and any(map(is_list, () if planned_for is None else planned_for.names))
        if planned_for is not None and (naming is None or naming.how == planned_for.how):
            named.update(planned_for.names)
        for planned in rows:
            source = left.pop(planned.ref.path, None)
            if source is None or _is_lost(source, planned, root):
                if planned.image not in there.gone:
                    missing.append(planned)
                    if followed and _is_gone(planned, root, listed=listed):
                        gone.add(planned.image)
                continue
            row = there.planned(planned)
            if row.image in there.gone:
                back.append(row)
            there_prompt, here = row.ref.prompt, source.prompt and escaped(source.prompt)
            if reworded is None and there_prompt != here:
                reworded = Reworded(row.ref.name, there_prompt, here)
    return News(
        tuple(left.values()), tuple(missing), frozenset(gone), tuple(back), reworded, frozenset(named)
    )


def follow(folder: Location, news: News, naming: Naming | None) -> Followed:
    """Have a run take in what is new, and know what is gone and what is back.

    Raises:
        UserError: a file cannot be read or written.
    """
    new = plan.add_images(folder, news.new, naming) if news.new else 0
    changes = [Change(image, "gone") for image in sorted(news.gone)]
    # as they were planned: whether they are still the same files is looked at like that of the others
    changes += [
        Change(image, "back", ref.bytes, ref.modified, ref.offset, ref.prompt) for image, ref in news.back
    ]
    if changes:
        revisions.add(folder, changes)
    return Followed(new, len(news.gone), len(news.back))


def prune(folder: Location) -> int:
    """Leave out of every table what is gone; how many images that are."""
    there = revisions.read(folder)
    left = sorted(there.gone - there.pruned)
    return revisions.add(folder, [Change(image, "pruned") for image in left]) if left else 0


def _is_gone(planned: Planned, root: str, *, listed: bool) -> bool:
    """Whether an image that is not found is gone: not just where its folder cannot be looked into.

    A file that is there all the same came while another command looked, unless a list may have named it.
    """
    if planned.ref.archive is not None or "://" in planned.ref.path:
        return True
    there = _is_there(planned.ref.path, root)
    return listed if there else there is not None


def _is_lost(source: ImageRef, planned: Planned, root: str) -> bool:
    """Whether an image is only listed, and the file that the run knows is there no more."""
    if source.modified is not None or planned.ref.modified is None or "://" in source.path:
        return False
    return _is_there(source.path, root) is False


def _is_there(path: str, root: str) -> bool | None:
    """Whether there is a file; None if that cannot be known now."""
    try:
        os.lstat(os.path.join(root, path))  # noqa: PTH118
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return None
    return True
