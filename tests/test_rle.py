from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zeroiqa import rle
from zeroiqa.types import Rle

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


def test_layout_is_cocos_column_major_counts():
    # the columns one after the other: 0 1 1 | 1 0 0 | 0 0 1 | 1 1 1
    mask = np.array([[0, 1, 0, 1], [1, 0, 0, 1], [1, 0, 1, 1]], dtype=bool)
    assert rle.encode(mask) == Rle((3, 4), (1, 3, 4, 4))


def test_mask_that_starts_with_a_one_has_an_empty_first_run():
    assert rle.encode(np.array([[1, 0], [1, 0]], dtype=bool)) == Rle((2, 2), (0, 2, 2))


@pytest.mark.parametrize(("value", "counts"), [(False, (6,)), (True, (0, 6))])
def test_constant_mask_is_one_run(value, counts):
    assert rle.encode(np.full((2, 3), value)) == Rle((2, 3), counts)


@given(MASKS)
def test_decoding_gives_the_encoded_mask_back(mask):
    decoded = rle.decode(rle.encode(mask))
    assert decoded.dtype == bool
    np.testing.assert_array_equal(decoded, mask)


@given(MASKS, st.booleans())
def test_memory_layout_of_the_mask_does_not_matter(mask, transpose):
    other = np.asfortranarray(mask) if transpose else np.repeat(mask, 2, axis=1)[:, ::2]
    assert rle.encode(other) == rle.encode(mask)


@given(MASKS)
def test_counts_add_up_and_only_the_first_may_be_zero(mask):
    code = rle.encode(mask)
    assert sum(code.counts) == mask.size
    assert sum(code.counts[1::2]) == mask.sum()
    assert all(code.counts[1:])


def test_counts_are_plain_integers():
    assert {type(count) for count in rle.encode(np.eye(3, dtype=bool)).counts} == {int}


def test_runs_that_do_not_cover_the_mask_are_an_error():
    with pytest.raises(AssertionError, match="runs do not add up"):
        rle.decode(Rle((2, 2), (1, 2)))
