"""SAM 2's checkpoints: found, recognised, loaded completely or refused in a sentence; Hydra left alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copy, copytree

import pytest
import torch

from tests.hub import COMMIT, Hub, in_cache, serve, use
from tests.tiny.sam2 import build_official
from zeroiqa.errors import UserError
from zeroiqa.segmenters.sam2.official_weights import (
    build_model,
    cards,
    find_checkpoint,
    import_sam2,
    load_model,
    package_file,
)

CPU = torch.device("cpu")
ONLY_2_1 = dict.fromkeys(("no_obj_embed_spatial", "obj_ptr_tpos_proj__weight", "obj_ptr_tpos_proj__bias"))


@pytest.fixture
def own(tiny_sam2: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint's folder, to be changed."""
    return copytree(tiny_sam2, tmp_path / "own")


def change(file: Path, **tensors: torch.Tensor | None) -> Path:
    """Replace tensors of a checkpoint; None removes one. Dots are written as two underscores."""
    content = torch.load(file, weights_only=True)
    for name, tensor in tensors.items():
        key = name.replace("__", ".")
        content["model"].pop(key, None)
        if tensor is not None:
            content["model"][key] = tensor
    torch.save(content, file)
    return file


def refusal(name: str, argument: str | Path | None, *, offline: bool = True) -> str:
    with pytest.raises(UserError) as caught:
        load_model(find_checkpoint(name, None if argument is None else str(argument), offline=offline), CPU)
    return str(caught.value)


# What is found


def test_folder_gives_its_weights(tiny_sam2: Path) -> None:
    model = load_model(find_checkpoint("sam2", str(tiny_sam2)), CPU)
    stored = torch.load(tiny_sam2 / "model.pt", weights_only=True)["model"]
    loaded = model.state_dict()
    assert loaded.keys() == stored.keys()
    assert all(torch.equal(loaded[name], stored[name]) for name in stored)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_checkpoint_in_half_precision_is_computed_in_single(own: Path) -> None:
    content = torch.load(own / "model.pt", weights_only=True)
    torch.save({"model": {name: t.half() for name, t in content["model"].items()}}, own / "model.pt")
    model = load_model(find_checkpoint("sam2", str(own)), CPU)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_fingerprint_is_of_the_content(own: Path) -> None:
    before = find_checkpoint("sam2", str(own)).fingerprint
    (own / "model.pt").rename(own / "other.pt")
    assert find_checkpoint("sam2", str(own)).fingerprint == before
    change(own / "other.pt", no_mem_embed=torch.ones(1, 1, 32))
    changed = find_checkpoint("sam2", str(own)).fingerprint
    with (own / "config.yaml").open("a") as file:
        file.write("# another configuration\n")
    assert len({before, changed, find_checkpoint("sam2", str(own)).fingerprint}) == 3


def test_building_leaves_the_random_state(tiny_sam2: Path) -> None:
    before = torch.get_rng_state()
    build_model(tiny_sam2 / "config.yaml")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAM 2.1 tiny in its full size, with random weights, as the hub's file."""
    card = cards()["sam2.1-tiny"]
    folder = tmp_path_factory.mktemp("hub") / card.repo
    folder.mkdir(parents=True)
    model = build_model(package_file(card.config))
    torch.save({"model": model.state_dict()}, folder / card.file)
    return folder / card.file


def test_published_architecture_is_recognised_by_its_tensors(published: Path) -> None:
    model = load_model(find_checkpoint("sam2", str(published)), CPU)
    assert model.image_size == 1024
    assert len(model.image_encoder.trunk.blocks) == cards()["sam2.1-tiny"].blocks


def test_named_model_takes_a_file(published: Path) -> None:
    named, any_one = (find_checkpoint(name, str(published)) for name in ("sam2.1-tiny", "sam2"))
    assert named.fingerprint == any_one.fingerprint
    assert len(load_model(named, CPU).image_encoder.trunk.blocks) == 12


def test_file_of_another_named_model_is_refused(published: Path) -> None:
    wrong = "sam2.1-small is named, but the checkpoint {0} is SAM 2.1 (tiny); write sam2.1-tiny:{0}."
    assert refusal("sam2.1-small", published) == wrong.format(published)


@pytest.mark.parametrize(("version", "other"), [("2.0", "2.1"), ("2.1", "2.0")])
def test_the_version_is_told_by_the_tensors_and_another_is_refused(
    published: Path, tmp_path: Path, version: str, other: str
) -> None:
    """Both versions of the published architecture, and of one of the user's own."""
    file = published if version == "2.1" else change(Path(copy(published, tmp_path)), **ONLY_2_1)
    assert load_model(find_checkpoint("sam2", str(file)), CPU).image_size == 1024
    load_model(find_checkpoint(f"sam{version}-tiny", str(file)), CPU)
    is_one = f"but the checkpoint {file} is SAM {version} (tiny); write sam{version}-tiny:{file}."
    assert refusal(f"sam{other}-tiny", file) == f"sam{other}-tiny is named, {is_one}"

    own = build_official(tmp_path / "own", version=version)
    assert load_model(find_checkpoint("sam2", str(own)), CPU).image_size == 256
    refused = refusal(f"sam{other}-tiny", own / "model.pt")
    assert f"model.pt is SAM {version}; write sam2:FOLDER, where FOLDER holds" in refused
    copy(build_official(tmp_path / "other", version=other) / "config.yaml", own)
    refused = refusal("sam2", own)
    assert (
        f"{own}/config.yaml is of SAM {other}, but the checkpoint {own}/model.pt is SAM {version}" in refused
    )
    assert refused.endswith("; put its own config.yaml there.")


@pytest.mark.parametrize("name", cards())
def test_cards_are_those_of_the_configurations(name: str) -> None:
    card = cards()[name]
    from omegaconf import OmegaConf

    config = OmegaConf.load(package_file(card.config)).model.image_encoder
    assert sum(config.trunk.get("stages", (2, 3, 16, 3))) == card.blocks
    assert config.trunk.embed_dim == card.channels
    build = import_sam2("build_sam").HF_MODEL_ID_TO_FILENAMES
    assert build[card.repo] == (card.config, card.file)


def test_model_is_that_of_the_package(tiny_sam2: Path) -> None:
    """In an interpreter of its own: the package's builder works through Hydra's globals."""
    code = f"""
import torch
from hydra import initialize_config_dir
from sam2 import build_sam
from hydra.core.global_hydra import GlobalHydra
GlobalHydra.instance().clear()
with initialize_config_dir({str(tiny_sam2)!r}, version_base="1.2"):
    theirs = build_sam.build_sam2("config.yaml", {str(tiny_sam2 / "model.pt")!r}, device="cpu")
from zeroiqa.segmenters.sam2.official_weights import find_checkpoint, load_model
ours = load_model(find_checkpoint("sam2", {str(tiny_sam2)!r}), torch.device("cpu"))
def plain(module):
    values = vars(module).items()
    return {{k: v for k, v in values if isinstance(v, (bool, int, float, str, tuple, list, type(None)))}}
assert str(ours) == str(theirs)
for a, b in zip(ours.modules(), theirs.modules(), strict=True):
    assert plain(a) == plain(b), (plain(a), plain(b))
assert ours.sam_mask_decoder.dynamic_multimask_via_stability
"""
    run(code)


# What is refused


def test_file_that_is_not_there() -> None:
    assert "There is no file" in refusal("sam2.1-tiny", "nothing.pt")
    assert "There is no file or folder" in refusal("sam2", "nothing.pt")


@pytest.mark.parametrize("argument", [None, ""])
def test_any_checkpoint_has_to_be_named(argument: str | None) -> None:
    assert "write sam2:FILE.pt, sam2:FOLDER" in refusal("sam2", argument)


def test_folder_that_is_incomplete(own: Path) -> None:
    (own / "config.yaml").unlink()
    assert "should hold config.yaml and one .pt file, found model.pt" in refusal("sam2", own)


def test_folder_with_two_checkpoints(own: Path) -> None:
    (own / "again.pt").write_bytes((own / "model.pt").read_bytes())
    assert "one .pt file, found again.pt, config.yaml, model.pt" in refusal("sam2", own)


def test_file_that_is_no_checkpoint(own: Path) -> None:
    (own / "model.pt").write_text("hello")
    message = refusal("sam2", own)
    assert "no checkpoint that PyTorch reads with weights_only" in message and "fetch it again" in message


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_file(own: Path, share: float) -> None:
    content = (own / "model.pt").read_bytes()
    (own / "model.pt").write_bytes(content[: int(share * len(content))])
    assert "or it is damaged" in refusal("sam2", own)


def test_pickled_code_is_not_run(own: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> object:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"model": Trap()}, own / "model.pt")
    assert "weights_only" in refusal("sam2", own)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"state_dict": {}}, "found state_dict"),
        ([1], "found list"),
        ({"model": [1]}, "found model"),
        ({"model": {"a": 1}}, "found model"),
        ({}, "found dict"),
    ],
)
def test_checkpoint_of_another_layout(own: Path, content: object, found: str) -> None:
    torch.save(content, own / "model.pt")
    message = refusal("sam2", own)
    assert "should be in an entry 'model'" in message and found in message


def test_first_tensors_that_do_not_fit_are_named(own: Path) -> None:
    change(own / "model.pt", no_mem_embed=torch.ones(1, 1, 16), no_mem_pos_enc=None, surplus=torch.ones(1))
    message = refusal("sam2", own)
    assert "1 missing (no_mem_pos_enc); 1 unexpected (surplus)" in message
    assert "no_mem_embed is (1, 1, 16) instead of (1, 1, 32)" in message


def test_checkpoint_of_an_unknown_architecture(tiny_sam2: Path) -> None:
    message = refusal("sam2", tiny_sam2 / "model.pt")
    assert "image_encoder.trunk.patch_embed.proj.weight is (8, 3, 7, 7) and it has 5 blocks" in message
    assert "sam2.1-base+ (112, 24)" in message and "a folder with the .pt file and its config.yaml" in message


def test_checkpoint_of_another_kind_of_network(tmp_path: Path) -> None:
    torch.save({"model": {"conv1.weight": torch.ones(3)}}, tmp_path / "resnet.pt")
    message = refusal("sam2", tmp_path / "resnet.pt")
    assert "is not one of SAM 2" in message and "begins with conv1.weight" in message


@pytest.mark.parametrize("text", ["a: [", "[1, 2]", "model: 3", "other: 3", "", "model: {a: '${nothing}'}"])
def test_configuration_that_is_none(own: Path, text: str) -> None:
    (own / "config.yaml").write_text(text)
    message = refusal("sam2", own)
    assert "cannot be read" in message or "is not one of SAM 2's" in message


@pytest.mark.parametrize("trap", ["os.mkdir", "sam2.modeling.sam2_base.torch.os.mkdir"])
def test_configuration_runs_no_foreign_code(own: Path, tmp_path: Path, trap: str) -> None:
    file = own / "config.yaml"
    call = f"  trap:\n  - _target_: {trap}\n    _args_: ['{tmp_path / 'sprung'}']\n"
    file.write_text(file.read_text() + call)
    message = refusal("sam2", own)
    assert f"found {trap}" in message
    assert not (tmp_path / "sprung").exists()


def test_typo_in_the_configuration(own: Path) -> None:
    file = own / "config.yaml"
    file.write_text(file.read_text().replace("embed_dim: 8", "embed_dims: 8"))
    message = refusal("sam2", own)
    assert "No model can be built" in message and "embed_dims" in message


def test_weights_that_do_not_fit_into_memory(tiny_sam2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: type("Memory", (), {"total": 10**6, "available": 1000})
    )
    assert "GiB of memory on cpu" in refusal("sam2", tiny_sam2)


# The hub


@pytest.fixture
def hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(published.parents[2]) as hub:
        use(hub.endpoint, monkeypatch)
        yield hub


def test_named_model_comes_from_the_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cache(tmp_path, monkeypatch)
    found = find_checkpoint("sam2.1-tiny", None)
    assert found.fingerprint == COMMIT
    assert hub.downloaded == []  # the id of a run needs no weights
    assert len(load_model(found, CPU).image_encoder.trunk.blocks) == 12
    assert hub.downloaded == ["sam2.1_hiera_tiny.pt"]

    use("http://127.0.0.1:9", monkeypatch)  # from here on nothing answers
    for offline in (True, False):
        again = find_checkpoint("sam2.1-tiny", None, offline=offline)
        assert again.fingerprint == COMMIT
        assert len(load_model(again, CPU).image_encoder.trunk.blocks) == 12


def test_offline_says_how_to_bring_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cache(tmp_path, monkeypatch)
    message = refusal("sam2.1-base+", None)
    assert "sam2.1_hiera_base_plus.pt of facebook/sam2.1-hiera-base-plus" in message
    assert "--offline forbids" in message
    assert "`--segmenter sam2.1-base+:sam2.1_hiera_base_plus.pt`" in message


def test_without_network_the_reason_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cache(tmp_path, monkeypatch)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        use(f"http://127.0.0.1:{reserved.getsockname()[1]}", monkeypatch)
        message = refusal("sam2.1-tiny", None, offline=False)
    assert "the hub cannot be reached" in message and "--segmenter sam2.1-tiny:" in message


def test_repository_without_the_file(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cache(tmp_path, monkeypatch)
    card = cards()["sam2.1-small"]
    (hub.root / card.repo).mkdir(exist_ok=True)
    message = refusal("sam2.1-small", None, offline=False)
    assert "sam2.1_hiera_small.pt" in message and "the repository has no such file" in message


# Hydra


def run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


LOAD = """
import torch
from zeroiqa.segmenters.sam2.official_weights import find_checkpoint, import_sam2, load_model
load_model(find_checkpoint("sam2", FOLDER), torch.device("cpu"))
import_sam2("automatic_mask_generator")
"""
CONFIGURED = """
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
"""


@pytest.fixture
def users(tmp_path: Path) -> str:
    """Of a program that uses Hydra itself: its folder of configurations."""
    (tmp_path / "job.yaml").write_text("answer: 42\n")
    return f"FOLDER_OF_JOB = {str(tmp_path)!r}\n"


def test_hydra_stays_uninitialised(tiny_sam2: Path, users: str) -> None:
    run(
        f"FOLDER = {str(tiny_sam2)!r}\n{LOAD}{CONFIGURED}{users}"
        + """
from omegaconf import OmegaConf
assert not GlobalHydra.instance().is_initialized()
assert not OmegaConf.has_resolver("hydra")
initialize_config_dir(FOLDER_OF_JOB, version_base="1.3")
assert compose("job").answer == 42
"""
    )


def test_hydra_stays_as_the_user_initialised_it(tiny_sam2: Path, users: str) -> None:
    run(
        f"FOLDER = {str(tiny_sam2)!r}\n{CONFIGURED}{users}"
        + """
initialize_config_dir(FOLDER_OF_JOB, version_base="1.3")
theirs = GlobalHydra.instance().hydra
"""
        + LOAD
        + """
assert GlobalHydra.instance().hydra is theirs
assert compose("job").answer == 42
"""
    )


def test_hydra_stays_as_the_package_initialised_it(tiny_sam2: Path) -> None:
    run(
        f"FOLDER = {str(tiny_sam2)!r}\nfrom sam2.build_sam import build_sam2\n{LOAD}"
        + """
build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu")
"""
    )
