"""Checkpoints of SAM 2 for transformers: what is loaded, from where, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.hub import COMMIT, Hub, in_cache, serve, use
from tests.tiny.hf_sam2 import build, build_video
from zeroiqa.errors import UserError
from zeroiqa.segmenters.sam2.hf_weights import find_checkpoint, load

CPU = torch.device("cpu")
REPO = "somebody/sam2-tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("hub") / REPO)


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint's folder, to be changed."""
    return copytree(folder, tmp_path / "own")


def refusal(name: Path | str, *, offline: bool = True) -> str:
    with pytest.raises(UserError) as caught:
        load(find_checkpoint(str(name), offline=offline), CPU, offline=offline)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def change(folder: Path, **tensors: torch.Tensor | None) -> Path:
    """Replace tensors; None removes one. Dots are written as two underscores."""
    file = folder / "model.safetensors"
    content = load_file(file)
    for name, tensor in tensors.items():
        key = name.replace("__", ".")
        content.pop(key, None)
        if tensor is not None:
            content[key] = tensor
    save_file(content, file, {"format": "pt"})
    return folder


def rewrite(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


# Folders


def test_weights_are_those_of_the_file(folder: Path) -> None:
    model, processor = load(find_checkpoint(str(folder)), CPU)
    wanted = load_file(folder / "model.safetensors")
    tensors = model.state_dict()
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())
    assert processor.size["height"] == processor.size["width"] == 256


def test_weights_in_lower_types_become_float32(own: Path) -> None:
    file = own / "model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    rewrite(own / "config.json", dtype="bfloat16")
    model, _ = load(find_checkpoint(str(own)), CPU)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("version", ["2.1", "2.0"])
def test_of_a_model_for_videos_the_image_part_is_loaded(folder: Path, tmp_path: Path, version: str) -> None:
    video = build_video(folder, tmp_path, version)
    later = "occlusion_spatial_embedding_parameter"
    assert (later in load_file(video / "model.safetensors")) == (version == "2.1")
    assert json.loads((video / "config.json").read_text())["model_type"] == "sam2_video"
    model, _ = load(find_checkpoint(str(video)), CPU)
    wanted = load_file(folder / "model.safetensors")
    tensors = model.state_dict()
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)


def test_fingerprint_tells_weights_apart(own: Path) -> None:
    before = find_checkpoint(str(own)).fingerprint()
    tuned = {name: tensor + 1e-3 for name, tensor in load_file(own / "model.safetensors").items()}
    save_file(tuned, own / "model.safetensors", {"format": "pt"})
    assert find_checkpoint(str(own)).fingerprint() != before


def test_no_folder(tmp_path: Path) -> None:
    assert f"There is no folder {tmp_path / 'none'}" in refusal(tmp_path / "none")
    assert "There is no folder sam2" in refusal("sam2")


def test_folder_without_a_configuration(tmp_path: Path) -> None:
    assert "holds no config.json" in refusal(tmp_path)


def test_an_official_checkpoint_is_for_the_other_segmenter(tiny_sam2: Path) -> None:
    assert refusal(tiny_sam2).endswith(f"write sam2:{tiny_sam2}.")


@pytest.mark.parametrize("family", ["qwen2_vl", "sam", "edgetam", "sam3"])
def test_other_models_are_refused(own: Path, family: str) -> None:
    rewrite(own / "config.json", model_type=family)
    message = refusal(own)
    assert f"is a {family} model, not one of SAM 2" in message


def test_tensors_that_do_not_fit_are_listed(own: Path) -> None:
    change(
        own,
        no_memory_embedding=None,
        mask_decoder__iou_token__weight=torch.zeros(1, 7),
        mask_decoder__extra=torch.zeros(1),
    )
    message = refusal(own)
    assert "missing: no_memory_embedding" in message
    assert "of another shape: mask_decoder.iou_token.weight" in message
    assert "without a place in the model: mask_decoder.extra" in message


def test_weights_that_are_no_safetensors_are_not_read(own: Path) -> None:
    torch.save(load_file(own / "model.safetensors"), own / "pytorch_model.bin")
    (own / "model.safetensors").unlink()
    message = refusal(own)
    assert "holds no weights (*.safetensors)" in message and "zeroiqa.segmenters.sam2.convert" in message


def test_damaged_weights(own: Path) -> None:
    file = own / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert "cannot be loaded" in refusal(own)


def test_impossible_configuration(own: Path) -> None:
    rewrite(own / "config.json", vision_config={"model_type": "nonsense"})
    assert "cannot be loaded" in refusal(own)


def test_images_must_be_prepared(own: Path) -> None:
    file = own / "preprocessor_config.json"
    rewrite(file, size={"height": 128, "width": 256})
    assert "images of 256 x 128 pixels, its model takes 256 x 256" in refusal(own)
    rewrite(file, size={"shortest_edge": 256})
    assert "256 x 256" in refusal(own)
    file.write_text("[")
    assert "image processor" in refusal(own)
    file.unlink()
    assert "holds no preprocessor_config.json" in refusal(own)


def test_too_large_for_the_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    class Full:
        total = available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Full)
    assert "GiB of memory on cpu" in refusal(folder)


# The hub


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    copytree(folder.parents[1], tmp_path / "hub")
    in_cache(tmp_path / "cache", monkeypatch)
    with serve(tmp_path / "hub") as hub:
        use(hub.endpoint, monkeypatch)
        yield hub


def test_repository_comes_from_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    (hub.root / REPO / "sam2.1_hiera_tiny.pt").write_bytes(b"never downloaded")
    found = find_checkpoint(REPO)
    assert found.fingerprint() == COMMIT
    assert hub.downloaded == ["config.json"]  # the id of a run needs no weights
    load(found, CPU)
    assert sorted(hub.downloaded) == ["config.json", "model.safetensors", "preprocessor_config.json"]

    use("http://127.0.0.1:9", monkeypatch)  # from here on nothing answers
    for offline in (True, False):
        again = find_checkpoint(REPO, offline=offline)
        assert again.fingerprint() == COMMIT
        load(again, CPU, offline=offline)


def test_image_processor_may_be_described_by_the_other_file(hub: Hub) -> None:
    files = hub.root / REPO
    described = json.loads((files / "preprocessor_config.json").read_text())
    (files / "preprocessor_config.json").unlink()
    (files / "processor_config.json").write_text(json.dumps({"image_processor": described}))
    _, processor = load(find_checkpoint(REPO), CPU)
    assert processor.size["height"] == 256


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_repository_without_a_file(hub: Hub, name: str) -> None:
    (hub.root / REPO / name).unlink()
    assert f"The repository {REPO} holds no {name}" in refusal(REPO, offline=False)


def test_unknown_repository(hub: Hub) -> None:
    assert "no public repository somebody/else" in refusal("somebody/else", offline=False)


def test_offline_says_how_to_bring_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cache(tmp_path, monkeypatch)
    message = refusal(REPO)
    assert f"config.json of {REPO} is not in the cache" in message and "--offline forbids" in message
    assert f"hf download {REPO}" in message and "`--segmenter hf-sam2:DIR`" in message


def test_offline_with_the_configuration_alone(hub: Hub) -> None:
    find_checkpoint(REPO)
    assert f"model.safetensors of {REPO} is not in the cache" in refusal(REPO)
