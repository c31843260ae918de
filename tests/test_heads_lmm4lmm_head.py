"""LMM4LMM from a released folder to scores: conversations, positions, batches, messages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny.lmm4lmm import TOKENS, lmm4lmm_tokenizer, write_lmm4lmm
from zeroiqa.errors import ImageError, UserError
from zeroiqa.heads.lmm4lmm.checkpoint import load_model
from zeroiqa.heads.lmm4lmm.conversation import Conversation, load_conversation
from zeroiqa.heads.lmm4lmm.head import Head
from zeroiqa.heads.lmm4lmm.picture import pixel_values
from zeroiqa.heads.lmm4lmm.predictor import load_published_predictor
from zeroiqa.heads.questions import CORRESPONDENCE_IS, QUALITY_IS, Question, question_of
from zeroiqa.types import Image
from zeroiqa.weights.options import ModelOptions

CPU = ModelOptions(device="cpu")
PROMPTS = ("a cat", "a red car in front of two green houses in the rain, oil on canvas", "{x}  y")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lmm4lmm(tmp_path_factory.mktemp("lmm4lmm") / "scores")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lmm4lmm(tmp_path_factory.mktemp("lmm4lmm") / "answers", regression=False)


@pytest.fixture(scope="module")
def talk() -> Conversation:
    return Conversation(lmm4lmm_tokenizer(), TOKENS, "tiny")


def images() -> list[Image]:
    random = np.random.default_rng(0)
    return [
        Image(random.integers(0, 256, (40 + 30 * number, 90, 3), dtype=np.uint8), f"{number}.png", prompt)
        for number, prompt in enumerate(PROMPTS)
    ]


# ---------------------------------------------------------------- conversations


def test_a_conversation_is_the_published_text(talk: Conversation) -> None:
    question, begun = question_of("correspondence", " two  cats ", "lmm4lmm")
    text = lmm4lmm_tokenizer().decode(talk.with_answer(question, f"{begun} good.").ids)
    assert text == (
        "<s><|im_start|>system\n你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，"
        "英文名叫InternVL, "
        "是一个有用无害的人工智能助手。<|im_end|><|im_start|>user\n<img>"
        + "<IMG_CONTEXT>"
        * 5
        * TOKENS
        + "</img>\n"
        "How would you rate the correspondence of this image and its prompt? prompt: two  cats<|im_end|>"
        "<|im_start|>assistant\nThe correspondence of the image and its prompt is good.<|im_end|>"
    )


@pytest.mark.parametrize("begun", [QUALITY_IS, CORRESPONDENCE_IS])
def test_the_read_token_is_the_fourth_from_the_end_and_the_last_of_the_cut_prompt(
    talk: Conversation, begun: str
) -> None:
    tokenizer = lmm4lmm_tokenizer()
    for word, level in zip(("bad", "poor", "fair", "good", "excellent"), talk.level_ids(begun), strict=True):
        asked = talk.with_answer("Well?", f"{begun} {word}.")
        cut = talk.prompt(Question("Well?", begun))
        assert asked.read == len(asked.ids) - 4 == len(cut) - 1
        assert cut == asked.ids[: len(cut)] and tokenizer.decode(cut[-1]).strip() == "is"
        assert asked.ids[asked.read + 1] == level and tokenizer.decode(level).strip() == word
        assert tokenizer.decode(asked.ids[asked.answer :]) == f"{begun} {word}.<|im_end|>"


def test_an_answer_that_is_no_level_is_read_before_it_begins(talk: Conversation) -> None:
    asked = talk.with_answer("Is it a cat? Answer yes or no.", "Yes")
    assert asked.read == asked.answer - 1
    yes, no = talk.answer_ids()
    assert asked.ids[asked.answer] == yes[0] and not set(yes) & set(no)


def test_a_tokenizer_that_splits_a_level_word_is_refused() -> None:
    tokenizer = lmm4lmm_tokenizer()
    model = json.loads(tokenizer.backend_tokenizer.to_str())
    model["model"]["merges"] = []
    split = type(tokenizer)(tokenizer_object=type(tokenizer.backend_tokenizer).from_str(json.dumps(model)))
    with pytest.raises(
        UserError, match="The level word 'bad' is not a single token to the tokenizer of tiny"
    ):
        Conversation(split, TOKENS, "tiny").level_ids()


def test_another_models_tokenizer_is_refused() -> None:
    from tests.tiny.internvl import internvl

    tokenizer = internvl().processor.tokenizer
    with pytest.raises(UserError, match="The tokenizer of other has no token <s>"):
        Conversation(tokenizer, TOKENS, "other")


def test_control_tokens_of_a_user_are_refused(talk: Conversation) -> None:
    with pytest.raises(ImageError, match=r"holds '<\|im_end\|>', which LMM4LMM reads as a control token"):
        talk.prompt(Question("a cat <|im_end|>", ""))


@pytest.mark.parametrize(("dimension", "what"), [("correspondence", "text prompt"), ("qa", "question")])
def test_a_missing_text_is_one_sentence(dimension: str, what: str) -> None:
    with pytest.raises(ImageError, match=f"The image has no {what}, which lmm4lmm:{dimension} needs"):
        question_of(dimension, "  ", "lmm4lmm")  # type: ignore[arg-type]


# ---------------------------------------------------------------- scores


@torch.no_grad()
@pytest.mark.parametrize("dimension", ["perception", "correspondence"])
def test_scores_are_those_of_the_whole_conversations_one_by_one(folder: Path, dimension: str) -> None:
    """The published procedure: one image, the dummy answer "excellent", position -4."""
    head = Head(dimension, folder, CPU)  # type: ignore[arg-type]
    judged = head.score(images())
    assert len({round(each.score, 3) for each in judged}) == len(judged)  # the network looks at its inputs
    loaded = load_published_predictor(folder, dimension, CPU)  # type: ignore[arg-type]
    model, talk = loaded.model, loaded.conversation
    for image, found in zip(images(), judged, strict=True):
        question, begun = question_of(dimension, image.prompt, "lmm4lmm")  # type: ignore[arg-type]
        ids = torch.tensor([talk.with_answer(question, f"{begun} excellent.").ids])
        pixels = pixel_values(image.pixels, model.config.vision.side)
        levels = torch.tensor(talk.level_ids())
        alone = model(ids, pixels, torch.ones_like(ids), torch.ones(5), level_ids=levels)
        torch.testing.assert_close(torch.tensor([found.score]), alone.scores, atol=1e-5, rtol=0)
        torch.testing.assert_close(
            torch.tensor(found.levels), alone.level_logits[0].softmax(-1), atol=1e-5, rtol=0
        )
        assert found.yes is None


def test_a_score_does_not_depend_on_the_batch(folder: Path) -> None:
    head = Head("correspondence", folder, CPU)
    together = [each.score for each in head.score(images())]
    alone = [head.score([image])[0].score for image in images()]
    backwards = [each.score for each in head.score(images()[::-1])][::-1]
    assert together == pytest.approx(alone, abs=1e-5)
    assert together == pytest.approx(backwards, abs=1e-5)


def test_prompts_and_questions_count(folder: Path, answers: Path) -> None:
    head = Head("correspondence", folder, CPU)
    own, same = head.score(images()[:1] * 2, prompts=["a cat", "a dog on the moon"])
    assert own.score == pytest.approx(head.score(images()[:1])[0].score, abs=1e-5)
    assert abs(own.score - same.score) > 1e-3
    said = Head("qa", answers, CPU).score(images()[:1] * 2, questions=["Is it a cat?", "Does it rain?"])
    assert all(0 < each.yes < 1 and each.score is None and each.levels == () for each in said)
    assert said[0].yes != said[1].yes


def test_the_yes_of_a_head_is_the_share_of_both_its_cases(answers: Path) -> None:
    head = Head("qa", answers, CPU)
    found = head.score(images()[:1], questions=["Is it a cat?"])[0].yes
    loaded = load_published_predictor(answers, "qa", CPU)
    model, talk = loaded.model, loaded.conversation
    ids = torch.tensor([talk.prompt(Question("Is it a cat?", ""))])
    pixels = pixel_values(images()[0].pixels, model.config.vision.side)
    with torch.no_grad():
        hidden = model.hidden_states(ids, pixels, torch.ones_like(ids), torch.ones(5))
        p = model.language_model.lm_head(hidden[0, -1]).softmax(-1)
    yes, no = talk.answer_ids()
    assert len(yes) == len(no) == 2
    assert found == pytest.approx(float(p[yes].sum() / p[yes + no].sum()), abs=1e-5)


def test_a_head_is_named_by_dimension_weights_and_type(folder: Path, tmp_path: Path) -> None:
    other = write_lmm4lmm(tmp_path / "other", seed=1)
    bfloat = ModelOptions(device="cpu", dtype="bfloat16")
    names = {
        Head("perception", folder, CPU).id,
        Head("correspondence", folder, CPU).id,
        Head("perception", other, CPU).id,
        Head("perception", folder, bfloat).id,
    }
    assert len(names) == 4
    assert Head("perception", folder, CPU).id == Head("perception", folder, CPU).id
    assert Head("perception", folder, CPU).id.startswith("lmm4lmm perception ")


# ---------------------------------------------------------------- what goes wrong


def test_bad_input_is_one_sentence(folder: Path, answers: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There are 2 prompts for 3 images"):
        Head("correspondence", folder, CPU).score(images(), prompts=["a", "b"])
    with pytest.raises(ImageError, match="The image has no question"):
        Head("qa", answers, CPU).score(images())
    with pytest.raises(UserError, match="take the weights for questions"):
        Head("qa", folder, CPU).score(images()[:1], questions=["Is it?"])
    with pytest.raises(UserError, match="are these the weights that answer questions"):
        Head("perception", answers, CPU).score(images()[:1])
    with pytest.raises(UserError, match="There is no folder"):
        Head("perception", tmp_path / "none", CPU).score(images()[:1])
    with pytest.raises(UserError, match="has no dimension 'beauty'; choose one of perception"):
        Head("beauty", folder, CPU)  # type: ignore[arg-type]


def test_a_folder_without_its_tokenizer_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="The tokenizer of .* is damaged"):
        load_conversation(copy, load_model(folder))
    (copy / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="holds no tokenizer"):
        Head("perception", copy, CPU).score(images()[:1])
