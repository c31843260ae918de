"""Find by their names the columns that hold the image, its prompt and its score."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from zeroiqa.errors import UserError, printable

IMAGE_COLUMNS = ("path", "image", "file", "filename", "name", "image_name", "image_path", "image_file",
                 "image_filename", "image_key", "file_path", "img", "img_name", "img_path", "img_file",
                 "dist_img")  # fmt: skip
"""What the column of the images may be called, in any case, with any of - _ or a space between, or none."""
SCORE_COLUMNS = ("score", "scores", "gt_score", "gt_mos", "mean_opinion_score")
"""What the column of people's scores may be called, spelled as freely, beside mos and dmos."""


def letters(name: str) -> str:
    """A column's name without case, spaces, - and _."""
    return re.sub(r"[\s_\ufeff-]+", "", name.casefold())


_IMAGES = frozenset(map(letters, IMAGE_COLUMNS))


def names_images(name: str) -> bool:
    """Whether a column of this name holds the images."""
    return letters(name) in _IMAGES


def named_column(header: Sequence[str], names: Collection[str], what: str, shown: str) -> int | None:
    """The place of the one column that has one of the names, in any spelling; None if there is none.

    Args:
        header: Names of the columns.
        names: Those that fit.
        what: What such a column holds, for a message.
        shown: The file, for a message.

    Raises:
        UserError: there are several; the message names them.
    """
    wanted = {letters(name) for name in names}
    fitting = [place for place, name in enumerate(header) if letters(name) in wanted]
    if len(fitting) > 1:
        named = " and ".join(printable(header[place]) for place in fitting[:5])
        raise UserError(
            f"{shown} has {len(fitting)} columns of {what}, {named}; leave one of them or rename the others."
        )
    return fitting[0] if fitting else None


def prompt_column(header: Sequence[str], shown: str) -> int | None:
    """The place of the column `prompt`, or else, beside `file_name`, of `text`, as Hugging Face has it.

    Raises:
        UserError: there are two.
    """
    place = named_column(header, ("prompt",), "prompts", shown)
    if place is None and "file_name" in (name.strip().lower() for name in header):
        return named_column(header, ("text",), "prompts", shown)
    return place


def first_names(names: Collection[str], limit: int = 12) -> str:
    """The first of some names for a message, cut where they are long, and how many more there are."""
    listed = [printable(name[:60]) for _, name in zip(range(limit), names, strict=False)]
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(listed) + more
