"""What changes in a run after it was planned: each revision is written once, and all are read together."""

from __future__ import annotations

from pathlib import Path

import pytest

from zeroiqa import runs
from zeroiqa.errors import UserError
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs import plan, record, revisions
from zeroiqa.runs.revisions import Change
from zeroiqa.settings import load_settings


@pytest.fixture
def folder(here):
    """A run of twenty images in shards of 1, 2, 4, 8 and 5."""
    settings = load_settings("embedded", {"segmenter": "grid", "raters": ("fake",)})
    sources = [ImageRef(f"{number}.png", 10, None, modified=5) for number in range(20)]
    return runs.open_run(Path("run"), settings, sources, preset="embedded").folder


def names(folder):
    return sorted(path.name for path in folder.glob("revision-*"))


def test_run_without_revisions_is_as_planned(folder):
    found = revisions.read(folder)
    row = plan.planned(folder, 0)[0]
    assert found == revisions.Revisions()
    assert (found.planned(row), found.generation(0), found.generations(3), found.again(0, 0)) == (
        row, 0, (0,), {},
    )  # fmt: skip
    assert revisions.add(folder, []) == 0 and not names(folder)


def test_revisions_say_what_the_plan_says_anew_and_what_is_computed_again(folder):
    assert revisions.add(folder, [Change(1, "replaced", 7, 8), Change(2, "retried")]) == 2
    assert revisions.add(folder, [Change(2, "replaced", 9, None, 3, "a cat"), Change(19, "retried")]) == 2
    assert revisions.add(folder, [Change(1, "retried")]) == 1
    assert names(folder) == [f"revision-000{number}.parquet" for number in (1, 2, 3)]
    found = revisions.read(folder)
    assert found.number == 3
    rows = {row.image: found.planned(row).ref for row in plan.all_planned(folder)}
    assert rows[0].modified == 5 and rows[1] == ImageRef("1.png", 7, modified=8)
    assert rows[2] == ImageRef("2.png", 9, "a cat", offset=3)
    assert [found.generation(shard) for shard in range(5)] == [0, 3, 0, 0, 2]
    assert found.generations(1) == (0, 1, 2, 3)
    assert found.again(1, 0) == {1: "replaced", 2: "replaced"}
    assert found.again(1, 1) == {1: "retried", 2: "replaced"}
    assert found.again(1, 2) == {1: "retried"} and found.again(1, 3) == {} == found.again(0, 0)


def test_what_is_in_effect_is_not_said_again(folder):
    gone = [Change(3, "gone"), Change(4, "gone")]
    assert [revisions.add(folder, gone), revisions.add(folder, gone)] == [2, 0]
    assert revisions.add(folder, [Change(4, "pruned")]) == 1
    found = revisions.read(folder)
    assert (found.gone, found.pruned) == ({3, 4}, {4})
    assert revisions.add(folder, [Change(4, "pruned"), Change(3, "gone")]) == 0
    back = [Change(3, "back", 10, 6), Change(4, "replaced", 10, 7)]
    assert [revisions.add(folder, back), revisions.add(folder, back)] == [2, 0]
    found = revisions.read(folder)
    assert (found.gone, found.pruned, found.generation(2)) == (frozenset(), frozenset(), 3)
    assert revisions.add(folder, [*gone, *back]) == 2  # gone once more
    assert revisions.add(folder, back) == 2
    assert revisions.add(folder, [Change(4, "replaced", 10, 8)]) == 1  # and another file again
    assert [revisions.add(folder, [Change(4, "retried")]) for _ in range(2)] == [1, 1]


def test_of_two_that_write_at_once_the_second_adds_what_is_missing(folder, monkeypatch):
    own = [
        Change(5, "replaced", 1, 1),
        Change(6, "retried"),
        Change(7, "replaced", 1, 1),
        Change(8, "retried"),
    ]
    others = [Change(5, "replaced", 1, 1), Change(6, "retried"), Change(7, "gone")]
    free = revisions._free

    def slow(of):
        """Between the choice of the number and the file, another process writes its own."""
        number = free(of)
        monkeypatch.setattr(revisions, "_free", free)
        assert revisions.add(folder, others) == 3
        return number

    monkeypatch.setattr(revisions, "_free", slow)
    assert revisions.add(folder, own) == 2
    found = revisions.read(folder)
    assert (names(folder), found.gone) == (["revision-0001.parquet", "revision-0002.parquet"], frozenset())
    assert found.again(3, 0) == {7: "replaced", 8: "retried"} and found.again(2, 1) == {}
    assert found.again(2, 0) == {5: "replaced", 6: "retried"}


def test_number_of_a_lost_revision_is_not_given_again(folder):
    (folder / "regions").mkdir()
    (folder / "regions" / "part-00001-0007.parquet").write_bytes(b"")
    (folder / "revision-12.parquet").write_bytes(b"not ours")
    assert revisions.add(folder, [Change(0, "retried")]) == 1
    assert revisions.read(folder).number == 8


def test_older_run_gets_the_format_that_knows_revisions(folder):
    path = folder / record.NAME
    path.write_text(path.read_text().replace(f'"format": {record.FORMAT}', '"format": 2'))
    before = record.read_record(folder)
    assert before["format"] == 2
    revisions.add(folder, [Change(0, "retried")])
    assert record.read_record(folder) == {**before, "format": record.FORMAT}


@pytest.mark.parametrize("damage", ["cut", "word", "image"])
def test_damaged_revision_is_named_with_what_to_do(folder, damage):
    revisions.add(folder, [Change(99 if damage == "image" else 0, "lost" if damage == "word" else "gone")])
    path = folder / "revision-0001.parquet"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"revision-0001\.parquet cannot be read .*; delete it and give"):
        revisions.read(folder)
