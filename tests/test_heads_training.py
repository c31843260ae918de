"""Training from a checkpoint in the published layout to another one, on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from PIL import Image as PilImage
from safetensors.torch import load_file

from tests.tiny.lmm4lmm import lmm4lmm_config, lmm4lmm_tokenizer, write_lmm4lmm
from tests.torchrun import in_two_processes
from zeroiqa.errors import UserError
from zeroiqa.heads.folds import FoldChoice, divide
from zeroiqa.heads.lmm4lmm.checkpoint import load_model
from zeroiqa.heads.lmm4lmm.export import export
from zeroiqa.heads.lmm4lmm.head import Head
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
from zeroiqa.heads.lmm4lmm.trainable import RECIPE, load_published_trainable
from zeroiqa.heads.ratings import read_training_data
from zeroiqa.heads.training.batches import collate
from zeroiqa.heads.training.examples import make_examples
from zeroiqa.heads.training.loop import learn
from zeroiqa.heads.training.options import TrainingOptions
from zeroiqa.heads.training.train import train
from zeroiqa.images.decode import decode
from zeroiqa.weights.options import ModelOptions

CPU = torch.device("cpu")


def ratings(folder: Path, answers: bool = False) -> Path:
    """Grey images with noise, rated by their brightness; prompts of unequal length."""
    folder.mkdir()
    rows = ["image,question,answer" if answers else "image,mos,prompt"]
    for number in range(14):
        level = 30 + 14 * number
        noise = np.random.default_rng(number).normal(level, 6, (24, 32, 3))
        PilImage.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        text = "a cat" if number % 3 else "a very bright grey wall"
        said = f"Is it bright?,{'yes' if level > 125 else 'no'}" if answers else f"{level / 50},{text}"
        rows.append(f"{number}.png,{said}")
    (folder / "ratings.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder / "ratings.csv"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint like that of InternVL2.5: no LoRA, no regression."""
    folder = tmp_path_factory.mktemp("start") / "base"
    return write_lmm4lmm(folder, regression=False, rank=0)


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ratings(tmp_path_factory.mktemp("data") / "rated")


def options(**changes: object) -> TrainingOptions:
    base = {"epochs": 1, "batch_size": 4, "learning_rate": 3e-3, "device": "cpu"}
    return TrainingOptions(**{**base, "selection": FoldChoice("share:.3"), **changes})


def test_both_stages_one_after_the_other(tmp_path, base, rated):
    first = train(RECIPE, "1", base, rated, tmp_path / "stage1", options())
    second = train(RECIPE, "2", first.folder, rated, tmp_path / "stage2", options(epochs=3))

    assert second.history[-1].loss < second.history[0].loss
    record = json.loads((second.folder / "training.json").read_text("utf-8"))
    assert record["best"]["value"] == second.best.value == max(entry.value for entry in second.history)
    assert record["settings"]["stage"] == "2"
    assert not (second.folder / "training").exists()
    config = json.loads((second.folder / "config.json").read_text("utf-8"))
    assert config["use_backbone_lora"] == config["use_llm_lora"] == 8
    learnt, before = load_model(first.folder, regression=False), load_model(base, regression=False)
    changed = {
        name
        for name, weight in learnt.state_dict().items()
        if not torch.equal(weight, before.state_dict()[name])
    }
    assert changed == {name for name in before.state_dict() if name.startswith("mlp1.")}
    peft = PeftModel.from_pretrained(before, first.folder / "adapter")
    compare(peft, learnt)
    peft = PeftModel.from_pretrained(load_model(first.folder, regression=False), second.folder / "adapter")
    scores = load_model(second.folder)
    peft.base_model.model.regression = scores.regression
    compare(peft, scores)


@torch.no_grad()
def compare(peft: PeftModel, wanted: Lmm4Lmm) -> None:
    """Assert that peft makes of the start and the adapter what is in the checkpoint."""
    tiles = torch.randn(5, 3, 28, 28, generator=torch.Generator().manual_seed(4))
    ids = torch.tensor([[7, 8, *[wanted.image_token] * 20, 9, 10, 11]])
    inputs = (ids, tiles, torch.ones_like(ids), torch.ones(5))
    found, ours = (model(*inputs, level_ids=torch.arange(40, 60)) for model in (peft, wanted))
    torch.testing.assert_close(found.level_logits, ours.level_logits, atol=1e-5, rtol=1e-5)
    if wanted.regression is not None:
        torch.testing.assert_close(found.scores, ours.scores, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("stage", "regression"), [("2", True), ("qa", False)])
def test_what_is_written_says_what_was_trained(tmp_path, base, rated, stage, regression):
    data = rated if stage == "2" else ratings(tmp_path / "asked", answers=True)
    examples = make_examples(stage, divide(read_training_data(data), FoldChoice("share:.3")))
    learnt = learn(
        stage,
        lambda device, dtype: load_published_trainable(base, stage, device=device, dtype=dtype),
        examples,
        tmp_path / "state",
        options(),
    )

    export(learnt.trainable.model, stage, base, tmp_path / "written", file_bytes=100_000)
    again = load_model(tmp_path / "written", regression=regression)

    assert len([*(tmp_path / "written").glob("*.safetensors")]) > 2
    prepared = [learnt.trainable.encode(example) for example in examples.validation[:3]]
    (part,) = collate(prepared, learnt.trainable.join).parts
    ids = torch.tensor([word for words in learnt.trainable.words for word in words])
    inputs = {**part.inputs, "positions": part.positions, "level_ids": ids}
    with torch.no_grad():
        trained, loaded = learnt.trainable.model.eval()(**inputs), again(**inputs)
    torch.testing.assert_close(loaded.level_logits, trained.level_logits, atol=1e-4, rtol=1e-4)
    if regression:
        torch.testing.assert_close(loaded.scores, trained.scores, atol=1e-4, rtol=1e-4)
        assert trained.scores.min() > 0
    untrained = load_model(base, regression=False)(**inputs)
    assert (loaded.level_logits - untrained.level_logits).abs().max() > 1e-3


def test_a_released_checkpoint_is_trained_further_with_its_regression(tmp_path, rated):
    released = write_lmm4lmm(tmp_path / "released")

    result = train(RECIPE, "2", released, rated, tmp_path / "further", options(learning_rate=1e-9))

    before = load_model(released).state_dict()
    for name, weight in load_model(result.folder).state_dict().items():
        torch.testing.assert_close(weight, before[name], atol=1e-5, rtol=1e-5)


def test_a_training_that_was_killed_is_resumed(tmp_path, base, rated):
    steps: list[int] = []

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, "2", base, rated, tmp_path / "parts", options(every=2, epochs=2), stop)
    resumed = train(
        RECIPE,
        "2",
        base,
        rated,
        tmp_path / "parts",
        options(every=2, epochs=2),
        lambda at: steps.append(at.step),
    )
    whole = train(RECIPE, "2", base, rated, tmp_path / "whole", options(every=2, epochs=2))

    assert steps[0] == 3
    assert resumed.history == whole.history
    for path in sorted(whole.folder.glob("*.safetensors")):
        one, other = load_file(path), load_file(resumed.folder / path.name)
        assert all(torch.equal(weight, other[name]) for name, weight in one.items())


@pytest.mark.parametrize(
    ("stage", "start", "words"),
    [
        ("2", "nowhere", "holds no weights"),
        ("qa", "base", "yes or no is needed"),
        ("1", "released", "holds a regression"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, base, rated, stage, start, words):
    places = {"nowhere": tmp_path / "nowhere", "base": base, "released": tmp_path / "released"}
    if start == "released":
        write_lmm4lmm(places[start])

    with pytest.raises(UserError, match=words):
        train(RECIPE, stage, places[start], rated, tmp_path / "output", options())


def test_a_model_may_have_room_for_more_tokens_than_its_tokenizer(tmp_path, rated):
    """As padded vocabularies have: the image's token is where the tokenizer says, not near the end."""
    config = lmm4lmm_config(len(lmm4lmm_tokenizer()) + 64, rank=0)
    start = write_lmm4lmm(tmp_path / "roomy", regression=False, config=config)

    result = train(RECIPE, "2", start, rated, tmp_path / "output", options())

    judged = Head("perception", result.folder, ModelOptions(device="cpu")).score(
        [decode(rated.parent / "3.png")]
    )
    assert judged[0].score >= 0


def test_images_that_cannot_be_decoded_are_found_before_anything_is_learnt(tmp_path, base):
    data = ratings(tmp_path / "rated")
    (data.parent / "3.png").write_bytes(b"no image")
    PilImage.new("RGB", (3, 90)).save(data.parent / "11.png")
    steps: list[int] = []

    with pytest.raises(UserError, match="2 of the 14 images cannot be learnt from; leave them out"):
        train(RECIPE, "2", base, data, tmp_path / "output", options(), lambda at: steps.append(at.step))
    assert steps == [] and not (tmp_path / "output").exists()


def test_a_finished_training_is_not_written_over(tmp_path, base, rated):
    (tmp_path / "config.json").write_text("{}", "utf-8")

    with pytest.raises(UserError, match="holds a finished training"):
        train(RECIPE, "2", base, rated, tmp_path, options())


SCRIPT = """
import sys
from pathlib import Path
from zeroiqa.heads.folds import FoldChoice
from zeroiqa.heads.lmm4lmm.trainable import RECIPE
from zeroiqa.heads.training.train import train
from zeroiqa.heads.training.options import TrainingOptions
from zeroiqa.images.decode import decode
from zeroiqa.weights.options import ModelOptions
options = TrainingOptions(epochs=1, batch_size=4, learning_rate=3e-3, device="cpu", lora_dropout=0.0,
                          selection=FoldChoice("share:.3"))
train(RECIPE, "2", *map(Path, sys.argv[1:]), options)
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path, base, rated):
    (tmp_path / "script.py").write_text(SCRIPT, "utf-8")
    alone = train(RECIPE, "2", base, rated, tmp_path / "alone", options(lora_dropout=0.0))
    done = in_two_processes(tmp_path / "script.py", base, rated, tmp_path / "together")

    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((tmp_path / "together" / "training.json").read_text("utf-8"))
    assert record["settings"]["processes"] == 2
    assert record["history"][0]["loss"] == pytest.approx(alone.history[0].loss, rel=1e-4)
    one, both = load_model(alone.folder).state_dict(), load_model(tmp_path / "together").state_dict()
    for name, weight in one.items():
        torch.testing.assert_close(both[name], weight, atol=1e-4, rtol=1e-3)
