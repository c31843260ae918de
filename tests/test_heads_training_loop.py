"""The loop of a training: on a tiny network and images whose brightness is rated, in seconds on the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from zeroiqa.chat.inputs import NotJoinableError, PromptInputs, Tensors
from zeroiqa.errors import UserError
from zeroiqa.heads.folds import Folds
from zeroiqa.heads.lmm4lmm.config import read_config
from zeroiqa.heads.lmm4lmm.conversation import EncodedConversation
from zeroiqa.heads.lmm4lmm.inputs import joined
from zeroiqa.heads.lmm4lmm.lora import published_lora
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
from zeroiqa.heads.lmm4lmm.picture import pixel_values
from zeroiqa.heads.lmm4lmm.trainable import PublishedTrainable
from zeroiqa.heads.ratings import RatedQuestion
from zeroiqa.heads.training.batches import EncodedExample, StepPlan, collate
from zeroiqa.heads.training.examples import Example, Examples, make_examples
from zeroiqa.heads.training.loop import TrainingOutcome, learn, schedule
from zeroiqa.heads.training.objective import WordObjective
from zeroiqa.heads.training.options import Progress, TrainingOptions
from zeroiqa.heads.training.trainable import LoadTrainable, Trainable

SIZES = {
    "vision_config": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "patch_size": 14,
        "image_size": 28,
    },
    "llm_config": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "vocab_size": 80,
        "max_position_embeddings": 512,
    },
}
IMAGE, TILES = 80 - 9 + 2, 5
LEVELS = ["bad.", "poor.", "fair.", "good.", "excellent."]
WORDS = {word: number for number, word in enumerate([*LEVELS, "yes", "no"], 40)}
END = 1


def network(stage: str, dtype: torch.dtype = torch.float32) -> Lmm4Lmm:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return Lmm4Lmm(read_config(SIZES, "config.json"), regression=False).to(dtype)


def encoded(question: str, answer: str, stage: str) -> EncodedConversation:
    """A toy tokenizer: letters for the question, words for the answer; "is" is read, or what precedes it."""
    asked = [2, *[IMAGE] * TILES, *(10 + ord(letter) % 26 for letter in question), 3]
    said = [WORDS.get(word, 39) for word in answer.split()] + [END]
    return EncodedConversation(
        [*asked, *said], len(asked), len(asked) - 1 if stage == "qa" else len(asked + said) - 3
    )


@functools.cache
def picture(level: int) -> torch.Tensor:
    image = np.random.default_rng(level).normal(level, 8, (20, 30, 3)).clip(0, 255).astype(np.uint8)
    return pixel_values(image, tile=28)


def prepared(conversation: EncodedConversation, tiles: torch.Tensor, target: float) -> EncodedExample:
    ids = torch.tensor([conversation.ids])
    flags = torch.ones(len(tiles), dtype=torch.int64)
    tensors = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": tiles,
        "image_flags": flags,
    }
    length = len(conversation.ids)
    return EncodedExample(
        PromptInputs(tensors, 0), length - conversation.answer, length - conversation.read, target
    )


class Toy(PublishedTrainable):
    """The published network on pictures that are no files, with a toy tokenizer."""

    def encode(self, example: Example) -> EncodedExample:
        tokens = encoded(example.question, example.answer, self.stage)
        return prepared(tokens, picture(int(example.path.stem)), example.target)


def load(stage: str) -> LoadTrainable:
    names = ["no", "yes"] if stage == "qa" else LEVELS
    words = [[WORDS[name]] for name in names]

    def trainable(device: torch.device, dtype: torch.dtype) -> Trainable:
        return Toy(network(stage, dtype), words, "toy", stage, Path(), None)

    return trainable


def examples(stage: str, count: int = 48) -> Examples:
    """Images named by their brightness, which is rated from 0 to 5; questions of unequal length."""
    levels = np.linspace(30, 225, count).astype(int).tolist()
    examples = [
        RatedQuestion(
            str(level),
            Path(f"{level}.png"),
            "How good?" if level % 3 else "Is it good at all?",
            None if stage == "qa" else level / 51,
            ("yes" if level > 127 else "no") if stage == "qa" else None,
        )
        for level in levels
    ]
    return make_examples(
        stage, Folds(tuple(examples[::4] + examples[1::4] + examples[2::4]), tuple(examples[3::4]))
    )


def options(**changes: object) -> TrainingOptions:
    base = {"epochs": 12, "batch_size": 8, "learning_rate": 1e-2, "device": "cpu", "seed": 1}
    return TrainingOptions(**{**base, **changes})


def trained(
    stage: str, state: Path, report: Callable[[Progress], None] = print, **changes: object
) -> TrainingOutcome:
    return learn(stage, load(stage), examples(stage), state, options(**changes), report)


def learnt_weights(learnt: TrainingOutcome) -> dict[str, torch.Tensor]:
    return {
        name: weight.detach()
        for name, weight in learnt.trainable.model.named_parameters()
        if weight.requires_grad
    }


def test_stage_2_lowers_the_loss_and_raises_the_agreement(tmp_path):
    learnt = trained("2", tmp_path)

    first, last = learnt.history[0], learnt.history[-1]
    assert last.loss < first.loss / 3
    assert last.value > 0.9
    assert learnt.best.value == max(entry.value for entry in learnt.history)
    names = {
        name.rsplit(".", 3)[-3] if "lora" in name else name.split(".")[0] for name in learnt_weights(learnt)
    }
    assert names == {"lora_A", "lora_B", "regression"}


def test_stage_1_teaches_the_projector_alone(tmp_path):
    learnt = trained("1", tmp_path, epochs=6)

    before = network("1").state_dict()
    changed = {
        name for name, weight in learnt.trainable.model.state_dict().items() if weight.ne(before[name]).any()
    }
    assert changed == {name for name in before if name.startswith("mlp1.")}
    assert learnt.history[-1].loss < learnt.history[0].loss


def test_answers_are_learnt(tmp_path):
    learnt = trained("qa", tmp_path)

    assert learnt.history[-1].loss < learnt.history[0].loss
    assert learnt.best.value > 0.9
    assert learnt.trainable.model.regression is None


def test_bfloat16_keeps_what_is_learnt_in_float32(tmp_path):
    learnt = trained("2", tmp_path, dtype="bfloat16", epochs=2)

    model = learnt.trainable.model
    assert model.language_model.lm_head.weight.dtype == torch.bfloat16
    assert {weight.dtype for weight in learnt_weights(learnt).values()} == {torch.float32}
    assert learnt.history[-1].loss < learnt.history[0].loss


class StoppedError(Exception):
    pass


def interrupt_after(step: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise StoppedError

    return report


@pytest.mark.parametrize("stage", ["1", "2", "qa"])
def test_a_resumed_training_ends_where_one_without_interruption_does(tmp_path, stage):
    whole = trained(stage, tmp_path / "whole", epochs=3, every=4)
    for step in (6, 11):
        with pytest.raises(StoppedError):
            trained(stage, tmp_path / "parts", interrupt_after(step), epochs=3, every=4)
    steps: list[int] = []
    resumed = trained(stage, tmp_path / "parts", lambda at: steps.append(at.step), epochs=3, every=4)

    assert steps == list(range(9, 16))
    assert resumed.history == whole.history
    for name, weight in learnt_weights(whole).items():
        assert torch.equal(weight, learnt_weights(resumed)[name]), name


def test_a_point_of_an_older_version_is_resumed(tmp_path):
    """Its files had other names."""
    whole = trained("qa", tmp_path / "whole", epochs=2)
    with pytest.raises(StoppedError):
        trained("qa", tmp_path / "parts", interrupt_after(6), epochs=2)
    (point,) = (tmp_path / "parts").glob("step-*")
    (point / "model.safetensors").rename(point / "weights.safetensors")
    (point / "optimizer.bin").rename(point / "optimiser.pt")
    (point / "random_states_0.pkl").unlink()

    resumed = trained("qa", tmp_path / "parts", epochs=2)

    assert resumed.history == whole.history
    for name, weight in learnt_weights(whole).items():
        assert torch.equal(weight, learnt_weights(resumed)[name]), name


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tmp_path):
    one, same, other = (
        learnt_weights(trained("2", tmp_path / name, epochs=1, seed=seed))
        for name, seed in (("one", 3), ("same", 3), ("other", 4))
    )

    assert all(torch.equal(weight, same[name]) for name, weight in one.items())
    assert any(not torch.equal(weight, other[name]) for name, weight in one.items())


def test_checkpointing_changes_no_weight(tmp_path):
    kept, again = (
        learnt_weights(trained("2", tmp_path / str(on), epochs=1, checkpointing=on)) for on in (False, True)
    )

    for name, weight in kept.items():
        torch.testing.assert_close(weight, again[name], atol=1e-6, rtol=1e-5)


def test_another_training_is_not_resumed(tmp_path):
    with pytest.raises(StoppedError):
        trained("2", tmp_path, interrupt_after(6), epochs=3)

    with pytest.raises(UserError, match=r"unfinished training with another learning_rate: 0\.01, not 0\.02"):
        trained("2", tmp_path, epochs=3, learning_rate=0.02)


def test_a_damaged_point_is_named(tmp_path):
    with pytest.raises(StoppedError):
        trained("2", tmp_path, interrupt_after(6), epochs=3)
    (weights,) = tmp_path.glob("step-*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])

    with pytest.raises(UserError, match="step-00000005 is damaged"):
        trained("2", tmp_path, epochs=3)


def test_each_example_of_a_batch_is_read_at_its_own_position():
    model = network("2").eval()
    objective = WordObjective(model, "1", [[WORDS["bad."]], [WORDS["good."]]])
    toy = load("1")(torch.device("cpu"), torch.float32)
    long, short = (toy.encode(example) for example in examples("1").train[:2])
    assert long.inputs.length != short.inputs.length

    together = objective.features(collate([long, short], toy.join))

    for row, alone in enumerate((long, short)):
        torch.testing.assert_close(
            together[row : row + 1], objective.features(collate([alone], toy.join)), atol=1e-5, rtol=0
        )
    apart = objective.features(collate([long, short], never))
    torch.testing.assert_close(apart, together, atol=1e-5, rtol=0)


def never(items: Sequence[PromptInputs]) -> Tensors:
    """Images that have no common batch."""
    if len(items) > 1:
        raise NotJoinableError
    return joined(items)


def test_the_loss_is_the_same_where_images_have_no_common_batch():
    toy = load("1")(torch.device("cpu"), torch.float32)
    objective = WordObjective(toy.model.eval(), "1", toy.words)
    encoded_examples = [toy.encode(example) for example in examples("1").train[:3]]

    losses = [objective(collate(encoded_examples, join)) for join in (toy.join, never)]

    torch.testing.assert_close(*losses, atol=1e-5, rtol=0)
    assert len(collate(encoded_examples, never).parts) == 3


def test_every_draw_of_a_regression_is_tried_in_bfloat16_too():
    toy = load("2")(torch.device("cpu"), torch.float32)
    batch = collate([toy.encode(example) for example in examples("2").train[:4]], toy.join)
    draws = []
    for seed in range(6):
        found = []
        for mixed in (False, True):
            objective = WordObjective(toy.model, "2", toy.words).eval()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
                objective.draw(batch, seed)
            found.append(objective.model.regression.fc1.weight)
        assert torch.equal(*found)
        first = torch.rand(found[0].shape, generator=torch.Generator().manual_seed(seed)) * 0.2 - 0.1
        draws.append(torch.allclose(found[0], first, atol=1e-6))
    assert not all(draws)  # some seed's first draw gave only zeros


def test_only_the_answer_and_its_end_are_learnt():
    ids = [5, 6, 7, 8, 9]
    batch = collate(
        [
            prepared(EncodedConversation(ids, 3, 2), torch.zeros(5, 3, 28, 28), 1.0),
            prepared(EncodedConversation(ids[:3], 2, 1), torch.zeros(5, 3, 28, 28), 2.0),
        ],
        joined,
    )

    (part,) = batch.parts
    assert part.labels.tolist() == [[-100, -100, -100, 8, 9], [-100, -100, 7, -100, -100]]
    assert part.positions.tolist() == [2, 1]
    assert part.inputs["attention_mask"].tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    assert part.inputs["pixel_values"].shape == (10, 3, 28, 28)


def test_every_example_is_learnt_from_once_an_epoch():
    plan = StepPlan(examples=10, batch_size=4, epochs=2, seed=0)
    steps = list(plan.batches(0))

    assert [len(step) for step in steps] == [4] * 6 and plan.steps == 6
    assert {number for step in steps[:3] for number in step} == set(range(10))
    assert steps[:3] != steps[3:]
    assert list(plan.batches(4)) == steps[4:]


def test_the_learning_rate_rises_then_falls_to_nothing():
    rates = [schedule(step, 200) for step in range(200)]

    assert rates[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert rates[103] == pytest.approx(0.5, abs=1e-9)
    assert rates[-1] < 1e-3


def test_lora_has_the_published_parameters(tmp_path):
    learnt = trained("qa", tmp_path, epochs=1)
    model = learnt.trainable.model
    published = published_lora(model.vision_model, model.language_model)

    assert sum(weight.numel() for weight in published.values()) == sum(
        weight.numel() for weight in learnt_weights(learnt).values()
    )
    # spec: 8 * (inputs + outputs) of each published matrix
    vision = 8 * ((32 + 96) + (32 + 32) + 2 * (32 + 48))
    language = 8 * ((32 + 64) + (32 + 32) + 3 * (32 + 64))
    assert sum(weight.numel() for weight in published.values()) == 2 * (vision + language)
    # rows of the joint matrix, per group: two heads of queries, one of keys, one of values, each of 8
    block = model.language_model.model.layers[0].self_attn
    fused = published["language_model.base_model.model.model.layers.0.attention.wqkv.lora_B.default.weight"]
    assert torch.equal(fused[:16], block.q_proj.lora_B["default"].weight[:16])
    assert torch.equal(fused[16:24], block.k_proj.lora_B["default"].weight[:8])
    assert torch.equal(fused[24:32], block.v_proj.lora_B["default"].weight[:8])
    assert torch.equal(fused[32:48], block.q_proj.lora_B["default"].weight[16:])


@pytest.mark.parametrize(
    ("stage", "changes", "words"),
    [
        ("2", {"dtype": "float16"}, "float16 loses small gradients"),
        ("2", {"learning_rate": 1e30, "epochs": 2}, "loss of step .* choose a smaller learning rate"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(tmp_path, stage, changes, words):
    with pytest.raises(UserError, match=words):
        trained(stage, tmp_path, **changes)
