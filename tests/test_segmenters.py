"""Segmenters by name, and what the granularity of a run does to them."""

from __future__ import annotations

import pytest

from zeroiqa.errors import UserError
from zeroiqa.segmenters import build_segmenter, find_segmenter, segmenter_names
from zeroiqa.settings import load_settings


def test_networks_are_told_from_the_embedded_segmenters():
    assert [name for name in segmenter_names() if not find_segmenter(name).needs_weights] == ["graph", "grid"]
    assert find_segmenter("sam2.1-base+:file.pt").needs_weights
    assert not find_segmenter("grid:2x2").needs_weights


@pytest.mark.parametrize("wrong", ["sam2.1-tinny", "sam", "SAM2"])
def test_an_unknown_name_is_refused_with_the_nearest(wrong):
    with pytest.raises(UserError, match="unknown segmenter.*Known: graph, grid, sam2.1-tiny"):
        build_segmenter(wrong)


def test_every_parameter_of_the_granularity_reaches_the_segmenter(tiny_sam2):
    def identity(granularity, **choices):
        return build_segmenter(f"sam2:{tiny_sam2}", granularity=granularity, **choices).id

    changes = [
        "points_per_side=3",
        "pred_iou_thresh=0.1",
        "stability_score_thresh=0.1",
        "stability_score_offset=2",
        "mask_threshold=0.5",
        "box_nms_thresh=0.1",
        "multimask_output=false",
        "min_mask_region_area=1000",
    ]
    ids = {identity(f"paper,{change}") for change in changes} | {identity("paper"), identity("default")}
    assert len(ids) == len(changes) + 2
    assert identity("paper") == identity("default-16") == identity("tiny"), (
        "of a profile only the masks' parameters count here"
    )
    rules = [{"min_area": 0.5}, {"complement": False}, {"min_pixels": 1000}, {"complement_rule": "remainder"}]
    assert len({*ids, *(identity("paper", **rule) for rule in rules)}) == len(ids) + len(rules)


def test_a_granularity_that_is_asked_for_brings_its_segmenter_and_its_rule():
    settings = load_settings("embedded", {"granularity": "no-complement,segmenter=sam2.1-small"})
    assert (settings.segmenter, settings.complement) == ("sam2.1-small", False)
    assert load_settings("embedded", {"granularity": "coarse"}).min_area == 0.03
    assert load_settings("embedded").segmenter == "graph"


def test_the_authors_granularity_brings_what_their_code_keeps():
    """... and another one takes it away again, from a preset that has it."""
    keys = ("segmenter", "min_area", "min_pixels", "complement_rule", "complement")
    theirs, ours = ("sam2.0-large", 0.0, 1000, "remainder", True), ("sam2.1-large", 0.03, 0, "union", True)
    for preset, granularity, wanted in (("llm-iqa", "dog-iqa", theirs), ("dog-iqa", "coarse", ours)):
        settings = load_settings(preset, {"granularity": granularity})
        assert tuple(getattr(settings, key) for key in keys) == wanted


def test_what_is_asked_for_besides_goes_before_the_granularity():
    changes = {"granularity": "coarse", "segmenter": "sam2.1-base+", "min_area": 0.2, "complement": False}
    settings = load_settings("embedded", changes)
    assert {name: getattr(settings, name) for name in changes} == changes


def test_the_preset_s_own_granularity_leaves_its_other_fields_alone():
    ensemble = load_settings("ensemble")
    assert (ensemble.segmenter, ensemble.granularity) == ("sam2.1-tiny", "default-16")


@pytest.mark.parametrize("segmenter", ["graph", "grid:2x2"])
def test_a_granularity_without_effect_is_refused(segmenter):
    with pytest.raises(UserError, match=f"nothing for the segmenter {segmenter}; leave one of the two out"):
        load_settings("embedded", {"granularity": "tiny", "segmenter": segmenter})


def test_a_wrong_granularity_is_refused_when_the_settings_are_read():
    with pytest.raises(UserError, match="no granularity 'tinny'; did you mean tiny"):
        load_settings("embedded", {"granularity": "tinny"})
