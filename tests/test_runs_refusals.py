from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from zeroiqa import runs
from zeroiqa.errors import UserError
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs import plan, record
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.identity import run_id_of
from zeroiqa.settings import load_settings

PROMPTS = Path(__file__).parents[1] / "prompts"
CHOICES = {"segmenter": "grid", "raters": ("fake", "fake:2"), "lambda": 0.5}
SOURCES = [ImageRef(f"{number}.jpg", 10) for number in range(7)]


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def begin(folder="run", sources=SOURCES, **choices):
    """Plan a run; none of its images is looked at."""
    settings = load_settings("embedded", CHOICES | choices)
    return runs.open_run(Path(folder), settings, sources, preset="embedded")


def edit(**fields):
    record = json.loads(Path("run/run.json").read_text("utf-8")) | fields
    record["run_id"] = run_id_of(record["identity"])
    Path("run/run.json").write_text(json.dumps(record), "utf-8")


def refusal(**request):
    with pytest.raises(UserError) as caught:
        begin(**request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_other_arithmetic_is_the_same_run_which_keeps_its_own():
    run = begin()
    again = begin(**{"lambda": 1.0, "readout": "digit", "weighting": "mean", "rater_weights": (2.0, 1.0)})
    assert (again.run_id, again.settings) == (run.run_id, run.settings)


def test_run_of_before_a_granularity_had_its_name_is_the_same_run():
    """In its settings the later ones are missing; its id, which never had them, is that of today."""
    run = begin()
    record = json.loads(Path("run/run.json").read_text("utf-8"))
    later = {"min_pixels", "complement_rule", "segmenter_dtype"}
    assert record["identity"]["settings"]["granularity"] == "paper"
    assert not later & record["identity"]["settings"].keys()
    settings = {key: value for key, value in record["settings"].items() if key not in later}
    edit(settings=settings | {"granularity": "paper"})
    assert runs.load_run(Path("run")).settings == run.settings
    assert begin().run_id == run.run_id
    assert "min_pixels is 0 there and 10 here" in refusal(min_pixels=10)
    edit(settings=settings | {"granularity": "paper", "min_pixels": 10})
    assert "settings.min_pixels is 10, where identity.settings.min_pixels is 0" in refusal()
    edit(settings=settings | {"granularity": "coarse"})
    assert (
        "settings.granularity is 'coarse', where identity.settings.granularity is 'default-16'" in refusal()
    )


def test_run_that_holds_results_is_not_offered_for_deletion():
    begin()
    assert "delete this one, which holds no result yet" in refusal(segmenter="grid:2x2")
    Path("run/regions").mkdir()
    Path("run/regions/part-00000.parquet").touch()
    assert "delete" not in refusal(segmenter="grid:2x2")


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"segmenter": "grid:2x2"}, "segmenter is grid there and grid:2x2 here"),
        (
            {"standards": ("authenticity-word-7",)},
            "standards is quality-word-7 there and authenticity-word-7 here",
        ),
    ],
)
def test_other_method_is_refused_without_a_word_of_rescore(choice, said):
    begin()
    message = refusal(**choice)
    assert said in message
    assert "rescore" not in message


@pytest.mark.parametrize("raters", [("fake",), ("fake", "fake:3"), ("fake:3", "fake:4", "fake:5")])
def test_removed_and_replaced_raters_are_refused_with_the_ways_out(raters):
    begin()
    message = refusal(raters=raters)
    assert f"raters is fake, fake:2 there and {', '.join(raters)} here" in message
    assert "name all its raters to add others" in message
    assert "`zeroiqa rescore run --member NAME`" in message


def test_other_settings_are_refused_for_a_run_with_more_raters_too():
    begin()
    before = Path("run/run.json").read_bytes()
    message = refusal(raters=("fake", "fake:2", "fake:3"), segmenter="grid:2x2")
    assert "other settings: segmenter is grid there and grid:2x2 here; choose" in message
    assert Path("run/run.json").read_bytes() == before


def test_rater_that_has_changed_is_refused_though_another_one_is_added():
    begin()
    identity = begin().identity
    edit(identity=identity | {"raters": identity["raters"] | {"fake": "fake 0 number=0"}})
    message = refusal(raters=("fake", "fake:2", "fake:3"))
    assert "rater fake is fake 0 number=0 there and fake 1 number=0 here" in message


def test_changed_meaning_of_equal_settings_is_refused():
    begin()
    edit(identity=begin().identity | {"decode_policy": "decode0"})
    assert "decode_policy is decode0 there and decode2(" in refusal()


def test_edited_standard_is_refused_and_a_moved_one_is_not(tmp_path):
    first, moved = tmp_path / "own.toml", tmp_path / "moved" / "own.toml"
    moved.parent.mkdir()
    shutil.copy(PROMPTS / "quality-word-7.toml", first)
    shutil.copy(PROMPTS / "quality-word-7.toml", moved)
    begin(standards=(str(first),))
    assert begin(standards=(str(moved),)).n_images == 7
    first.write_text(first.read_text("utf-8").replace("Excellent", "Superb"), "utf-8")
    assert "standard own is 1:" in refusal(standards=(str(first),))


def test_other_images_are_refused_naming_some():
    begin()
    message = refusal(sources=[*SOURCES[1:], ImageRef("new.jpg"), ImageRef("newer.jpg")])
    assert "1 are only there, 2 only here: 0.jpg only there, new.jpg only here" in message
    assert begin(sources=SOURCES[::-1]).n_images == 7
    prompted = [SOURCES[0]._replace(prompt="a cat"), *SOURCES[1:]]
    assert "the prompt of 0.jpg is None there and 'a cat' here" in refusal(sources=prompted)


def test_folder_of_other_files_is_refused_and_untouched():
    Path("photos").mkdir()
    for name in ("dog.jpg", "cat.jpg"):
        Path("photos", name).touch()
    assert "photos holds other files (first: cat.jpg)" in refusal(folder="photos")
    assert len(list(Path("photos").iterdir())) == 2


def test_foreign_plan_is_not_overwritten():
    Path("run").mkdir()
    Path("run/plan.parquet").write_bytes(b"mine")
    assert "run holds other files (first: plan.parquet)" in refusal()
    assert Path("run/plan.parquet").read_bytes() == b"mine"


def test_file_in_place_of_the_folder_is_refused():
    Path("run").write_text("mine")
    assert "run is a file" in refusal()
    assert "is a file, not a folder" in refusal(folder="run/below")


def test_newer_format_is_refused_with_the_way_out():
    begin()
    edit(format=record.FORMAT + 1, zeroiqa="9.0")
    message = refusal()
    assert f"written by zeroiqa 9.0 (format {record.FORMAT + 1})" in message and "pip install -U" in message


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run_id": "x"}', '{"format": 1}', "\udce9"])
def test_run_json_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content, "utf-8", "surrogateescape")
    with pytest.raises(UserError, match=r"run\.json (cannot be read|was not written by zeroiqa)"):
        runs.load_run(tmp_path)


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "file").touch()
    found = {".": "has no run.json", "missing": "does not exist", "file": "has no run.json"}
    for name, what in found.items():
        with pytest.raises(UserError, match=f"{what}, so it is no run"):
            runs.load_run(tmp_path / name)


def test_plan_of_another_run_is_not_used():
    begin()
    plan.write_plan(Path("run"), SOURCES[:2], {"count": 2, "sha256": "another"}, again=True)
    with pytest.raises(UserError, match=r"plan\.parquet .* belongs to another run"):
        runs.load_run(Path("run"))
    assert begin().n_images == 7


def test_a_plan_that_is_lost_is_not_made_anew_over_results():
    """Another order would give each image the results of another one."""
    begin()
    Path("run/regions").mkdir()
    Path("run/regions/part-00000.parquet").touch()
    Path("run/plan.parquet").unlink()
    assert "without it nobody knows of which images the results are" in refusal(sources=SOURCES[::-1])


def test_worker_refuses_a_method_that_has_changed_meanwhile():
    run = begin()
    older = replace(run, identity=dict(run.identity) | {"segmenter": "grid-v0"})
    with pytest.raises(UserError, match="was started with segmenter grid-v0"):
        list(LocalExecutor(1).execute(older, [0], on_images=lambda _: None))
    assert list(Path("run").rglob("part-*")) == []
