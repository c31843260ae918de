"""What every command says of answers off the levels, of images without a level, and of missing prompts."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import zeroiqa
from tests.servers.process import ChatServer
from zeroiqa import runs
from zeroiqa.runs import events
from zeroiqa.runs.executors.local import LocalExecutor

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

STARS = [["**", math.log(0.9)], *([str(level), math.log(level * 1e-9)] for level in range(1, 8))]
ANSWERS = [["7", math.log(0.9)], *([str(level), math.log(0.01)] for level in range(1, 7))]
SPEAKS = [["The", math.log(0.9)], ["Score", math.log(0.05)]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    drawn = np.random.default_rng(0)
    for number in range(4):
        pixels = drawn.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    opinions = "".join(f"{number}.png,{number}\n" for number in range(4))
    (tmp_path / "mos.csv").write_text(f"image,mos\n{opinions}")
    return tmp_path


def chosen(server: ChatServer, *more: str) -> tuple[str, ...]:
    return ("-o", "run", "--segmenter", "grid", "--rater", f"openai:{server.url}", "--regions", *more)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `starred` keeps its run for the next test."""
    return tmp_path_factory.mktemp("kept") / "run"


@pytest.fixture
def starred(photos: Path, server: ChatServer, give: Callable[..., Any], kept: Path) -> Path:
    """A run in which the first image's answers begin with stars, and those of three others with a level."""
    server.script(tokens=ANSWERS)
    if not kept.exists():
        server.script(tokens=STARS)
        assert give(photos, "score", "photos/0.png", *chosen(server)).returncode == 0
        server.script(tokens=ANSWERS)
        assert give(photos, "score", "photos", "--add", *chosen(server)).returncode == 0
        shutil.copytree(photos / "run", kept)
    shutil.copytree(kept, photos / "run", dirs_exist_ok=True)
    return photos


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "run" / "scores.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_mass_is_a_column_and_a_low_one_a_warning(starred: Path, server: ChatServer) -> None:
    first, *others = rows(starred)
    assert first["mass"] == "2.8e-08" and float(others[0]["mass"]) == pytest.approx(0.96)
    rater = f"openai:{server.url}"
    assert first["warnings"].startswith(f"{rater}: 2.8e-08 of the probability lies on the levels, so that")
    assert "for 6 of 6 regions (smallest 2.8e-08)" in first["warnings"]
    assert all(rater not in row["warnings"] for row in others)
    table = pq.read_table(starred / "run" / "scores.parquet")
    assert table["mass"].to_pylist()[0] == pytest.approx(2.8e-8, rel=1e-9)


@pytest.mark.parametrize(
    "command",
    [
        "score -o run",
        "score -o run --format jsonl",
        "status run",
        "status run --format json",
        "verify run",
        "merge run",
        "rescore run --lambda 2",
        "rescore run --format csv",
        "evaluate run --mos mos.csv --root photos --resamples 0",
        "evaluate run --mos mos.csv --root photos --resamples 0 --format json",
        "evaluate run --mos mos.csv --root photos --resamples 0 --lambda 2",
        "compare run --mos mos.csv --resamples 0",
        "compare run --mos mos.csv --resamples 0 --format markdown",
    ],
)
def test_every_command_says_how_many_images_it_concerns(
    starred: Path, give: Callable[..., Any], command: str
) -> None:
    done = give(starred, *command.split())
    assert done.returncode == 0
    assert (
        done.stdout.count("1 of 4 images and 6 of 24 regions: less than 0.5")
        + done.stderr.count("1 of 4 images and 6 of 24 regions: less than 0.5")
        == 1
    )
    assert "smallest 2.8e-08" in done.stdout + done.stderr


def test_the_threshold_is_arithmetic(starred: Path, server: ChatServer, give: Callable[..., Any]) -> None:
    before = runs.load_run(starred / "run")
    tables = [(path, path.read_bytes()) for path in (starred / "run").rglob("part-*")]
    done = give(starred, "rescore", "run", "--mass-threshold", "0", "--format", "csv")
    assert "less than" not in done.stdout + done.stderr
    done = give(starred, "rescore", "run", "--mass-threshold", "0.99")
    assert "4 of 4 images and 24 of 24 regions: less than 0.99" in done.stderr
    assert give(starred, "score", "photos", *chosen(server, "--mass-threshold", "0")).returncode == 0
    assert all(path.read_bytes() == content for path, content in tables)
    after = runs.load_run(starred / "run")
    assert after.run_id == before.run_id and after.settings.mass_threshold == 0
    assert "probability" not in rows(starred)[0]["warnings"]
    assert give(starred, "verify", "run").returncode == 0
    assert "less than" not in give(starred, "status", "run").stdout


@pytest.mark.parametrize(
    "command", ["rescore run", "evaluate run --mos mos.csv --root photos --resamples 0", "score photos"]
)
def test_greedy_answers_that_are_no_number_are_said_once(
    starred: Path, server: ChatServer, give: Callable[..., Any], command: str
) -> None:
    own = chosen(server) if command.startswith("score") else ()
    style = () if command.startswith("evaluate") else ("--format", "csv")
    done = give(starred, *command.split(), *own, "--readout", "greedy", *style)
    assert done.returncode == 0, done.stderr
    said = f"1 of 4 images and 6 of 24 regions are answered by no number (openai:{server.url}) and count as 1"
    assert (all_of_it := done.stdout + done.stderr).count(
        said
    ) == 1 and f"{said}; `zeroiqa models check" in all_of_it
    if not command.startswith("evaluate"):
        first, *others = csv.DictReader(done.stdout.splitlines())
        assert (first["score"], {row["score"] for row in others}) == ("1.000000", {"7.000000"})
        assert (
            "the answer for the whole image and 6 of 6 regions is no number and counts as 1"
            in first["warnings"]
        )
        assert all("no number" not in row["warnings"] for row in others)
    assert "no number" not in give(starred, "rescore", "run", "--readout", "digit").stderr


def test_a_run_of_an_older_version_is_read_as_it_is(starred: Path, give: Callable[..., Any]) -> None:
    folder = starred / "run"
    record = json.loads((folder / "run.json").read_text())
    del record["kinds"], record["settings"]["mass_threshold"], record["settings"]["word_mass_threshold"]
    (folder / "run.json").write_text(json.dumps(record))
    for path in (folder / "events").iterdir():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            for part in line["parts"].values():
                del part["answers"]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = pq.read_table(folder / "scores.parquet").drop_columns("mass")
    pq.write_table(table, folder / "scores.parquet")
    old = [{key: value for key, value in row.items() if key != "mass"} for row in rows(starred)]
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(old[0]))
        writer.writeheader()
        writer.writerows(row | {"warnings": ""} for row in old)
    assert "1 of 4 images and 6 of 24 regions" in give(starred, "status", "run").stdout
    checked = give(starred, "verify", "run")
    assert checked.returncode == 0
    assert "of an older version: scores.csv (without the mass" in checked.stdout
    assert give(starred, "merge", "run").returncode == 0
    assert "older" not in give(starred, "verify", "run").stdout
    assert rows(starred)[0]["mass"] == "2.8e-08"


def test_an_image_without_a_level_is_an_error_everywhere(
    photos: Path, server: ChatServer, give: Callable[..., Any]
) -> None:
    server.script(tokens=SPEAKS)
    stopped = give(photos, "score", "photos", *chosen(server, "--max-failures", "0"))
    assert stopped.returncode == 1 and "1 of 4 images have an error" in stopped.stderr
    sliced = give(photos, "score", "photos", *chosen(server, "--shard", "1/2"))
    assert "Slice 1/2 is done: 2 images, 2 with an error" in sliced.stderr
    done = give(photos, "score", "photos", *chosen(server))
    assert done.returncode == 0 and "4 images, 4 with an error" in done.stderr
    assert {row["status"] for row in rows(photos)} == {"error"}
    assert "0 of 4 images scored, 4 with an error" in give(photos, "status", "run").stdout
    run = runs.load_run(photos / "run")
    assert [event.errors for event in events.read_events(run.folder).found] == list(run.shards)
    assert "gave the whole image no level" in "".join(runs.status(run).error_kinds)
    assert give(photos, "verify", "run").returncode == 0
    assert "4 images, 4 with an error" in give(photos, "merge", "run").stderr


def test_workers_and_the_python_interface_say_the_same(photos: Path, server: ChatServer) -> None:
    server.script(tokens=SPEAKS)
    method = zeroiqa.load_method(segmenter="grid", raters=[f"openai:{server.url}"], readout="digit")
    results = zeroiqa.score_images(photos / "photos", method=method)
    assert [result.status for result in results] == ["error"] * 4
    with pytest.raises(zeroiqa.ImageError, match="gave the whole image no level"):
        zeroiqa.score(photos / "photos" / "0.png", method=method)
    from zeroiqa.images.find import find_images
    from zeroiqa.settings import load_settings

    settings = load_settings(overrides={"segmenter": "grid", "raters": [f"openai:{server.url}"]})
    sources = find_images([str(photos / "photos")])
    run = runs.open_run(photos / "workers", settings, sources, preset="embedded")
    list(LocalExecutor(2).execute(run, runs.pending(run), on_images=lambda _: None))
    assert runs.status(run).errors == 4


def test_one_rater_that_fails_leaves_the_others_their_scores(
    photos: Path, server: ChatServer, give: Callable[..., Any]
) -> None:
    server.script(tokens=SPEAKS)
    assert give(photos, "score", "photos", *chosen(server, "--rater", "fake")).returncode == 0
    assert {row["status"] for row in rows(photos)} == {"error"}
    run = runs.load_run(photos / "run")
    alone = runs.reaggregation(run, {"members": ("fake",)})
    assert [result.status for result in runs.iter_scores(run, alone)] == ["ok"] * 4


# text prompts

BOTH = ("--standard", "quality-word-7", "--standard", "correspondence-word-7")
ASKED = ("-o", "run", "--segmenter", "grid", "--rater", "fake")


@pytest.fixture
def listed(photos: Path) -> Path:
    """Four images of which two have a prompt."""
    prompts = ("a cat", "", "a dog", " ")
    lines = "".join(f"photos/{number}.png,{prompt}\n" for number, prompt in enumerate(prompts))
    (photos / "list.csv").write_text(f"path,prompt\n{lines}")
    return photos


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--plan-only",)])
@pytest.mark.parametrize("standards", [BOTH, BOTH[2:]])
def test_a_run_without_any_prompt_is_refused_before_it_begins(
    photos: Path, give: Callable[..., Any], standards: tuple[str, ...], more: tuple[str, ...]
) -> None:
    done = give(photos, "score", "photos", *ASKED, *standards, *more)
    assert done.returncode == 1 and not (photos / "run").exists()
    assert "none of the 4 images has one (the first is photos/0.png)" in done.stderr
    assert len(re.findall(r"[.!?](?:\s|$)", done.stderr.strip())) == 1


@pytest.mark.parametrize("standards", [BOTH, (*BOTH[2:], *BOTH[:2])])
def test_images_without_prompt_keep_the_aspects_that_need_none(
    listed: Path, give: Callable[..., Any], standards: tuple[str, ...]
) -> None:
    done = give(listed, "score", "list.csv", *ASKED, *standards, "--max-failures", "0")
    assert done.returncode == 0 and "4 images, 0 with an error" in done.stderr
    assert "Warning: 2 of 4 images have no text prompt (the first is photos/1.png)" in done.stderr
    assert "2 of 4 images have no text prompt, and so no score of correspondence." in done.stderr
    quality, correspondence = ("score", "correspondence_score")
    if standards != BOTH:
        quality, correspondence = ("quality_score", "score")
    found = rows(listed)
    assert [bool(row[quality]) for row in found] == [True] * 4
    assert [bool(row[correspondence]) for row in found] == [True, False, True, False]
    assert "no score of correspondence: the image has no text prompt" in found[1]["warnings"]
    assert {row["status"] for row in found} == {"ok"}
    assert give(listed, "verify", "run").returncode == 0
    in_memory = zeroiqa.score_images(
        "list.csv",
        method=zeroiqa.load_method(segmenter="grid", raters=["fake"], standards=standards[1::2]),
    )
    assert [each.score for each in in_memory] == [
        each.score for each in runs.iter_scores(runs.load_run(Path("run")))
    ]
    assert ("only" in give(listed, "rescore", "run").stdout) == (standards != BOTH)


def test_with_no_other_aspect_an_image_without_prompt_is_an_error(
    listed: Path, give: Callable[..., Any]
) -> None:
    done = give(listed, "score", "list.csv", *ASKED, *BOTH[2:])
    assert done.returncode == 0 and "4 images, 2 with an error" in done.stderr
    assert [row["status"] for row in rows(listed)] == ["ok", "error"] * 2
    assert "this image has none" in rows(listed)[1]["error"]


# other signs that are stored


def test_where_raters_differ_most_and_how_many_warnings_there_are_is_said(
    photos: Path, give: Callable[..., Any]
) -> None:
    for number in range(4, 24):
        shutil.copy(photos / "photos" / "0.png", photos / "photos" / f"{number}.png")
    done = give(photos, "score", "photos", *ASKED, "--rater", "fake:2")
    assert re.search(r"^  ...  24 images have warnings", done.stdout, re.MULTILINE)  # they are small
    most = max(rows(photos), key=lambda row: float(row["disagreement"]))
    (said,) = re.findall(r"raters disagree most \(([\d.]+)\) on (.+)", done.stdout)
    assert said[0] == f"{float(most['disagreement']):.2f}"
    assert give(photos, "rescore", "run", "--member", "fake").stdout.count("disagree") == 0


def test_versions_that_worked_on_a_run_are_told_apart(photos: Path, give: Callable[..., Any]) -> None:
    give(photos, "score", "photos", *ASKED)
    assert "versions" not in give(photos, "status", "run").stdout
    (path,) = (photos / "run" / "events").iterdir()
    first, *rest = path.read_text().splitlines()
    changed = json.dumps(json.loads(first) | {"zeroiqa": "0.0.1"})
    path.write_text("\n".join([changed, *rest]) + "\n")
    assert "several versions of zeroiqa: 0.0.1, " in give(photos, "status", "run").stdout
