"""What mPLUG-Owl3 costs: formulas beside PyTorch's counter and another program; the bench without files."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner  # noqa: E402

from tests.test_speed_flops import counted, masked_half  # noqa: E402
from tests.test_tiny import picture  # noqa: E402
from tests.tiny import NATIVE, load_parts  # noqa: E402
from zeroiqa.cli import cli  # noqa: E402
from zeroiqa.errors import UserError  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.speed.benchmark import make_views, watch  # noqa: E402
from zeroiqa.speed.flops import TokenCounts, count_flops, hyper_flops, read_geometry, text_flops  # noqa: E402
from zeroiqa.speed.meter import Meter  # noqa: E402
from zeroiqa.speed.random_weights import GEOMETRIES, load_random, read_parts  # noqa: E402
from zeroiqa.standards import load_standard  # noqa: E402
from zeroiqa.weights.cards import find_model  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

NAMES = ("mplug-owl3-240728", "mplug-owl3-241101")
STANDARD = load_standard("quality-word-7")
Tiny = Callable[[str], Path]


def bench(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["bench", *arguments], catch_exceptions=False)


def inputs_of(processor: Any, *sizes: tuple[int, int]) -> Any:
    turns = [
        [{"role": "user", "content": "<|image|>\n" + "Good? " * (index + 1)}] for index in range(len(sizes))
    ]
    texts = [processor.apply_chat_template(turn, add_generation_prompt=True) for turn in turns]
    return processor(texts, images=[[picture(0, *size)] for size in sizes])


# ---------------------------------------------------------------- formulas


@pytest.mark.parametrize("family", NATIVE)
def test_formulas_equal_the_counter_of_pytorch_but_for_what_masks_hide(family: str, tiny: Tiny) -> None:
    model, processor = load_parts(tiny(family), attn_implementation="eager")
    geometry = read_geometry(model.config)
    inputs = inputs_of(processor, (130, 190))
    with Meter(model, geometry.vision.patch) as meter:
        (text, head), total = counted(
            model,
            model.language_model.model,
            model.get_output_embeddings(),
            run=lambda: model(**inputs, logits_to_keep=1),
        )
    pictures, row = (count_flops(geometry, batch) for batch in meter.counts())
    length = inputs["input_ids"].shape[1]
    late, hyper = int(geometry.hyper.gated), geometry.hyper
    starts = inputs["image_starts"][0].nonzero()[:, 0].tolist()
    unseen = sum(start + late for start in starts)
    hidden = 4 * 64 * hyper.layers * hyper.rows * unseen

    assert meter.counts()[1] == TokenCounts(lengths=(length,), starts=(tuple(starts),), positions=0)
    assert len(meter.counts()[0].grids) == len(starts) == 7
    assert head == pictures.head
    assert text == row.text + masked_half(geometry.text, length) + hidden
    assert total - text - head == pictures.vision + pictures.projector


@pytest.mark.parametrize("family", NATIVE)
def test_a_prefix_computed_before_costs_what_it_saves(family: str, tiny: Tiny) -> None:
    geometry = read_geometry(load_parts(tiny(family))[0].config)
    whole = count_flops(geometry, TokenCounts(lengths=(30,), starts=((12, 20),))).text
    before = count_flops(geometry, TokenCounts(lengths=(8,))).text
    rest = count_flops(geometry, TokenCounts(lengths=(22,), prefix=8, starts=((12, 20),))).text
    gates = 8 * 4 * 2 * 16**2 * 2 if geometry.hyper.gated else 0  # of tokens that see no image

    assert before + rest + gates == whole
    late = int(geometry.hyper.gated)
    one_more = hyper_flops(geometry.hyper, geometry.text, 31, 0, (12, 20)) - (
        hyper_flops(geometry.hyper, geometry.text, 30, 0, (12, 20))
    )
    assert one_more == geometry.hyper.layers * (4 * 2 * 16 * 64 + late * 4 * 2 * 16**2)
    assert hyper_flops(geometry.hyper, geometry.text, 30, 0, ()) == 0


@pytest.mark.parametrize(
    ("name", "size", "views", "length", "vision", "hyper"),
    [
        ("mplug-owl3-240728", (1024, 1024), 5, 168, 3239105863680, 116005478400),
        ("mplug-owl3-240728", (1024, 768), 7, 182, 4534748209152, 162992922624),
        ("mplug-owl3-241101", (1024, 1024), 5, 139, 3332746321920, 116005478400),
        ("mplug-owl3-241101", (300, 100), 4, 137, 2666197057536, 92637167616),
    ],
)
def test_numbers_of_the_released_sizes_are_those_computed_independently(
    name: str, size: tuple[int, int], views: int, length: int, vision: int, hyper: int
) -> None:
    """By another program, which lets the last 38 tokens and one for each view see all pictures."""
    config, processor = read_parts(name)
    geometry = read_geometry(config)
    rows, columns = processor.image_processor.choose_grid(*size)
    late = int(geometry.hyper.gated)
    starts = (length - 38 - views - late,) * views
    counted = count_flops(
        geometry, TokenCounts(grids=((27, 27),) * views, lengths=(length,), starts=(starts,))
    )
    gates = 4 * length * 28 * 2 * 128**2 if geometry.hyper.gated else 0

    assert rows * columns + 1 == views
    assert counted.vision + counted.projector == vision
    assert counted.text - text_flops(geometry.text, length) == hyper + gates
    prefill = {168: 2199285301248, 182: 2382979637248, 139: 1819025883136, 137: 1792813539328}[length]
    assert text_flops(geometry.text, length) + 2 * 3584 * 152064 == prefill


# ---------------------------------------------------------------- the meter and the bench


@pytest.mark.parametrize("family", NATIVE)
def test_the_meter_sees_the_pictures_of_padded_rows_and_of_every_step(family: str, tiny: Tiny) -> None:
    model, processor = load_parts(tiny(family))
    inputs = inputs_of(processor, (130, 190), (130, 130))
    with torch.no_grad(), Meter(model, 14) as meter:
        model(**inputs, logits_to_keep=1)
    batch = meter.counts()[1]
    alone = []
    for row, length in enumerate(batch.lengths):
        assert length == int(inputs["attention_mask"][row].sum())
        starts = inputs["image_starts"][row, -length:].nonzero()[:, 0].tolist()
        alone.append(tuple(starts))
    assert batch.starts == tuple(alone) and [len(starts) for starts in alone] == [7, 5]

    one = inputs_of(processor, (130, 130))
    length = one["input_ids"].shape[1]
    with Meter(model, 14) as meter:
        model.generate(**one, max_new_tokens=2, min_new_tokens=2, do_sample=False)
    first, second = meter.counts()[1:]
    assert (first.lengths, second.lengths, second.prefix) == ((length,), (1,), length)
    assert first.starts == second.starts != ()


@pytest.mark.parametrize("family", NATIVE)
def test_operations_of_a_rater_are_those_of_its_views(family: str, tiny: Tiny) -> None:
    rater = ChatRater(str(tiny(family)), ModelOptions(device="cpu"))
    views = make_views(5, side=128)
    rater.rate(views, [STANDARD])
    work, engine = watch(rater, STANDARD, views), rater.model.engine
    geometry, expected = read_geometry(engine.loaded.model.config), 0
    text = engine.template.text(STANDARD.fill())
    for view in views:
        item = engine.preprocessor.prepare(view.pixels, text)
        starts = tuple(item.tensors["image_starts"][0].nonzero()[:, 0].tolist())
        new, side = item.length - item.image_start, 4
        batch = TokenCounts(((side, side),) * len(starts), (new,), item.image_start, (starts,))
        expected += count_flops(geometry, batch).total

    assert work is not None and work.tflop == pytest.approx(expected / 1e12, rel=1e-9)
    assert work.notes == ("No share of a peak: peaks are known for GPUs only.",)


@pytest.mark.parametrize("family", NATIVE)
def test_a_folder_without_weights_is_measured_with_random_ones(
    family: str, tiny: Tiny, tmp_path: Path
) -> None:
    """Where the weights are missing, the config has to say which version it is."""
    folder = shutil.copytree(tiny(family), tmp_path / "model")
    arguments = (
        "--rater",
        f"hf:{folder}",
        "--random-weights",
        "--views",
        "2",
        "--rounds",
        "1",
        "--device",
        "cpu",
    )
    record = json.loads(bench(*arguments, "--format", "json").stdout)
    assert record["tflop_per_view"] > 0 and record["views_per_second"] > 0

    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights"):
        bench(*arguments)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "version": family[-6:]}))
    again = json.loads(bench(*arguments, "--dtype", "bfloat16", "--format", "json").stdout)
    assert again["tflop_per_view"] == record["tflop_per_view"] and again["dtype"] == "bfloat16"


@pytest.mark.parametrize("name", NAMES)
def test_the_full_size_is_that_of_the_card_and_needs_no_files(name: str) -> None:
    from zeroiqa.chat.mplug_owl3 import MplugOwl3ForConditionalGeneration

    config, processor = read_parts(name)
    with torch.device("meta"):
        model = MplugOwl3ForConditionalGeneration(config)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    inputs = processor(
        processor.apply_chat_template([{"role": "user", "content": "<|image|>\nGood?"}]), images=[picture(0)]
    )

    assert find_model(name).parameters == pytest.approx(parameters / 1e9, abs=0.005)
    assert inputs["pixel_values"].shape[2:] == (config.vision_config.image_size,) * 2
    assert int(inputs["input_ids"].max()) < config.vocab_size
    assert find_model(name).family == config.model_type


def test_random_weights_give_ratings_in_a_small_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("240728", "241101"):
        sizes = {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        }
        vision = {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
        }
        full = GEOMETRIES[f"mplug-owl3-{version}"]
        part = {**full["vision_config"], **vision, "image_size": 60}
        small = {**full, **sizes, "vocab_size": 5000, "vision_config": part}
        monkeypatch.setitem(GEOMETRIES, f"mplug-owl3-{version}", small)
        rater = ChatRater.of(load_random(f"mplug-owl3-{version}", ModelOptions(device="cpu")))
        for (rating,) in rater.rate(make_views(3, side=200), [STANDARD]):
            assert rating is not None and sum(map(math.exp, rating.logprobs)) == pytest.approx(1)


def test_flash_attention_is_refused_for_random_weights_too() -> None:
    with pytest.raises(UserError, match="cannot run with flash_attention_2"):
        bench("--rater", NAMES[0], "--random-weights", "--attn", "flash_attention_2", "--device", "cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_full_size_models_on_a_gpu_keep_it_busy(name: str) -> None:
    """The aims (10 % outside the forward, 50 % of the peak) are shown by -s, not asserted."""
    shown = bench("--rater", name, "--random-weights", "--device", "cuda", "--format", "json").stdout
    print(shown)
    record = json.loads(shown)
    assert record["dtype"] == "bfloat16"
    assert record["tflop_per_view"] > 4
    assert record["outside_forward"] < 0.5
