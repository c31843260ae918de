"""A server as a rater: what it is asked, and that its answers become the ratings they are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.servers.distribution import distribution
from tests.servers.process import ChatServer
from tests.servers.rating import LEVELS, WORDS, levels_of, make_views, rate_one, rater, served, shares
from zeroiqa.errors import ImageError, UserError
from zeroiqa.standards import load_standard
from zeroiqa.types import Rating, Region, View

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

FLOAT = load_standard("quality-float")


@pytest.mark.parametrize("shape", [(24, 31), (1, 1), (1, 300), (301, 2)])
def test_pixels_arrive_losslessly_and_ratings_are_what_was_served(
    server: ChatServer, shape: tuple[int, int]
) -> None:
    views = make_views(3, shape)
    for view, (rating,) in zip(views, rater(server).rate(views, [WORDS]), strict=True):
        assert rating is not None
        expected = shares(view)
        assert rating.mass == pytest.approx(sum(expected), abs=1e-12)
        assert [math.exp(logprob) for logprob in rating.logprobs] == pytest.approx(
            [share / sum(expected) for share in expected], abs=1e-12
        )
        assert sum(expected) < 0.99  # the server keeps something to itself


def test_another_colour_order_would_be_another_rating(server: ChatServer) -> None:
    (view,) = make_views(1)
    turned = View(np.ascontiguousarray(view.pixels[..., ::-1]), None, view.image_size)
    ours = rater(server)
    assert rate_one(ours, view) != rate_one(ours, turned)


def test_pixels_that_are_a_cut_of_a_larger_image_arrive_as_well(server: ChatServer) -> None:
    (large,) = make_views(1, (40, 60))
    cut = View(large.pixels[3:30, 7:50], None, large.image_size)
    rating = rate_one(rater(server), cut)
    assert rating is not None and rating.mass == pytest.approx(sum(shares(cut)))


def test_views_and_standards_keep_their_order_however_they_are_asked(server: ChatServer) -> None:
    views, standards = make_views(20), [WORDS, load_standard("authenticity-word-7")]
    ours = rater(server)
    together = ours.rate(views, standards)
    assert [ours.rate([view], [standard])[0][0] for view in views for standard in standards] == [
        rating for row in together for rating in row
    ]
    assert [row[::-1] for row in together[::-1]] == ours.rate(views[::-1], standards[::-1])
    assert ours.rate([], standards) == [] and ours.rate(views[:2], []) == [[], []]


def test_the_text_prompt_of_an_image_reaches_the_server(server: ChatServer) -> None:
    standard = load_standard("correspondence-word-7")
    (view,) = make_views(1)
    asked = View(view.pixels, None, view.image_size, prompt="a cat")
    rating = rate_one(rater(server), asked, standard)
    assert rating is not None and rating.mass == pytest.approx(sum(shares(asked, standard)))
    with pytest.raises(ImageError, match="text prompt"):
        rater(server).rate([view], [standard])
    broken = View(view.pixels, None, view.image_size, prompt="a cat \udcff")
    with pytest.raises(ImageError, match="not Unicode"):
        rater(server).rate([broken], [standard])


def test_a_request_asks_for_one_token_and_its_alternatives(server: ChatServer) -> None:
    rate_one(rater(server), make_views(1)[0])
    asked = server.requests()[-1]
    assert asked["roles"] == ["system", "user"]
    assert asked["body"] == {
        "model": "someone/model-7b",
        "max_tokens": 1,
        "temperature": 0,
        "top_p": 1,
        "logprobs": True,
        "top_logprobs": 20,
        "chat_template_kwargs": {"enable_thinking": False},
        "repetition_penalty": 1.0,
    }


def test_the_server_is_got_to_know_once(server: ChatServer) -> None:
    ours = rater(server)
    assert server.requests() == []  # building it asks nobody
    views = make_views(5)
    for _ in range(2):
        ours.check(WORDS)
        assert ours.id == f"endpoint 1 {server.url} someone/model-7b distributions within the top 20"
        ours.rate(views, [WORDS])
    assert len(server.requests("/v1/models")) == 1
    assert len(server.requests()) == 1 + 2 * len(views)


@pytest.mark.parametrize(
    ("script", "left_out", "reads"),
    [
        ({"refuses": ["repetition_penalty"]}, "repetition_penalty", "top 20 without repetition_penalty"),
        ({"refuses": ["chat_template_kwargs"]}, "chat_template_kwargs", "20 without chat_template_kwargs"),
        ({"refuses": ["max_tokens"]}, "max_tokens", "top 20"),
        (
            {"most_top": 5, "tokens": [["3", -0.1], ["2", -3.0], ["4", -4.0], ["5", -6.0], ["x", -9.0]]},
            "",
            "5",
        ),
        ({"system_turn": False}, "", "without system turn"),
    ],
)
def test_what_a_server_refuses_is_left_out_and_named(
    server: ChatServer, script: dict[str, object], left_out: str, reads: str
) -> None:
    server.script(**script)
    ours = rater(server)
    assert rate_one(ours, make_views(1)[0]) is not None
    assert ours.id.endswith(reads)
    asked = server.requests()[-1]
    assert left_out not in asked["body"]
    assert ("max_completion_tokens" in asked["body"]) == (left_out == "max_tokens")
    assert asked["roles"] == (["user"] if "system turn" in reads else ["system", "user"])


def test_without_a_system_turn_its_text_comes_before_the_image(server: ChatServer) -> None:
    server.script(system_turn=False)
    (view,) = make_views(1)
    asked = WORDS.fill()
    listed = distribution(view.pixels, "", f"{asked.system}\n\n\n{asked.user}")
    rating = rate_one(rater(server), view)
    assert rating is not None and rating.mass == pytest.approx(sum(levels_of(listed)))


def test_text_before_the_image_is_a_part_of_its_own_and_another_for_crops(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    (view,) = make_views(1)
    standard, ours = load_standard("dog-iqa-word-7"), rater(server)
    ours.check(standard)
    assert "dog-iqa-word-7: whether the chat template of the server" in caplog.text
    crop = replace(view, region=Region((0, 0, 4, 4), 0.5, "object"))
    ours.rate([view], [standard])
    ours.rate([crop], [standard])
    for request, filled in zip(
        server.requests()[-2:], (standard.fill(), standard.fill(crop=True)), strict=True
    ):
        assert request["roles"] == ["user"]
        assert request["parts"] == [filled.before_image, None, filled.after_image + filled.user]
    described = ours.describe(standard)
    assert described["prompt"] != described["crop_prompt"]
    assert "invalid.\n                    (the view as PNG)\n" in described["prompt"]


def test_tokens_of_the_levels_are_asked_for_where_the_server_lists_them(server: ChatServer) -> None:
    server.script(tokenizes=True, logprobs="own", tokens=[["The", -0.01], ["6", -5.0], ["5", -6.0]])
    ours = rater(server)
    rating = rate_one(ours, make_views(1)[0])
    assert ours.id.endswith(" distributions")
    assert rating is not None  # its levels are not among the likeliest tokens, and yet nothing is left open
    assert rating.mass == pytest.approx(math.exp(-5) + math.exp(-6))
    assert set(server.requests()[-1]["body"]["logprob_token_ids"]) >= set(map(ord, "123456789"))


@pytest.mark.parametrize("script", [{"refuses": ["logprob_token_ids"]}, {"logprobs": "top"}])
def test_a_server_that_tokenizes_but_lists_no_wish_is_read_as_usual(
    server: ChatServer, script: dict[str, object]
) -> None:
    server.script(tokenizes=True, tokens=[["3", -0.1], ["2", -3.0], ["x", -9.0]], **script)
    ours = rater(server)
    assert rate_one(ours, make_views(1)[0]) is not None
    assert ours.id.endswith("within the top 20")
    assert "logprob_token_ids" not in server.requests()[-1]["body"]


def test_a_digit_after_a_blank_token_is_read_from_the_second_one(server: ChatServer) -> None:
    server.script(blank_first=True)
    (view,) = make_views(1)
    rating = rate_one(rater(server), view)
    assert rating is not None and rating.mass == pytest.approx(sum(shares(view)) * math.exp(-0.25))
    assert server.requests()[-1]["body"]["max_tokens"] == 2


def test_an_answer_that_is_no_level_is_no_rating(server: ChatServer) -> None:
    ours = rater(server)
    ours.check(WORDS)
    server.script(tokens=[["I", -0.1], ["The", -3.0], ["A", -4.0]])
    assert rate_one(ours, make_views(1)[0]) is None


@pytest.mark.parametrize("logprobs", ["null", "missing"])
def test_without_log_probabilities_the_digit_is_read_if_that_is_enough(
    server: ChatServer, logprobs: str
) -> None:
    server.script(logprobs=logprobs)
    with pytest.raises(UserError, match="gives no log-probabilities.*--readout digit"):
        rater(server).check(WORDS)
    ours = rater(server, digits=True)
    assert ours.id.endswith(" someone/model-7b digits")
    views = make_views(12)
    read = [rating for (rating,) in ours.rate(views, [WORDS])]
    answered = [served(view)[0][0].strip(" \u2581") for view in views]
    assert read == [
        Rating(logprobs=(), mass=1.0, value=float(answer)) if answer in LEVELS else None
        for answer in answered
    ]
    assert {None} < set(read)  # both occur
    assert "logprobs" not in server.requests()[-1]["body"]


def test_a_server_that_refuses_to_list_tokens_is_one_without(server: ChatServer) -> None:
    server.script(refuses=["top_logprobs"])
    assert rater(server, digits=True).id.endswith(" digits")


def test_distributions_are_read_where_they_are_given_even_if_digits_suffice(server: ChatServer) -> None:
    (view,) = make_views(1)
    assert rate_one(rater(server, digits=True), view) == rate_one(rater(server), view)
    assert rater(server, digits=True).id == rater(server).id


def test_log_probabilities_that_cease_stop_the_run(server: ChatServer) -> None:
    ours = rater(server)
    ours.check(WORDS)
    server.script(logprobs="null")
    with pytest.raises(UserError, match="gives log-probabilities no longer"):
        ours.rate(make_views(1), [WORDS])


@pytest.mark.parametrize(
    ("text", "value"), [("4.5", 4.5), ("Score: 6.25.", 6.25), ("9", None), ("none", None)]
)
def test_a_decimal_number_is_read_from_several_tokens(
    server: ChatServer, text: str, value: float | None
) -> None:
    server.script(text=text, logprobs="null")  # for which no log-probabilities are needed
    rating = rate_one(rater(server), make_views(1)[0], FLOAT)
    assert rating == (None if value is None else Rating(logprobs=(), mass=1.0, value=value))
    body = server.requests()[-1]["body"]
    assert body["max_tokens"] == 8 and "logprobs" not in body


def test_standards_of_other_kinds_are_refused(server: ChatServer) -> None:
    with pytest.raises(UserError, match="kind preference, which is not read from a server"):
        rater(server).check(load_standard("sep-iqa"))
    assert server.requests() == []
