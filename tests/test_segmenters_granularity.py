"""Numbers that decide how finely an image is cut, and their profiles."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

import pytest

from zeroiqa.errors import UserError
from zeroiqa.segmenters.granularity import Granularity, MaskParameters, load_granularity


def test_defaults_are_those_of_the_package():
    generator = pytest.importorskip("sam2.automatic_mask_generator").SAM2AutomaticMaskGenerator
    theirs = inspect.signature(generator).parameters
    for field in fields(MaskParameters):
        assert field.default == theirs[field.name].default, field.name


def test_profiles_are_the_rows_of_table_5_and_a_coarse_one():
    """LLM-IQA, Table 5: default parameters, a small SAM, no complement, and the paper's own setting."""
    with pytest.raises(UserError, match=r"default-16, default, tiny, coarse, no-complement, dog-iqa\W"):
        load_granularity("papier")
    paper = load_granularity("default-16")
    assert load_granularity("default").masks == MaskParameters()
    assert load_granularity("tiny").segmenter == "sam2.1-tiny"
    assert load_granularity("tiny").masks == paper.masks
    assert not load_granularity("no-complement").complement
    assert load_granularity("no-complement").masks == paper.masks
    assert load_granularity("coarse").masks.points_per_side < paper.masks.points_per_side


def test_the_authors_profile_has_the_values_of_their_code():
    """sjtuzzq/Dog-IQA at 9eb4120: get_mask.py, and SAM 2.0 large; 1.2 for crop points has no effect."""
    profile = load_granularity("dog-iqa")
    masks = MaskParameters(
        points_per_side=8,
        pred_iou_thresh=0.9,
        stability_score_thresh=0.8,
        stability_score_offset=0.7,
        box_nms_thresh=0.9,
        min_mask_region_area=1000,
    )
    assert profile == Granularity("sam2.0-large", 0.0, True, 1000, "remainder", masks)


def test_the_former_name_of_a_profile_works_with_a_word(caplog):
    assert load_granularity("paper,min_area=0.5") == load_granularity("default-16,min_area=0.5")
    (said,) = (record.getMessage() for record in caplog.records)
    assert (
        said == "The granularity paper is called default-16 now: its numbers are ours, and not the paper's."
    )


def test_values_of_a_profile_can_be_replaced():
    changed = load_granularity("tiny, points_per_side=4, complement=false, min_area=0, segmenter=sam2:a.pt")
    assert changed.masks.points_per_side == 4
    assert (changed.complement, changed.min_area, changed.segmenter) == (False, 0.0, "sam2:a.pt")


def test_a_file_says_what_differs_from_default_16(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('box_nms_thresh = 0.5\nsegmenter = "sam2.1-small"\n', encoding="utf-8")
    mine = load_granularity(str(file))
    assert mine.masks.box_nms_thresh == 0.5
    assert mine.segmenter == "sam2.1-small"
    assert mine.masks.points_per_side == load_granularity("default-16").masks.points_per_side


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("defalt", "no granularity 'defalt'; did you mean default? known: default-16, default"),
        ("no.toml", "granularity file no.toml cannot be read"),
        ("default-16,point_per_side=4", "no parameter 'point_per_side'.*did you mean points_per_side?"),
        ("default-16,points_per_batch=4", "no parameter 'points_per_batch'"),
        ("default-16,points_per_side", "'points_per_side' in the granularity.*is no KEY=VALUE"),
        ("default-16,points_per_side=0", "points_per_side is a whole number from 1 to 128, not 0"),
        ("default-16,points_per_side=4.5", "points_per_side is a whole number from 1 to 128, not 4.5"),
        ("default-16,pred_iou_thresh=1.5", "pred_iou_thresh is a number from 0 to 1, not 1.5"),
        ("default-16,box_nms_thresh=nan", "box_nms_thresh is a number from 0 to 1, not nan"),
        ("default-16,stability_score_offset=-1", "stability_score_offset is a number from 0 to inf, not -1"),
        ("default-16,mask_threshold=inf", "mask_threshold is a number from -inf to inf, not inf"),
        ("default-16,min_mask_region_area=-1", "min_mask_region_area is a whole number from 0 to"),
        ("default-16,min_mask_region_area=0.5", "min_mask_region_area is a whole number from 0 to"),
        ("default-16,min_pixels=9.5", "min_pixels is a whole number from 0 to 1099511627776, not 9.5"),
        ("default-16,complement_rule=sum", "complement_rule is union or remainder, not 'sum'"),
        ("default-16,multimask_output=1", "multimask_output is true or false, not 1"),
        ("default-16,complement=no", "complement is true or false, not 'no'"),
        ("default-16,min_area=2", "min_area is a fraction of the image area from 0 to 1, not 2"),
        ("default-16,min_area=x", "min_area is a number from 0 to 1, not 'x'"),
        ("default-16,segmenter=3", "segmenter is a name, not 3"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?").replace(".*", ".*")) as caught:
        load_granularity(text)
    assert len(re.findall(r"\. ", str(caught.value))) == 0
