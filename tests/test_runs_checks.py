"""`zeroiqa verify RUN` finds whatever has happened to a run folder, says where, and what to do about it."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from zeroiqa import runs
from zeroiqa.cli import cli
from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
from zeroiqa.runs import parts
from zeroiqa.runs.checks import check_run
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.settings import load_settings

RATERS = ("fake", "fake:2")
STAGES = ("regions", "ratings/fake", "ratings/fake%3A2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of forty images in eight shards; one image is broken."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 24, 32, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / "images" / f"{number:02}.png")
    (folder / "images" / "11.png").write_bytes(b"no image")
    done(folder / "run", folder / "images")
    return folder


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    return runs.load_run(tmp_path / "run")


def done(folder, images, shards=None):
    settings = load_settings("embedded", {"segmenter": "grid", "raters": RATERS, "lambda": 1.0})
    run = runs.open_run(folder, settings, find_images([str(images)]), preset="embedded")
    list(LocalExecutor(1).execute(run, runs.pending(run)[:shards], on_images=lambda _: None))
    if shards is None:
        runs.write_scores(run)
    return run


def damages(run):
    return [damage for check in check_run(run) for damage in check.damages]


def without_log(run):
    """As in a folder whose log was lost: only what is in the parts can tell."""
    shutil.rmtree(run.folder / "events")
    return run


def part(run, stage, shard):
    return parts.part_path(run.folder, stage, shard)


def verify(run, *arguments):
    return CliRunner().invoke(cli, ["verify", str(run.folder), *arguments], catch_exceptions=False)


def test_whole_run_is_found_whole(run):
    result = verify(run)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[0] == "plan 40 images in 8 shards"
    assert [line.split()[0] for line in lines] == ["plan", "regions", "ratings/fake", "ratings/fake:2",
                                                    "scores", "other"]  # fmt: skip
    assert all("8 of 8 parts" in line and "SHA-256 of 8" in line for line in lines[1:4])
    assert lines[4:] == ["scores 40 rows compared with the parts", "other files none"]


@pytest.mark.parametrize("stage", STAGES)
def test_flipped_bits_are_found_by_the_log(run, stage):
    path = part(run, stage, 6)
    whole = path.read_bytes()
    random = np.random.default_rng(len(stage))
    for place in random.integers(0, len(whole), 12):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        (damage,) = damages(run)
        assert damage.startswith(f"{path} is not the file that was committed")


def test_flipped_value_of_a_part_without_a_log_is_found_by_the_checksum_of_its_page(run):
    path = part(without_log(run), "ratings/fake", 6)
    column = pq.read_metadata(path).row_group(0).column(5)
    flipped = bytearray(path.read_bytes())
    begin = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
    flipped[begin + column.total_compressed_size - 5] ^= 1
    path.write_bytes(flipped)
    (damage,) = damages(run)
    assert "CRC" in damage and str(path) in damage


@pytest.mark.parametrize("length", [0, 3, 100, -1, -10])
@pytest.mark.parametrize("with_log", [True, False])
def test_truncated_part_is_found(run, length, with_log):
    path = part(run, "regions", 4)
    path.write_bytes(path.read_bytes()[:length])
    (damage,) = damages(run if with_log else without_log(run))
    assert damage.startswith(str(path))
    assert damage.endswith("delete it and give the command of the run again.")


@pytest.mark.parametrize("with_log", [True, False])
@pytest.mark.parametrize("stage", STAGES)
def test_swapped_parts_are_found(run, stage, with_log):
    one, other = part(run, stage, 6), part(run, stage, 5)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    found = damages(run if with_log else without_log(run))
    assert sorted(damage.partition(" ")[0] for damage in found) == sorted(map(str, (one, other)))


def test_part_of_another_rater_is_found_by_the_log(run):
    shutil.copy(part(run, "ratings/fake", 3), part(run, "ratings/fake%3A2", 3))
    (damage,) = damages(run)
    assert "is not the file that was committed" in damage


def test_part_of_another_stage_is_found_by_its_columns(run):
    shutil.copy(part(run, "ratings/fake", 3), part(without_log(run), "regions", 3))
    (damage,) = damages(run)
    assert "has other columns than image, width" in damage


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("part-00005.parquet", "is not the file"),
        ("part-00008.parquet", "is no part of this run"),
        ("part-00003 (copy).parquet", "is no part of this run"),
        ("part-3.parquet", "is no part of this run"),
    ],
)
def test_part_that_is_there_twice_is_found(run, name, said):
    shutil.copy(part(run, "ratings/fake", 3), run.folder / "ratings" / "fake" / name)
    (damage,) = damages(run)
    assert name in damage and said in damage


def test_part_with_fewer_rows_is_found(run):
    path = part(without_log(run), "regions", 5)
    pq.write_table(pq.read_table(path)[:-1], path)
    (damage,) = damages(run)
    assert re.search(r"has 7 rows, where the plan has 8 images", damage)


def rewritten(run, edit):
    path = run.folder / "plan.parquet"
    plan = pq.ParquetFile(path)
    groups = [plan.read_row_group(number) for number in range(plan.num_row_groups)]
    plan.close()
    with pq.ParquetWriter(path, groups[0].schema) as writer:
        for number, group in enumerate(groups):
            writer.write_table(edit(number, group))


def replaced_column(group, name, change):
    index = group.schema.get_field_index(name)
    values = pa.array(change(group[name].to_pylist()), group.schema.field(index).type)
    return group.set_column(index, group.schema.field(index), values)


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("path", lambda values: [path.replace("3", "4") for path in values], "by their SHA-256 in run.json"),
        ("path", lambda values: values[::-1], "by their SHA-256 in run.json"),
        ("prompt", lambda values: ["a cat"] * len(values), "by their SHA-256 in run.json"),
        ("shard", lambda values: [3] * len(values), "has the number of another image or shard"),
        ("image", lambda values: values[::-1], "has the number of another image or shard"),
    ],
)
def test_edited_plan_is_found(run, column, change, said):
    rewritten(run, lambda number, group: replaced_column(group, column, change) if number == 6 else group)
    found = damages(run)
    assert any(said in damage and "plan.parquet" in damage for damage in found)


def test_plan_that_is_cut_off_is_refused_in_one_sentence(run):
    path = run.folder / "plan.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"plan\.parquet is missing or belongs to another run"):
        verify(run)


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: pa.concat_tables([t, t[:1]]), lambda t: t[::-1]]
)
def test_scores_that_are_not_those_of_the_parts_are_found(run, name, change):
    path = run.folder / name
    if name.endswith(".csv"):
        header, *rows = path.read_text().splitlines()
        kept = change(pa.table({"row": rows})).column("row").to_pylist()
        path.write_text("\n".join([header, *kept]) + "\n")
    else:
        pq.write_table(change(pq.read_table(path)), path)
    (damage,) = damages(run)
    assert damage.startswith(f"{path} ")
    assert damage.endswith("give the command of the run again, which writes it.")


def test_one_changed_digit_of_a_score_is_found(run):
    path = run.folder / "scores.csv"
    lines = path.read_text().splitlines()
    fields = lines[20].split(",")
    fields[1] = f"{float(fields[1]) + 0.001:.6f}"
    path.write_text("\n".join([*lines[:20], ",".join(fields), *lines[21:]]) + "\n")
    (damage,) = damages(run)
    assert "in column score of row 20" in damage


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_missing_and_broken_scores_are_found(run, name):
    path = run.folder / name
    path.write_bytes(b"\xff\xfe\x00")
    (damage,) = damages(run)
    assert "has " in damage or "cannot be read" in damage
    path.unlink()
    (damage,) = damages(run)
    assert f"{name} is missing" in damage


def test_what_lies_about_is_mentioned_and_is_no_damage(run):
    (run.folder / "notes.txt").write_text("mine")
    (run.folder / "ratings" / "other").mkdir()
    (run.folder / "regions" / ".zeroiqa-host-1-part-00003.parquet").write_bytes(b"")
    result = verify(run)
    assert result.exit_code == 0
    assert "2 that are not ours, the first is notes.txt; 1 temporary ones" in result.output


def test_unfinished_run_is_no_damage(finished, tmp_path):
    run = done(tmp_path / "run", finished / "images", shards=4)
    assert damages(run) == []
    assert "not compared, since 25 images are left" in verify(run).output


def test_doing_what_is_said_repairs_the_run(run, finished):
    before = (run.folder / "scores.csv").read_bytes()
    path = part(run, "ratings/fake", 2)
    path.write_bytes(path.read_bytes()[:50])
    (run.folder / "scores.csv").write_text("")
    result = verify(run)
    assert result.exit_code == 1
    assert "1 DAMAGED" in result.output
    path.unlink()
    done(run.folder, finished / "images")
    assert verify(run).exit_code == 0
    assert (run.folder / "scores.csv").read_bytes() == before


def test_options_of_the_other_check_are_refused(run):
    result = verify(run, "--rater", "fake")
    assert result.exit_code == 2
    assert "A run is checked with its own settings" in result.output
