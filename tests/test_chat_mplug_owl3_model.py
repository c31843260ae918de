"""The port of mPLUG-Owl3 beside a naive reference, and the facts that hold for the released networks."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from tests.owl3_network import CLOSE, EXACT, FIRST, NONE, ONE, TWO, Network, Sample, largest  # noqa: E402
from tests.tiny import mplug_owl3  # noqa: E402
from zeroiqa.chat.mplug_owl3.configuration import VERSIONS  # noqa: E402
from zeroiqa.chat.mplug_owl3.language import HyperAttention  # noqa: E402


@pytest.fixture(scope="module", params=VERSIONS)
def network(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Network:
    return Network(tiny(f"mplug_owl3_{request.param}"), request.param)


@pytest.fixture(params=VERSIONS)
def fresh(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Network:
    """A network whose weights a test may change."""
    return Network(tiny(f"mplug_owl3_{request.param}"), request.param)


def hyper_attention(network: Network) -> list[HyperAttention]:
    layers = network.model.language_model.model.layers
    return [layers[index - 1].self_attn for index in mplug_owl3.HYPER_LAYERS[network.version]]


# ---------------------------------------------------------------- beside the reference


def test_images_are_encoded_as_by_the_reference(network: Network) -> None:
    pixels = network.pixels(3)
    with torch.inference_mode():
        features = network.model.get_image_features(pixels, return_dict=True)

    assert largest(features.pooler_output, network.reference.encode(pixels)) < CLOSE
    assert features.pooler_output.shape == (3, 16, 64) and features.last_hidden_state.shape == (3, 16, 32)


@pytest.mark.parametrize("sample", [ONE, TWO, NONE, FIRST], ids=["one", "two", "none", "first"])
def test_hidden_states_and_logits_are_those_of_the_reference(network: Network, sample: Sample) -> None:
    pixels = network.pixels(len(sample.starts)) if sample.starts else None
    embeds = None if pixels is None else network.reference.encode(pixels)
    wanted = network.reference.run(sample.ids, embeds, sample.starts)
    starts = [torch.tensor(sample.starts, dtype=torch.long)]
    with torch.inference_mode():
        found = network.model(
            input_ids=torch.tensor([list(sample.ids)]),
            pixel_values=pixels,
            image_starts=starts,
            output_hidden_states=True,
        )

    assert len(found.hidden_states) == len(wanted.hidden) == 5
    for mine, theirs in zip(found.hidden_states, wanted.hidden, strict=True):
        assert largest(mine[0], theirs) < CLOSE
    assert largest(found.logits[0], wanted.logits) < CLOSE
    assert wanted.logits.std() > 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"num_attention_heads": 8, "num_key_value_heads": 1, "hidden_size": 48, "hyper_layers": [1, 2, 3, 4]},
        {"num_attention_heads": 2, "num_key_value_heads": 2, "hidden_size": 40, "hyper_layers": [4]},
        {"num_hidden_layers": 2, "hyper_layers": [2], "rope_theta": 100.0, "rms_norm_eps": 1e-3},
    ],
    ids=["one kv head", "no groups", "other angles"],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_size_comes_from_the_config(version: str, changes: dict[str, Any], tmp_path: Path) -> None:
    network = Network(mplug_owl3.write(version, tmp_path, **changes), version)
    pixels = network.pixels(2)
    wanted = network.reference.run(TWO.ids, network.reference.encode(pixels), TWO.starts).logits

    assert largest(network.logits(TWO, pixels), wanted) < CLOSE


def test_eager_attention_gives_the_logits_of_sdpa(network: Network) -> None:
    eager, pixels = network.loaded(attn_implementation="eager"), network.pixels(2)
    config = eager.model.config

    assert config._attn_implementation == config.vision_config._attn_implementation == "eager"
    assert largest(eager.logits(TWO, pixels), network.logits(TWO, pixels)) < 2 * EXACT


def test_in_bfloat16_the_logits_are_those_of_float32_but_for_rounding(network: Network) -> None:
    pixels, rounded = network.pixels(2), network.loaded(dtype=torch.bfloat16)
    difference = rounded.logits(TWO, pixels.bfloat16()).float() - network.logits(TWO, pixels)

    assert rounded.model.dtype == torch.bfloat16
    assert difference.abs().mean() < 0.06 and difference.abs().max() < 0.4


# ---------------------------------------------------------------- what the networks have learned to rely on


def test_an_image_changes_nothing_before_it_is_seen(network: Network) -> None:
    for image, start in enumerate(TWO.starts):
        pixels = network.pixels(2)
        before = network.logits(TWO, pixels)
        pixels[image] = network.pixels(1, seed=9)[0]
        change = (network.logits(TWO, pixels) - before).abs().amax(-1)

        assert float(change[: start + network.late].max()) == 0
        assert float(change[start + network.late :].min()) > 1e-5


def test_a_text_token_changes_nothing_before_it(network: Network) -> None:
    pixels, ids = network.pixels(2), list(TWO.ids)
    before = network.logits(TWO, pixels)
    ids[8] = 200
    change = (network.logits(Sample(ids, TWO.starts), pixels) - before).abs().amax(-1)

    assert float(change[:8].max()) < 1e-6 and float(change[8:].min()) > 1e-5


def test_rows_of_an_image_have_no_order_but_images_have(network: Network) -> None:
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    def logits(embeds: Tensor) -> Tensor:
        features = {"image": BaseModelOutputWithPooling(pooler_output=embeds)}
        return network.logits(TWO, None, mm_encoder_outputs=features)

    embeds = network.model.get_image_features(network.pixels(2)).pooler_output.detach()
    whole, shuffled = logits(embeds), embeds.clone()
    shuffled[0] = embeds[0, torch.randperm(16)]

    assert largest(logits(shuffled), whole) < EXACT
    assert largest(logits(embeds.flip(0)), whole) > 1e-2


def test_the_last_vision_layer_the_norm_and_the_head_do_not_count(fresh: Network) -> None:
    pixels = fresh.pixels(2)
    before = fresh.logits(TWO, pixels)
    vision = fresh.model.vision_model
    for part in (vision.encoder.layers[-1], vision.post_layernorm, vision.head):
        for parameter in part.parameters():
            parameter.data.normal_()
    assert largest(fresh.logits(TWO, pixels), before) == 0

    calls: list[object] = []
    hook = vision.encoder.layers[-1].register_forward_hook(lambda *given: calls.append(given))
    fresh.logits(TWO, pixels)
    hook.remove()
    assert not calls

    vision.encoder.layers[-2].mlp.fc1.weight.data.normal_()
    assert largest(fresh.logits(TWO, pixels), before) > 1e-3


def test_keys_and_values_lie_side_by_side_for_every_head(fresh: Network) -> None:
    pixels = fresh.pixels(1)
    before = fresh.logits(ONE, pixels)
    projection = hyper_attention(fresh)[0].v_kv_proj
    by_head = projection.weight.data.view(2, 2, 16, 64)
    projection.weight.data = by_head.flip(1).reshape(64, 64).clone()

    assert largest(fresh.logits(ONE, pixels), before) > 1e-3


def test_visual_keys_of_zero_take_part_in_the_joint_softmax_only() -> None:
    """And a gate that is shut leaves plain Qwen2, bit for bit."""
    for version in VERSIONS:
        network = small(version)
        pixels = network.pixels(1)
        plain = network.logits(ONE, None)
        for attention in hyper_attention(network):
            if version == "240728":
                attention.gate_proj[0].weight.data.zero_()
                attention.gate_proj[0].bias.data.fill_(-float("inf"))
            else:
                attention.v_kv_proj.weight.data.zero_()
                attention.v_kv_proj.bias.data.zero_()
        found = network.logits(ONE, pixels)
        assert (largest(found, plain) == 0) == (version == "240728")


def test_an_open_gate_shows_the_image_alone(tmp_path: Path) -> None:
    """With a gate of 1 in a single hyper layer, the text it attends to no longer counts."""
    network = Network(mplug_owl3.write("240728", tmp_path, hyper_layers=[4]), "240728")
    (attention,) = [layer.self_attn for layer in network.model.language_model.model.layers[3:]]
    attention.gate_proj[0].weight.data.zero_()
    attention.gate_proj[0].bias.data.fill_(float("inf"))
    pixels = network.pixels(1)
    before = network.logits(ONE, pixels)
    attention.v_proj.weight.data.normal_()
    change = (network.logits(ONE, pixels) - before).abs().amax(-1)

    assert float(change[: ONE.starts[0] + 1].min()) > 1e-3
    assert float(change[ONE.starts[0] + 1 :].max()) == 0


def small(version: str) -> Network:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return Network(mplug_owl3.write(version, Path(folder)), version)


def test_the_path_that_it_had_still_leads_to_the_classes() -> None:
    before, now = (import_module(f"zeroiqa.{package}.mplug_owl3") for package in ("raters", "chat"))
    assert all(getattr(before, name) is getattr(now, name) for name in now.__all__)
    with pytest.raises(AttributeError, match=r"see zeroiqa\.chat\.mplug_owl3"):
        before.MplugOwl9  # noqa: B018
