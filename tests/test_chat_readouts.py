"""Readouts of the last position: properties of the formulas, then the standards on tiny real models."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.chat.readouts import direction_weights, read_levels, semantic_preference
from zeroiqa.errors import ImageError, UserError
from zeroiqa.raters.chat import ChatRater
from zeroiqa.standards import Standard, load_standard
from zeroiqa.types import View
from zeroiqa.weights.options import ModelOptions

CPU = ModelOptions(device="cpu")
FAMILIES = ("qwen2_5_vl", "internvl", "gemma3", "smolvlm")
SEP, BENCH, ALIGN, WORDS = map(load_standard, ("sep-iqa", "q-bench", "q-align", "quality-word-7"))
TABLE = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [1, 1]])
LOGITS = torch.tensor([[3.0, 2, 1, 0.5]])
numbers = st.integers(0, 2**32 - 1)


def view(seed: int, height: int = 60, width: int = 80) -> View:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return View(pixels, None, (height, width))


def random_case(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of three views and an embedding table, over 40 tokens."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(3, 40, generator=random) * 5, torch.randn(40, 6, generator=random)


@pytest.mark.parametrize(("candidates", "score"), [(1, 3), (2, 3), (3, 2), (4, 2.35355), (9, 2.35355)])
def test_the_example_by_hand(candidates: int, score: float) -> None:
    """specification of SeP-IQA: direction (1, 0), logits 3, 2, 1, 0.5."""
    weights = direction_weights(torch.cat([TABLE, torch.tensor([[0.0, 0]])]), [0], [4])
    assert weights.tolist() == pytest.approx([1, 0, -1, math.sqrt(0.5), 0])
    found = semantic_preference(LOGITS, weights[:4], candidates)
    assert found.tolist() == pytest.approx([score], abs=1e-5)


@given(numbers, st.floats(0.01, 100))
def test_scores_grow_with_the_logits(seed: int, factor: float) -> None:
    logits, table = random_case(seed)
    weights = direction_weights(table, [1, 2], [3])
    scores = semantic_preference(logits, weights, 10)
    assert semantic_preference(logits * factor, weights, 10).tolist() == pytest.approx(
        (scores * factor).tolist(), rel=1e-4, abs=1e-4 * factor
    )


@given(numbers, st.integers(-20, 20))
def test_a_shift_moves_the_score_by_the_weights_of_the_candidates(seed: int, shift: int) -> None:
    logits, table = random_case(seed)
    weights = direction_weights(table, [1, 2], [3])
    moved = semantic_preference(logits + shift, weights, 10) - semantic_preference(logits, weights, 10)
    top = weights[logits.topk(10).indices].sum(-1)
    assert moved.tolist() == pytest.approx((shift * top).tolist(), abs=1e-3)


@given(numbers)
def test_exchanging_the_lists_turns_the_sign(seed: int) -> None:
    _, table = random_case(seed)
    there, back = direction_weights(table, [1, 2], [3, 4]), direction_weights(table, [3, 4], [1, 2])
    assert torch.allclose(there, -back, atol=1e-6)
    assert float(there.abs().max()) <= 1 + 1e-6


@given(numbers, st.floats(0.1, 10))
def test_the_length_of_an_embedding_does_not_count(seed: int, factor: float) -> None:
    _, table = random_case(seed)
    longer = table.clone()
    longer[7] *= factor
    assert torch.allclose(
        direction_weights(longer, [1, 2], [3]), direction_weights(table, [1, 2], [3]), atol=1e-5
    )


@given(numbers)
def test_with_as_many_candidates_as_tokens_it_is_the_whole_product(seed: int) -> None:
    logits, table = random_case(seed)
    weights = direction_weights(table, [1], [3])
    assert torch.allclose(
        semantic_preference(logits, weights, 100), (logits.double() @ weights.double()), atol=1e-5
    )


@given(numbers)
def test_the_names_of_tokens_do_not_matter(seed: int) -> None:
    logits, table = random_case(seed)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    place = order.argsort()
    renamed = direction_weights(table[order], [int(place[1])], [int(place[3])])
    assert torch.allclose(
        semantic_preference(logits[:, order], renamed, 10),
        semantic_preference(logits, direction_weights(table, [1], [3]), 10),
        atol=1e-4,
    )


def test_a_word_that_is_named_twice_counts_twice() -> None:
    table = torch.tensor([[1.0, 0], [0, 1], [0, 0]])
    weights = direction_weights(table, [0, 0, 1], [2])
    assert weights[0] / weights[1] == pytest.approx(2, rel=1e-5)


def test_equal_logits_at_the_border_are_taken_by_id() -> None:
    logits, weights = torch.zeros(1, 50), torch.arange(50.0)
    assert semantic_preference(logits + 1, weights, 3).item() == 0 + 1 + 2


def test_a_table_in_bfloat16_is_compared_in_float32() -> None:
    table = torch.randn(20000, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(direction_weights(table, [1, 2], [3]), direction_weights(table.float(), [1, 2], [3]))


def test_good_and_poor_share_the_probability_and_a_shift_changes_nothing() -> None:
    logits = torch.tensor([[0.0, 2, 5, 1], [7.0, 7, -1, 0]])
    first, equal = read_levels(logits, [0, 1])
    assert math.exp(first.logprobs[1]) == pytest.approx(1 / (1 + math.exp(-2)))
    assert math.exp(equal.logprobs[1]) == pytest.approx(0.5)
    moved = read_levels(logits + 30, [0, 1])
    assert moved[0].logprobs == pytest.approx(first.logprobs, abs=1e-5)
    assert first.mass == pytest.approx((1 + math.exp(2)) / (1 + math.exp(2) + math.exp(5) + math.exp(1)))


def test_no_numbers_are_an_error_of_the_image() -> None:
    with pytest.raises(ImageError, match="no numbers"):
        read_levels(torch.full((1, 9), math.nan), [1, 2])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rating_keeps_what_the_model_would_say_first(family: str, tiny: Callable[[str], Path]) -> None:
    """The most probable token of all; it is as probable as `last_logprobs` has it, be it a level or not."""
    rater = ChatRater(str(tiny(family)), CPU)
    standards = (WORDS, ALIGN, SEP)
    rows = rater.rate([view(3), view(4, 80, 60)], standards)
    for column, standard in enumerate(standards):
        tail = rater.model.readout(standard).tail
        logprobs = rater.model.last_logprobs([view(3), view(4, 80, 60)], standard.fill(), tail)
        for row, likeliest in zip(rows, logprobs.argmax(-1).tolist(), strict=True):
            said = rater.loaded.processor.tokenizer.decode([likeliest], skip_special_tokens=True)
            assert (rating := row[column]) is not None and rating.answer == said.strip()


@pytest.mark.parametrize("family", FAMILIES)
def test_next_words_are_read_with_their_space_after_the_answer_that_is_begun(
    family: str, tiny: Callable[[str], Path]
) -> None:
    rater = ChatRater(str(tiny(family)), CPU)
    views = [view(0), view(1, 90, 50)]
    ratings = rater.rate(views, [WORDS, BENCH, ALIGN])
    for standard, column in ((BENCH, 1), (ALIGN, 2)):
        described = rater.describe(standard)
        assert described["prompt"].rstrip().endswith("The quality of the image is")
        encode, text = rater.model.engine.preprocessor.encode, described["prompt"].rstrip()
        ids = list(described["levels"].values())
        place = len(encode(described["prompt"]))
        for word, token in zip(standard.levels, ids, strict=True):
            assert encode(f"{text} {word}")[place] == token, "the token that the spaced word goes on with"
        prefix = described["prompt"][len(rater.model.engine.template.text(standard.fill())) :]
        whole = rater.model.last_logprobs(views, standard.fill(), prefix)[:, ids]
        for row, expected in zip(ratings, whole, strict=True):
            rating = row[column]
            assert rating is not None
            assert list(rating.logprobs) == pytest.approx(expected.log_softmax(-1).tolist(), abs=1e-4)
            assert rating.mass == pytest.approx(float(expected.exp().sum()), rel=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_semantic_preference_is_its_formula_on_the_model_s_own_tables(
    family: str, tiny: Callable[[str], Path]
) -> None:
    rater = ChatRater(str(tiny(family)), CPU)
    views = [view(0), view(1, 90, 50)]
    ratings = rater.rate(views, [WORDS, SEP])
    tokenizer, table = rater.loaded.processor.tokenizer, rater.loaded.model.get_input_embeddings().weight
    means = [
        table[tokenizer(f" {words}", add_special_tokens=False)["input_ids"]].mean(0)
        for words in (SEP.positive, SEP.negative)
    ]
    weights = torch.nn.functional.cosine_similarity(table, means[0] - means[1], dim=1)
    engine = rater.model.engine
    text = engine.template.text(SEP.fill()) + engine.template.beginning(SEP.fill())
    assert f"{SEP.user}" in text and not text.endswith(" ")
    for row, each in zip(ratings, views, strict=True):
        rating = row[1]
        assert rating is not None and rating.value is not None and rating.logprobs == ()
        logits = engine.run([each.pixels], [[text]], lambda found, _: list(found))[0][0]
        top = logits.topk(100)
        assert rating.value == pytest.approx(float((top.values * weights[top.indices]).sum()), abs=2e-3)
        assert rating.mass == pytest.approx(float(logits.softmax(-1)[top.indices].sum()), rel=1e-3)
    assert ratings[0][1] != ratings[1][1]


def test_words_of_several_tokens_are_named_once(
    tiny: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    rater = ChatRater(str(tiny("qwen2_5_vl")), CPU)
    with caplog.at_level(logging.WARNING, logger="zeroiqa"):
        rater.rate([view(0)], [SEP])
        rater.rate([view(1)], [SEP])
    told = [record.getMessage() for record in caplog.records if "more than one token" in record.getMessage()]
    assert len(told) == 2, "one for each list"
    assert "unacceptable" in told[1] and told[1].startswith("sep-iqa: ")


def test_a_model_without_input_embeddings_of_its_own_is_refused(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rater = ChatRater(str(tiny("internvl")), CPU)
    monkeypatch.setattr(rater.loaded.model, "get_input_embeddings", lambda: torch.nn.Identity())
    with pytest.raises(UserError, match="does not show its input embeddings"):
        rater.rate([view(0)], [SEP])


def test_crops_are_weighted_by_area_whatever_the_unit_of_the_score(tmp_path: Path) -> None:
    from zeroiqa.aggregate import Aggregation, aggregate
    from zeroiqa.types import Rating, Region

    regions = [Region((0, 0, 1, 1), 0.25, "object"), Region((0, 0, 1, 1), 0.75, "complement")]
    ratings = [Rating((), 1.0, value) for value in (-4.0, 8.0, -16.0)]
    score = aggregate(regions, {"model": ratings}, Aggregation(readout="expected", lam=1.0))
    assert score.s_local == pytest.approx(0.25 * 8 - 0.75 * 16)
    assert score.score == pytest.approx((-4 - 10) / 2)


def test_words_that_the_tokenizer_changes_are_refused(tmp_path: Path) -> None:
    from tokenizers import normalizers

    from tests.tiny import qwen
    from tests.tiny.checkpoint import write

    parts = qwen.qwen2_5_vl()
    parts.processor.tokenizer.backend_tokenizer.normalizer = normalizers.Replace("excellent", "superb")
    rater = ChatRater(str(write(parts, tmp_path / "model")), CPU)
    assert rater.rate([view(0)], [BENCH])[0][0] is not None
    with pytest.raises(UserError, match=r"the answer 'excellent' is the token \d+, which says ' s\w*'"):
        rater.rate([view(0)], [ALIGN])
    with pytest.raises(UserError, match="does not give back excellent as it reads them"):
        rater.rate([view(0)], [SEP])


@pytest.mark.parametrize("standard", [WORDS, BENCH, ALIGN, SEP], ids=lambda standard: standard.name)
def test_every_readout_begins_behind_a_thought_that_is_closed(
    standard: Standard, thinker: ChatRater, tiny: Callable[[str], Path]
) -> None:
    prompt = thinker.describe(standard)["prompt"]
    assert prompt.endswith(f"<|im_start|>assistant\n<think>\n\n</think>\n\n{standard.answer}")
    told_not_to_think = ChatRater(str(tiny("qwen3_5")), CPU)  # by a variable of its template
    assert thinker.rate([view(0)], [standard]) == told_not_to_think.rate([view(0)], [standard])


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> ChatRater:
    """The tiny Qwen 3.5, whose template knows no other way than to think."""
    from tests.tiny import qwen
    from tests.tiny.checkpoint import write

    parts = qwen.qwen3_5()
    parts.processor.chat_template = parts.processor.chat_template.replace(qwen.THOUGHT, "<think>\n")
    return ChatRater(str(write(parts, tmp_path_factory.mktemp("thinker") / "model")), CPU)
