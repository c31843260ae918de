"""mPLUG-Owl3 as a rater: loaded without its own code, refused where something is wrong, fast all the same."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from tests.test_chat_families import VIEWS, difference, numbers  # noqa: E402
from tests.tiny import NATIVE, load_parts, mplug_owl3  # noqa: E402
from zeroiqa.chat.engine import ChatEngine  # noqa: E402
from zeroiqa.chat.loading import load  # noqa: E402
from zeroiqa.chat.native import FAMILIES  # noqa: E402
from zeroiqa.errors import ImageError, UserError  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.standards import FilledPrompt, load_standard  # noqa: E402
from zeroiqa.weights.downloads import missing_files  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

CPU = ModelOptions(device="cpu")
STANDARD = load_standard("quality-word-7")
Tiny = Callable[[str], Path]


@pytest.fixture(params=NATIVE)
def folder(request: pytest.FixtureRequest, tiny: Tiny) -> Path:
    return tiny(request.param)


@pytest.fixture(params=NATIVE)
def copied(request: pytest.FixtureRequest, tiny: Tiny, tmp_path: Path) -> Path:
    """A checkpoint that a test may damage."""
    return Path(shutil.copytree(tiny(request.param), tmp_path / "model"))


def edit(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


# ---------------------------------------------------------------- loading


@pytest.mark.parametrize("trust", [False, True])
def test_the_code_that_the_config_refers_to_never_runs(
    trust: bool, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
    for name in ("configuration", "modeling", "processing", "image_processing"):
        (copied / f"{name}_mplugowl3.py").write_text(mark)
    assert "auto_map" in json.loads((copied / "config.json").read_text())
    options = replace(CPU, trust_remote_code=trust)
    with caplog.at_level(logging.WARNING):
        ChatRater(str(copied), options).check(STANDARD)
        loaded = load(str(copied), options)

    assert not (copied / "ran").exists() and not caplog.records
    assert loaded.family == "mplugowl3" and loaded.dtype == torch.float32 == loaded.model.dtype
    assert loaded.processor.tokenizer.padding_side == "left" and not loaded.model.training


def test_flash_attention_is_refused_before_anything_is_loaded(folder: Path) -> None:
    rater = ChatRater(str(folder), replace(CPU, attn="flash_attention_2"))
    with pytest.raises(UserError, match="cannot run with flash_attention_2.*choose --attn sdpa or eager"):
        rater.check(STANDARD)


def test_tensors_that_do_not_fit_are_refused_by_name(copied: Path) -> None:
    def move(tensors: dict[str, Tensor]) -> None:
        """To a layer without hyper attention: from an even index to an odd one, or the other way."""
        name = next(name for name in tensors if name.endswith("v_kv_proj.bias"))
        index = int(name.split(".")[3])
        tensors[name.replace(f"layers.{index}.", f"layers.{index ^ 1}.")] = tensors.pop(name)

    wrong = r"tensors missing: \S+v_kv_proj.bias; without a place in the model: \S+v_kv_proj.bias\)"
    with pytest.raises(UserError, match=wrong):
        load(str(edit(copied, move)), CPU)


def test_a_tensor_of_another_shape_is_refused(copied: Path) -> None:
    name = "language_model.model.norm.weight"
    with pytest.raises(UserError, match=f"of another shape: {name}"):
        load(str(edit(copied, lambda tensors: tensors.update({name: tensors[name][:-1].clone()}))), CPU)


@pytest.mark.parametrize("name", ["vision_model.post_layernorm.weight", "vision_model.head.probe"])
def test_even_an_unused_tensor_must_not_be_lost(name: str, copied: Path) -> None:
    with pytest.raises(UserError, match=f"tensors missing: {name}"):
        load(str(edit(copied, lambda tensors: tensors.pop(name))), CPU)


def test_weights_of_another_network_are_refused(copied: Path) -> None:
    def unmark(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if "gate_proj.0" in name or "text_model.2" in name]:
            del tensors[name]

    with pytest.raises(UserError, match="are not those of mPLUG-Owl3-7B-240728 or -241101"):
        load(str(edit(copied, unmark)), CPU)
    (copied / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights"):
        load(str(copied), CPU)


def test_a_tokenizer_that_knows_the_placeholder_is_refused(copied: Path) -> None:
    tokenizer = mplug_owl3.make_tokenizer()
    tokenizer.add_tokens(["<|image|>"], special_tokens=True)
    tokenizer.save_pretrained(copied)
    with pytest.raises(UserError, match=r"reads <\|image\|> as one token"):
        load(str(copied), CPU)


def test_a_folder_without_a_processor_s_files_is_complete(folder: Path, tiny: Tiny, tmp_path: Path) -> None:
    assert missing_files(folder, native=FAMILIES) == ()
    assert missing_files(folder) == ("preprocessor_config.json",)
    other = shutil.copytree(tiny("qwen2_vl"), tmp_path / "other")
    for path in other.glob("*processor_config.json"):
        path.unlink()
    assert missing_files(other) == ("preprocessor_config.json",)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_8_bits_give_almost_the_ratings_of_32(folder: Path) -> None:
    pytest.importorskip("bitsandbytes")
    full, quantised = (ChatRater(str(folder), replace(CPU, load_in_8bit=bits)) for bits in (False, True))
    ratings = [np.exp(numbers(rater.rate(VIEWS[:2], [STANDARD]))[..., :7]) for rater in (full, quantised)]

    assert "Linear8bitLt" in {type(layer).__name__ for layer in quantised.loaded.model.modules()}
    assert 0 < difference(*ratings) < 0.2


# ---------------------------------------------------------------- rating


def test_what_stands_for_an_image_is_refused_in_a_prompt(folder: Path) -> None:
    engine = ChatEngine(load(str(folder), CPU))
    for text in ("<|image|>", "<|video|>", "<|im_end|>"):
        with pytest.raises(ImageError, match="reads as a control token"):
            engine.template.text(FilledPrompt("", f"a photo of {text} and a cat"))
    assert "<|image|>\nHow good?" in engine.template.text(FilledPrompt("", "How good?"))


def test_the_shared_beginning_ends_before_the_first_image(folder: Path) -> None:
    """Cut, it is the markup that begins the image; uncut, the image itself, whose end is like any text."""
    loaded = load(str(folder), CPU)
    for cut in (True, False):
        processor = replace(
            loaded.processor, image_processor=replace(loaded.processor.image_processor, cut=cut)
        )
        engine = ChatEngine(replace(loaded, processor=processor))
        text = engine.template.text(STANDARD.fill())
        item = engine.preprocessor.prepare(VIEWS[0].pixels, text)
        first = int(item.tensors["image_starts"][0].argmax())
        assert item.image_start == (first if not cut else 88 if processor.version == "241101" else 86)
        assert item.image_start <= first
        assert engine.paths.prefix == "any" and engine.paths.features and engine.paths.batch


def test_a_begun_answer_is_continued_as_by_the_model_itself(folder: Path) -> None:
    """The readout of SeP-IQA: the image, the question right behind it, and the beginning of the answer."""
    prompt = load_standard("sep-iqa").fill()
    found = ChatRater(str(folder), CPU).model.last_logprobs(VIEWS[:2], prompt, prompt.answer)
    model, processor = load_parts(folder)
    for row, view in zip(found, VIEWS, strict=False):
        turns = [
            {"role": "user", "content": f"<|image|>{prompt.user}"},
            {"role": "assistant", "content": prompt.answer},
        ]
        text = processor.apply_chat_template(turns, continue_final_message=True)
        with torch.inference_mode():
            logits = model(**processor(text, images=[Image.fromarray(view.pixels)])).logits[0, -1]
        assert float((logits.log_softmax(-1) - row).abs().max()) < 1e-4


def test_an_answer_in_words_is_the_greedy_one_of_whole_passes(folder: Path) -> None:
    engine = ChatEngine(load(str(folder), CPU))
    item = engine.preprocessor.prepare(VIEWS[0].pixels, engine.template.text(STANDARD.fill()))
    ids = engine.forward.answer(item, 4)
    tensors, found = dict(item.tensors), []
    while len(found) < len(ids):
        with torch.inference_mode():
            found.append(int(engine.loaded.model(**tensors).logits[0, -1].argmax()))
        for name, value in (("input_ids", found[-1]), ("attention_mask", 1), ("image_starts", 0)):
            tensors[name] = torch.cat([tensors[name], torch.tensor([[value]])], dim=1)

    assert ids == found


def test_a_copy_of_the_processor_prepares_the_same(folder: Path) -> None:
    processor = load(str(folder), CPU).processor
    one, other = (
        each("<|image|> good", images=[VIEWS[0].pixels]) for each in (processor, deepcopy(processor))
    )

    assert all(torch.equal(one[name], other[name]) for name in one)
