"""`zeroiqa.select`: images of a run by their scores, tags and columns, in Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zeroiqa.curation.groups import FOLDER, grouping
from zeroiqa.curation.selection import Counts, Rank, Request, choose, conditions, parse_amount
from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location, RemotePath, location
from zeroiqa.image_scores import ImageScores
from zeroiqa.runs import Run, load_run, plan
from zeroiqa.runs.naming import root_of
from zeroiqa.runs.presentation import presentation

_LOOKED_AT = 1000
"""Images whose relative paths tell what these count from."""


def load_where_it_lies(folder: str | os.PathLike[str] | Location | Run) -> Run:
    """A run whose relative paths count from the folder in which they do now.

    Raises:
        UserError: there is no run, or it is damaged.
    """
    if isinstance(folder, Run):
        run = folder
    else:
        run = load_run(folder if isinstance(folder, Path | RemotePath) else location(os.fspath(folder)))
    first = [row.ref.path for row, _ in zip(plan.all_planned(run.folder), range(_LOOKED_AT), strict=False)]
    root = root_of(run.folder, run.origin, first)
    return replace(run, root="" if root == str(Path.cwd()) else root)


def request_of(
    run: Run,
    *,
    worst: int | str | None = None,
    best: int | str | None = None,
    doubtful: int | str | None = None,
    below: float | None = None,
    above: float | None = None,
    tags: Sequence[str] = (),
    where: Sequence[str] = (),
    group_by: str = FOLDER,
    per_group: bool = False,
) -> Request:
    """What is asked for; arguments as of `select`.

    Raises:
        UserError: nothing is, or two ranks are, or an argument is wrong.
    """
    amounts: dict[Rank, int | str | None] = {"worst": worst, "best": best, "doubtful": doubtful}
    ranks = [(rank, amount) for rank, amount in amounts.items() if amount is not None]
    if len(ranks) > 1:
        raise UserError(
            f"Both the {ranks[0][0]} and the {ranks[1][0]} images are asked for; give one of them."
        )
    if per_group and not ranks:
        raise UserError("Some of each group are asked for, but not which; give worst, best or doubtful, too.")
    where = [where] if isinstance(where, str) else where
    tags = [tags] if isinstance(tags, str) else tags
    shown = presentation(run)
    met = conditions(run, where=where, below=below, above=above, tags=tags, shown=shown)
    if not ranks and not met:
        raise UserError(
            "No images are asked for; give how many (worst, best, doubtful) or a condition (below, above, "
            "tag, where)."
        )
    group = grouping(group_by, (run.root or ".",))
    if not ranks:
        return Request(where=met, tags=tuple(tags), group=group, shown=shown)
    rank, amount = ranks[0]
    return Request(rank, parse_amount(amount), met, tuple(tags), group, per_group, shown)


def select(
    run: str | os.PathLike[str] | Run,
    *,
    worst: int | str | None = None,
    best: int | str | None = None,
    doubtful: int | str | None = None,
    below: float | None = None,
    above: float | None = None,
    tags: Sequence[str] = (),
    where: Sequence[str] = (),
    group_by: str = FOLDER,
    per_group: bool = False,
) -> ImageScores:
    """Choose images of a run, as `zeroiqa select` does: those that meet all conditions, by one rank.

    Args:
        run: The run, or its folder; of one that is not finished, what is there.
        worst: A number of images from 1 on, or a percentage of those that are left ("5%"), rounded up.
        best: The same, the best first.
        doubtful: The same, the most doubtful first; see `zeroiqa.curation.doubt`.
        below: The score is less, as a number, also where lower is better.
        above: The score is more.
        tags: The image has all of them.
        where: Conditions on columns, such as "score < 3 and width > 1000"; see `zeroiqa.curation.where`.
        group_by: "folder", "FILE:COLUMN" or "re:EXPRESSION"; see `zeroiqa.curation.groups.grouping`.
        per_group: Take so many of each group.

    Returns:
        The results by their rank, of equal ones and without a rank in plan order.

    Raises:
        UserError: there is no run or it is damaged, an argument is wrong, or nothing is asked for.

    Example:
        >>> import tempfile, zeroiqa
        >>> from zeroiqa.samples import folder
        >>> run = zeroiqa.run(folder(), tempfile.mkdtemp())
        >>> [result.path.rsplit("/")[-1] for result in zeroiqa.select(run, worst=1)]
        ['cat_blurred.jpg']
    """
    loaded = load_where_it_lies(run)
    request = request_of(
        loaded, worst=worst, best=best, doubtful=doubtful, below=below, above=above, tags=tags, where=where,
        group_by=group_by, per_group=per_group,
    )  # fmt: skip
    return ImageScores(tuple(choose(loaded, request, lambda chosen: chosen.score, Counts())))
