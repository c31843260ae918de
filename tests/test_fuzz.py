"""Every reader takes damaged files: what it gives is right or a sentence, never a foreign exception."""

from __future__ import annotations

import io
import itertools
import json
import random
import struct
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.mutations import BYTES, VALUES, places, with_value
from zeroiqa.errors import UserError
from zeroiqa.evaluation.datasets.tables import read_mat
from zeroiqa.evaluation.external import read_external
from zeroiqa.files.tables.read import read_table
from zeroiqa.heads.registry import head_of
from zeroiqa.images.find import find_images
from zeroiqa.runs import known_answers
from zeroiqa.segmenters.granularity import load_granularity
from zeroiqa.settings import load_settings
from zeroiqa.speed.forecast import read_bench
from zeroiqa.standards import load_standard
from zeroiqa.weights.checkpoint import find_checkpoint, indexed_files
from zeroiqa.weights.downloads import missing_files
from zeroiqa.weights.fingerprint import _recall

TRIED = 12
"""Mutations of each kind for each reader."""
PROMPTS = Path(__file__).parents[1] / "prompts"
PRESETS = Path(__file__).parents[1] / "zeroiqa" / "presets"


class Reader(NamedTuple):
    """One kind of file and who reads it."""

    name: str
    content: bytes
    read: Callable[[Path], Any]


def parquet(**columns: list[Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("a.png", f"{'long' * 50}.png", "a.txt"):
            member = tarfile.TarInfo(name)
            member.size = 700
            archive.addfile(member, io.BytesIO(b"x" * 700))
    return file.getvalue()


def mat() -> bytes:
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, {"MOSz": np.arange(40.0), "names": np.array(["a", "b"], dtype=object)}, do_compression=True)
    return file.getvalue()


def workbook() -> bytes:
    from openpyxl import Workbook

    book, file = Workbook(), io.BytesIO()
    for row in (("image", "mos"), ("a.png", 3.5), ("b.png", 2)):
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def safetensors() -> bytes:
    tensors = {"a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(24)


def answer() -> bytes:
    fields = dict.fromkeys(("fingerprint", "dtype", "question", "made_with"), "float32")
    return json.dumps({**fields, "mass": [1.0] * 3, "probabilities": [[1.0], [1.0], []]}).encode()


CONFIG = b'{"model_type": "qwen2_5_vl", "auto_map": {}, "vision_config": {"depth": 2}}'
INDEX = b'{"metadata": {"total_size": 24}, "weight_map": {"a.weight": "model-1.safetensors"}}'
BENCH = b'{"rater": "fake 1 number=1", "views_per_second": 12.5, "device": "H100"}'
CSV = b'image,mos,"a note"\na.png,3.5,"so, so"\nb.png,2,\n'
GRANULARITY = b'segmenter = "sam2.1-tiny"\nmin_area = 0.01\ncomplement = true\npoints_per_side = 16\n'


def read_index(path: Path) -> None:
    indexed_files(path.parent)
    missing_files(path.parent)


def read_config(path: Path) -> None:
    head_of(path.parent)
    assert isinstance(find_checkpoint(str(path.parent)).family, str)


def read_weights(path: Path) -> None:
    (path.parent / "config.json").write_bytes(CONFIG)
    assert find_checkpoint(str(path.parent)).count_weights() >= 0


def read_people(path: Path) -> None:
    read_table(path)
    read_external(path)


READERS = {
    "standard": Reader("own.toml", (PROMPTS / "quality-word-7.toml").read_bytes(), load_standard),
    "preset": Reader("own.toml", (PRESETS / "embedded.toml").read_bytes(), lambda p: load_settings(str(p))),
    "granularity": Reader("own.toml", GRANULARITY, lambda path: load_granularity(str(path))),
    "tar": Reader("a.tar", tar(), lambda path: find_images([str(path)], sidecar_prompts=True)),
    "table, CSV": Reader("a.csv", CSV, read_people),
    "table, xlsx": Reader("a.xlsx", workbook(), read_people),
    "table, JSON lines": Reader("a.jsonl", b'{"image": "a.png", "mos": 3}\n{"image": "b"}\n', read_people),
    "table, Parquet": Reader("a.parquet", parquet(image=["a.png", "b.png"], mos=[3.5, 2.0]), read_people),
    "list, Parquet": Reader(
        "a.parquet", parquet(path=["a.png"], prompt=["a"]), lambda p: find_images([str(p)])
    ),
    "mat": Reader("a.mat", mat(), partial(read_mat, variable="MOSz")),
    "mat, cells": Reader("a.mat", mat(), partial(read_mat, variable="names")),
    "known answer": Reader("a.json", answer(), known_answers.read),
    "bench": Reader("a.json", BENCH, lambda path: read_bench([path], {"fake": "fake 1 number=1"})),
    "config": Reader("config.json", CONFIG, read_config),
    "index": Reader("model.safetensors.index.json", INDEX, read_index),
    "safetensors": Reader("model.safetensors", safetensors(), read_weights),
    "fingerprint": Reader("a.json", b'{"state": [1, 2, 3], "hash": "abc"}', lambda p: _recall(p, [1, 2, 3])),
}


def survives(reader: Reader, path: Path, content: bytes) -> str | None:
    """The sentence that a reader says of some content, None where it takes it."""
    path.write_bytes(content)
    try:
        reader.read(path)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore")  # of zipfile and scipy, about what they read
@pytest.mark.parametrize("kind", READERS)
def test_a_reader_takes_files_with_bytes_flipped_cut_and_swapped(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader, chance = READERS[kind], random.Random(kind)
    path = tmp_path / reader.name
    survives(reader, path, reader.content)
    for change, _ in itertools.product(BYTES.values(), range(TRIED)):
        survives(reader, path, change(reader.content, chance))
    survives(reader, path, b"")


@pytest.mark.parametrize(
    "kind", ["known answer", "bench", "config", "index", "fingerprint", "table, JSON lines"]
)
def test_a_reader_of_json_takes_any_value_at_any_place(kind, tmp_path):
    reader = READERS[kind]
    first = reader.content.partition(b"\n")[0]
    for place in places(json.loads(first)):
        for raw in (*VALUES.values(), None):
            survives(reader, tmp_path / reader.name, with_value(json.loads(first), place, raw))


@pytest.mark.parametrize("kind", ["standard", "preset", "granularity"])
@pytest.mark.parametrize(
    "value", ["0x" + "f" * 5000, "9" * 400, "[" * 3000 + "]" * 3000, "nan", "-inf", "{a={}}", "[]"]
)
def test_a_reader_of_toml_takes_any_value_of_any_key(kind, value, tmp_path):
    reader = READERS[kind]
    lines = reader.content.decode().split("\n")
    for number, line in enumerate(lines):
        if " = " in line and '"""' not in line and not line.startswith(("#", "description")):
            changed = [*lines[:number], f"{line.partition(' = ')[0]} = {value}", *lines[number + 1 :]]
            said = survives(reader, tmp_path / reader.name, "\n".join(changed).encode())
            assert said is not None or value in ("nan", "[]"), line


SHAPES = ["7", '"x"', "[[]]", "[-1]", "[null]", '{"a": 1}', f"[{'9' * 4000}]", "null"]


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_with_a_shape_that_is_none_are_refused(shape, tmp_path):
    header = f'{{"a": {{"dtype": "F32", "shape": {shape}, "data_offsets": [0, 24]}}}}'.encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (tmp_path / "config.json").write_bytes(CONFIG)
    with pytest.raises(UserError, match=r"model\.safetensors cannot be loaded, for its header is damaged"):
        find_checkpoint(str(tmp_path)).count_weights()


def test_a_tar_member_of_a_negative_size_ends_the_reading(tmp_path):
    first, second = (bytearray(tarfile.TarInfo(name).tobuf()) for name in ("a.png", "b.png"))
    second[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512: behind it comes its own header again
    second[148:156] = b"%06o\0 " % (sum(second[:148]) + 8 * 32 + sum(second[156:512]))
    content = bytes(first + second).ljust(10240, b"\0")
    assert "damaged" in str(survives(READERS["tar"], tmp_path / "a.tar", content))


def test_a_chain_of_headers_is_no_recursion(tmp_path):
    link = tarfile.TarInfo("././@LongLink")
    link.type, link.size = tarfile.GNUTYPE_LONGNAME, 4
    chain = (link.tobuf(tarfile.GNU_FORMAT) + b"abc\0".ljust(512, b"\0")) * 2000
    assert "damaged" in str(survives(READERS["tar"], tmp_path / "a.tar", chain))
