"""The meter, random weights, and `zeroiqa bench`. No test asks how fast this machine is."""

from __future__ import annotations

import json
import re

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForImageTextToText

from tests.test_speed_flops import inputs_of, load
from zeroiqa.cli import cli
from zeroiqa.cli.commands.bench import _short
from zeroiqa.errors import UserError
from zeroiqa.raters import build_rater
from zeroiqa.raters.chat import ChatRater
from zeroiqa.speed.benchmark import SIDE, VIEWS_PER_IMAGE, make_views, measure, watch
from zeroiqa.speed.flops import TokenCounts, count_flops, read_geometry
from zeroiqa.speed.meter import Meter
from zeroiqa.speed.random_weights import GEOMETRIES, load_random, read_parts
from zeroiqa.standards import load_standard
from zeroiqa.weights.options import ModelOptions

STANDARD = load_standard("quality-word-7")
CPU = ModelOptions(device="cpu")


def bench(*arguments):
    return CliRunner().invoke(cli, ["bench", *arguments], catch_exceptions=False)


# ---------------------------------------------------------------- the meter


def test_meter_sees_the_rows_without_their_padding(tiny):
    model, processor = load(tiny("qwen2_5_vl"))
    inputs = inputs_of(processor, (130, 130), (90, 200))
    with torch.no_grad(), Meter(model) as meter:
        model(**inputs, logits_to_keep=1)
    lengths = tuple(inputs["attention_mask"].sum(1).tolist())
    assert min(lengths) < max(lengths)
    grids = tuple((rows, columns) for _, rows, columns in inputs["image_grid_thw"].tolist())
    assert meter.counts() == [
        TokenCounts(grids=grids, positions=2),
        TokenCounts(lengths=lengths, positions=0),
    ]
    assert meter.padding() == pytest.approx(1 - sum(lengths) / (2 * max(lengths)))


def test_meter_counts_the_head_at_every_position_that_passes_it(tiny):
    model, processor = load(tiny("qwen2_vl"))
    inputs = inputs_of(processor, (130, 130))
    with torch.no_grad(), Meter(model) as meter:
        model(**inputs)
    assert meter.counts()[0].positions == inputs["input_ids"].shape[1]


def test_meter_sees_the_reused_prefix_of_each_step_of_generate(tiny):
    model, processor = load(tiny("qwen2_5_vl"))
    inputs = inputs_of(processor, (130, 130))
    length = inputs["input_ids"].shape[1]
    with Meter(model) as meter:
        model.generate(**inputs, max_new_tokens=2, min_new_tokens=2, do_sample=False)
    assert meter.counts()[1:] == [
        TokenCounts(lengths=(length,), positions=0),
        TokenCounts(lengths=(1,), prefix=length, positions=0),
    ]


def test_meter_sees_pictures_that_only_the_vision_encoder_is_given(tiny):
    model, processor = load(tiny("internvl"))
    inputs = inputs_of(processor, (130, 130))
    with torch.no_grad(), Meter(model, read_geometry(model.config).vision.patch) as meter:
        model.get_image_features(pixel_values=inputs["pixel_values"])
    assert meter.counts() == [TokenCounts(grids=((4, 4),) * len(inputs["pixel_values"]), positions=0)]
    assert meter.seconds > 0


def test_meter_leaves_nothing_behind(tiny):
    model, processor = load(tiny("qwen2_vl"))
    inputs = inputs_of(processor, (130, 130))
    with Meter(model) as meter:
        pass
    with torch.no_grad():
        model(**inputs)
    assert meter.seconds == 0
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())


def test_meter_goes_on_after_a_pass_that_failed(tiny):
    model, processor = load(tiny("qwen2_vl"))
    inputs = inputs_of(processor, (130, 130))
    with torch.no_grad(), Meter(model) as meter:
        with pytest.raises(IndexError):
            model(input_ids=inputs["input_ids"] + 10**6)
        failed = meter.seconds
        model(**inputs)
    assert meter.seconds > failed


# ---------------------------------------------------------------- views


def test_views_are_whole_images_each_followed_by_boxes_of_it():
    views = make_views(2 * VIEWS_PER_IMAGE, side=256)
    assert [view.region is None for view in views] == ([True] + [False] * 6) * 2
    assert {view.pixels.shape for view in views if view.region is None} == {(256, 256, 3)}
    for view in views:
        if view.region is not None:
            x0, y0, x1, y1 = view.region.box
            assert view.pixels.shape == (y1 - y0, x1 - x0, 3)
            assert 0 <= x0 < x1 <= 256 and 0 <= y0 < y1 <= 256
    assert not (views[0].pixels == views[VIEWS_PER_IMAGE].pixels).all()


def test_views_are_the_same_each_time():
    assert all(
        (a.pixels == b.pixels).all()
        for a, b in zip(make_views(3, side=64), make_views(3, side=64), strict=True)
    )


# ---------------------------------------------------------------- random weights


def test_qwen_7b_from_its_sizes_has_the_published_number_of_weights():
    config, _ = read_parts("qwen2.5-vl-7b")
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    assert sum(weight.numel() for weight in model.parameters()) == 8_292_166_656


def test_prompts_of_a_model_without_files_are_about_as_long_as_real_ones():
    _, processor = read_parts("qwen2.5-vl-7b")
    filled = STANDARD.fill()
    messages = [
        {"role": "system", "content": filled.system},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": filled.user}]},
    ]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    assert 110 < len(processor.tokenizer(text)["input_ids"]) < 140


@pytest.mark.parametrize("family", ["qwen2_5_vl", "gemma3"])
def test_random_weights_are_built_from_a_folder_without_weights_and_see_the_image(family, tiny, tmp_path):
    for path in tiny(family).iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    loaded = load_random(f"hf:{tmp_path}", CPU)
    assert loaded.dtype == torch.float32
    matrices = {name: weight for name, weight in loaded.model.named_parameters() if weight.ndim > 1}
    assert [name for name, weight in matrices.items() if not weight.any()] == []
    first, second = ChatRater.of(loaded).rate(make_views(2, side=128), [STANDARD])
    assert first[0].logprobs != second[0].logprobs


def test_a_model_that_is_neither_here_nor_buildable_is_refused_with_the_ways_out():
    with pytest.raises(UserError, match="of qwen3-vl-2b are not on this machine.*hf:FOLDER.*qwen2.5-vl-7b"):
        load_random("qwen3-vl-2b", CPU)


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no config.json"):
        load_random(f"hf:{tmp_path}", CPU)


# ---------------------------------------------------------------- the command


def test_work_of_a_round_is_that_of_its_views(tiny):
    rater = build_rater(f"hf:{tiny('qwen2_5_vl')}", CPU)
    views = make_views(5, side=128)
    rater.rate(views, [STANDARD])  # what the prefix costs is paid once, not by this round
    work = watch(rater, STANDARD, views)
    config = rater.loaded.model.config
    engine = rater.model.engine
    text = engine.template.text(STANDARD.fill())
    expected = 0
    for view in views:
        item = engine.preprocessor.prepare(view.pixels, text)
        _, rows, columns = item.tensors["image_grid_thw"][0].tolist()
        shared = item.image_start if engine.paths.prefix == "any" else 0
        batch = TokenCounts(grids=((rows, columns),), lengths=(item.length - shared,), prefix=shared)
        expected += count_flops(read_geometry(config), batch).total
    assert work.tflop == pytest.approx(expected / 1e12, rel=1e-9)
    assert 0 < work.outside < 1
    assert work.peak is None and "GPUs only" in work.notes[0]


def test_speed_is_the_median_of_the_rounds():
    speed = measure(build_rater("fake"), STANDARD, make_views(3, side=64), rounds=5)
    assert len(speed.seconds) == 5
    assert speed.views_per_second == pytest.approx(3 / sorted(speed.seconds)[2])
    assert speed.images_per_second == pytest.approx(speed.views_per_second / VIEWS_PER_IMAGE)
    assert speed.use is None and speed.tflop_per_second is None


def test_speeds_are_printed_without_exponents():
    assert [_short(speed) for speed in (0.01234, 1.5, 99.44, 7104.2)] == ["0.0123", "1.5", "99.4", "7104"]


@pytest.mark.parametrize("rater", ["nss", "fake"])
def test_embedded_raters_have_a_speed_and_no_operations(rater):
    shown = bench("--rater", rater, "--views", "2", "--rounds", "1").stdout
    assert re.search(r"views/s +[\d.]+", shown) and re.search(r"images/s +[\d.]+ \(7 views each\)", shown)
    assert "TFLOP" not in shown


def test_a_model_on_the_cpu_has_operations_but_no_peak(tiny):
    shown = bench("--rater", f"hf:{tiny('qwen2_5_vl')}", "--views", "2", "--rounds", "1", "--device", "cpu")
    assert re.search(r"TFLOP/s +[\d.e-]+", shown.stdout)
    assert "of the peak" not in shown.stdout and "peaks are known for GPUs only" in shown.stdout
    assert re.search(r"outside +[\d.]+% of the time", shown.stdout)


def test_a_family_outside_the_formulas_is_timed_and_the_reason_said(tiny):
    shown = bench("--rater", f"hf:{tiny('minicpmv4_6')}", "--views", "1", "--rounds", "1", "--format", "json")
    record = json.loads(shown.stdout)
    assert record["tflop_per_second"] is None and record["views_per_second"] > 0
    assert "linear attention" in record["notes"][0]


def test_random_weights_from_the_command_line(tiny):
    name = f"hf:{tiny('qwen2_5_vl')}"
    record = json.loads(
        bench(
            "--rater", name, "--random-weights", "--views", "2", "--rounds", "2", "--format", "json",
            "--device", "cpu", "--dtype", "bfloat16",
        ).stdout
    )  # fmt: skip
    assert record["rater"] == f"{name}, random weights" and record["dtype"] == "bfloat16"
    assert len(record["seconds"]) == record["rounds"] == 2
    assert record["tflop_per_view"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rater", "nss", "--random-weights"], "The rater nss has no weights"),
        (
            ["--rater", "qwen2.5-vl-7b", "--random-weights", "--load-in-8bit"],
            "Random weights are not quantised",
        ),
        (["--rater", "nss", "--standard", "quality-float"], "rates quality on levels"),
        (["--rater", "nso"], "unknown rater 'nso'"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        bench(*arguments)


@pytest.mark.gpu
def test_full_size_model_on_a_gpu_keeps_it_busy():
    """The aims (10 % outside the forward, 50 % of the peak) are shown by -s, not asserted."""
    shown = bench(
        "--rater", "qwen2.5-vl-7b", "--random-weights", "--device", "cuda", "--format", "json"
    ).stdout
    print(shown)
    record = json.loads(shown)
    assert record["dtype"] == "bfloat16"
    assert record["tflop_per_view"] > 5
    assert record["outside_forward"] < 0.5


def test_sizes_of_models_without_files_are_readable():
    for name in GEOMETRIES:
        assert read_geometry(read_parts(name)[0]).vision.patch in (14, 16)
    assert SIDE % 14  # the views are no multiple of the patches, as photos are not
