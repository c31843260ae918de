from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.errors import UserError
from zeroiqa.runs.slices import Slice, parse_slice


@given(st.integers(1, 50), st.integers(0, 300))
def test_slices_together_hold_every_shard_once(count, shards):
    dealt = [shard for index in range(count) for shard in Slice(index, count).of(range(shards))]
    assert sorted(dealt) == list(range(shards))


@given(st.integers(1, 50), st.integers(0, 300))
def test_slices_differ_by_one_shard_at_most(count, shards):
    sizes = [len(Slice(index, count).of(range(shards))) for index in range(count)]
    assert max(sizes) - min(sizes) <= 1


def test_a_slice_is_written_as_it_is_given():
    assert parse_slice("3/16", {}) == Slice(3, 16)
    assert str(Slice(3, 16)) == "3/16"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4/4", r"--shard is 4/4, but I goes from 0 to 3"),
        ("0/0", r"N must be 1 or more"),
        ("1", r"--shard is '1'; give I/N"),
        ("-1/4", r"--shard is '-1/4'; give I/N"),
        ("1/4/2", r"give I/N"),
        ("", r"give I/N"),
    ],
)
def test_a_slice_out_of_range_is_said(text, said):
    with pytest.raises(UserError, match=said):
        parse_slice(text, {})


def slurm(task, count, first=0, step=1):
    names = {"ID": task, "COUNT": count, "MIN": first, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in names.items()}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        (slurm(0, 64), Slice(0, 64)),
        (slurm(64, 64, first=1), Slice(63, 64)),  # sbatch --array=1-64
        (slurm(20, 4, first=10, step=5), Slice(2, 4)),  # sbatch --array=10-25:5
        ({"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "3"}, Slice(2, 3)),
    ],
)
def test_a_job_array_gives_the_slice(environment, found):
    assert parse_slice("slurm", environment) == found


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "_ID and _COUNT are not set and not set"),
        (slurm("x", 3), "_ID and _COUNT are x and 3"),
        (slurm(7, 3), "do not count up evenly"),  # sbatch --array=0,3,7
        (slurm(11, 4, first=10, step=5), "do not count up evenly"),
    ],
)
def test_an_array_that_is_none_is_said(environment, said):
    with pytest.raises(UserError, match=said):
        parse_slice("slurm", environment)
