"""The COCO file, read back by the rules of the format."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa import rle
from zeroiqa.errors import UserError
from zeroiqa.export.coco import coco_file
from zeroiqa.types import Region


def region(mask, kind="object"):
    y, x = np.nonzero(mask)
    return Region(
        (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1),
        float(mask.mean()),
        kind,
        rle.encode(mask),
    )


def unpacked(segmentation):
    """The mask of an uncompressed run-length code: runs of 0 and 1 in turn, columns first."""
    height, width = segmentation["size"]
    flat = []
    for index, run in enumerate(segmentation["counts"]):
        flat += [index % 2] * run
    return np.array(flat).reshape(width, height).T.astype(bool)


def written(path, *images):
    with coco_file(path) as add:
        for image in images:
            add(*image)
    return json.loads(path.read_text(encoding="utf-8"))


@given(st.integers(1, 7), st.integers(1, 7), st.data())
def test_every_mask_comes_back(tmp_path_factory, height, width, data):
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width).filter(any))
    mask = np.array(bits).reshape(height, width)
    path = tmp_path_factory.mktemp("coco") / "coco.json"
    (found,) = written(path, (0, "a.png", (height, width), (region(mask),)))["annotations"]
    assert (unpacked(found["segmentation"]) == mask).all()
    x, y, box_width, box_height = found["bbox"]
    assert found["area"] == mask.sum() == mask[y : y + box_height, x : x + box_width].sum()


def test_images_annotations_and_categories_belong_together(tmp_path):
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    first = (0, 'with "quotes" é.png', (4, 6), (region(mask), region(~mask, "complement")))
    document = written(tmp_path / "coco.json", first, (2, "empty.png", (4, 6), ()))
    assert document["images"] == [
        {"id": 0, "file_name": 'with "quotes" é.png', "height": 4, "width": 6},
        {"id": 2, "file_name": "empty.png", "height": 4, "width": 6},
    ]
    assert document["categories"] == [{"id": 1, "name": "object"}, {"id": 2, "name": "complement"}]
    assert [(each["id"], each["image_id"], each["category_id"]) for each in document["annotations"]] == [
        (1, 0, 1),
        (2, 0, 2),
    ]
    assert document["annotations"][0]["bbox"] == [2, 1, 3, 2]


def test_a_mask_of_a_lower_resolution_is_brought_to_the_size_of_the_image(tmp_path):
    coarse = Region((0, 0, 4, 4), 0.5, "object", rle.encode(np.array([[True, False]] * 2)))
    (found,) = written(tmp_path / "coco.json", (0, "a", (4, 8), (coarse,)))["annotations"]
    assert found["segmentation"]["size"] == [4, 8]
    assert (unpacked(found["segmentation"]) == (np.arange(8) < 4)[None].repeat(4, 0)).all()


def test_no_image_at_all_is_a_valid_file(tmp_path):
    document = written(tmp_path / "coco.json")
    assert (document["images"], document["annotations"]) == ([], [])


def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path):
    with pytest.raises(UserError), coco_file(tmp_path / "coco.json") as add:
        add(0, "a", (1, 1), ())
        raise UserError("enough")
    assert list(tmp_path.iterdir()) == []
