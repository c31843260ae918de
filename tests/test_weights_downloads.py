"""What a model's folder lacks, and downloads from a hub on this machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import Hub, serve
from zeroiqa.errors import UserError
from zeroiqa.weights.downloads import cached_folder, missing_files, pull
from zeroiqa.weights.hub import HubRepository
from zeroiqa.weights.options import ModelOptions

ALL = ("config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors")
REPO = "someone/model"


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    return folder


def shard(folder: Path, *shards: str) -> None:
    index = {"weight_map": {f"layer.{i}": name for i, name in enumerate(shards)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    fill(tmp_path / "hub" / REPO, *ALL, "chat_template.jinja", "LICENSE", "README.md")
    fill(
        tmp_path / "hub" / REPO,
        "pytorch_model.bin",
        "modeling.py",
        "onnx/model.onnx",
        "onnx/config.json",
        "a.gguf",
    )
    with serve(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def nowhere() -> str:
    """An address where no hub is."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{reserved.getsockname()[1]}"


def test_folder_that_does_not_exist_lacks_everything(tmp_path: Path) -> None:
    assert missing_files(tmp_path / "nothing") == missing_files(None) == ALL


def test_complete_folder_lacks_nothing(tmp_path: Path) -> None:
    assert missing_files(fill(tmp_path, *ALL)) == ()


def test_file_of_another_name_for_the_same_purpose_will_do(tmp_path: Path) -> None:
    names = ("config.json", "tokenizer.model", "processor_config.json", "model.safetensors")
    assert missing_files(fill(tmp_path, *names)) == ()


def test_index_says_which_shards_are_missing(tmp_path: Path) -> None:
    fill(tmp_path, *ALL[:3], "model-2-of-3.safetensors")
    shard(tmp_path, *(f"model-{i}-of-3.safetensors" for i in (1, 2, 3, 3)))
    assert missing_files(tmp_path) == ("model-1-of-3.safetensors", "model-3-of-3.safetensors")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": 3}'])
def test_index_that_cannot_be_read_is_missing(tmp_path: Path, content: str) -> None:
    fill(tmp_path, *ALL[:3])
    (tmp_path / "model.safetensors.index.json").write_text(content)
    assert missing_files(tmp_path) == ("model.safetensors.index.json",)


def test_pickled_weights_count_only_where_they_are_allowed(tmp_path: Path) -> None:
    fill(tmp_path, *ALL[:3], "pytorch_model.bin")
    assert missing_files(tmp_path) == ("model.safetensors",)
    assert missing_files(tmp_path, allow_pickle=True) == ()


def test_pull_brings_safetensors_and_configuration_only(hub: Hub, tmp_path: Path) -> None:
    folder = pull(HubRepository(REPO, "main", hub.endpoint), tmp_path / "to", ModelOptions())
    assert folder == tmp_path / "to"
    assert {p.name for p in folder.iterdir()} == {
        *ALL,
        "chat_template.jinja",
        "LICENSE",
        "README.md",
        ".cache",
    }
    assert (folder / "model.safetensors").read_text() == "content of model.safetensors"


def test_pickles_and_code_come_with_their_flags_only(hub: Hub, tmp_path: Path) -> None:
    source = HubRepository(REPO, "main", hub.endpoint)
    pickled = pull(source, tmp_path / "pickled", ModelOptions(allow_pickle=True))
    assert (pickled / "pytorch_model.bin").is_file() and not (pickled / "modeling.py").exists()
    trusted = pull(source, tmp_path / "trusted", ModelOptions(trust_remote_code=True))
    assert (trusted / "modeling.py").is_file() and not (trusted / "pytorch_model.bin").exists()


def test_pull_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    source = HubRepository(REPO, "main", hub.endpoint)
    folder = pull(source, tmp_path / "to", ModelOptions())
    hub.downloaded.clear()
    (folder / "tokenizer.json").unlink()
    pull(source, folder, ModelOptions())
    assert hub.downloaded == ["tokenizer.json"]


def test_pull_without_a_folder_fills_the_cache(
    hub: Hub, nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert cached_folder(HubRepository(REPO, "main")) is None
    folder = pull(HubRepository(REPO, "main", hub.endpoint), None, ModelOptions())
    assert folder.is_relative_to(tmp_path / "cache")
    assert pull(HubRepository(REPO, "main", nowhere), None, ModelOptions()) == folder
    assert pull(HubRepository(REPO), None, ModelOptions(offline=True)) == folder
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"missing config\.json, and --offline"):
        pull(HubRepository(REPO), None, ModelOptions(offline=True))


def test_without_network_the_missing_files_and_the_way_to_bring_them_are_named(
    nowhere: str, tmp_path: Path
) -> None:
    fill(tmp_path / "to", *ALL[:3])
    shard(tmp_path / "to", "model-1-of-2.safetensors", "model-2-of-2.safetensors")
    with pytest.raises(UserError) as caught:
        pull(HubRepository(REPO, "main", nowhere), tmp_path / "to", ModelOptions())
    sentence = str(caught.value)
    assert REPO in sentence
    assert f"{tmp_path / 'to'}: missing model-1-of-2.safetensors, model-2-of-2.safetensors" in sentence
    assert "the hub cannot be reached" in sentence
    assert f"`zeroiqa models pull hf:{REPO} --to DIR`" in sentence and "`--rater hf:DIR`" in sentence


def test_folder_that_is_complete_needs_no_network(nowhere: str, tmp_path: Path) -> None:
    fill(tmp_path / "to", *ALL)
    for options in (ModelOptions(), ModelOptions(offline=True)):
        assert pull(HubRepository(REPO, "main", nowhere), tmp_path / "to", options) == tmp_path / "to"


def test_offline_asks_no_hub(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"missing {', '.join(ALL)}, and --offline forbids"):
        pull(HubRepository(REPO, "main", hub.endpoint), tmp_path / "to", ModelOptions(offline=True))
    assert not hub.downloaded and not (tmp_path / "to").exists()


def test_repository_without_safetensors_is_refused(hub: Hub, tmp_path: Path) -> None:
    fill(hub.root / "someone" / "pickled", *ALL[:3], "pytorch_model.bin")
    with pytest.raises(
        UserError, match=r"missing model\.safetensors, and the repository has no .*--allow-pickle"
    ):
        pull(HubRepository("someone/pickled", None, hub.endpoint), tmp_path / "to", ModelOptions())
    pull(
        HubRepository("someone/pickled", None, hub.endpoint), tmp_path / "to", ModelOptions(allow_pickle=True)
    )


@pytest.mark.parametrize(
    ("repo", "revision", "sentence"),
    [
        ("someone/nothing", None, "no public repository someone/nothing; check the name, or set HF_TOKEN"),
        (REPO, "v2", f"{REPO} has no revision v2"),
        ("a folder/that/is/not", None, "neither a folder nor a repository"),
    ],
)
def test_wrong_name_is_refused_in_a_sentence(
    hub: Hub, tmp_path: Path, repo: str, revision: str | None, sentence: str
) -> None:
    fill(tmp_path / "to", "config.json")
    with pytest.raises(UserError, match=sentence):
        pull(HubRepository(repo, revision, hub.endpoint), tmp_path / "to", ModelOptions())


def test_gated_repository_says_how_to_be_let_in(hub: Hub, tmp_path: Path) -> None:
    hub.gated.add(REPO)
    with pytest.raises(UserError, match=f"accepted first: do so at https://huggingface.co/{REPO}.*HF_TOKEN"):
        pull(HubRepository(REPO, None, hub.endpoint), tmp_path / "to", ModelOptions())


def test_folder_that_cannot_be_made_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=f"{REPO} could not be downloaded .*file"):
        pull(HubRepository(REPO, None, hub.endpoint), tmp_path / "file", ModelOptions())
