"""mPLUG-Owl3 in batches, after caches and in small parts: the same as each sample alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from tests.owl3_network import EXACT, FIRST, NONE, ONE, TWO, Network, Sample, largest  # noqa: E402
from zeroiqa.chat.caching import CacheError, find_cache  # noqa: E402
from zeroiqa.chat.mplug_owl3.configuration import VERSIONS  # noqa: E402
from zeroiqa.chat.mplug_owl3.language import HyperDecoderLayer  # noqa: E402


@pytest.fixture(scope="module", params=VERSIONS)
def network(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Network:
    return Network(tiny(f"mplug_owl3_{request.param}"), request.param)


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
            shown = {"pixel_values": pixels, "image_starts": starts}
            name, cache = find_cache(network.model(input_ids=ids[:, :cut], **shown, use_cache=True))
            rest = network.model(input_ids=ids[:, cut:], **shown, **{name: cache}).logits[0]
        assert largest(rest, whole[cut:]) < EXACT


@pytest.mark.parametrize("name", ["cache", "past_key_values", "kept_states"])
def test_a_cache_by_another_name_is_refused_or_used_but_never_ignored(network: Network, name: str) -> None:
    """transformers 5.24 takes the old name, and warns of it."""
    ids, shown = torch.tensor([list(TWO.ids)]), {"pixel_values": network.pixels(2)}
    shown["image_starts"] = [torch.tensor(TWO.starts)]
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        own, cache = find_cache(network.model(input_ids=ids[:, :9], **shown, use_cache=True))
        try:
            rest = network.model(input_ids=ids[:, 9:], **shown, **{name: cache}).logits[0]
        except (CacheError, RuntimeError) as error:  # of the last layer, or of shapes in one before
            assert name != own and ("give it as" in str(error) or "must match the size" in str(error))
        else:
            assert name in ("cache", "past_key_values")
            assert largest(rest, network.logits(TWO, shown["pixel_values"])[9:]) < EXACT


@pytest.mark.parametrize("sample", [NONE, TWO])
def test_generate_goes_on_behind_a_cache_that_it_is_given(network: Network, sample: Sample) -> None:
    """Step by step and greedy, as whole passes without any cache; with pictures and without."""
    table = torch.zeros(1, len(sample.ids), dtype=torch.long)
    table[0, list(sample.starts)] = 1
    ids, pixels = torch.tensor([list(sample.ids)]), network.pixels(len(sample.starts))
    shown: dict[str, Any] = {"pixel_values": pixels, "image_starts": table} if sample.starts else {}
    name, cache = find_cache(network.model(input_ids=ids, **shown, use_cache=True))
    cache.crop(-4)
    found = network.model.generate(
        input_ids=ids, **shown, **{name: cache}, max_new_tokens=4, do_sample=False, eos_token_id=None
    )[0].tolist()

    assert len(found) == len(sample.ids) + 4
    for end in range(len(sample.ids), len(found)):
        logits = network.logits(Sample(found[:end], sample.starts), pixels if sample.starts else None)
        assert found[end] == int(logits[-1].argmax())


def test_pictures_that_do_not_reach_their_layers_are_not_left_out_in_silence(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_on = HyperDecoderLayer.forward
    monkeypatch.setattr(
        HyperDecoderLayer,
        "forward",
        lambda self, *args, visual=None, **kwargs: handed_on(self, *args, **kwargs),
    )
    with pytest.raises(RuntimeError, match="do not reach their layers"):
        network.logits(TWO, network.pixels(2))
    assert network.logits(NONE, None).isfinite().all()


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
