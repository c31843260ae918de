from __future__ import annotations

import os
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.errors import UserError
from zeroiqa.inputs import Source
from zeroiqa.runs import plan


def sources(*paths, prompt=None):
    return [Source(path, 10, prompt) for path in paths]


@given(st.integers(0, 3_000_000))
def test_shards_hold_every_image_once(images):
    assert sum(plan.shard_sizes(images)) == images


@given(st.integers(1, 3_000_000))
def test_shards_grow_from_one_image_and_only_the_last_is_smaller(images):
    sizes = plan.shard_sizes(images)
    assert sizes[0] == 1
    assert all(after in (before, 2 * before) or after < 4096 for before, after in pairwise(sizes[:-1]))
    assert sorted(sizes[:-1]) == sizes[:-1]


@given(st.integers(1, 4_000_000))
def test_shards_are_about_a_thousand_at_most(images):
    assert len(plan.shard_sizes(images)) <= 1020


def test_shards_of_a_billion_images_stay_small_enough_to_lose_one():
    assert max(plan.shard_sizes(1_000_000_000)) == 4096


def test_no_images_make_no_shards(tmp_path):
    plan.write_plan(tmp_path, [], "id")
    assert plan.planned_sizes(tmp_path) == ()
    assert list(plan.all_planned(tmp_path)) == []


def test_plan_gives_back_the_images_in_order(tmp_path):
    paths = [f"{number}.jpg" for number in range(20)]
    plan.write_plan(tmp_path, sources(*paths, prompt="a cat"), "id")
    assert plan.planned_sizes(tmp_path) == (1, 2, 4, 8, 5)
    by_shard = [row for shard in range(5) for row in plan.planned(tmp_path, shard)]
    assert by_shard == list(plan.all_planned(tmp_path))
    assert [row.file for row in by_shard] == paths
    assert [row.image for row in by_shard] == list(range(20))
    assert {row.prompt for row in by_shard} == {"a cat"}


def test_plan_is_a_plain_table_for_other_tools(tmp_path):
    plan.write_plan(tmp_path, sources("a.jpg", "b.jpg", "c.jpg"), "id")
    table = pq.read_table(tmp_path / "plan.parquet", columns=["image", "path", "bytes", "prompt", "shard"])
    assert table.to_pydict() == {
        "image": [0, 1, 2],
        "path": ["a.jpg", "b.jpg", "c.jpg"],
        "bytes": [10, 10, 10],
        "prompt": [None, None, None],
        "shard": [0, 1, 1],
    }


@pytest.mark.parametrize("name", ["new\nline.jpg", 'quo"te,.jpg', "ümläut 写真.jpg", "\\udce9.jpg"])
def test_plan_keeps_unusual_names(tmp_path, name):
    plan.write_plan(tmp_path, sources(name), "id")
    (row,) = plan.planned(tmp_path, 0)
    assert row.file == row.path == name


def test_name_outside_utf8_is_opened_as_it_is_and_shown_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    plan.write_plan(tmp_path, sources(name, prompt="caf\udce9"), "id")
    (row,) = plan.planned(tmp_path, 0)
    assert os.fsencode(row.file) == b"caf\xe9.jpg"
    assert row.path == row.prompt.replace("é", "e") + ".jpg" == "caf\\udce9.jpg"


def test_plan_of_equal_images_is_equal_bytes(tmp_path):
    for name in ("one", "two"):
        plan.write_plan(tmp_path / name, sources("a.jpg", "b.jpg"), "id")
    assert (tmp_path / "one/plan.parquet").read_bytes() == (tmp_path / "two/plan.parquet").read_bytes()


def test_plan_knows_its_run(tmp_path):
    assert plan.owner(tmp_path) is None
    plan.write_plan(tmp_path, sources("a.jpg"), "id")
    assert plan.owner(tmp_path) == "id"


def test_damaged_plan_is_named(tmp_path):
    (tmp_path / "plan.parquet").write_bytes(b"PAR1 and no more")
    assert plan.owner(tmp_path) is None
    with pytest.raises(UserError, match=r"plan\.parquet cannot be read"):
        plan.planned(tmp_path, 0)
