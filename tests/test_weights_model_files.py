"""Models that mean harm: files without end, names that lead elsewhere, numbers beyond all memory."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zeroiqa.chat.loading import load
from zeroiqa.errors import UserError
from zeroiqa.weights.checkpoint import Checkpoint, find_checkpoint
from zeroiqa.weights.downloads import missing_files
from zeroiqa.weights.options import ModelOptions

pytest.importorskip("torch")

CPU = ModelOptions(device="cpu")
DEEP = "[" * 100_000
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a tiny checkpoint, to be spoilt."""
    return Path(shutil.copytree(tiny("qwen2_5_vl"), tmp_path / "model"))


def sentence(folder: Path) -> str:
    """What is said of a folder, before any weights are read."""
    with pytest.raises(UserError) as caught:
        load(str(folder), CPU)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 700 and said.endswith(".")
    return said


def sparse(path: Path, size: int) -> None:
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(size)


def change(path: Path, **fields: Any) -> None:
    record = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(record | fields))


def deeply(config: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return {**config, "text_config": {**config.get("text_config", {}), name: value}}


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
        INDEX,
        "merges.txt",
    ],
)
def test_a_file_of_gigabytes_is_refused_by_its_size(folder: Path, name: str) -> None:
    sparse(folder / name, 4 << 30)
    assert f"{folder / name} has 4.1e+03 MiB, and a file of its kind is read up to" in sentence(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", INDEX])
def test_a_pipe_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert f"{folder / name} is no ordinary file" in sentence(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json", INDEX])
def test_deep_json_is_a_sentence(folder: Path, name: str) -> None:
    (folder / name).write_text(DEEP)
    if name == INDEX:
        (folder / WEIGHTS).unlink()
    assert sentence(folder)
    assert isinstance(missing_files(folder), tuple)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hidden_layers", 10**9),
        ("num_hidden_layers", 10**400),
        ("num_attention_heads", 10**8),
        ("vocab_size", 10**12),
        ("max_position_embeddings", 10**15),
        ("layer_counts", [3, 10**6]),
    ],
)
def test_a_configuration_of_absurd_size_is_refused(folder: Path, name: str, value: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(deeply(config, name, value)))
    assert f"config.json asks for {name} = " in sentence(folder)


def test_absurdly_many_tokens_are_refused(folder: Path) -> None:
    tokens = [{"id": number, "content": f"<{number}>"} for number in range(300_000)]
    change(folder / "tokenizer.json", added_tokens=tokens)
    assert "tokenizer.json adds 300,000 tokens" in sentence(folder)
    change(folder / "tokenizer.json", added_tokens=[])
    decoder = {"1": {"content": "x" * 10_000_000}}
    change(folder / "tokenizer_config.json", added_tokens_decoder=decoder)
    assert "tokens of up to 10,000,000 characters" in sentence(folder)


@pytest.mark.parametrize("base", ["/etc", "../other", "C:\\models\\base", "\\\\host\\share", "a/../../b"])
def test_an_adapter_of_a_model_elsewhere_is_refused(folder: Path, base: str) -> None:
    change(folder / "adapter_config.json", base_model_name_or_path=base)
    assert "belongs to" in sentence(folder) and "a model outside of the folder" in sentence(folder)


@pytest.mark.parametrize("code", ["../../x.Class", "/etc/x.Class", "a\\b.Class", "owner/repo--../x.Class"])
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_code_elsewhere_is_refused(folder: Path, code: str, file: str) -> None:
    change(folder / file, auto_map={"AutoTokenizer": [None, code]})
    said = sentence(folder)
    assert "names the code" in said or "Python code of its own" in said


def test_files_that_a_tokenizer_names_elsewhere_are_not_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("not to be read")
    names = ("tokenizer_file", "vocab_file", "merges_file", "special_tokens_map_file", "added_tokens_file")
    change(folder / "tokenizer_config.json", **dict.fromkeys(names, str(tmp_path / "secret.json")))
    assert load(str(folder), CPU).family == "qwen2_5_vl"


def shard(folder: Path, place: str) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": place}}))


@pytest.mark.parametrize("place", ["link.safetensors", "linked/model.safetensors"])
def test_a_link_in_an_index_that_leaves_the_folder_is_refused(
    folder: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.move(folder / WEIGHTS, tmp_path / "elsewhere" / WEIGHTS)
    (folder / "link.safetensors").symlink_to(tmp_path / "elsewhere" / WEIGHTS)
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    shard(folder, place)
    assert "a file outside of its folder" in sentence(folder)


def test_links_within_the_folder_and_into_the_cache_of_the_hub_are_followed(
    folder: Path, tmp_path: Path
) -> None:
    blobs = tmp_path / "models--someone--model" / "blobs"
    blobs.mkdir(parents=True)
    snapshot = blobs.parent / "snapshots" / ("0" * 40)
    shutil.copytree(folder, snapshot)
    shutil.move(snapshot / WEIGHTS, blobs / "abc")
    (snapshot / WEIGHTS).symlink_to("../../blobs/abc")
    (snapshot / "same.safetensors").symlink_to(WEIGHTS)
    shard(snapshot, WEIGHTS)
    Checkpoint("m", snapshot, None, {}).check_files()
    shard(snapshot, "same.safetensors")
    Checkpoint("m", snapshot, None, {}).check_files()
    (tmp_path / "alias").symlink_to(snapshot)
    Checkpoint("m", tmp_path / "alias", None, {}).check_files()


def tensor(shape: Any, begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HEADERS: dict[str, tuple[Any, str]] = {
    "a shape that overflows": ({"a": tensor([2**40, 2**40], 0, 8)}, "numbers of 32 bits in 8 bytes"),
    "more than it holds": ({"a": tensor([1000], 0, 8)}, "has 1,000 numbers of 32 bits in 8 bytes"),
    "one place for two": ({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, "begins at 4, within a"),
    "a place that ends before": ({"a": tensor([0], 8, 0)}, "damaged"),
    "a negative shape": ({"a": tensor([-1, -1], 0, 4)}, "a shape or a place is none"),
    "a place of 2^70": ({"a": tensor([1], 2**70, 2**70 + 4)}, "a shape or a place is none"),
    "a million axes": ({"a": tensor([1] * 1_000_000, 0, 4)}, "a shape or a place is none"),
    "a word as shape": ({"a": tensor("12", 0, 4)}, "damaged"),
    "no tensors": ({"a": 7}, "no list of tensors"),
    "a list": ([], "no list of tensors"),
    "no places": ({"a": {"dtype": "F32", "shape": [1]}}, "no list of tensors"),
    "deep": (DEEP, "no list of tensors"),
    "no JSON": ("{", "damaged"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_contradicts_itself_is_refused(folder: Path, name: str) -> None:
    content, said = HEADERS[name]
    header = (content if isinstance(content, str) else json.dumps(content)).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    found = sentence(folder)
    assert f"{folder / WEIGHTS} cannot be loaded, for its header is damaged" in found and said in found


@pytest.mark.parametrize("length", [0, 3, 2**63, 2**64 - 1, 60 << 30])
def test_a_header_longer_than_any_is_not_read(folder: Path, length: int) -> None:
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", length) if length > 3 else bytes(length))
    if length > 3:
        sparse(folder / WEIGHTS, 64 << 30)
    assert "its header is damaged" in sentence(folder)


def test_packed_pickles_are_refused(folder: Path) -> None:
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", bytes(10_000_000))
    assert "are packed (10,000,000 bytes in a file of" in sentence(folder)


def test_a_model_that_is_whole_is_loaded(folder: Path) -> None:
    find_checkpoint(str(folder)).check_files()
    assert load(str(folder), CPU).family == "qwen2_5_vl"
