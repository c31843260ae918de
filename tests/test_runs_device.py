"""A device that is not here is said at once; one that does nothing is said, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import zeroiqa
from tests.command import zeroiqa as command
from zeroiqa.errors import UserError
from zeroiqa.runs.device import check_device
from zeroiqa.samples import folder
from zeroiqa.settings import load_settings

MODEL = ("--rater", "smolvlm-500m")
MISSING = "There is no device cuda:99 here; found "


@pytest.mark.parametrize(
    "line",
    [
        ("score", "nowhere", *MODEL),
        ("score", "nowhere", "--rater", "fake", "--lambda", "1", "--segmenter", "sam2.1-tiny"),
        ("score", "nowhere", *MODEL, "--workers", "2"),
        ("explain", "nowhere", *MODEL),
        ("segment", "nowhere", "-o", "regions", "--segmenter", "sam2.1-tiny"),
        ("verify", "nowhere", *MODEL),
        ("bench", *MODEL),
        ("head", "score", "lmm4lmm:perception", "nowhere", "--weights", "nowhere"),
        (
            *("head", "train", "lmm4lmm", "--stage", "1", "--data", "nowhere"),
            *("--backbone", "hf:nowhere", "-o", "head"),
        ),
    ],
)
def test_a_device_that_is_not_here_is_said_before_anything_is_looked_for(
    tmp_path: Path, line: tuple[str, ...]
) -> None:
    done = command(tmp_path, *line, "--device", "cuda:99")
    assert done.returncode == 1, done.stderr
    assert MISSING in done.stderr.splitlines()[-1]
    assert "nowhere" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_python_says_the_same(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=MISSING):
        zeroiqa.load_method(raters=["smolvlm-500m"], device="cuda:99")
    with pytest.raises(UserError, match=MISSING):
        zeroiqa.run("nowhere", tmp_path / "run", raters=["smolvlm-500m"], device="cuda:99")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_the_message_says_why() -> None:
    settings = load_settings(overrides={"raters": ["smolvlm-500m"], "device": "cuda"})
    with pytest.raises(UserError) as error:
        check_device(settings, print)
    said = str(error.value)
    assert said.startswith(f"There is no device cuda here; found cpu (torch {torch.__version__} is built")
    assert said.endswith("; choose one of these, or leave --device out.")


@pytest.mark.skipif(sys.platform == "darwin", reason="where mps may be")
def test_mps_is_said_to_be_of_other_computers() -> None:
    settings = load_settings(overrides={"raters": ["smolvlm-500m"], "device": "mps"})
    with pytest.raises(UserError, match="mps is the GPU of Apple's computers"):
        check_device(settings, print)


@pytest.mark.parametrize(
    ("device", "meant"),
    [("cdua", "cuda"), ("cud", "cuda"), ("gpu", "cuda"), ("0", "cuda:0"), ("CUDA", "cuda"), ("cpu0", "cpu")],
)
def test_a_device_that_is_none_is_refused_with_the_one_that_it_means(
    tmp_path: Path, device: str, meant: str
) -> None:
    for line in (("score", "nowhere"), ("bench", "--rater", "nss"), ("segment", "nowhere", "-o", "regions")):
        done = command(tmp_path, *line, "--device", device)
        assert done.returncode == 1
        assert f"did you mean {meant}" in done.stderr


@pytest.mark.parametrize("device", ["cuda", "mps", "cuda:99"])
def test_a_device_that_does_nothing_is_said_in_one_line(tmp_path: Path, device: str) -> None:
    done = command(tmp_path, "score", folder() / "coffee.jpg", "-o", "run", "--device", device)
    assert done.returncode == 0
    assert done.stderr.count(f"--device {device} does nothing here: nss runs no model.\n") == 1
    said: list[str] = []
    zeroiqa.run(folder() / "coffee.jpg", tmp_path / "other", device=device, on_message=said.append)
    assert said[0] == f"--device {device} does nothing here: nss runs no model."


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_what_is_always_here_is_not_said(tmp_path: Path, device: str) -> None:
    done = command(tmp_path, "score", folder() / "coffee.jpg", "-o", "run", "--device", device)
    assert done.returncode == 0
    assert "--device" not in done.stderr


def test_a_plan_for_another_machine_needs_no_device_here(tmp_path: Path) -> None:
    line = ("score", folder() / "coffee.jpg", "--rater", "fake", "--device", "cuda", "-o", "run")
    assert command(tmp_path, *line, "--plan-only").returncode == 0


def test_torch_is_not_imported_where_no_model_runs(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from zeroiqa.runs.device import check_device\n"
        "from zeroiqa.settings import load_settings\n"
        "assert check_device(load_settings(overrides={'device': 'cuda'}), print) is None\n"
        "check_device(load_settings(overrides={'raters': ['smolvlm-500m'], 'device': 'cpu'}), print)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
