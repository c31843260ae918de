"""What a model's fingerprint knows: every file that can change a rating, and none outside of its folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from tests.tiny import clip, hf_sam2, odd  # noqa: E402
from tests.tiny.lmm4lmm import write_lmm4lmm  # noqa: E402
from zeroiqa.baselines import find_baseline  # noqa: E402
from zeroiqa.baselines.clip.files import find_clip  # noqa: E402
from zeroiqa.baselines.clip.model import load_clip  # noqa: E402
from zeroiqa.chat.loading import load  # noqa: E402
from zeroiqa.errors import UserError  # noqa: E402
from zeroiqa.heads.lmm4lmm import checkpoint as lmm4lmm_checkpoint  # noqa: E402
from zeroiqa.segmenters.sam2 import hf_weights  # noqa: E402
from zeroiqa.weights import checkpoint  # noqa: E402
from zeroiqa.weights.checkpoint import find_checkpoint  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

CPU = ModelOptions(device="cpu")
INDEX = "model.safetensors.index.json"
CLIP_IQA = find_baseline("clip-iqa")
OUTSIDE = ("../other/model.safetensors", "sub/../../x.safetensors", "..\\x.safetensors", "C:x.safetensors")


def fingerprint(folder: Path) -> str:
    return find_checkpoint(str(folder)).fingerprint()


def large(folder: Path, head: float) -> Path:
    """Weights of 20 MB with a small head in their middle."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    body = torch.zeros(2_500_000)
    tensors = {"a.weight": body, "b.bias": torch.full((8,), head), "c.weight": body.clone()}
    safetensors.save_file(tensors, folder / "model.safetensors")
    return folder


def test_a_retrained_head_is_another_model_and_a_copy_is_the_same(tmp_path: Path) -> None:
    one, other = large(tmp_path / "one", 1.0), large(tmp_path / "other", 1.5)
    assert fingerprint(one) != fingerprint(other)
    shutil.copytree(one, tmp_path / "copy", copy_function=shutil.copyfile)  # with other times
    assert fingerprint(tmp_path / "copy") == fingerprint(one)


def test_a_pickled_head_is_told_apart_too(tmp_path: Path) -> None:
    found = set()
    for head in (1.0, 1.5):
        folder = large(tmp_path / f"{head}", head)
        torch.save(safetensors.load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        found.add(fingerprint(folder))
    assert len(found) == 2


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("generation_config.json", True),
        ("preprocessor_config.json", True),
        ("chat_template.jinja", True),
        ("additional_chat_templates/rag.jinja", True),
        ("merges.txt", True),
        ("tokenizer.model", True),
        ("adapter_model.safetensors", True),
        ("pytorch_model.bin", True),
        ("overlay.pth", True),
        ("modeling.py", True),
        ("shards/model-1.safetensors", True),
        ("checkpoint-500/model.safetensors", False),
        ("README.md", False),
    ],
)
def test_what_counts(tmp_path: Path, name: str, counts: bool) -> None:
    folder = large(tmp_path / "model", 1.0)
    weight_map = {"weight_map": {"a": "shards/model-1.safetensors", "b": "model.safetensors"}}
    (folder / INDEX).write_text(json.dumps(weight_map))
    (folder / name).parent.mkdir(exist_ok=True)
    before = fingerprint(folder)
    (folder / name).write_text("{}")
    there = fingerprint(folder)
    (folder / name).write_text("[]")
    assert len({before, there, fingerprint(folder)}) == (3 if counts else 1)


LOADERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "chat": (odd.good, lambda folder: load(str(folder), CPU)),
    "head": (write_lmm4lmm, lmm4lmm_checkpoint.load_model),
    "clip": (clip.build, lambda folder: load_clip(find_clip(CLIP_IQA, str(folder), CPU), CPU)),
    "sam2": (
        hf_sam2.build,
        lambda folder: hf_weights.load(hf_weights.find_checkpoint(str(folder)), torch.device("cpu")),
    ),
}
"""How a folder is written, and how it is loaded."""


@pytest.mark.parametrize("kind", LOADERS)
def test_an_index_that_leads_outside_is_refused_by_every_loader(tmp_path: Path, kind: str) -> None:
    write, load_folder = LOADERS[kind]
    folder = write(tmp_path / "model")
    load_folder(folder)
    names = []
    for path in folder.glob("*.safetensors"):
        names += list(safetensors.load_file(path))
        outside = shutil.move(path, tmp_path / path.name)
    for place in (*OUTSIDE, str(Path(outside).absolute())):
        (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(names, place)}))
        for ask in (fingerprint, load_folder):
            with pytest.raises(UserError, match=rf"{INDEX} names .*, a file outside of its folder; put"):
                ask(folder)


def test_links_are_followed_as_in_the_cache_of_the_hub(tmp_path: Path) -> None:
    folder = odd.good(tmp_path / "model")
    before = fingerprint(folder)
    shutil.move(folder / odd.WEIGHTS, tmp_path / "blob")
    (folder / odd.WEIGHTS).symlink_to(tmp_path / "blob")
    assert fingerprint(folder) == before
    load(str(folder), CPU)


def test_an_adapter_that_would_be_left_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = odd.good(tmp_path / "model")
    (folder / "adapter_config.json").write_text("{}")
    monkeypatch.setattr(checkpoint, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=r"holds an adapter .*only where the package peft is installed"):
        load(str(folder), CPU)
