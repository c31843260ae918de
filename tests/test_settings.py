"""Presets and their overrides."""

import dataclasses
import json
import math
from importlib import resources
from pathlib import Path

import pytest

from zeroiqa.errors import UserError
from zeroiqa.segmenters.granularity import load_granularity
from zeroiqa.settings import load_settings, preset_description, preset_names, settings_from_dict
from zeroiqa.weights.options import ModelOptions

EMBEDDED = resources.files("zeroiqa.presets") / "embedded.toml"


def test_every_shipped_preset_loads_and_describes_itself() -> None:
    assert "embedded" in preset_names()
    for name in preset_names():
        load_settings(name)
        assert preset_description(name)


def test_the_default_lets_the_whole_image_decide() -> None:
    settings = load_settings()
    assert (settings.lam, settings.readout, settings.raters) == (0.0, "expected", ("nss",))


def test_the_paper_s_row_is_one_model_with_digits_on_objects() -> None:
    """LLM-IQA, Tables 1 and 3: word standard, K = 7, the answered digit, area weights, lambda 1."""
    settings = load_settings("llm-iqa")
    assert (settings.raters, settings.standards) == (("mplug-owl3-240728",), ("quality-word-7",))
    assert (settings.readout, settings.weighting, settings.lam, settings.crop) == ("digit", "area", 1, "bbox")
    assert (settings.segmenter, settings.granularity, settings.complement) == (
        "sam2.1-large",
        "default-16",
        True,
    )


def test_dog_iqa_is_what_its_authors_run() -> None:
    """sjtuzzq/Dog-IQA at 9eb4120: every choice of eval.py, get_mask.py and their defaults."""
    settings = load_settings("dog-iqa")
    assert (settings.raters, settings.standards) == (("mplug-owl3-240728",), ("dog-iqa-word-7",))
    assert (settings.segmenter, settings.granularity) == ("sam2.0-large", "dog-iqa")
    assert (settings.min_area, settings.min_pixels) == (0.0, 1000)
    assert (settings.complement, settings.complement_rule) == (True, "remainder")
    assert (settings.dtype, settings.segmenter_dtype) == ("auto-float16", "float32")
    assert (settings.crop, settings.readout, settings.weighting) == ("bbox", "greedy", "area")
    assert (settings.formula, settings.lam, settings.count_weight) == ("dog-iqa", 2.0, 0.1)
    profile = load_granularity(settings.granularity)
    for field in ("min_area", "min_pixels", "complement", "complement_rule", "segmenter"):
        assert getattr(profile, field) == getattr(settings, field), "the profile says it a second time"


def test_sep_iqa_looks_at_the_whole_image_once() -> None:
    settings = load_settings("sep-iqa")
    assert (settings.raters, settings.standards) == (("mplug-owl3-241101",), ("sep-iqa",))
    assert settings.crop == "whole"


def test_an_override_replaces_one_field_only() -> None:
    plain, changed = load_settings(), load_settings(overrides={"lambda": 1.0})
    assert changed.lam == 1.0
    assert {**changed.to_dict(), "lambda": 0.0} == plain.to_dict()


def test_the_options_of_models_are_those_of_the_raters_unless_set() -> None:
    assert load_settings().model_options == ModelOptions()
    options = ModelOptions(device="cuda:1", dtype="bfloat16", attn="eager", offline=True)
    fields = {
        field.name: getattr(options, field.name) for field in dataclasses.fields(options) if field.compare
    }
    assert load_settings(overrides=fields).model_options == options


@pytest.mark.parametrize("lam", [0.0, 0.5, math.inf])
def test_settings_survive_json(lam: float) -> None:
    settings = load_settings(overrides={"lambda": lam})
    assert settings_from_dict(json.loads(json.dumps(settings.to_dict())), "run.json") == settings


def test_a_preset_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(EMBEDDED.read_text().replace('"nss"', '"fake"'))
    assert load_settings(str(path)).raters == ("fake",)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"lamda": 1}, "no setting lamda .*; did you mean lambda"),
        ({"lambda": -1}, "lambda is -1"),
        ({"lambda": "much"}, "lambda is 'much'"),
        ({"lambda": math.nan}, "lambda is nan"),
        ({"min_area": 1.5}, "min_area is 1.5"),
        ({"max_pixels": 0}, "max_pixels is 0"),
        ({"max_pixels": 1e6 + 0.5}, "max_pixels is 1000000.5 .*; it must be a whole number"),
        ({"min_pixels": 0.5}, "min_pixels is 0.5 .*; it must be a whole number"),
        ({"min_pixels": -1}, "min_pixels is -1"),
        ({"complement_rule": "sum"}, "one of union, remainder"),
        ({"segmenter_dtype": "half"}, "segmenter_dtype is 'half'"),
        ({"max_pixels": True}, "max_pixels is True"),
        ({"crop": "box"}, "one of bbox, mask, whole"),
        ({"readout": "argmax"}, "one of digit, expected"),
        ({"complement": "yes"}, "true or false"),
        ({"segmenter": 3}, "must be a text"),
        ({"raters": "nss"}, "must be a list"),
        ({"raters": []}, "raters is empty"),
        ({"raters": ["fake", "fake"]}, "twice"),
        ({"raters": ["nss", "baseline:niqe"]}, "baseline:niqe has a scale of its own"),
        ({"raters": ["head:lmm4lmm:qa:x", "fake"]}, "no mean of it with others"),
        ({"rater_weights": [1.0, 2.0]}, "2 rater_weights for 1 raters"),
        ({"rater_weights": [0.0]}, "must be positive"),
        ({"device": "gpu"}, "device is 'gpu' .* auto, cpu, cuda, cuda:1 or mps"),
        ({"dtype": "half"}, "one of auto, float32, bfloat16, float16"),
        ({"attn": "fast"}, "one of auto, eager, sdpa, flash_attention_2"),
        ({"offline": 1}, "true or false"),
        ({"formula": "sum"}, "one of mean, dog-iqa, dog-iqa-first"),
        ({"count_weight": -0.1}, "count_weight is -0.1"),
        ({"count_weight": math.inf}, "count_weight is inf"),
        ({"formula": "dog-iqa"}, "Lambda is 0, and the formula dog-iqa divides"),
        ({"readout": "greedy"}, "rater nss answers no text.*digit or expected, or a chat model"),
        ({"readout": "greedy", "raters": ["fake", "nss"]}, "rater nss answers no text"),
        ({"readout": "greedy", "raters": ["baseline:piqe"]}, "rater baseline:piqe answers no text"),
        ({"readout": "greedy", "raters": ["head:lmm4lmm:qa:x"]}, "head:lmm4lmm:qa:x answers no text"),
    ],
)
def test_a_wrong_field_is_refused_in_a_sentence_that_names_it(overrides: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_settings(overrides=overrides)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean embedded"):
        load_settings("embeded")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"raters = [", None])
def test_an_unreadable_preset_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="mine.toml cannot be read"):
        load_settings(str(path))


def test_a_preset_that_lacks_a_field_says_which(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('raters = ["nss"]\n')
    with pytest.raises(UserError, match="segmenter is missing"):
        load_settings(str(path))
