"""Our masks are those of the sam2 package's generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")

from tests.mask_oracle import (  # noqa: E402
    ShapeNetwork,
    disagreement,
    disc,
    everything,
    nothing,
    package_masks,
    rectangle,
)
from zeroiqa.errors import UserError  # noqa: E402
from zeroiqa.segmenters.granularity import MaskParameters, load_granularity  # noqa: E402
from zeroiqa.segmenters.sam2.generation import generate_masks, point_grid  # noqa: E402

PAPER = load_granularity("default-16").masks
SCENES = {
    "objects apart": [disc(0.3, 0.3, 0.2), rectangle(0.6, 0.1, 0.9, 0.45), disc(0.7, 0.75, 0.12)],
    "a whole with parts": [rectangle(0.1, 0.1, 0.9, 0.9), disc(0.4, 0.4, 0.25), disc(0.42, 0.4, 0.1)],
    "overlapping": [disc(0.4, 0.5, 0.25), disc(0.6, 0.5, 0.25), rectangle(0.3, 0.4, 0.8, 0.6)],
    "at the image's border": [rectangle(-1, -1, 0.4, 0.5), rectangle(0.7, 0.6, 2, 2), disc(0.5, 1, 0.2)],
    "everything": [everything(), disc(0.5, 0.5, 0.3)],
    "nothing": [nothing()],
    "soft and hard": [disc(0.3, 0.3, 0.2, slope=40), disc(0.7, 0.7, 0.2, slope=200), disc(0.3, 0.7, 0.15)],
    "good and bad": [disc(0.3, 0.3, 0.2, estimate=0.7), disc(0.7, 0.7, 0.2, estimate=0.81)],
    "tiny": [disc(0.28, 0.28, 0.03), disc(0.53, 0.53, 0.015)],
}
LOOSE = MaskParameters(points_per_side=8, pred_iou_thresh=0, stability_score_thresh=0, box_nms_thresh=1)


def photo(height, width):
    return np.zeros((height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(120, 160), (301, 97), (40, 50)])
@pytest.mark.parametrize("scene", SCENES)
def test_masks_are_those_of_the_package(scene, size):
    network, image = ShapeNetwork(SCENES[scene]), photo(*size)
    (ours,) = generate_masks(network, [image], PAPER, 64)
    theirs = package_masks(network, image, PAPER)
    assert disagreement(ours, theirs) == ""
    for number, record in enumerate(theirs):
        assert (ours.full_size(number, PAPER.mask_threshold) == record["segmentation"]).all()


def test_scenes_put_every_filter_to_work():
    """A scene in which a filter drops nothing proves nothing of it."""
    kept = {}
    for name, scene in SCENES.items():
        network = ShapeNetwork(scene)
        kept[name] = [
            len(generate_masks(network, [photo(120, 160)], parameters, 64)[0])
            for parameters in (
                PAPER,
                replace(PAPER, pred_iou_thresh=0),
                replace(PAPER, stability_score_thresh=0),
                replace(PAPER, box_nms_thresh=1),
            )
        ]
    assert kept["objects apart"][0] == 3
    assert kept["good and bad"][0] < kept["good and bad"][1]
    assert kept["soft and hard"][0] < kept["soft and hard"][2]
    assert kept["objects apart"][0] < kept["objects apart"][3]
    assert kept["nothing"][0] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"points_per_side": 5},
        {"pred_iou_thresh": 0.88},
        {"pred_iou_thresh": 0.0},
        {"stability_score_thresh": 0.97},
        {"stability_score_thresh": 0.0},
        {"stability_score_offset": 0.2},
        {"mask_threshold": 2.0},
        {"mask_threshold": -3.0},
        {"box_nms_thresh": 0.2},
        {"box_nms_thresh": 1.0},
        {"multimask_output": False},
    ],
)
def test_every_parameter_means_what_it_means_to_the_package(change):
    network, image, parameters = (
        ShapeNetwork(SCENES["soft and hard"]),
        photo(90, 130),
        replace(PAPER, **change),
    )
    (ours,) = generate_masks(network, [image], parameters, 64)
    assert disagreement(ours, package_masks(network, image, parameters)) == ""


def test_without_filters_all_candidates_come_even_the_empty_ones():
    network, image = ShapeNetwork(SCENES["nothing"]), photo(30, 40)
    (ours,) = generate_masks(network, [image], LOOSE, 64)
    assert disagreement(ours, package_masks(network, image, LOOSE)) == ""
    assert len(ours) == 8 * 8 * 3
    assert ours.boxes.eq(0).all() and ours.pixels.eq(0).all()


@pytest.mark.parametrize("points_per_batch", [1, 7, 100, 256, 1000])
def test_images_together_and_any_number_of_points_give_the_same(points_per_batch):
    """Images of different size; with 1000 points all four go through the decoder at once."""
    network = ShapeNetwork(SCENES["overlapping"])
    images = [photo(60, 80), photo(80, 60), photo(50, 50), photo(64, 300)]
    together = generate_masks(network, images, PAPER, points_per_batch)
    for image, ours in zip(images, together, strict=True):
        (alone,) = generate_masks(network, [image], PAPER, 64)
        assert len(ours) == len(alone) > 0
        assert all(torch.equal(mine, other) for mine, other in zip(ours.tensors, alone.tensors, strict=True))


def test_running_out_of_memory_halves_the_points_and_changes_nothing():
    asked = []

    class Small(ShapeNetwork):
        def decode(self, features, images, points, multimask_output):
            asked.append(len(points))
            if len(points) > 20:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().decode(features, images, points, multimask_output)

    scene, image = SCENES["objects apart"], photo(60, 80)
    (ours,) = generate_masks(Small(scene), [image], PAPER, 64)
    assert disagreement(ours, package_masks(ShapeNetwork(scene), image, PAPER)) == ""
    assert max(asked) == 64 and min(asked) == 16


def test_no_memory_for_one_point_is_a_sentence():
    class Full(ShapeNetwork):
        def decode(self, features, images, points, multimask_output):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(
        UserError, match="not enough memory on cpu for the masks of one point; choose a smaller"
    ):
        generate_masks(Full([]), [photo(20, 20)], PAPER, 64)


def test_other_errors_of_the_network_pass():
    class Broken(ShapeNetwork):
        def decode(self, features, images, points, multimask_output):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        generate_masks(Broken([]), [photo(20, 20)], PAPER, 64)


@pytest.mark.parametrize("points_per_side", [1, 2, 16, 32])
def test_the_grid_is_that_of_the_package(points_per_side):
    from sam2.utils.amg import build_point_grid

    assert np.array_equal(point_grid(points_per_side).numpy(), build_point_grid(points_per_side))


def test_nothing_of_the_image_s_size_is_made_for_candidates():
    """No call of the interpolation to the image's size: it would be 36 megabytes for each candidate."""
    made = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            made.extend(value.nbytes for value in [result] if isinstance(value, torch.Tensor))
            return result

    image = np.zeros((3000, 3000, 3), dtype=np.uint8)
    with Watch():
        (ours,) = generate_masks(ShapeNetwork(SCENES["a whole with parts"]), [image], PAPER, 16)
    assert len(ours) == 3
    assert max(made) < 3000 * 3000
