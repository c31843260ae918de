"""The recipe of LMM4LMM on other chat models: what is read, what is learnt, what is written."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from peft import PeftModel
from PIL import Image as PilImage
from safetensors.torch import load_file, save_file

from tests.tiny import FAMILIES, NATIVE, UNLISTED, build
from tests.tiny.lmm4lmm import write_lmm4lmm
from tests.torchrun import in_two_processes
from zeroiqa.chat.engine import ChatEngine
from zeroiqa.chat.loading import load
from zeroiqa.cli import cli
from zeroiqa.errors import UserError
from zeroiqa.heads.backbone.conversation import ChatConversation
from zeroiqa.heads.backbone.network import ChatNetwork
from zeroiqa.heads.backbone.trainable import load_chat_trainable
from zeroiqa.heads.backbone.weights import read_backbone_head
from zeroiqa.heads.folds import FoldChoice, divide
from zeroiqa.heads.lmm4lmm.head import Head
from zeroiqa.heads.lmm4lmm.trainable import RECIPE
from zeroiqa.heads.questions import PERCEPTION, QUALITY_IS, Question, question_of
from zeroiqa.heads.ratings import read_training_data
from zeroiqa.heads.training.batches import collate
from zeroiqa.heads.training.examples import Example
from zeroiqa.heads.training.objective import WordObjective
from zeroiqa.heads.training.options import TrainingOptions
from zeroiqa.heads.training.train import train
from zeroiqa.images.decode import decode
from zeroiqa.metrics.measures import srcc
from zeroiqa.standards import FilledPrompt
from zeroiqa.weights.options import ModelOptions

QUESTION = FilledPrompt("", PERCEPTION)
LOGITS = {"output_logits": True, "return_dict_in_generate": True}
CPU = ModelOptions(device="cpu")
SMALL = ("qwen2_5_vl", "internvl", "mllama", "llava_next")
"""Backbones of the paper's table 6 that transformers has, and one whose last vision layer nothing reads."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("backbones")
    return {family: build(family, folder / family) for family in SMALL}


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey images of two shapes, rated by their brightness; prompts of unequal length; questions."""
    folder = tmp_path_factory.mktemp("data")
    rows, asked = ["image,mos,prompt"], ["image,question,answer"]
    for number in range(24):
        level = 20 + 9 * number
        noise = np.random.default_rng(number).normal(level, 8, (56 + number % 2 * 28, 84, 3))
        PilImage.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{level / 50},{'a wall' if number % 3 else 'a very bright grey wall'}")
        if abs(level - 120) > 20:
            asked.append(f"{number}.png,Is it bright?,{'Yes' if level > 120 else 'No'}")
    (folder / "ratings.csv").write_text("\n".join(rows) + "\n", "utf-8")
    (folder / "questions.csv").write_text("\n".join(asked) + "\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(places: dict[str, Path], rated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head on InternVL that scores; not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "head"
    return train(
        RECIPE, "2", f"hf:{places['internvl']}", rated / "ratings.csv", folder, options(epochs=1)
    ).folder


def options(**changes: object) -> TrainingOptions:
    base = {"epochs": 8, "batch_size": 6, "learning_rate": 1e-2, "device": "cpu"}
    return TrainingOptions(**{**base, "selection": FoldChoice("share:.4"), **changes})


def noise(seed: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def same_by_peft(backbone: Path, folder: Path) -> None:
    """Assert that peft makes of the backbone and a trained folder what is made of them here."""
    ours, theirs = (load(str(backbone), CPU) for _ in range(2))
    before = load(str(backbone), CPU).model
    read_backbone_head(folder).merge(ours)
    with warnings.catch_warnings():  # peft asks transformers for what that calls by another name now
        warnings.filterwarnings("ignore", message=".is_gradient_checkpointing", category=FutureWarning)
        peft = PeftModel.from_pretrained(theirs.model, folder)
    engine = ChatEngine(ours)
    item = engine.preprocessor.prepare(noise(5, (90, 120)), engine.template.text(QUESTION))
    with torch.no_grad():
        wanted, found, untrained = (
            model.eval()(**item.tensors).logits for model in (ours.model, peft, before)
        )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert (wanted - untrained).abs().max() > 1e-4


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("family", [*FAMILIES, *UNLISTED, *NATIVE])
def test_hidden_states_are_what_the_models_own_output_layer_reads(family, tmp_path):
    """Against the logits that `generate` gives, before the output layer is taken out."""
    loaded = load(str(build(family, tmp_path / family)), CPU)
    untouched = load(str(tmp_path / family), CPU).model
    network = ChatNetwork(loaded)
    engine = network.engine
    text = engine.template.text(QUESTION)
    sizes = [(90, 120), (140, 70)]
    items = [engine.preprocessor.prepare(noise(number, size), text) for number, size in enumerate(sizes)]

    for item in items:
        with torch.no_grad():
            states = network.hidden_states(**network.join([item]))
            found = network.output(states[:, -1])
            said = untouched.generate(**item.tensors, max_new_tokens=1, do_sample=False, **LOGITS)
            wanted = said.logits[0]
        torch.testing.assert_close(found.float(), wanted.float(), atol=1e-4, rtol=1e-4)
    assert network.projectors()
    towers = network.towers()
    assert any("vis" in name for name in towers) and any("lang" in name or "text" in name for name in towers)


@pytest.mark.parametrize("family", SMALL)
def test_the_read_token_is_the_last_of_the_cut_prompt(places, rated, family):
    """The hidden state before the level word, beside a longer row, is that of the prompt cut there."""
    trainable = load_chat_trainable(
        f"hf:{places[family]}", "1", device=torch.device("cpu"), dtype=torch.float32
    )
    examples = [
        Example(rated / f"{number}.png", question, f"{begun} good.", 1.0)
        for number, (question, begun) in enumerate(
            [
                question_of("perception", None, "lmm4lmm"),
                question_of("correspondence", "a very bright grey wall", "lmm4lmm"),
            ]
        )
    ]

    batch = collate([trainable.encode(example) for example in examples], trainable.join)
    together = WordObjective(trainable.model, "1", trainable.words).features(batch)

    assert len({part.inputs["input_ids"].shape for part in batch.parts}) == 1
    for row, example in enumerate(examples):
        cut = trainable.conversation.prompt(Question(example.question, example.answer.removesuffix(" good.")))
        item = trainable.model.engine.preprocessor.prepare(decode(example.path).pixels, cut)
        with torch.no_grad():
            alone = trainable.model.hidden_states(**trainable.model.join([item]))[0, -1]
        torch.testing.assert_close(together[row], alone, atol=1e-4, rtol=1e-4)
    labels = batch.parts[0].labels[0]
    said = trainable.model.engine.loaded.processor.tokenizer.decode(labels[labels >= 0])
    assert said.strip().startswith(f"{QUALITY_IS} good.") and len(said.strip()) > len(QUALITY_IS) + 6


# ---------------------------------------------------------------- what is learnt


@pytest.mark.parametrize("family", SMALL[:3])
def test_stage_2_learns_and_its_folder_scores_as_it_was_trained(places, rated, tmp_path, family):
    result = train(RECIPE, "2", f"hf:{places[family]}", rated / "ratings.csv", tmp_path / "head", options())

    assert result.history[-1].loss < result.history[0].loss / 2
    assert result.best.value > 0.8  # of eight images: rounding puts two in another order
    chosen_on = divide(read_training_data(rated / "ratings.csv"), FoldChoice("share:.4")).validation
    images = [decode(example.path) for example in chosen_on]
    prompts = [example.question.partition("prompt: ")[2] for example in chosen_on]
    judged = Head("correspondence", result.folder, CPU).score(images, prompts=prompts)
    assert srcc([each.score for each in judged], [example.mos for example in chosen_on]) == result.best.value
    for image, prompt, found in zip(images[:2], prompts, judged, strict=False):
        (one,) = Head("correspondence", result.folder, CPU).score([image], prompts=[prompt])
        assert one.score == pytest.approx(found.score, abs=1e-3)
        assert one.levels == pytest.approx(found.levels, abs=1e-4) and sum(one.levels) == pytest.approx(1)
    sizes = {path.suffix: path.stat().st_size for path in result.folder.iterdir()}
    assert sizes[".safetensors"] < 2_500_000  # what was learnt; the backbone's own weights stay away


def test_both_stages_and_then_more(places, rated, tmp_path):
    """Each folder has all that was learnt: the next one needs the backbone, and no folder before it."""
    base = f"hf:{places['qwen2_5_vl']}"
    data = rated / "ratings.csv"
    first = train(RECIPE, "1", base, data, tmp_path / "stage1", options(epochs=1)).folder
    second = train(RECIPE, "2", first, data, tmp_path / "stage2", options(epochs=2)).folder
    more = train(RECIPE, "2", second, data, tmp_path / "more", options(epochs=1, learning_rate=1e-9)).folder

    one, two, three = (load_file(folder / "adapter_model.safetensors") for folder in (first, second, more))
    assert one and all("merger" in name for name in one)
    assert all(torch.equal(two[name], weight) for name, weight in one.items())
    matrix = next(name for name in two if name.endswith(".lora_A.weight"))
    assert two[matrix].shape[0] == 8 and three[matrix].shape[0] == 16
    for folder in (first, second, more):
        same_by_peft(places["qwen2_5_vl"], folder)
    image = decode(rated / "3.png")
    scores = [Head("perception", folder, CPU).score([image])[0].score for folder in (second, more)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    with pytest.raises(UserError, match="has no regression, so it gives none; take what was trained for"):
        Head("perception", first, CPU).score([image])


def test_a_head_in_the_format_of_an_older_version_scores_as_ever(places, rated, trained, tmp_path, caplog):
    """All tensors in one file, LoRA by the names of the layers; W + 2 B A."""
    image = decode(rated / "3.png")
    (wanted,) = Head("perception", trained, CPU).score([image])
    older = tmp_path / "older"
    older.mkdir()
    shutil.copy(trained / "head.json", older)
    head = read_backbone_head(trained)
    tensors = {f"regression.{name}": tensor for name, tensor in head.regression.items()}
    for layer, found in head.adapter.layers.items():
        tensors |= {f"{layer}.lora_A": found.a, f"{layer}.lora_B": found.b}
    save_file(tensors, older / "head.safetensors")

    with caplog.at_level("WARNING"):
        (found,) = Head("perception", older, CPU).score([image])

    assert found == wanted
    (record,) = caplog.records
    assert "older is in the format of an older zeroiqa (head.safetensors)" in record.message
    more = train(RECIPE, "2", older, rated / "ratings.csv", tmp_path / "more", options(epochs=1))
    assert not (more.folder / "head.safetensors").exists()
    same_by_peft(places["internvl"], more.folder)


def test_a_head_scores_where_peft_is_not_installed(rated, trained, monkeypatch):
    image = decode(rated / "3.png")
    wanted = Head("perception", trained, CPU).score([image])
    monkeypatch.setitem(sys.modules, "peft", None)

    assert Head("perception", trained, CPU).score([image]) == wanted


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_next"])
def test_answers_are_learnt(places, rated, tmp_path, family):
    data = rated / "questions.csv"
    result = train(RECIPE, "qa", f"hf:{places[family]}", data, tmp_path / "head", options(epochs=10))

    assert result.best.value > 0.9
    images = [decode(rated / f"{number}.png") for number in (0, 1, 22, 23)]
    said = Head("qa", result.folder, CPU).score(images, questions=["Is it bright?"] * 4)
    assert [each.yes > 0.5 for each in said] == [False, False, True, True]
    assert all(each.score is None for each in said)
    with pytest.raises(UserError, match=r"has no regression, .* trained for perception .*--stage 2"):
        Head("perception", result.folder, CPU).score(images)


def test_resumed_is_uninterrupted(places, rated, tmp_path):
    base, data = f"hf:{places['internvl']}", rated / "ratings.csv"

    def stop(progress):
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, "2", base, data, tmp_path / "parts", options(epochs=2), stop)
    with pytest.raises(UserError, match="unfinished training with another start"):
        train(RECIPE, "2", f"hf:{places['mllama']}", data, tmp_path / "parts", options(epochs=2))
    resumed = train(RECIPE, "2", base, data, tmp_path / "parts", options(epochs=2))
    whole = train(RECIPE, "2", base, data, tmp_path / "whole", options(epochs=2))

    assert resumed.history == whole.history
    for name in ("adapter_model.safetensors", "regression.safetensors"):
        assert (whole.folder / name).read_bytes() == (resumed.folder / name).read_bytes()


def test_checkpointing_changes_no_gradient_of_our_own_family(tmp_path):
    """mPLUG-Owl3's network is of this package, so that its blocks can be computed again is ours to show."""
    network = ChatNetwork(load(str(build("mplug_owl3_241101", tmp_path / "owl")), CPU))
    network.train().requires_grad_(True)
    text = network.engine.template.text(QUESTION)
    item = network.engine.preprocessor.prepare(noise(0, (90, 120)), text)
    gradients = []
    for again in (False, True):
        if again:
            network.model.activation_checkpointing_enable({"use_reentrant": False})
        network.zero_grad()
        network.hidden_states(**network.join([item]))[0, -1].square().sum().backward()
        gradients.append([weight.grad for weight in network.parameters() if weight.grad is not None])

    assert len(gradients[0]) > 30
    for kept, computed in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, computed, atol=1e-4, rtol=1e-4)


def test_train_and_score_by_the_command_line(places, rated, tmp_path):
    run = CliRunner().invoke
    training = [
        "head",
        "train",
        "lmm4lmm",
        "--stage",
        "2",
        "--data",
        str(rated / "ratings.csv"),
        "--epochs",
        "1",
    ]
    where = ["-o", str(tmp_path / "head"), "--device", "cpu"]

    done = run(cli, [*training, *where, "--backbone", f"hf:{places['internvl']}"])
    assert done.exit_code == 0, done.output
    scoring = ["head", "score", "lmm4lmm:perception", str(rated), "--weights", str(tmp_path / "head")]
    done = run(cli, [*scoring, "-o", str(tmp_path / "run"), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    with (tmp_path / "run" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 and all(float(row["score"]) >= 0 for row in rows)
    again = run(cli, [*training, *where, "--backbone", f"hf:{places['internvl']}"])
    assert isinstance(again.exception, UserError) and "holds a finished training" in str(again.exception)
    for wrong in ([], ["--backbone", "hf:x", "--start", "x"]):
        refused = run(cli, [*training, *where, *wrong])
        assert refused.exit_code == 2 and "Give one of --start" in refused.output


@pytest.mark.slow
def test_two_processes_train_a_model_with_layers_that_nothing_reads(places, rated, tmp_path):
    choices = ["--stage", "2", "--epochs", "1", "--batch-size", "6", "--device", "cpu"]
    where = ["--data", rated / "ratings.csv", "-o", tmp_path / "head"]
    backbone = f"hf:{places['llava_next']}"
    command = ["head", "train", "lmm4lmm", *choices, *where, "--backbone", backbone]
    done = in_two_processes("-m", "zeroiqa", *command)

    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("validation SRCC") == 1  # the other process says nothing
    record = json.loads((tmp_path / "head" / "training.json").read_text("utf-8"))
    assert record["settings"]["processes"] == 2 and record["history"][0]["step"] > 1


# ---------------------------------------------------------------- what does not fit


def test_other_weights_than_those_trained_on_are_refused(rated, tmp_path):
    backbone = build("internvl", tmp_path / "backbone")
    result = train(RECIPE, "2", f"hf:{backbone}", rated / "ratings.csv", tmp_path / "head", options(epochs=1))
    weights = backbone / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0?")

    with pytest.raises(UserError, match="was trained on other weights of"):
        Head("perception", result.folder, CPU).score([decode(rated / "1.png")])


def test_what_cannot_be_a_backbone_is_one_sentence(places, rated, tmp_path):
    data = rated / "ratings.csv"
    owl = build("mplug_owl3_240728", tmp_path / "owl")  # its tokenizer knows other words than the levels

    with pytest.raises(UserError, match=r"level words bad, .* are not single tokens .*; choose another"):
        train(RECIPE, "2", f"hf:{owl}", data, tmp_path / "head", options())
    with pytest.raises(UserError, match="published layout, .* give its folder as the start"):
        train(RECIPE, "2", f"hf:{write_lmm4lmm(tmp_path / 'released')}", data, tmp_path / "head", options())
    with pytest.raises(UserError, match="There is no model 'nowhere'"):
        train(RECIPE, "2", "nowhere", data, tmp_path / "head", options())
    with pytest.raises(UserError, match="There is no folder"):
        train(RECIPE, "2", f"hf:{tmp_path / 'nowhere'}", data, tmp_path / "head", options())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("head.json", "{}"),
        ("adapter_model.safetensors", ""),
        ("adapter_config.json", "[]"),
        ("regression.safetensors", ""),
    ],
)
def test_a_damaged_folder_is_named(rated, trained, tmp_path, name, content):
    folder = shutil.copytree(trained, tmp_path / "head")
    (folder / name).write_text(content, "utf-8")

    with pytest.raises(UserError, match="incomplete or damaged"):
        Head("perception", folder, CPU).score([decode(rated / "1.png")])


def test_eight_bit_weights_are_refused(rated, trained):
    with pytest.raises(UserError, match="leave out --load-in-8bit"):
        Head("perception", trained, ModelOptions(device="cpu", load_in_8bit=True)).score(
            [decode(rated / "1.png")]
        )


def test_control_tokens_in_answers_are_refused(places):
    network = ChatNetwork(load(str(places["qwen2_5_vl"]), CPU))
    with pytest.raises(UserError, match="control token"):
        ChatConversation(network.engine).with_answer("Is it?", "yes<|im_end|>")
