"""A dataset on disk that FiftyOne imports as `fiftyone.types.FiftyOneDataset`.

Its format: https://docs.voxel51.com/user_guide/import_datasets.html#fiftyonedataset; documents of MongoDB in
its extended JSON. The images stay where they are.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zeroiqa import rle
from zeroiqa.averaging import score_labels
from zeroiqa.export.columns import image_columns, region_columns
from zeroiqa.export.originals import copied, name_of_copy
from zeroiqa.files.atomic import replaced
from zeroiqa.files.storage import is_remote
from zeroiqa.names import escaped, json_text
from zeroiqa.report.overlay import resized_mask
from zeroiqa.runs.score_files import table_schema

if TYPE_CHECKING:
    from zeroiqa.export.images import Add
    from zeroiqa.runs import Run, ScoredImage
    from zeroiqa.types import Region

VERSION = "1.0.0"
"""Of FiftyOne, whose datasets these are; newer ones bring them up to date, older ones refuse them."""
REGIONS = "regions"
_OF_FIFTYONE = ("id", "filepath", "tags", "metadata", "created_at", "last_modified_at", REGIONS)
"""Fields that no column may be."""
_CORE = "fiftyone.core"


@contextmanager
def to_fiftyone(folder: Path, run: Run, columns: Sequence[str], *, copy: bool = False) -> Iterator[Add]:
    """Export images as samples: columns of scores.csv as fields, tags, regions as detections.

    Members of archives and objects of a store are copied into data/, since FiftyOne opens files alone.

    Args:
        folder: New or empty.
        run: Whose images they are.
        columns: Of scores.csv.
        copy: Copy every image, so that the folder can be moved to another machine.

    Raises:
        UserError: something cannot be written.
    """
    fields = _names(columns)
    count = 0
    with replaced(folder / "samples.json") as file:

        def add(image: ScoredImage) -> str | None:
            nonlocal count
            ref, path = image.planned.ref, str(Path(image.planned.ref.place).absolute())
            if copy or ref.archive is not None or is_remote(ref.place):
                path = f"data/{name_of_copy(image.planned.image, run.n_images, ref)}"
                if why := copied(ref, folder / path):
                    return why
            elif path != escaped(path):
                return "whose paths are not UTF-8 (--copy gives them names that are)"
            sample = {"filepath": path, **_sample(image, run.run_id, fields)}
            file.write((b"\n" if count == 0 else b",\n") + json_text(sample).encode())
            count += 1
            return None

        file.write(b'{"samples": [')
        yield add
        file.write(b"\n]}\n")
    with replaced(folder / "metadata.json") as file:
        file.write(json_text(_dataset(run, columns, fields), indent=1).encode() + b"\n")


def _names(columns: Sequence[str]) -> dict[str, str]:
    """Column -> field: FiftyOne takes no dots, dollars and leading underscores, and has some of its own."""
    names: dict[str, str] = {}
    taken = set(_OF_FIFTYONE)
    for column in columns:
        name = next(each for each in _numbered(_plain(column)) if each not in taken)
        names[column] = name
        taken.add(name)
    return names


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name).lstrip("_") or "column"


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in range(2, 1 << 20))


def _sample(image: ScoredImage, run_id: str, fields: dict[str, str]) -> dict[str, Any]:
    score, key = image.score, f"{run_id} {image.planned.image}"
    height, width = score.size or (None, None)
    said = {"path": score.path, **image_columns(score, list(fields))}
    return {
        "_id": _id(key),
        "tags": list(score.tags),
        "metadata": {"_cls": "ImageMetadata", "width": width, "height": height},
        "_media_type": "image",
        "_rand": int(_digest(key)[24:32], 16) / (1 << 32),
        **{name: said[column] for column, name in fields.items() if column in said and column != "tags"},
        REGIONS: {"_cls": "Detections", "detections": list(_detections(image, key))},
    }


def _detections(image: ScoredImage, key: str) -> Iterator[dict[str, Any]]:
    score = image.score
    if score.size is None:
        return
    height, width = score.size
    for index, (region, columns) in enumerate(zip(score.regions, region_columns(score), strict=True)):
        x0, y0, x1, y1 = region.box
        yield {
            "_id": _id(f"{key} {index}"),
            "_cls": "Detection",
            "attributes": {},
            "tags": [],
            "label": region.kind,
            "bounding_box": [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
            **({} if region.mask is None else {"mask": _mask(region, score.size)}),
            "area": region.area,
            **{_plain(name): value for name, value in columns.items()},
        }


def _mask(region: Region, size: tuple[int, int]) -> dict[str, Any]:
    """The mask within the box, as FiftyOne stores arrays: compressed bytes of a .npy file."""
    assert region.mask is not None
    whole = rle.decode(region.mask) if region.mask.size == size else resized_mask(region, (size[1], size[0]))
    x0, y0, x1, y1 = region.box
    content = io.BytesIO()
    np.save(content, whole[y0:y1, x0:x1].astype(bool), allow_pickle=False)
    text = base64.b64encode(zlib.compress(content.getvalue())).decode()
    return {"$binary": {"base64": text, "subType": "00"}}


def _dataset(run: Run, columns: Sequence[str], fields: dict[str, str]) -> dict[str, Any]:
    text, number, whole = (f"{_CORE}.fields.{name}Field" for name in ("String", "Float", "Int"))
    types = table_schema(columns)
    sample_fields = [
        _field("id", f"{_CORE}.fields.ObjectIdField", db_field="_id"),
        _field("filepath", text),
        _list("tags", text),
        _document("metadata", f"{_CORE}.metadata.ImageMetadata", [
            _field("size_bytes", whole), _field("mime_type", text), _field("width", whole),
            _field("height", whole), _field("num_channels", whole),
        ]),
    ]  # fmt: skip
    for column, name in fields.items():
        if column in ("tags", "status", "error", "width", "height"):
            continue
        if column == "warnings":
            sample_fields.append(_list(name, text))
            continue
        kind = types.field(column).type
        plain = text if pa.types.is_string(kind) else whole if pa.types.is_integer(kind) else number
        sample_fields.append(_field(name, plain))
    detections = _list("detections", f"{_CORE}.fields.EmbeddedDocumentField") | {
        "embedded_doc_type": f"{_CORE}.labels.Detection",
        "fields": _detection_fields(run, text, number, whole),
    }
    sample_fields.append(_document(REGIONS, f"{_CORE}.labels.Detections", [detections]))
    return {
        "version": VERSION,
        "media_type": "image",
        "sample_fields": sample_fields,
        "info": {"zeroiqa_run": run.run_id},
    }


def _detection_fields(run: Run, text: str, number: str, whole: str) -> list[dict[str, Any]]:
    _, *others = score_labels(tuple(run.labels.values()), run.settings.aggregation)
    prefixes = ("", *(f"{label}_" for label in others))
    said = (_plain(f"{prefix}{name}") for prefix in prefixes for name in ("level", "contribution"))
    return [
        _field("id", f"{_CORE}.fields.ObjectIdField", db_field="_id"),
        _list("tags", text),
        _field("label", text),
        _list("bounding_box", number),
        _field("mask", f"{_CORE}.fields.ArrayField"),
        _field("confidence", number),
        _field("index", whole),
        *(_field(name, number) for name in ("area", *said)),
    ]


def _field(name: str, kind: str, **more: Any) -> dict[str, Any]:
    common: dict[str, Any] = {"embedded_doc_type": None, "subfield": None, "fields": [], "db_field": name}
    return {"name": name, "ftype": kind, **common, "description": None, "info": None, **more}


def _list(name: str, of: str) -> dict[str, Any]:
    return _field(name, f"{_CORE}.fields.ListField", subfield=of)


def _document(name: str, kind: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return _field(name, f"{_CORE}.fields.EmbeddedDocumentField", embedded_doc_type=kind, fields=fields)


def _id(key: str) -> dict[str, str]:
    return {"$oid": _digest(key)[:24]}


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
