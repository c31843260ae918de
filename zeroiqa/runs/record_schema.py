"""What run.json must say: the type at each of its places, and that its parts agree with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from zeroiqa.files.damage import shortened
from zeroiqa.files.schema import ANYTHING, TEXT, WHOLE, ListOf, MapOf, Record, first_wrong, one_of, perhaps
from zeroiqa.runs.identity import as_today, run_id_of
from zeroiqa.runs.plan import INPUTS
from zeroiqa.standards import Kind

_STANDARD = Record({"name": TEXT, "version": WHOLE, "hash": TEXT, "aspect": TEXT, "k": WHOLE})
_IDENTITY = Record(
    {
        "method_version": WHOLE,
        "settings": MapOf(ANYTHING),
        "decode_policy": TEXT,
        "segmenter": perhaps(TEXT),
        "raters": MapOf(TEXT),
        "standards": ListOf(_STANDARD),
        "inputs": INPUTS,
    }
)
_RECORD = Record(
    {
        "run_id": TEXT,
        "format": WHOLE,
        "settings": MapOf(ANYTHING),  # `settings_from_dict` looks at each of them
        "labels": MapOf(TEXT),
        "identity": _IDENTITY,
        "environment": MapOf(TEXT),
    },
    optional={
        "arithmetic": MapOf(ANYTHING),
        "zeroiqa": TEXT,
        "preset": TEXT,
        "kinds": MapOf(one_of(*get_args(Kind))),
        "origin": MapOf(TEXT),
        "created": TEXT,
    },
)


def wrong_record(record: Any) -> str | None:
    """The first thing that is wrong with the content of a run.json, as a part of a sentence; None if nothing.

    What decides a score is there twice, or hashed: an edit of one place is found by the other.
    """
    return first_wrong(record, _RECORD) or _disagreement(record)


def _disagreement(record: Mapping[str, Any]) -> str | None:
    identity, settings = record["identity"], as_today(record["settings"])
    if run_id_of(identity) != record["run_id"]:
        return "run_id is not the SHA-256 of identity: one of them was edited"
    if "named" not in identity["inputs"] and not {"count", "sha256"} <= identity["inputs"].keys():
        return "identity.inputs says neither what was named nor which images"
    chosen = as_today(identity["settings"]).items()
    named = {f"identity.settings.{key}": (key, value) for key, value in chosen}
    named |= {f"arithmetic.{key}": (key, value) for key, value in record.get("arithmetic", {}).items()}
    for place, (key, value) in named.items():
        if key not in settings:
            return f"settings.{key} is missing"
        if settings[key] != value or type(settings[key]) is not type(value):
            found, then = (shortened(repr(each)) for each in (settings[key], value))
            return f"settings.{key} is {found}, where {place} is {then}"
    names = [standard["name"] for standard in identity["standards"]]
    for key in ("labels", "kinds"):
        if key in record and sorted(record[key]) != sorted(names):
            return f"{key} are of other standards than identity.standards ({shortened(', '.join(names))})"
    return None
