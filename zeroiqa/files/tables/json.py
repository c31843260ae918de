"""Read records of JSON as rows: one to a line, a list, or an object from names to scores or records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.files.tables.columns import names_images
from zeroiqa.files.tables.rows import TableRows, bounded, check_size, text_of

_Record: TypeAlias = Mapping[str, Any]


def read_json(text: str, shown: str) -> TableRows:
    """All records of a text; the keys are the header.

    It holds one object to a line, or one document: a list of objects or of paths; an object of such lists, of
    which one has images (COCO); columns, as pandas writes them; or an object that gives each name a score or
    a record.

    Args:
        text: The content.
        shown: The file's name for a message.

    Raises:
        UserError: it is damaged or something else, an object has a key twice, or there is too much.
    """
    try:
        document = _loads(text, shown)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise UserError(f"{shown} is damaged in line {error.lineno}: {error}; write it again.") from error
        return _rows(*_lines(text, shown), "line", shown)
    records = _records(document, shown)
    return _rows(records, list(range(1, len(records) + 1)), "record", shown)


def _loads(text: str, shown: str) -> Any:
    """What a text means.

    Raises:
        json.JSONDecodeError: it is no JSON.
        UserError: it is nested too deeply, has a number beyond all bounds or an object with one key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in found if keys.count(key) > 1)
            raise UserError(f"{shown} has the key {printable(twice[:60])} twice in one object; leave one.")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise UserError(f"{shown} is nested too deeply for a table; write one object to a line.") from error
    except ValueError as error:  # integers of thousands of digits
        raise UserError(f"{shown} is damaged: {error}; write it again.") from error


def _lines(text: str, shown: str) -> tuple[list[_Record], list[int]]:
    records: list[_Record] = []
    numbers: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = _loads(line, shown)
        except json.JSONDecodeError as error:
            raise UserError(f"{shown} is damaged in line {number}: {error}; write it again.") from error
        if not isinstance(record, dict):
            raise UserError(f"{shown} has no object in line {number}; each line must be one ({{...}}).")
        records.append(record)
        numbers.append(number)
    return records, numbers


def _records(document: Any, shown: str) -> Sequence[_Record]:
    """The records of one document."""
    if isinstance(document, list) and all(isinstance(each, dict) for each in document):
        return document
    if isinstance(document, list) and all(isinstance(each, str) for each in document):
        return [{"path": each} for each in document]
    if isinstance(document, dict):
        if any(map(names_images, document)):
            return _columns(document, shown)
        lists = _lists_of_images(document)
        if len(lists) > 1:
            named = " and ".join(printable(name[:60]) for name in list(lists)[:5])
            raise UserError(f"{shown} has {len(lists)} lists of images, {named}; leave one of them.")
        if lists:
            return next(iter(lists.values()))
        if not any(isinstance(each, dict | list) for each in document.values()):
            return [{"image": name, "score": value} for name, value in document.items()]
        if all(isinstance(each, dict) for each in document.values()):
            complete = any(map(names_images, next(iter(document.values()))))
            return [each if complete else {"image": name} | each for name, each in document.items()]
    raise UserError(
        f"{shown} has no object with an image in line 1 or below; a list of such objects, one to a line, or "
        "an object of names and scores is expected."
    )


def _lists_of_images(document: _Record) -> dict[str, list[_Record]]:
    """The lists of records with a column of images, by name, as COCO has one."""
    return {
        name: each
        for name, each in document.items()
        if isinstance(each, list)
        and each
        and all(isinstance(record, dict) for record in each)
        and any(map(names_images, each[0]))
    }


def _columns(document: _Record, shown: str) -> Sequence[_Record]:
    """One record, or the columns of a table: lists, or objects by row."""
    columns = list(document.values())
    if not any(isinstance(column, dict | list) for column in columns):
        return [document]
    if all(isinstance(column, list) for column in columns) and len({len(each) for each in columns}) == 1:
        return [dict(zip(document, row, strict=True)) for row in zip(*columns, strict=True)]
    if all(isinstance(column, dict) for column in columns):
        rows = dict.fromkeys(row for column in columns for row in column)
        check_size(len(columns), len(rows), shown)
        return [{name: column.get(row) for name, column in document.items()} for row in rows]
    raise UserError(f"{shown} has columns of unequal length; write one object to a line.")


def _rows(records: Sequence[_Record], numbers: list[int], unit: str, shown: str) -> TableRows:
    header = tuple(dict.fromkeys(key for record in records for key in record))
    check_size(len(header), len(records) + 1, shown)
    rows = (tuple(text_of(record.get(key)) for key in header) for record in records)
    return TableRows([header, *bounded(rows, shown)], [0, *numbers], unit=unit)
