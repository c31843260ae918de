"""`zeroiqa diff`: what moved between two runs of the fake rater, where, and all that may explain it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zeroiqa
from tests.conftest import Done
from zeroiqa.cli.commands.diff import _conclusion
from zeroiqa.metrics.measures import srcc
from zeroiqa.report.causes import Cause, causes
from zeroiqa.report.diff import Difference, Kept, Pair
from zeroiqa.runs.identity import run_id_of

Give = Callable[..., Done]
NAMES = [f"photos/{number}.png" for number in range(6)]
OPTIONS: dict[str, Any] = {"segmenter": "grid:2x1", "raters": ["fake"], "lam": 1.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("diff")
    (here / "photos").mkdir()
    rng = np.random.default_rng(0)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)).save(here / name)
    run(here, "a")
    return here


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "here"))


def run(here: Path, name: str, images: Any = "photos", **others: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        zeroiqa.run(images, name, workers=1, **(OPTIONS | others))


def compared(give: Give, here: Path, *arguments: str) -> dict[str, Any]:
    done = give(here, "diff", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def whats(found: dict[str, Any]) -> list[str]:
    """The causes that are no consequence of another one."""
    return [cause["what"] for cause in found["causes"] if not cause["follows"]]


def rewritten(here: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    path = here / name / "run.json"
    record = json.loads(path.read_text())
    change(record)
    record["run_id"] = run_id_of(record["identity"])
    path.write_text(json.dumps(record))


def test_equal_runs_differ_in_nothing(here: Path, give: Give) -> None:
    shutil.copytree(here / "a", here / "b")
    found = compared(give, here, "a", "b")
    assert (found["nothing"], found["both"], found["equal"], found["moved"]) == (True, 6, 6, 0)
    assert found["causes"] == [] and found["moves"] == [] and found["stages"] == {"none": 6}
    done = give(here, "diff", "a", "b")
    assert done.returncode == 0 and done.stdout.endswith("\nNothing differs.\n") and not done.stderr


def test_the_largest_moves_and_the_counts_are_those_of_the_tables(here: Path, give: Give) -> None:
    run(here, "b", raters=["fake:2"])
    one, other = ({each.path: each.score for each in zeroiqa.load_run(here / name).scores()} for name in "ab")
    found = compared(give, here, "a", "b", "--moves", "3")
    moves = {path: other[path] - one[path] for path in one}  # type: ignore[operator]
    ordered = sorted(moves, key=lambda path: -abs(moves[path]))[:3]
    assert [(each["path"], each["difference"]) for each in found["moves"]] == [
        (path, moves[path]) for path in ordered
    ]
    assert found["srcc"] == pytest.approx(srcc(list(one.values()), list(other.values())))  # type: ignore[arg-type]
    assert found["mean_move"] == pytest.approx(np.mean(np.abs(list(moves.values()))))
    table = list(csv.DictReader(give(here, "diff", "a", "b", "--format", "csv").stdout.splitlines()))
    assert [row["path"] for row in table] == NAMES
    assert {row["path"]: float(row["difference"]) for row in table} == pytest.approx(moves)


@pytest.mark.parametrize(
    ("others", "stage", "named", "said"),
    [
        ({"lam": 0.5}, "arithmetic", ["lambda"], "the arithmetic differs (lambda)."),
        ({"lam": 0.5, "readout": "digit"}, "arithmetic", ["readout", "lambda"], "with one of them alone"),
        ({"raters": ["fake:2"]}, "raters", ["raters"], "One thing differs that can move scores: raters."),
        ({"segmenter": "grid:2x2"}, "regions", ["segmenter"], "One thing differs that can move"),
        ({"min_area": 0.6}, "regions", ["min_area"], "One thing differs that can move scores: min_area."),
        ({"lam": 0.0}, "regions", ["lambda"], "One thing differs that can move scores: lambda."),
        ({"standards": ["quality-word-5"]}, "raters", ["standards"], "One thing differs that can move"),
        ({"mass_threshold": 0.1}, None, ["mass_threshold"], "No score moved."),
        (
            {"segmenter": "grid:2x2", "raters": ["fake:2"], "lam": 2.0},
            "regions",
            ["segmenter", "raters", "lambda"],
            "3 things differ at once that can move scores (segmenter, raters, lambda)",
        ),
    ],
)
def test_every_setting_is_named_with_the_stage_that_differs_first(
    here: Path, give: Give, others: dict[str, Any], stage: str | None, named: list[str], said: str
) -> None:
    run(here, "b", **others)
    found = compared(give, here, "a", "b")
    assert whats(found) == named
    assert set(found["moved_at"]) == ({stage} if stage else set())
    assert said in found["conclusion"] and found["conclusion"] in give(here, "diff", "a", "b").stdout


def test_what_finds_regions_explains_nothing_where_there_are_none(here: Path, give: Give) -> None:
    for name, segmenter in (("b", "grid:2x1"), ("c", "graph")):
        run(here, name, segmenter=segmenter, lam=0.0)
    assert compared(give, here, "b", "c")["nothing"] is True


def test_revisions_versions_and_policies_are_named(here: Path, give: Give) -> None:
    def change(record: dict[str, Any]) -> None:
        record["zeroiqa"] = "0.0.1"
        record["environment"] |= {"numpy": "1.0"}
        record["identity"]["raters"]["fake"] += " older"
        record["identity"]["decode_policy"] += " older"
        record["identity"]["standards"][0]["hash"] = "0" * 64
        record["identity"]["method_version"] = 1

    shutil.copytree(here / "a", here / "b")
    rewritten(here, "b", change)
    found = compared(give, here, "a", "b")
    assert whats(found) == [
        *("decode policy", "rater fake", "standard quality-word-7", "method version", "zeroiqa", "numpy"),
    ]
    assert found["conclusion"] == "No score moved." and found["nothing"] is False
    assert compared(give, here, "b", "a")["causes"][0]["a"].endswith(" older")


def test_changed_files_are_told_by_their_hashes_and_moved_ones_by_their_content(
    here: Path, give: Give
) -> None:
    Image.open(here / NAMES[2]).rotate(180).save(here / "other.png")
    shutil.move(here / "other.png", here / NAMES[2])
    run(here, "b")
    found = compared(give, here, "a", "b")
    assert (found["files"], whats(found)) == (1, ["image files with other content"])
    assert (found["moved"], found["moved_at"]) == (1, {"file": 1})
    shutil.copytree(here / "photos", here / "elsewhere")
    (here / "elsewhere" / "0.png").rename(here / "elsewhere" / "9.png")
    shutil.copy(here / NAMES[3], here / "elsewhere" / "x.png")  # a second one of the same content
    run(here, "c", "elsewhere")
    found = compared(give, here, "b", "c")
    assert (found["both"], found["by_hash"], found["equal"]) == (6, 6, 6)
    assert found["only"] == {"a": 0, "b": 1} and found["examples"]["b"] == ["elsewhere/x.png"]


def test_another_order_is_matched_and_images_of_one_run_are_listed(here: Path, give: Give) -> None:
    run(here, "b", [NAMES[each] for each in (4, 2, 5, 0)], lam=0.5)
    found = compared(give, here, "a", "b")
    assert (found["both"], found["moved"], found["by_hash"]) == (4, 4, 0)
    assert found["only"] == {"a": 2, "b": 0} and sorted(found["examples"]["a"]) == [NAMES[1], NAMES[3]]
    table = list(csv.DictReader(give(here, "diff", "b", "a", "--format", "csv").stdout.splitlines()))
    assert sorted(row["path"] for row in table) == NAMES
    assert {row["path"] for row in table if row["status_a"] == "absent"} == {NAMES[1], NAMES[3]}


def test_errors_unfinished_and_unrated_runs_are_said(here: Path, give: Give) -> None:
    (here / NAMES[1]).write_bytes(b"no picture")
    run(here, "b")
    found = compared(give, here, "a", "b")
    assert (found["states"], found["equal"]) == (1, 5)
    next(path for path in sorted((here / "b" / "ratings" / "fake").iterdir())).unlink()
    done = give(here, "diff", "a", "b")
    assert done.returncode == 0 and "images are not scored yet" in done.stderr, done.stderr
    assert "Only in a: 1 image" in done.stdout
    assert give(here, "segment", "photos", "-o", "c").returncode == 0
    done = give(here, "diff", "a", "c")
    assert done.returncode == 0 and "c holds regions without ratings, and so no scores." in done.stderr
    assert "No image is in both runs, so that no score can be compared." in done.stdout
    done = give(here, "diff", "a", "photos")
    assert done.returncode == 1 and done.stderr.count("\n") == 1


def test_scores_of_another_direction_are_said(here: Path, give: Give) -> None:
    assert give(here, "score", "photos", "-o", "b", "--baseline", "piqe").returncode == 0
    assert "Of b lower scores are better" in give(here, "diff", "a", "b").stdout


def test_tags_are_other_ones_only_where_both_runs_have_measured(here: Path, give: Give) -> None:
    run(here, "b", raters=["nss"])
    assert any(each.tags for each in zeroiqa.load_run(here / "b").scores())
    assert compared(give, here, "a", "b")["tags"] == 0


def test_causes_are_the_same_from_both_sides(here: Path) -> None:
    run(here, "b", segmenter="grid:3x1", readout="digit")
    one, other = (zeroiqa.load_run(here / name) for name in "ab")
    turned = [cause._replace(a=cause.b, b=cause.a) for cause in causes(other, one)]
    assert turned == causes(one, other) and len(turned) == 3


def test_other_prompts_of_images_explain_what_moved(here: Path, give: Give) -> None:
    for name, word in (("b", "a cat"), ("c", "a dog")):
        lines = [f"../{each},{word if number else 'the same'}" for number, each in enumerate(NAMES)]
        (here / name).mkdir()
        (here / name / "list.csv").write_text("\n".join(["path,prompt", *lines]))
        run(here, f"run-{name}", f"{name}/list.csv", standards=["correspondence-word-7"])
    found = compared(give, here, "run-b", "run-c")
    assert (found["prompts"], whats(found)) == (5, ["text prompts of images"]), found
    assert "hardware" not in found["conclusion"]


@pytest.mark.parametrize(("stages", "count"), [(["ratings"] * 3, 3), (["ratings", "arithmetic"], 1)])
def test_a_cause_is_not_blamed_for_a_stage_on_which_it_does_not_act(stages: list[Any], count: int) -> None:
    found = Difference((Cause("arithmetic", "setting", "lambda", "0", "1"),), (False, False), shown=1)
    for number, stage in enumerate(stages):
        kept = Kept(f"{number}.png", 1.0, (), "ok", b"", None, (9, 9), b"", {}, {}, (), None)
        found.add(Pair(kept, kept._replace(score=2.0), stage))
    assert found.unexplained == {"ratings": count}
    said = _conclusion(found)
    assert f"{count} image" in said and "nothing that is recorded acts" in said and "other hardware" in said
