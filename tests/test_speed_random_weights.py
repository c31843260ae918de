"""Models from their sizes alone: as many weights as the published ones have, and they see the image."""

from __future__ import annotations

import copy

import pytest
import torch

from zeroiqa.errors import UserError
from zeroiqa.raters.chat import ChatRater
from zeroiqa.speed import random_weights
from zeroiqa.speed.benchmark import make_views
from zeroiqa.speed.random_weights import GEOMETRIES, WEIGHTS, load_random, read_parts
from zeroiqa.standards import load_standard
from zeroiqa.weights.cards import model_cards
from zeroiqa.weights.options import ModelOptions


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_sizes_give_the_number_of_weights(name: str) -> None:
    config, _ = read_parts(name)
    model = random_weights._build(config, torch.device("meta"), torch.bfloat16, None)
    weights = sum(each.numel() for each in model.parameters()) / 1e9
    assert weights == pytest.approx(WEIGHTS[name], abs=0.01)
    assert weights == pytest.approx(model_cards()[name].parameters, rel=0.03)  # as its publishers say it


@pytest.mark.parametrize("name", ["smolvlm-500m", "smolvlm-256m"])
def test_a_narrow_one_rates_views_and_sees_as_many_tiles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = copy.deepcopy(GEOMETRIES[name])
    small["text_config"] |= {
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "head_dim": 16,
    }
    small["text_config"] |= {"num_attention_heads": 3, "num_key_value_heads": 1}
    small["vision_config"] |= {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    small["vision_config"]["num_attention_heads"] = 2
    monkeypatch.setitem(GEOMETRIES, name, small)
    loaded = load_random(name, ModelOptions(device="cpu", dtype="float32"))
    inputs = loaded.processor(text="<image>", images=[make_views(1)[0].pixels], return_tensors="pt")
    assert inputs["pixel_values"].shape[1:] == (17, 3, 512, 512)  # 4 x 4 tiles and the whole
    rater, standard = ChatRater.of(loaded), load_standard("quality-word-7")
    one, other = (rater.rate([view], [standard])[0][0] for view in make_views(2))
    assert one is not None and other is not None
    assert one.logprobs != other.logprobs


def test_a_model_without_sizes_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"give a folder that has them as hf:FOLDER, or take .*smolvlm-500m"):
        read_parts("smolvlm2-2.2b")
