"""A run has one model under one name: what it answers to the built-in views is kept, and compared by all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from zeroiqa import runs  # noqa: E402
from zeroiqa.chat.known_answer import cache_folder  # noqa: E402
from zeroiqa.errors import UserError  # noqa: E402
from zeroiqa.images.find import find_images  # noqa: E402
from zeroiqa.runs import known_answers  # noqa: E402
from zeroiqa.runs.checks import check_run  # noqa: E402
from zeroiqa.runs.executors.local import LocalExecutor  # noqa: E402
from zeroiqa.runs.merge import merge_runs  # noqa: E402
from zeroiqa.settings import load_settings  # noqa: E402

COMMIT = "c" * 40
RATER = "hf:somebody/model"
REFUSED = (
    r"The run run has other answers of the rater hf:somebody/model .* differs by 0\.\d+, more than 0\.001"
)


@pytest.fixture
def weights(tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model in the cache of the hub, where its commit is its name, whatever has become of the file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--somebody--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(tiny("smolvlm"), repository / "snapshots" / COMMIT)
    for folder in "ab":
        Path(folder).mkdir()
        Image.effect_noise((60, 40), 60).convert("RGB").save(f"{folder}/{folder}.png")
    return repository / "snapshots" / COMMIT / "model.safetensors"


def retrain(file: Path) -> None:
    tensors = safetensors.load_file(file)
    tensors = {name: tensor * (1.5 if tensor.ndim > 1 else 1) for name, tensor in tensors.items()}
    safetensors.save_file(tensors, file, {"format": "pt"})


def score(folder: str, images: str, *, add: bool = False) -> runs.Run:
    changes = {"crop": "whole", "raters": (RATER,), "device": "cpu", "offline": True}
    settings = load_settings("embedded", changes)
    run = runs.open_run(Path(folder), settings, find_images([images]), preset="embedded", add=add)
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    return run


def test_a_run_refuses_another_model_under_the_same_name(weights: Path) -> None:
    score("run", "a")
    (record,) = known_answers.records(Path("run")).values()
    assert record.name.startswith("hf%3Asomebody%2Fmodel-")
    cache_folder().rename("elsewhere")  # the user's own record may be lost, or on another machine
    run = score("run", "b", add=True)
    runs.write_scores(run)
    assert not any(check.damages for check in check_run(run))

    retrain(weights)
    shutil.copy("a/a.png", "b/c.png")
    cache_folder().rename("elsewhere too")
    before = sorted(Path("run").rglob("part-*"))
    for _ in range(2):
        with pytest.raises(UserError, match=REFUSED):
            score("run", "b", add=True)
    assert sorted(Path("run").rglob("part-*")) == before
    score("other", "b")
    with pytest.raises(UserError, match=r"are the answers of two models: .* can be merged"):
        merge_runs([runs.load_run(Path("other")), finished(Path("run"))], Path("both"))


def finished(folder: Path) -> runs.Run:
    """The run without the image that is left to do."""
    (folder / "plan-0002.parquet").unlink()
    return runs.load_run(folder)


def test_of_a_run_of_an_older_version_the_users_record_counts(weights: Path) -> None:
    score("run", "a")
    shutil.rmtree("run/known-answers")
    retrain(weights)
    with pytest.raises(UserError, match=REFUSED):
        score("run", "b", add=True)
    assert not known_answers.records(Path("run"))


def test_a_damaged_record_is_named(weights: Path) -> None:
    score("run", "a")
    (record,) = known_answers.records(Path("run")).values()
    record.write_text(json.dumps({"dtype": "float32"}))
    (found,) = (
        check for check in check_run(runs.load_run(Path("run"))) if check.what == known_answers.FOLDER
    )
    assert "cannot be read" in found.damages[0]
    with pytest.raises(UserError, match=r"known-answers.*cannot be read .*; put it back as it was, or"):
        score("run", "b", add=True)


def test_merged_runs_keep_their_answers(weights: Path) -> None:
    merge_runs([score("run", "a"), score("run2", "b")], Path("both"))
    (one,), (both,) = (known_answers.records(Path(name)).values() for name in ("run", "both"))
    assert one.read_bytes() == both.read_bytes()
