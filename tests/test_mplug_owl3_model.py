"""The port of mPLUG-Owl3 beside a naive reference, and the facts that hold for the released networks."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from torch import Tensor  # noqa: E402
from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from tests.owl3_reference import Reference  # noqa: E402
from tests.tiny import mplug_owl3  # noqa: E402
from zeroiqa.raters.mplug_owl3 import MplugOwl3ForConditionalGeneration  # noqa: E402
from zeroiqa.raters.mplug_owl3.configuration import VERSIONS  # noqa: E402
from zeroiqa.raters.mplug_owl3.language import HyperAttention  # noqa: E402

CLOSE = 1e-4
"""To the reference, in float32 against float64."""
EXACT = 1e-5
"""Between ways of computing the same in float32."""


class Sample(NamedTuple):
    ids: Sequence[int]
    starts: Sequence[int]


ONE = Sample(range(40, 52), [4])
TWO = Sample(range(60, 80), [3, 11])
NONE = Sample(range(90, 100), [])
FIRST = Sample([7, 8, 9, 10, 11, 12], [0])
"""An image at the very beginning."""


class Network:
    """A tiny checkpoint, loaded by the port and by the reference."""

    def __init__(self, folder: Path, version: str) -> None:
        self.version, self.folder = version, folder
        self.late = int(version == "240728")
        self.model: Any = load(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.tensors = load_file(folder / "model.safetensors")
        self.reference = Reference(self.config, self.tensors, version)

    def loaded(self, folder: Path | None = None, **choices: Any) -> Network:
        """With the model loaded in another way, or from another folder."""
        other = copy.copy(self)
        other.model = load(folder or self.folder, **choices)
        return other

    def pixels(self, count: int, seed: int = 0) -> Tensor:
        side = mplug_owl3.SIDES[self.version]
        return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1

    def logits(self, sample: Sample, pixels: Tensor | None, **more: Any) -> Tensor:
        ids, starts = torch.tensor([list(sample.ids)]), [torch.tensor(sample.starts, dtype=torch.long)]
        with torch.inference_mode():
            return self.model(input_ids=ids, pixel_values=pixels, image_starts=starts, **more).logits[0]


def load(folder: Path, **choices: Any) -> Any:
    return MplugOwl3ForConditionalGeneration.from_pretrained(
        folder, **{"dtype": torch.float32, **choices}
    ).eval()


@pytest.fixture(scope="module", params=VERSIONS)
def network(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Network:
    return Network(tiny(f"mplug_owl3_{request.param}"), request.param)


@pytest.fixture(params=VERSIONS)
def fresh(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Network:
    """A network whose weights a test may change."""
    return Network(tiny(f"mplug_owl3_{request.param}"), request.param)


def largest(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share where numbers are large."""
    return float(((one - other).abs() / (1 + other.abs())).max())


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


# ---------------------------------------------------------------- batches, caches, other ways


def batch(network: Network, samples: Sequence[Sample], as_table: bool) -> tuple[dict[str, Any], Tensor]:
    """Padded on the left; the pixels of all samples in order."""
    longest = max(len(sample.ids) for sample in samples)
    ids = torch.zeros(len(samples), longest, dtype=torch.long)
    mask, table = torch.zeros_like(ids), torch.zeros_like(ids)
    starts = []
    for row, sample in enumerate(samples):
        before = longest - len(sample.ids)
        ids[row, before:], mask[row, before:] = torch.tensor(list(sample.ids)), 1
        starts.append(torch.tensor(sample.starts, dtype=torch.long) + before)
        table[row, starts[-1]] = 1
    pixels = network.pixels(sum(len(sample.starts) for sample in samples))
    return {"input_ids": ids, "attention_mask": mask, "image_starts": table if as_table else starts}, pixels


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("as_table", [True, False])
def test_a_left_padded_batch_of_mixed_samples_equals_its_samples_alone(
    network: Network, as_table: bool, attention: str
) -> None:
    samples = [ONE, NONE, TWO, FIRST, ONE]
    inputs, pixels = batch(network, samples, as_table)
    alone = network.loaded(attn_implementation=attention)
    model = alone.model
    with torch.inference_mode():
        together = model(**inputs, pixel_values=pixels).logits
        plain = model(**{**inputs, "position_ids": (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)},
                      pixel_values=pixels).logits  # fmt: skip
    used = 0
    assert together.isfinite().all()
    assert largest(together, plain) == 0
    for row, sample in zip(together, samples, strict=True):
        own = pixels[used : used + len(sample.starts)]
        used += len(sample.starts)
        assert largest(row[-len(sample.ids) :], alone.logits(sample, own)) < EXACT


def test_without_images_the_model_is_qwen2(network: Network) -> None:
    kept = {k: v for k, v in network.config.items() if k not in ("vision_config", "hyper_layers", "auto_map")}
    qwen = Qwen2ForCausalLM(Qwen2Config(**{**kept, "model_type": "qwen2", "torch_dtype": "float32"})).eval()
    names = {name.removeprefix("language_model."): tensor for name, tensor in network.tensors.items()}
    report = qwen.load_state_dict(names, strict=False)
    ids = torch.tensor([list(NONE.ids)])
    with torch.inference_mode():
        wanted = qwen(ids).logits[0]

    assert not report.missing_keys
    assert torch.equal(network.logits(NONE, None), wanted)
    assert torch.equal(network.logits(Sample(NONE.ids, [3]), None), wanted)
    assert largest(network.logits(Sample(NONE.ids, [3]), network.pixels(1)), wanted) > 1e-2


def test_tokens_after_a_cache_equal_the_whole(network: Network) -> None:
    """One token or several, with images before, within and behind what is cached."""
    pixels = network.pixels(2)
    whole = network.logits(TWO, pixels)
    ids, starts = torch.tensor([list(TWO.ids)]), [torch.tensor(TWO.starts)]
    for cut in (2, 7, 14, 19):
        with torch.inference_mode():
            cache = network.model(
                input_ids=ids[:, :cut], pixel_values=pixels, image_starts=starts, use_cache=True
            ).past_key_values
            rest = network.model(
                input_ids=ids[:, cut:], pixel_values=pixels, image_starts=starts, past_key_values=cache
            ).logits[0]
        assert largest(rest, whole[cut:]) < EXACT


def test_positions_may_be_shifted_as_only_distances_count(network: Network) -> None:
    pixels = network.pixels(2)
    shifted = network.logits(TWO, pixels, position_ids=torch.arange(20)[None] + 100)

    assert largest(shifted, network.logits(TWO, pixels)) < 1e-4


@pytest.mark.parametrize("tokens", [1, 4])
def test_generate_goes_on_looking_at_the_images(network: Network, tokens: int) -> None:
    pixels, model = network.pixels(2), network.model
    ids, table = torch.tensor([list(TWO.ids)]), torch.zeros(1, 20, dtype=torch.long)
    table[0, list(TWO.starts)] = 1
    choices = {
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_logits": True,
        "eos_token_id": None,
    }
    inputs = {"input_ids": ids, "image_starts": table, "attention_mask": torch.ones_like(ids)}
    found = model.generate(**inputs, pixel_values=pixels, max_new_tokens=tokens, **choices)
    features = {"image": model.get_image_features(pixels, return_dict=True)}
    again = model.generate(**inputs, mm_encoder_outputs=features, max_new_tokens=tokens, **choices)

    assert found.sequences.shape == (1, 20 + tokens) and torch.equal(found.sequences, again.sequences)
    for step, logits in enumerate(found.logits):
        sample = Sample(found.sequences[0, : 20 + step].tolist(), TWO.starts)
        assert largest(logits[0], network.logits(sample, pixels)[-1]) < 1e-4


def test_generate_answers_a_mixed_batch_as_its_samples_alone(network: Network) -> None:
    choices = {"max_new_tokens": 3, "do_sample": False, "eos_token_id": None}
    samples, used = [ONE, NONE, TWO], 0
    inputs, pixels = batch(network, samples, True)
    together = network.model.generate(**inputs, pixel_values=pixels, **choices)[:, -3:]
    for row, sample in zip(together, samples, strict=True):
        own = pixels[used : used + len(sample.starts)]
        used += len(sample.starts)
        shown = {"pixel_values": own} if len(own) else {}
        alone = network.model.generate(**batch(network, [sample], True)[0], **shown, **choices)[0, -3:]
        assert torch.equal(row, alone)


def test_pixels_in_small_batches_give_the_features_of_one(network: Network) -> None:
    pixels = network.pixels(5)
    with torch.inference_mode():
        whole = network.model.get_image_features(pixels).pooler_output
        network.model.config.vision_batch_size = 2
        seen: list[int] = []
        hook = network.model.vision_model.register_forward_hook(
            lambda _, given, __: seen.append(len(given[0]))
        )
        parts = network.model.get_image_features(pixels).pooler_output
    hook.remove()
    network.model.config.vision_batch_size = 16

    assert seen == [2, 2, 1] and largest(parts, whole) < EXACT


def test_pictures_and_their_places_must_be_equally_many(network: Network) -> None:
    for starts in ([], [2], [2, 5, 6]):
        with pytest.raises(ValueError, match=f"2 pictures for {len(starts)} places"):
            network.logits(Sample(TWO.ids, starts), network.pixels(2))


def test_only_the_last_logits_can_be_kept(network: Network) -> None:
    pixels = network.pixels(1)
    kept = network.logits(ONE, pixels, logits_to_keep=1)

    assert kept.shape[0] == 1 and largest(kept[0], network.logits(ONE, pixels)[-1]) < EXACT


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
