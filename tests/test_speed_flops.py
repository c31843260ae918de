"""The formulas beside the counter of PyTorch on real modules, and beside published numbers."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
from transformers import Qwen2_5_VLConfig

from tests.tiny import FAMILIES
from zeroiqa.chat.caching import find_cache
from zeroiqa.errors import UserError
from zeroiqa.speed.flops import (
    Text,
    TokenCounts,
    causal_pairs,
    count_flops,
    peak_tflops,
    read_geometry,
    text_flops,
    vision_flops,
)
from zeroiqa.speed.meter import Meter
from zeroiqa.speed.random_weights import GEOMETRIES

UNREADABLE = ("minicpmv4_6",)
COUNTED = tuple(family for family in FAMILIES if family not in UNREADABLE)


def load(folder):
    """Model and processor of a tiny checkpoint; eager attention, whose products the counter sees."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()
    return model, AutoProcessor.from_pretrained(folder)


def inputs_of(processor, *sizes):
    """What the model gets for a question about each of the pictures of those heights and widths."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (*size, 3), dtype=np.uint8) for size in sizes]
    turns = [
        [{"role": "user", "content": [{"type": "image", "image": each}, {"type": "text", "text": "Good?"}]}]
        for each in pictures
    ]
    return processor.apply_chat_template(
        turns,
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )


def counted(model, *parts, run):
    """FLOP by PyTorch's counter: those of each part, and of the whole model."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False, depth=None) as counter:
        run()
    counts = {name: sum(operations.values()) for name, operations in counter.flop_counts.items()}
    names = {module: name for name, module in model.named_modules()}
    kind = type(model).__name__
    return [counts.get(f"{kind}.{names[part]}", 0) for part in parts], counts["Global"]


def masked_half(text: Text, new: int, prefix: int = 0) -> int:
    """FLOP of the pairs that the causal mask hides: eager attention multiplies them all the same."""
    seen = (text.layers - text.sliding_layers) * causal_pairs(new, prefix)
    seen += text.sliding_layers * causal_pairs(new, prefix, text.window or None)
    return 4 * text.heads * text.head_dim * (text.layers * new * (new + prefix) - seen)


@pytest.mark.parametrize("family", COUNTED)
def test_formulas_equal_the_counter_of_pytorch_but_for_the_masked_half(family, tiny):
    model, processor = load(tiny(family))
    geometry = read_geometry(model.config)
    inputs = inputs_of(processor, (130, 190))
    with Meter(model, geometry.vision.patch) as meter:
        (text, head), total = counted(
            model,
            model.get_decoder(),
            model.get_output_embeddings(),
            run=lambda: model(**inputs, logits_to_keep=1),
        )
    pictures, row = (count_flops(geometry, batch) for batch in meter.counts())
    length = inputs["input_ids"].shape[1]
    assert head == pictures.head
    assert text == row.text + masked_half(geometry.text, length)
    assert total - text - head == pictures.vision + pictures.projector
    assert pictures.vision > 0 < pictures.projector


def test_formulas_equal_the_counter_of_pytorch_with_a_reused_prefix(tiny):
    import torch

    model, _ = load(tiny("qwen2_5_vl"))
    decoder, text = model.get_decoder(), read_geometry(model.config).text
    embeddings = torch.randn(2, 12, text.width)
    with torch.no_grad():
        name, cache = find_cache(decoder(inputs_embeds=embeddings[:, :7], use_cache=True))

    _, flops = counted(
        model, run=lambda: decoder(inputs_embeds=embeddings[:, 7:], **{name: copy.deepcopy(cache)})
    )
    assert flops == 2 * (text_flops(text, 5, 7) + masked_half(text, 5, 7))


def test_numbers_of_qwen_7b_are_those_computed_independently():
    """By another program, from the same config: 27.6 TFLOP for a picture of 1024 x 1024 (74 x 74 patches).

    With the prefix reused 25.9, which also saves most of the last layer (2 %), as this engine does not.
    """
    geometry = read_geometry(Qwen2_5_VLConfig(**GEOMETRIES["qwen2.5-vl-7b"]))
    whole = count_flops(geometry, TokenCounts(grids=((74, 74),), lengths=(1492,)))
    assert whole.total == pytest.approx(27.6e12, rel=0.002)
    assert whole.vision + whole.projector == pytest.approx(7.70e12, rel=0.002)
    assert whole.text + whole.head == pytest.approx(19.9e12, rel=0.002)
    reused = count_flops(geometry, TokenCounts(grids=((74, 74),), lengths=(1409,), prefix=83))
    assert reused.total == pytest.approx(25.9e12, rel=0.03)


@pytest.mark.parametrize("prefix", [0, 3, 9])
@pytest.mark.parametrize("window", [None, 1, 4, 20])
def test_causal_pairs_are_those_that_the_mask_lets_through(prefix, window):
    new = 6
    query, key = np.arange(prefix, prefix + new)[:, None], np.arange(prefix + new)
    visible = (key <= query) & (key > query - (window or 10**9))
    assert causal_pairs(new, prefix, window) == visible.sum()


def test_a_prefix_computed_before_costs_what_it_saves(tiny):
    text = read_geometry(load(tiny("qwen2_vl"))[0].config).text
    assert text_flops(text, 8) + text_flops(text, 12, prefix=8) == text_flops(text, 20)


def test_windows_at_the_border_are_smaller(tiny):
    vision = read_geometry(load(tiny("qwen2_5_vl"))[0].config).vision
    assert vision.window == 4
    whole = dataclasses.replace(vision, full_layers=vision.layers)
    assert vision_flops(vision, 4, 4) == vision_flops(whole, 4, 4)
    saved = 4 * vision.width * (20**2 - (16**2 + 4**2)) * (vision.layers - vision.full_layers)
    assert vision_flops(whole, 4, 5) - vision_flops(vision, 4, 5) == saved


def test_only_positions_that_are_read_pass_the_head(tiny):
    geometry = read_geometry(load(tiny("qwen2_vl"))[0].config)
    last = count_flops(geometry, TokenCounts(lengths=(9, 5)))
    every = count_flops(geometry, TokenCounts(lengths=(9, 5), positions=14))
    assert every.head == 7 * last.head
    assert every.total - every.head == last.total - last.head


@pytest.mark.parametrize("family", UNREADABLE)
def test_an_architecture_outside_the_formulas_is_refused_in_one_sentence(family, tiny):
    with pytest.raises(UserError, match=f"operations of {family} cannot be counted: .*linear attention"):
        read_geometry(load(tiny(family))[0].config)


def test_a_config_without_a_size_is_refused_by_the_name_of_the_size():
    config = Qwen2_5_VLConfig(**GEOMETRIES["qwen2.5-vl-7b"])
    config.text_config.intermediate_size = 0
    with pytest.raises(UserError, match="Qwen2_5_VLTextConfig has no intermediate_size"):
        read_geometry(config)


def test_a_text_model_is_refused():
    from transformers import Qwen2Config

    with pytest.raises(UserError, match="qwen2 cannot be counted: it is not made of a vision encoder"):
        read_geometry(Qwen2Config())


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA RTX A6000", 154.8),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA A100 80GB PCIe", 312.0),
        ("NVIDIA A10G", None),
        ("NVIDIA A10", 125.0),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA H100 NVL", 835.5),
        ("NVIDIA H200", 989.4),
        ("NVIDIA GH200 480GB", 989.4),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("Tesla V100-SXM2-16GB", None),
        ("AMD EPYC", None),
    ],
)
def test_peaks_go_by_the_name_of_the_device(name, peak):
    assert peak_tflops(name) == peak
