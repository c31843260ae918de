from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.errors import UserError
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs import plan

INPUTS = {"count": 1, "sha256": "a digest"}


def sources(*paths, prompt=None):
    return [ImageRef(path, 10, prompt) for path in paths]


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
    plan.write_plan(tmp_path, [], INPUTS)
    assert plan.planned_sizes(tmp_path) == ()
    assert list(plan.all_planned(tmp_path)) == []


def test_plan_gives_back_the_images_in_order(tmp_path):
    paths = [f"{number}.jpg" for number in range(20)]
    plan.write_plan(tmp_path, sources(*paths, prompt="a cat"), INPUTS)
    assert plan.planned_sizes(tmp_path) == (1, 2, 4, 8, 5)
    by_shard = [row for shard in range(5) for row in plan.planned(tmp_path, shard)]
    assert by_shard == list(plan.all_planned(tmp_path))
    assert [row.ref.path for row in by_shard] == paths
    assert [row.image for row in by_shard] == list(range(20))
    assert {row.ref.prompt for row in by_shard} == {"a cat"}


def test_plan_is_a_plain_table_for_other_tools(tmp_path):
    plan.write_plan(tmp_path, sources("a.jpg", "b.jpg", "c.jpg"), INPUTS)
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
    plan.write_plan(tmp_path, sources(name), INPUTS)
    (row,) = plan.planned(tmp_path, 0)
    assert row.ref.path == row.ref.name == name


def test_name_outside_utf8_is_opened_as_it_is_and_shown_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    plan.write_plan(tmp_path, sources(name, prompt="caf\udce9"), INPUTS)
    (row,) = plan.planned(tmp_path, 0)
    assert os.fsencode(row.ref.path) == b"caf\xe9.jpg"
    assert row.ref.name == row.ref.prompt.replace("é", "e") + ".jpg" == "caf\\udce9.jpg"


def test_plan_of_equal_images_is_equal_bytes(tmp_path):
    for name in ("one", "two"):
        plan.write_plan(tmp_path / name, sources("a.jpg", "b.jpg"), INPUTS)
    assert (tmp_path / "one/plan.parquet").read_bytes() == (tmp_path / "two/plan.parquet").read_bytes()


def test_plan_knows_its_images(tmp_path):
    assert plan.first_inputs(tmp_path) is plan.all_inputs(tmp_path) is None
    plan.write_plan(tmp_path, sources("a.jpg"), INPUTS)
    assert plan.first_inputs(tmp_path) == plan.all_inputs(tmp_path) == INPUTS


def begin(folder, *paths):
    listed = sources(*paths)
    plan.write_plan(folder, listed, plan.inputs_of((source.path, source.prompt) for source in listed))


def test_added_images_come_behind_the_others_in_shards_of_their_own(tmp_path):
    begin(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    before = (tmp_path / "plan.parquet").read_bytes()
    assert plan.add_images(tmp_path, sources("b.jpg", "d.jpg", "e.jpg")) == 2
    assert (tmp_path / "plan.parquet").read_bytes() == before
    assert plan.planned_sizes(tmp_path) == (1, 2, 1, 1)
    assert [row.ref.name for row in plan.all_planned(tmp_path)] == [
        "a.jpg",
        "b.jpg",
        "c.jpg",
        "d.jpg",
        "e.jpg",
    ]
    assert [row.image for row in plan.all_planned(tmp_path)] == [0, 1, 2, 3, 4]
    with plan.shard_reader(tmp_path) as read:
        assert [[row.ref.name for row in read(shard)] for shard in (3, 1)] == [["e.jpg"], ["b.jpg", "c.jpg"]]
    assert pq.read_table(tmp_path / "plan-0001.parquet", columns=["shard"]).to_pydict() == {"shard": [2, 3]}


def test_images_that_were_added_are_not_added_again(tmp_path):
    begin(tmp_path, "a.jpg")
    assert plan.add_images(tmp_path, sources("b.jpg")) == 1
    assert plan.add_images(tmp_path, sources("a.jpg", "b.jpg")) == 0
    assert not (tmp_path / "plan-0002.parquet").exists()


def test_the_inputs_of_a_run_that_grew_are_those_of_one_that_began_so(tmp_path):
    begin(tmp_path / "grown", "a.jpg", "b.jpg")
    plan.add_images(tmp_path / "grown", sources("c.jpg"))
    plan.add_images(tmp_path / "grown", sources("d.jpg"))
    begin(tmp_path / "whole", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    assert plan.all_inputs(tmp_path / "grown") == plan.first_inputs(tmp_path / "whole")


def test_two_who_add_at_once_lose_nothing(tmp_path, monkeypatch):
    begin(tmp_path, "a.jpg")
    really = plan.created

    @contextmanager
    def after_another(path):
        monkeypatch.setattr(plan, "created", really)
        plan.add_images(tmp_path, sources("b.jpg"))
        with really(path) as file:
            yield file

    monkeypatch.setattr(plan, "created", after_another)
    assert plan.add_images(tmp_path, sources("b.jpg", "c.jpg")) == 1
    assert [row.ref.name for row in plan.all_planned(tmp_path)] == ["a.jpg", "b.jpg", "c.jpg"]


def test_an_added_image_with_another_prompt_is_refused(tmp_path):
    begin(tmp_path, "a.jpg")
    with pytest.raises(UserError, match=r"a\.jpg is planned with the prompt None and now has 'a cat'"):
        plan.add_images(tmp_path, sources("a.jpg", prompt="a cat"))


def test_damaged_plan_is_named(tmp_path):
    (tmp_path / "plan.parquet").write_bytes(b"PAR1 and no more")
    assert plan.first_inputs(tmp_path) is None
    with pytest.raises(UserError, match=r"plan\.parquet cannot be read"):
        plan.planned(tmp_path, 0)


def test_a_plan_without_the_columns_of_archives_is_read(tmp_path):
    images = [ImageRef("x.tar/a.jpg", 7, None, "x.tar", 512), ImageRef("b.jpg", 9, "prompt")]
    plan.write_plan(tmp_path, images, INPUTS)
    first, second = plan.all_planned(tmp_path)
    assert first.ref == ImageRef("x.tar/a.jpg", 7, None, "x.tar", 512)
    assert second.ref == ImageRef("b.jpg", 9, "prompt")
    table = pq.read_table(tmp_path / "plan.parquet")
    pq.write_table(table.drop_columns(["archive", "offset"]), tmp_path / "plan.parquet")
    assert [row.ref for row in plan.all_planned(tmp_path)] == [
        ImageRef("x.tar/a.jpg", 7),
        ImageRef("b.jpg", 9, "prompt"),
    ]
