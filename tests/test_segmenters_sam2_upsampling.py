"""Pixels and boxes of upsampled masks, without upsampling."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings, strategies  # noqa: E402

from zeroiqa.segmenters.sam2.upsampling import Upsampling  # noqa: E402

ROUNDING = 1e-5
"""Of a logit of a few units in float32, with room: pixels nearer to the threshold may fall either way."""


def upsampled(logits, size):
    return torch.nn.functional.interpolate(logits[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def check(logits, size, threshold):
    found = Upsampling(tuple(logits.shape[1:]), size, logits.device).extent(logits, threshold)
    full = upsampled(logits, size)
    for number, values in enumerate(full):
        doubtful = int(((values - threshold).abs() <= ROUNDING).sum())
        mask = values > threshold
        assert abs(int(found.pixels[number]) - int(mask.sum())) <= doubtful
        if doubtful:
            continue
        y, x = mask.nonzero(as_tuple=True)
        box = [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1] if len(x) else [0, 0, 0, 0]
        assert found.boxes[number].tolist() == box


@settings(max_examples=60, deadline=None)
@given(
    logits_size=strategies.tuples(*2 * (strategies.integers(1, 24),)),
    size=strategies.tuples(*2 * (strategies.integers(1, 90),)),
    threshold=strategies.sampled_from([0.0, 1.0, -1.0, 0.3]),
    seed=strategies.integers(0, 10_000),
)
def test_rough_masks_of_any_size_are_measured_as_if_they_were_upsampled(logits_size, size, threshold, seed):
    logits = torch.randn((3, *logits_size), generator=torch.Generator().manual_seed(seed))
    check(logits, size, threshold)


@pytest.mark.parametrize("size", [(480, 640), (1000, 37), (256, 256), (255, 257), (64, 64), (1500, 2000)])
def test_smooth_masks_as_a_decoder_makes_them(size):
    rough = torch.randn((4, 1, 9, 9), generator=torch.Generator().manual_seed(1))
    logits = 6 * torch.nn.functional.interpolate(rough, (256, 256), mode="bicubic")[:, 0]
    for threshold in (0.0, 1.0, -1.0):
        check(logits, size, threshold)


def test_a_mask_of_everything_of_nothing_and_of_one_corner():
    logits = torch.full((3, 8, 8), 5.0)
    logits[1] = -5
    logits[2] = -5
    logits[2, -1, 0] = 5
    found = Upsampling((8, 8), (80, 160), logits.device).extent(logits, 0.0)
    assert found.pixels.tolist()[:2] == [80 * 160, 0]
    assert found.boxes.tolist() == [[0, 0, 160, 80], [0, 0, 0, 0], [0, 70, 20, 80]]
    check(logits, (80, 160), 0.0)


def test_a_straight_edge_between_two_columns_of_logits_is_where_the_line_crosses():
    """From 3 at the first logit (x = 50) to -1 at the second (x = 150): zero at x = 125."""
    logits = torch.tensor([[[3.0, -1.0]]])
    found = Upsampling((1, 2), (10, 200), logits.device).extent(logits, 0.0)
    assert found.boxes.tolist() == [[0, 0, 125, 10]]
    assert found.pixels.tolist() == [1250]


def test_no_masks_have_no_pixels():
    found = Upsampling((8, 8), (20, 20), torch.device("cpu")).extent(torch.zeros(0, 8, 8), 0.0)
    assert found.pixels.shape == (0,)
    assert found.boxes.shape == (0, 4)


def test_many_border_cells_are_looked_at_in_parts(monkeypatch):
    from zeroiqa.segmenters.sam2 import upsampling

    logits = torch.randn((5, 32, 32), generator=torch.Generator().manual_seed(2))
    whole = Upsampling((32, 32), (100, 90), logits.device).extent(logits, 0.0)
    monkeypatch.setattr(upsampling, "_ELEMENTS", 64)
    parts = Upsampling((32, 32), (100, 90), logits.device).extent(logits, 0.0)
    assert whole.pixels.tolist() == parts.pixels.tolist()
    assert whole.boxes.tolist() == parts.boxes.tolist()
