"""The cards of the models known by name."""

from __future__ import annotations

import re

import pytest

from zeroiqa.errors import UserError
from zeroiqa.evaluation.methods import measured_by
from zeroiqa.raters import build_rater, rater_names
from zeroiqa.settings import load_settings, preset_description, preset_names
from zeroiqa.weights.cards import ModelCard, find_model, model_cards, resolve_model, trained_on

CARDS = model_cards()


@pytest.mark.parametrize("card", CARDS.values(), ids=str)
def test_every_card_is_complete(card: ModelCard) -> None:
    assert re.fullmatch(r"[a-z0-9.-]+", card.name)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", card.repo)
    assert card.commercial in ("yes", "conditions", "no")
    assert card.licence and card.revision
    assert 0.1 < card.parameters < 100


def test_no_repository_stands_under_two_names() -> None:
    assert len({card.repo for card in CARDS.values()}) == len(CARDS)


def test_size_in_a_name_is_near_the_number_of_parameters() -> None:
    for name, card in CARDS.items():
        size = re.search(r"-(\d+(?:\.\d+)?)([bm])$", name)
        if size:
            billions = float(size[1]) / (1 if size[2] == "b" else 1000)
            # a name gives the language model alone, to which the vision encoder comes
            assert billions * 0.9 < card.parameters < billions * 1.3 + 0.5


def test_memory_is_two_bytes_a_parameter() -> None:
    card = ModelCard("tiny", "a/b", "qwen2_vl", "MIT", "yes", parameters=2**30 / 1e9)
    assert card.memory_bf16_gib == pytest.approx(2.0)


def test_licences_that_restrict_use_are_marked() -> None:
    assert find_model("qwen2.5-vl-3b").commercial == "no"
    assert find_model("gemma3-4b").commercial == "conditions"
    for card in CARDS.values():
        assert (card.licence in ("Apache-2.0", "MIT")) == (card.commercial == "yes")


def test_all_names_are_raters() -> None:
    assert set(CARDS) <= set(rater_names())


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("qwen2.5-vl-7", "qwen2.5-vl-7b"),
        ("Qwen2.5-VL-7B", "qwen2.5-vl-7b"),
        ("smolvlm500m", "smolvlm-500m"),
        ("internvl3", "internvl3-8b"),
    ],
)
def test_unknown_model_is_refused_with_the_nearest_names(name: str, nearest: str) -> None:
    with pytest.raises(UserError, match=rf"did you mean .*{re.escape(nearest)}"):
        find_model(name)


def test_unknown_model_without_a_near_one_is_refused_with_all_names() -> None:
    with pytest.raises(UserError, match="known: qwen2-vl-2b, .*Any other one is hf:"):
        find_model("xyzzy")


def test_unknown_rater_is_refused_with_the_nearest_model() -> None:
    with pytest.raises(UserError, match=r"did you mean 'qwen2\.5-vl-7b'"):
        build_rater("qwen2.5-vl-7")


def test_any_repository_or_folder_stands_after_hf() -> None:
    assert resolve_model("hf:someone/model") == ("someone/model", None)
    assert resolve_model("hf:/data/model") == ("/data/model", None)
    assert resolve_model("smolvlm-500m") == ("HuggingFaceTB/SmolVLM-500M-Instruct", "main")
    with pytest.raises(UserError, match="hf: lacks a model"):
        resolve_model("hf:")


def test_a_model_fine_tuned_on_human_scores_says_so_under_each_of_its_names() -> None:
    """Beside training-free ones nobody may take it for one of them: in lists, protocols and presets."""
    trained = {name for name, card in CARDS.items() if card.trained_on}
    assert trained == {"q-realign-mini", "q-realign-lite", "q-realign-pro"}
    for name in trained:
        repo = CARDS[name].repo
        assert trained_on(name) == trained_on(f"hf:{repo}") == trained_on(f"openai:http://x/v1#{repo}") != ()
    assert trained_on("qwen3.5-4b") == trained_on("hf:Qwen/Qwen3.5-4B") == trained_on("nss") == ()
    said = "q-realign-mini (fine-tuned on KonIQ, SPAQ, KADID, AGIQA-20K, AVA, LSVQ)"
    assert measured_by(["nss", "q-realign-mini"]) == f"measured here, nss, {said}"
    for preset in preset_names():
        is_trained = any(map(trained_on, load_settings(preset).raters))
        assert ("fine-tuned" in preset_description(preset)) == is_trained


@pytest.mark.parametrize("preset", ["ensemble", "fast", "small", "probes"])
def test_presets_name_known_models_whose_licence_allows_commercial_use(preset: str) -> None:
    for name in load_settings(preset).raters:
        assert find_model(name).commercial != "no"
    assert "not measured here" in preset_description(preset)


def test_presets_are_what_their_names_say() -> None:
    ensemble, fast, small = map(load_settings, ("ensemble", "fast", "small"))
    assert len(ensemble.raters) >= 3 and ensemble.readout == "expected" and ensemble.lam == 1.0
    assert all(find_model(name).parameters > 7 for name in ensemble.raters)
    assert len(fast.raters) == 1 and fast.crop == "whole"
    assert len(small.raters) == 1 and find_model(small.raters[0]).parameters < 1
