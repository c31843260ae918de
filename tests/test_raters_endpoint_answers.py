"""From the JSON of a chat completion to a rating: formulas, bounds and every shape of nonsense."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.raters.endpoint.answers import (
    GarbledError,
    has_distribution,
    is_model,
    listed_levels,
    read_answer,
    read_digit,
    read_json,
    read_levels,
)

NOTHING = -9999.0


def body(*positions: dict[str, float], text: str = "", **fields: Any) -> str:
    """A chat completion whose positions list the tokens given, the first one being the answer."""
    content = [
        {
            "token": next(iter(tokens)),
            "logprob": next(iter(tokens.values())),
            "top_logprobs": [{"token": token, "logprob": number} for token, number in tokens.items()],
        }
        for tokens in positions
    ]
    choice = {"message": {"content": text}, "logprobs": {"content": content}, "finish_reason": "length"}
    return json.dumps({"model": "m", "choices": [choice | fields]})


def logs(**shares: float) -> dict[str, float]:
    return {token: math.log(share) for token, share in shares.items()}


def probabilities(text: str, k: int) -> list[float]:
    rating = read_levels(read_answer(text), k)
    assert rating is not None
    return [math.exp(logprob) for logprob in rating.logprobs]


def test_levels_are_normalised_among_themselves_and_their_sum_is_the_mass() -> None:
    rating = read_levels(read_answer(body(logs(**{"2": 0.5, "1": 0.2, "3": 0.1, "The": 0.19}))), 3)
    assert rating is not None
    assert [math.exp(logprob) for logprob in rating.logprobs] == pytest.approx([0.25, 0.625, 0.125])
    assert rating.mass == pytest.approx(0.8) and rating.value is None


@pytest.mark.parametrize(
    ("tokens", "answer"),
    [
        ({"\u01202": 0.5, "1": 0.2, "The": 0.299}, "2"),
        ({"Good\n": 0.5, "1": 0.2, "3": 0.299}, "Good"),
        ({"8": 0.5, "1": 0.2, "3": 0.299}, "8"),
    ],
)
def test_the_token_that_was_answered_is_kept_be_it_a_level_or_not(
    tokens: dict[str, float], answer: str
) -> None:
    rating = read_levels(read_answer(body(logs(**tokens))), 3)
    assert rating is not None and rating.answer == answer
    after_a_space = read_levels(read_answer(body(logs(**{" ": 0.9, "1": 0.1}), logs(**tokens))), 3)
    assert after_a_space is not None and after_a_space.answer == answer


@pytest.mark.parametrize("mark", [" ", "\u2581", "\u0120", "\n", " \n"])
def test_level_after_a_space_is_the_same_level(mark: str) -> None:
    tokens = logs(**{"1": 0.3, f"{mark}1": 0.1, f"{mark}2": 0.4, "2": 0.1, "x": 0.1})
    assert probabilities(body(tokens), 2) == pytest.approx([4 / 9, 5 / 9])


@pytest.mark.parametrize("other", ["8", "0", "10", "1.", "one", "\u0661", "\uff11", "\u00b9", ""])
def test_other_tokens_are_no_level(other: str) -> None:
    tokens = logs(
        **{other: 0.5, "1": 0.25, "2": 0.125, "3": 0.1, "4": 0.001, "5": 0.001, "6": 1e-3, "7": 1e-3}
    )
    rating = read_levels(read_answer(body(tokens)), 7)
    assert rating is not None and rating.mass == pytest.approx(0.479)


def test_level_that_cannot_matter_counts_as_impossible() -> None:
    tokens = logs(**{"2": 0.7, "3": 0.2, "The": 0.05, "A": 0.0001})
    assert probabilities(body(tokens), 4) == pytest.approx([0, 7 / 9, 2 / 9, 0])


def test_unlisted_levels_are_bounded_by_what_the_listed_ones_leave_over() -> None:
    tokens = logs(**{"2": 0.6, "The": 0.399})  # the last one listed would allow anything
    assert probabilities(body(tokens), 3) == pytest.approx([0, 1, 0])


def test_levels_that_could_be_anywhere_are_no_rating() -> None:
    tokens = logs(**{"The": 0.3, "A": 0.2, "2": 0.05, "I": 0.04})
    assert read_levels(read_answer(body(tokens)), 7) is None


@given(
    st.lists(st.floats(0.001, 1), min_size=30, max_size=30),
    st.permutations(range(30)),
    st.integers(2, 9),
)
def test_a_rating_from_the_top_20_moves_the_mean_by_no_more_than_it_says(
    weights: list[float], places: list[int], k: int
) -> None:
    total = sum(weight**6 for weight in weights)
    shares = {
        str(place + 1) if place < k else f"other {place}": weight**6 / total
        for place, weight in zip(places, weights, strict=True)
    }
    top = dict(sorted(shares.items(), key=lambda item: -item[1])[:20])
    rating = read_levels(read_answer(body({token: math.log(share) for token, share in top.items()})), k)
    if rating is None:
        return
    levels = [shares[str(level)] for level in range(1, k + 1)]
    mean = sum(level * share for level, share in enumerate(levels, start=1)) / sum(levels)
    read = sum(level * math.exp(logprob) for level, logprob in enumerate(rating.logprobs, start=1))
    assert abs(mean - read) <= 0.01 * (k - 1)
    assert rating.logprobs.index(max(rating.logprobs)) == levels.index(max(levels))


@pytest.mark.parametrize(
    "tokens",
    [{"The": -0.1, "A": -3.0}, {"The": 0.0, "1": NOTHING, "2": NOTHING, "3": NOTHING}, {"1": NOTHING}],
)
def test_answer_without_any_level_is_no_rating(tokens: dict[str, float]) -> None:
    assert read_levels(read_answer(body(tokens)), 3) is None
    assert read_levels(read_answer(body()), 3) is None


def test_impossible_levels_that_are_listed_leave_nothing_open() -> None:
    tokens = {"1": math.log(0.02), "2": NOTHING, "3": NOTHING, "The": math.log(0.5)}
    rating = read_levels(read_answer(body(tokens)), 3)
    assert rating is not None
    assert [math.exp(logprob) for logprob in rating.logprobs] == [1, 0, 0]


def test_levels_after_a_blank_token_are_read_from_the_second_one() -> None:
    answer = read_answer(body(logs(**{" ": 0.9, "1": 0.05}), logs(**{"2": 0.75, "1": 0.25})))
    rating = read_levels(answer, 2)
    assert rating is not None
    assert [math.exp(logprob) for logprob in rating.logprobs] == pytest.approx([0.25, 0.75])
    assert rating.mass == pytest.approx(0.9)
    assert listed_levels(answer) == {1, 2}


def test_a_level_as_the_first_token_is_read_there_though_a_second_one_follows() -> None:
    tokens = logs(**{"1": 0.6, "2": 0.4})
    assert probabilities(body(tokens, logs(**{"2": 1.0})), 2) == pytest.approx([0.6, 0.4])


@pytest.mark.parametrize(
    ("text", "level"),
    [("7", 7), (" 3", 3), ("3\n", 3), ("\u25815", 5), ("8", None), ("0", None), ("", None), ("10", None)],
)
def test_the_digit_that_was_answered_is_a_number(text: str, level: int | None) -> None:
    rating = read_digit(read_answer(body(text=text)), 7)
    if level is None:
        assert rating is None
    else:
        assert rating is not None
        assert (rating.logprobs, rating.mass, rating.value) == ((), 1.0, level)


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, [], "no"])
def test_a_server_without_log_probabilities_has_no_distribution(logprobs: object) -> None:
    assert not has_distribution(read_answer(body(logprobs=logprobs)))


def test_a_server_that_lists_no_alternatives_has_no_distribution() -> None:
    bare = {"content": [{"token": "7", "logprob": -0.1, "top_logprobs": []}]}
    assert not has_distribution(read_answer(body(logprobs=bare)))
    assert has_distribution(read_answer(body({"7": -0.1})))
    assert has_distribution(read_answer(body()))  # nothing was said, and so nothing else could have been


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>Bad Gateway</html>",
        "[" * 100_000,
        "null",
        "[1, 2]",
        "{}",
        '{"choices": null}',
        '{"choices": []}',
        '{"choices": [7]}',
        '{"error": {"message": "no credit"}}',
        body(logprobs={"content": [7]}),
        body(logprobs={"content": [{"token": 7, "logprob": -1}]}),
        body(logprobs={"content": [{"token": "7", "logprob": "-1"}]}),
        body({"7": 13.5}),
        body({"7": float("nan")}),
        body({"7": 10**400}),
        body({"7": True}),
        body({"7": -0.1, "6": -0.1}),  # that adds up to 1.8
    ],
)
def test_nonsense_is_said_to_be_nonsense(text: str) -> None:
    with pytest.raises(GarbledError):
        read_levels(read_answer(text), 7)


@pytest.mark.parametrize("number", [-(10**400), float("-inf"), NOTHING])
def test_zero_has_several_spellings(number: float) -> None:
    assert probabilities(body({"1": -0.001, "2": number}), 2) == [1, 0]


def test_numbers_only_are_no_json_object() -> None:
    assert read_json("7") == 7


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl-7b-instruct"),
        ("/models/tiny/", "/models/tiny/@main"),
        ("tiny", "tiny@main"),
        ("llava.gguf", "/models/llava.gguf"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("pixtral-latest", "pixtral-2411"),
        ("m", ""),
    ],
)
def test_names_of_one_model(asked: str, answered: str) -> None:
    assert is_model(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("qwen-7b", "qwen-72b"),
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o", "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-05-13", "gpt-4o"),
        ("qwen-7b", "qwen-7b-instruct"),
    ],
)
def test_names_of_two_models(asked: str, answered: str) -> None:
    assert not is_model(asked, answered)
