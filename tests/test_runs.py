from __future__ import annotations

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from zeroiqa import runs, samples
from zeroiqa.errors import UserError
from zeroiqa.images.decode import decode
from zeroiqa.images.find import find_images
from zeroiqa.images.ref import ImageRef
from zeroiqa.names import cell
from zeroiqa.pipeline import build_method, score_image
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.settings import load_settings

ROOT = Path(__file__).parents[1]
CHOICES = {"segmenter": "grid", "raters": ("fake", "fake:2"), "lambda": 0.5}
GOLDEN = """\
path,score,s_global,s_local,score_fake,score_fake:2,disagreement,mass,n_regions,width,height,status,error,warnings
a.png,4.482085,4.303002,4.840250,5.077469,3.886701,0.595384,0.918359,6,80,64,ok,,
b.png,4.211224,4.447363,3.738945,4.158583,4.263864,0.052640,0.904687,6,80,64,ok,,
c.png,,,,,,,,,,,error,c.png is not an image that can be read: it begins with b'no image'.,
"""


def settings(**choices):
    return load_settings("embedded", CHOICES | choices)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """The sample photos under relative names, which are the same on every machine."""
    shutil.copytree(
        samples.folder(), tmp_path / "photos", ignore=shutil.ignore_patterns("*.md", "*.py*", "__*")
    )
    monkeypatch.chdir(tmp_path)
    return find_images(["photos"])


def finish(folder, sources, workers=1, **choices):
    run = runs.open_run(Path(folder), settings(**choices), sources, preset="embedded")
    list(LocalExecutor(workers).execute(run, runs.pending(run), on_images=lambda _: None))
    runs.write_scores(run)
    return run


def read_csv(run):
    with (run.folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def parts(run):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in run.folder.rglob("part-*")}


# what a run writes


def test_scores_equal_those_in_memory(photos):
    run = finish("run", photos)
    method = build_method(settings())
    in_memory = [score_image(decode(source.path, method.policy), method) for source in photos]
    assert list(runs.iter_scores(run)) == in_memory
    assert [row["score"] for row in read_csv(run)] == [f"{result.score:.6f}" for result in in_memory]


def test_scores_are_golden(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ramp = np.arange(64 * 80 * 3).reshape(64, 80, 3)
    for name, step in (("a.png", 1), ("b.png", 7)):
        Image.fromarray((ramp * step % 256).astype(np.uint8)).save(name)
    Path("c.png").write_bytes(b"no image")
    run = finish("run", find_images(["a.png", "b.png", "c.png"]))
    assert (run.folder / "scores.csv").read_text("utf-8") == GOLDEN


def test_scores_are_the_same_for_any_number_of_workers(photos):
    alone, together = finish("alone", photos), finish("together", photos, workers=2)
    for name in ("scores.csv", "scores.parquet"):
        assert (alone.folder / name).read_bytes() == (together.folder / name).read_bytes()


def test_parquet_scores_are_the_csv_with_types(photos):
    run = finish("run", [*photos, ImageRef("missing.jpg")])
    table = pq.read_table(run.folder / "scores.parquet")
    assert table.column_names == runs.score_columns(run) == list(read_csv(run)[0])
    assert table["score"].to_pylist() == [result.score for result in runs.iter_scores(run)]
    assert table.schema.field("n_regions").type == "int32"
    assert table["score_fake:2"].null_count == table["n_regions"].null_count == 1


def test_folder_holds_what_is_promised(photos):
    run = finish("run", photos)
    files = Counter(
        str(path.relative_to(run.folder).parent) for path in run.folder.rglob("*") if path.is_file()
    )
    assert files == {".": 4, "events": 1, "regions": 3, "ratings/fake": 3, "ratings/fake%3A2": 3}
    record = json.loads((run.folder / "run.json").read_text())
    assert record["preset"] == "embedded"
    assert record["identity"]["raters"] == {name: r.id for name, r in build_method(settings()).raters.items()}
    assert record["run_id"] == run.run_id == runs.run_id(settings(), photos)


def test_images_are_reported_one_by_one_and_shards_in_order(photos):
    run = runs.open_run(Path("run"), settings(), photos, preset="embedded")
    reports = []
    assert list(LocalExecutor(1).execute(run, runs.pending(run), on_images=reports.append)) == [0, 1, 2]
    assert reports == [1] * 7


@pytest.mark.parametrize("workers", [1, 2])
def test_every_image_is_reported(photos, workers):
    run = runs.open_run(Path("run"), settings(), photos, preset="embedded")
    reports = []
    assert sorted(LocalExecutor(workers).execute(run, runs.pending(run), on_images=reports.append)) == [
        0,
        1,
        2,
    ]
    assert sum(reports) == run.n_images == run.count_images(range(run.n_shards)) == 7


def test_run_without_images_is_finished(tmp_path):
    run = finish(tmp_path, [])
    assert read_csv(run) == []
    assert runs.status(run).images == 0


def test_whole_images_have_no_regions(photos):
    run = finish("run", photos, crop="whole")
    assert {(row["n_regions"], row["s_local"]) for row in read_csv(run)} == {("", "")}
    assert {row["status"] for row in read_csv(run)} == {"ok"}


def test_masks_are_kept_for_the_crop_that_shows_them(photos):
    run = finish("run", photos, crop="mask")
    method = build_method(settings(crop="mask"))
    (stored,) = (rated for _, rated in runs.read_rated(run, 0))
    assert stored.regions == tuple(method.segmenter.segment(decode(photos[0].path, method.policy)))


def test_several_standards_have_columns_each(photos):
    run = finish("run", photos, standards=("quality-word-7", "authenticity-word-7"))
    first, second = run.labels.values()
    (row, *_) = read_csv(run)
    (result, *_) = runs.iter_scores(run)
    assert row["score"] == f"{result.scores[first].score:.6f}"
    assert row[f"{second}_score"] == f"{result.scores[second].score:.6f}"


# images that are no images


def test_bad_images_are_rows_and_stop_nothing(photos):
    Path("photos/bad.jpg").write_bytes(b"no image")
    Path("photos/empty.jpg").touch()
    sources = [*find_images(["photos"]), ImageRef("photos/gone\naway.jpg")]
    run = finish("run", sources)
    by_status = Counter(row["status"] for row in read_csv(run))
    assert by_status == {"ok": 7, "error": 2, "unreachable": 1}
    for row in read_csv(run):
        assert (
            (row["score"] == "")
            == (row["n_regions"] == "")
            == (row["error"] != "")
            == (row["status"] != "ok")
        )
    assert [row["path"] for row in read_csv(run)] == [cell(source.path) for source in sources]
    assert read_csv(run)[-1]["path"] == r"photos/gone\naway.jpg"


def test_image_that_vanished_after_segmentation_is_an_error_row_of_the_rater(photos):
    run = finish("run", photos)
    shutil.rmtree(run.folder / "ratings" / "fake")
    Path(photos[0].path).unlink()
    assert runs.pending(run) == [0, 1, 2]
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    first, *rest = runs.iter_scores(run)
    assert first.status == "unreachable" and photos[0].path in first.error
    assert {result.status for result in rest} == {"ok"}


def test_name_outside_utf8_is_scored_and_shown_escaped(photos):
    name = os.fsdecode(b"photos/caf\xe9.jpg")
    try:
        shutil.copy(photos[0].path, name)
    except OSError:
        pytest.skip("this file system takes no such name")
    run = finish("run", find_images(["photos"]))
    scores = {row["path"]: row["score"] for row in read_csv(run)}
    assert scores["photos/caf\\udce9.jpg"] == scores[photos[0].path]


# resume


def test_finished_run_is_left_alone(photos):
    run = finish("run", photos)
    before, scores = parts(run), (run.folder / "scores.csv").read_bytes()
    again = finish("run", photos)
    assert runs.pending(again) == []
    assert parts(again) == before
    assert (run.folder / "scores.csv").read_bytes() == scores


@pytest.mark.parametrize("stage", ["regions", "ratings/fake", "ratings/fake%3A2"])
def test_only_missing_parts_are_made(photos, stage):
    run = finish("run", photos)
    scores = (run.folder / "scores.csv").read_bytes()
    (run.folder / stage / "part-00001.parquet").unlink()
    before = parts(run)
    assert runs.pending(run) == [1]
    again = finish("run", photos)
    assert before.items() < parts(again).items()
    assert (run.folder / "scores.csv").read_bytes() == scores


def test_unfinished_run_has_the_scores_of_its_finished_shards(photos):
    run = runs.open_run(Path("run"), settings(), photos, preset="embedded")
    shards = LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None)
    assert [next(shards), next(shards)] == [0, 1]
    assert [result.path for result in runs.iter_scores(run)] == [source.path for source in photos[:3]]
    with pytest.raises(UserError, match="4 of 7 images are not finished"):
        runs.write_scores(run)


def test_creation_that_was_interrupted_before_the_plan_is_completed(photos):
    runs.open_run(Path("run"), settings(), photos, preset="embedded")
    Path("run/plan.parquet").unlink()
    with pytest.raises(UserError, match=r"plan\.parquet is missing .*; give the command of the run again"):
        runs.load_run(Path("run"))
    assert finish("run", photos).n_images == 7


def test_hidden_files_do_not_make_a_folder_foreign(photos):
    Path("run").mkdir()
    Path("run/.DS_Store").touch()
    Path("run/.zeroiqa-elsewhere-1-run.json").touch()
    assert finish("run", photos).n_images == 7


def test_other_library_versions_are_a_warning(photos):
    assert finish("run", photos).warnings == ()
    record = json.loads(Path("run/run.json").read_text())
    record["environment"]["numpy"] = "0.1"
    Path("run/run.json").write_text(json.dumps(record))
    (warning,) = runs.open_run(Path("run"), settings(), photos, preset="embedded").warnings
    assert "numpy 0.1 (now " in warning


# status


def test_status_counts_images_shards_and_errors(photos):
    sources = [*photos, ImageRef("gone1.jpg"), ImageRef("gone2.jpg")]
    run = finish("run", sources)
    (run.folder / "ratings/fake/part-00001.parquet").unlink()
    state = runs.status(runs.load_run(run.folder))
    assert (state.images, state.shards, state.scored, state.errors) == (9, 4, 5, 2)
    assert state.finished == {"regions": 4, "ratings/fake": 3, "ratings/fake%3A2": 4}
    ((kind, count),) = state.error_kinds.items()
    assert count == 2 and "gone" not in kind


# rescore


@pytest.mark.parametrize(
    "choice", [{"lam": 1.0}, {"lam": math.inf}, {"readout": "digit"}, {"weighting": "mean"}]
)
def test_rescored_run_equals_a_run_with_those_settings(photos, choice):
    run = runs.load_run(finish("run", photos).folder)
    fresh = finish("fresh", photos, **{"lambda" if key == "lam" else key: choice[key] for key in choice})
    assert list(runs.iter_scores(run, runs.reaggregation(run, choice))) == list(runs.iter_scores(fresh))


def test_one_member_of_the_ensemble_scores_like_a_run_of_its_own(photos):
    run = finish("run", photos)
    aggregation = runs.reaggregation(run, {"members": ("fake:2",)})
    alone = finish("alone", photos, raters=("fake:2",))
    assert list(runs.iter_scores(run, aggregation)) == list(runs.iter_scores(alone))
    assert runs.score_columns(run, aggregation) == runs.score_columns(alone)


def test_unknown_member_is_refused(photos):
    run = finish("run", photos)
    with pytest.raises(UserError, match="no ratings by nss; its raters are fake, fake:2"):
        runs.reaggregation(run, {"members": ("nss",)})


def test_rescoring_loads_no_image_library_and_no_segmenter(photos):
    finish("run", photos)
    code = """
import sys
from pathlib import Path
from zeroiqa import runs
run = runs.load_run(Path("run"))
assert len(list(runs.iter_scores(run, runs.reaggregation(run, {"lam": 1.0})))) == 7
runs.status(run)
runs.write_scores(run)
heavy = {"cv2", "PIL", "skimage", "scipy", "torch", "zeroiqa.pipeline"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
