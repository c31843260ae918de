"""The text prompts of images from a file beside: a table of images and prompts, or a line for each image."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from zeroiqa.errors import UserError, printable
from zeroiqa.files.damage import reason, stumbles
from zeroiqa.files.storage import is_remote, location
from zeroiqa.files.tables.columns import first_names, letters
from zeroiqa.files.tables.read import IMAGE_COLUMNS, read_table
from zeroiqa.files.tables.row_files import SUFFIXES
from zeroiqa.files.tables.text import begins_a_table
from zeroiqa.files.text import decoded
from zeroiqa.images.listed_paths import spellings
from zeroiqa.images.ref import ImageRef

_LOG = logging.getLogger(__name__)

COLUMNS = ("prompt", "prompts", "text_prompt", "prompt_text", "caption", "captions", "text", "description")
"""What the column of prompts may be called in such a table, spelled as freely as that of images."""


def with_prompts(sources: Sequence[ImageRef], file: Path) -> list[ImageRef]:
    """The images with the prompts of a file; one that it does not name keeps its own.

    A table has a column of images, told by their paths, or by their file names where these fit one image;
    or else a row for each image, in order. Other text has a line for each image. What fits nothing is counted
    in a warning.

    Args:
        sources: The images.
        file: A table (.csv, .tsv, .xlsx, .json, .jsonl, .parquet) or text.

    Raises:
        UserError: it cannot be read, has no column of prompts or several, or not as many rows as images.
    """
    shown = printable(str(file))
    if file.suffix.lower() in SUFFIXES or begins_a_table(_text(file, shown)):
        return _of_table(sources, file, shown)
    lines = _text(file, shown).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return _in_order(sources, lines, "lines", shown)


def _text(file: Path, shown: str) -> str:
    try:
        return decoded(file.read_bytes(), shown, strict=True)
    except stumbles() as error:
        raise UserError(f"{shown} cannot be read ({reason(error)}); name a text file in UTF-8.") from error


def _of_table(sources: Sequence[ImageRef], file: Path, shown: str) -> list[ImageRef]:
    table = read_table(file)
    image = table.column(IMAGE_COLUMNS, "images")
    places = [place for place, name in enumerate(table.header) if letters(name) in _PROMPTS]
    if not places:
        raise UserError(
            f"{shown} has no column of prompts; its columns are {first_names(table.header)}; one of "
            f"{', '.join(COLUMNS[:5])} is needed."
        )
    if len(places) > 1:
        named = " and ".join(printable(table.header[place]) for place in places[:5])
        raise UserError(f"{shown} has {len(places)} columns of prompts, {named}; leave one of them.")
    (column,) = places
    if image is None:
        return _in_order(sources, [cells[column] for cells in table.rows], "rows", shown)
    index, prompts, foreign = _Index(sources), dict[int, str](), 0
    for cells in table.rows:
        found = index.find(cells[image], file.parent)
        foreign += found is None and bool(cells[image].strip())
        if found is not None and cells[column].strip():
            prompts[found] = cells[column].strip()
    if not prompts:
        first = printable(next((cells[image] for cells in table.rows), "nothing"))
        raise UserError(f"{shown} has a prompt for none of the {len(sources)} images; it names {first}.")
    if len(prompts) < len(sources):
        _LOG.warning(
            "%s has no prompt for %d of %d images.", shown, len(sources) - len(prompts), len(sources)
        )
    if foreign:
        _LOG.warning("%s names %d images that are not among those found.", shown, foreign)
    return [
        source._replace(prompt=prompts.get(number, source.prompt)) for number, source in enumerate(sources)
    ]


_PROMPTS = frozenset(map(letters, COLUMNS))


class _Index:
    """Finds images by what a table calls them."""

    def __init__(self, sources: Sequence[ImageRef]) -> None:
        self._paths = {_absolute(source.path): number for number, source in enumerate(sources)}
        self._names: dict[str, list[int]] = defaultdict(list)
        for number, source in enumerate(sources):
            name = source.path.replace(os.sep, "/").rpartition("/")[2]
            for key in {name, Path(name).stem}:
                self._names[key].append(number)

    def find(self, text: str, folder: Path) -> int | None:
        """The number of the image; None where none is meant, or several may be."""
        for spelled in filter(None, spellings(text)):
            for path in (str(folder / spelled), spelled):
                if (found := self._paths.get(_absolute(path))) is not None:
                    return found
        for spelled in filter(None, spellings(text)):
            named = self._names.get(spelled.replace(os.sep, "/").rpartition("/")[2], [])
            if len(named) == 1:
                return named[0]
        return None


def _absolute(path: str) -> str:
    return str(location(path)) if is_remote(path) else os.path.abspath(path)  # noqa: PTH100


def _in_order(sources: Sequence[ImageRef], texts: Sequence[str], what: str, shown: str) -> list[ImageRef]:
    if len(texts) != len(sources):
        raise UserError(
            f"{shown} has {len(texts)} {what} for {len(sources)} images; one for each image is needed, in "
            "the order in which the images are found, or a table with a column image and a column prompt."
        )
    return [source._replace(prompt=text.strip() or None) for source, text in zip(sources, texts, strict=True)]
