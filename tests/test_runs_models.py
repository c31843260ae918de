"""Runs with real models, which are tiny."""

from __future__ import annotations

import gc
import weakref
from importlib import import_module
from pathlib import Path

import PIL.Image
import pytest

from tests.tiny.odd import own_code
from zeroiqa import runs, samples
from zeroiqa.chat.model import ChatModel
from zeroiqa.errors import UserError
from zeroiqa.images.decode import decode
from zeroiqa.images.find import find_images
from zeroiqa.pipeline import build_method
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.resolved import resolve
from zeroiqa.settings import load_settings

verify = import_module("zeroiqa.cli.commands.verify")
PHOTOS = ("cat.jpg", "cat_blurred.jpg", "rocket.png")


@pytest.fixture(autouse=True)
def in_folder_of_photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in PHOTOS:
        PIL.Image.open(samples.folder() / name).resize((90, 60)).save(f"photos/{name}")


def settings(*raters, **choices):
    return load_settings(
        "embedded",
        {"segmenter": "grid:2x1", "raters": raters, "device": "cpu", "offline": True} | choices,
    )


def finish(folder, *raters, **choices):
    run = runs.open_run(
        Path(folder), settings(*raters, **choices), find_images(["photos"]), preset="embedded"
    )
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    runs.write_scores(run)
    return run


def test_ensemble_of_models_holds_one_at_a_time_and_takes_another_member_later(tiny, monkeypatch):
    engines, most = weakref.WeakSet(), 0
    build = ChatModel.engine.fget

    def counted(self):
        nonlocal most
        engine = build(self)
        engines.add(engine)
        most = max(most, len(engines))
        return engine

    monkeypatch.setattr(ChatModel, "engine", property(counted))
    one, other = f"hf:{tiny('smolvlm')}", f"hf:{tiny('qwen2_5_vl')}"
    finish("run", one, "fake")
    before = {path: path.stat().st_mtime_ns for path in Path("run").rglob("part-*")}
    run = finish("run", one, "fake", other)
    assert most == 1
    gc.collect()
    assert len(engines) == 0
    assert before.items() < {path: path.stat().st_mtime_ns for path in Path("run").rglob("part-*")}.items()
    for result in runs.iter_scores(run):
        assert set(result.scores["quality"].raters) == {one, "fake", other}
        assert 1 <= result.score <= 7
        assert result.disagreement > 0


def test_ratings_of_models_do_not_depend_on_order_or_batch(tiny):
    names = (f"hf:{tiny('smolvlm')}", "fake")
    chosen = settings(*names)
    method = build_method(chosen)
    images = [decode(Path("photos", name), method.policy) for name in PHOTOS]
    reference, checks = verify._in_this_process(images, resolve(chosen), method)
    assert len(reference) == len(PHOTOS) * len(names)
    allowed = {name: verify._rounding(name, chosen) for name in names}
    for name, ratings in checks.items():
        assert verify._same(name, ratings, reference, allowed)


def test_aspects_are_scored_side_by_side_by_a_model(tiny):
    standards = ("quality-word-7", "authenticity-word-7")
    run = finish("run", f"hf:{tiny('qwen2_5_vl')}", standards=standards)
    assert all(set(result.scores) == {"quality", "authenticity"} for result in runs.iter_scores(run))


def test_a_model_with_code_of_its_own_is_refused_before_the_run_folder_exists(tmp_path):
    """Allowing the code is part of a run's settings: a folder of the refused run would be in the way."""
    model = own_code(tmp_path / "model")
    with pytest.raises(UserError, match="--trust-remote-code"):
        build_method(settings(f"hf:{model}"))
