"""The adapter's plumbing.

pyiqa itself must not be a dependency of the tests (its licence is for non-commercial use only), so a package
of its name, with the few public names that the adapter calls, stands in its place on the path. Nothing here
says anything about pyiqa's numbers.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from zeroiqa.baselines.pyiqa import NOTICE
from zeroiqa.errors import UserError
from zeroiqa.raters import build_rater, find_rater
from zeroiqa.standards import load_standard
from zeroiqa.types import View
from zeroiqa.weights.options import ModelOptions

CPU = ModelOptions(device="cpu")
QUALITY = load_standard("quality-word-7")
STAND_IN = '''
"""Stands in the place of pyiqa: the mean of the red channel, higher or lower is better."""


class Metric:
    def __init__(self, name, device):
        if name == "broken":
            raise RuntimeError("no weights\\nat all")
        self.lower_better = name == "niqe"
        self.metric_mode = "FR" if name == "psnr" else "NR"
        self.device = device

    def __call__(self, image):
        assert image.shape[:2] == (1, 3) and 0 <= image.min() and image.max() <= 1
        assert image.device == self.device
        return image[:, :1].mean(dim=(1, 2, 3))[:, None]


def list_models():
    return ["musiq", "niqe", "psnr", "broken", "unlisted", "unlisted-up"]


def create_metric(name, device):
    return Metric(name, device)
'''


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = tmp_path / "pyiqa"
    package.mkdir()
    (package / "__init__.py").write_text(STAND_IN, encoding="utf-8")
    facts = {"unlisted": {"metric_mode": "NR", "lower_better": True}, "unlisted-up": {"metric_mode": "NR"}}
    (package / "default_model_configs.py").write_text(f"DEFAULT_CONFIGS = {facts!r}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("pyiqa", "pyiqa.default_model_configs"):
        sys.modules.pop(name, None)


@pytest.fixture
def views() -> list[View]:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3)).astype(np.uint8)
    return [View(pixels, None, (20, 30)) for pixels in pictures]


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", ["musiq", "niqe"])
def test_a_metric_gets_one_view_at_a_time_as_rgb_from_0_to_1_and_keeps_its_own_numbers(name, views):
    rows = build_rater(f"baseline:pyiqa:{name}", CPU).rate(views, [QUALITY])
    expected = [float(view.pixels[..., 0].mean()) / 255 for view in views]
    assert [row[0].value for row in rows] == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("name", "lower"), [("musiq", False), ("niqe", True), ("unlisted", True), ("unlisted-up", False)]
)
def test_the_direction_is_that_of_the_catalogue_or_else_pyiqas_own_and_no_weights_are_loaded(name, lower):
    """pyiqa/default_model_configs.py names lower_better where it is true, and is silent where it is not."""
    rater = build_rater(f"baseline:pyiqa:{name}", CPU)
    assert find_rater("baseline:pyiqa").lower_is_better(rater.id) is lower
    assert rater._measure._metric is None


@pytest.mark.usefixtures("stand_in")
def test_the_licence_is_told_once_when_a_metric_is_first_used(views, caplog):
    rater = build_rater("baseline:pyiqa:musiq", CPU)
    with caplog.at_level(logging.WARNING):
        assert rater.id.endswith("musiq")
        assert not caplog.messages
        for _ in range(3):
            rater.rate(views, [QUALITY])
    assert caplog.messages == [NOTICE]
    assert "non-commercial" in NOTICE and "PolyForm Noncommercial 1.0.0" in NOTICE
    assert "Required Notice: Copyright (c) 2022 Chaofeng Chen" in NOTICE and "\n" not in NOTICE


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("musik", "pyiqa has no metric 'musik'; did you mean musiq"),
        ("psnr", "pyiqa:psnr needs a reference image"),
        ("broken", r"pyiqa cannot load its metric broken \(no weights at all\)"),
    ],
)
def test_what_pyiqa_cannot_do_is_said_in_a_sentence(name, sentence, views):
    with pytest.raises(UserError, match=sentence):
        build_rater(f"baseline:pyiqa:{name}", CPU).rate(views, [QUALITY])


@pytest.mark.usefixtures("stand_in")
def test_offline_wants_the_hubs_own_switch_as_pyiqa_downloads_by_itself(views, monkeypatch):
    rater = build_rater("baseline:pyiqa:musiq", ModelOptions(device="cpu", offline=True))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(UserError, match="cannot be told --offline; set HF_HUB_OFFLINE=1"):
        rater.rate(views, [QUALITY])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert len(rater.rate(views, [QUALITY])) == 2


@pytest.mark.skipif(importlib.util.find_spec("pyiqa") is not None, reason="pyiqa is installed")
def test_without_pyiqa_the_extra_and_the_licence_are_named(views):
    rater = build_rater("baseline:pyiqa:musiq", CPU)
    with pytest.raises(
        UserError, match=r"non-commercial \(PolyForm Noncommercial 1.0.0\).*'zeroiqa\[pyiqa\]'"
    ):
        rater.rate(views, [QUALITY])
    with pytest.raises(UserError, match="needs the package pyiqa"):
        assert rater.id
