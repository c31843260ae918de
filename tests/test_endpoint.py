"""A server as a rater: what it is asked, and that its answers become the ratings they are."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.servers.distribution import distribution
from tests.servers.process import ChatServer, chat_server
from zeroiqa.errors import ImageError, UserError
from zeroiqa.model_options import ModelOptions
from zeroiqa.raters import build_rater, has_weights, is_server
from zeroiqa.raters.endpoint import EndpointRater
from zeroiqa.standards import Standard, load_standard
from zeroiqa.types import Rating, View

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

WORDS = load_standard("quality-word-7")
FLOAT = load_standard("quality-float")
LEVELS = tuple("1234567")


@pytest.fixture(scope="module")
def running() -> Iterator[ChatServer]:
    with chat_server() as server:
        yield server


@pytest.fixture
def server(running: ChatServer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """A server that behaves, and an environment without keys, proxies and patience."""
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "0")
    running.script()
    return running


def rater(server: ChatServer, model: str = "", *, digits: bool = False) -> EndpointRater:
    built = build_rater(f"openai:{server.url}{model and '#' + model}", digits_suffice=digits)
    assert isinstance(built, EndpointRater)
    return built


def make_views(count: int, shape: tuple[int, int] = (24, 31)) -> list[View]:
    drawn = np.random.default_rng(count)
    return [View(drawn.integers(0, 256, (*shape, 3), dtype=np.uint8), None, shape) for _ in range(count)]


def rate_one(rater: EndpointRater, view: View, standard: Standard = WORDS) -> Rating | None:
    rater.check(standard)
    return rater.rate([view], [standard])[0][0]


def served(view: View, standard: Standard = WORDS) -> list[tuple[str, float]]:
    asked = standard.fill(view.prompt)
    return distribution(view.pixels, asked.system, f"\n{asked.user}")


def levels_of(listed: list[tuple[str, float]]) -> list[float]:
    found = dict.fromkeys(LEVELS, 0.0)
    for token, logprob in listed:
        if token.strip(" \u2581") in found:
            found[token.strip(" \u2581")] += math.exp(logprob)
    return list(found.values())


def shares(view: View, standard: Standard = WORDS) -> list[float]:
    """P(level) as the server computes it from the pixels."""
    return levels_of(served(view, standard))


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


@pytest.mark.parametrize("at_once", [1, 3, 16])
def test_no_more_requests_are_in_flight_than_allowed(
    server: ChatServer, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEROIQA_ENDPOINT_CONCURRENCY", str(at_once))
    ours = rater(server)
    ours.check(WORDS)
    server.script(seconds=0.05 if at_once > 1 else 0.005)
    ours.rate(make_views(max(12, 3 * at_once)), [WORDS])
    assert server.most_at_once() <= at_once
    assert at_once < 16 or server.most_at_once() > 8  # they do go out side by side
    assert ours.images_per_call == 2 * at_once


def test_the_only_model_of_a_server_rates_and_its_name_is_printable(server: ChatServer) -> None:
    server.script(models=["a-model\x1b[2J"])
    assert " a-model\\x1b[2J " in rater(server).id
    assert rater(server).describe(WORDS)["model"].isprintable()


def test_a_named_model_needs_no_list(server: ChatServer) -> None:
    server.script(models=None)
    assert " any " in rater(server, "any").id
    with pytest.raises(UserError, match="does not list its models; name one after a #"):
        rater(server).check(WORDS)


@pytest.mark.parametrize("models", [["one/a", "two/b\x1b[2J"], []])
def test_which_of_several_models_must_be_said(server: ChatServer, models: list[str]) -> None:
    server.script(models=models)
    with pytest.raises(UserError, match="name the one that shall rate after a #") as caught:
        rater(server).check(WORDS)
    assert all(name.partition("\x1b")[0] in str(caught.value) for name in models)
    assert str(caught.value).isprintable()


def test_a_refused_view_is_an_error_of_its_image_and_costs_the_others_nothing(server: ChatServer) -> None:
    ours = rater(server)
    ours.check(WORDS)
    views = make_views(6)
    dark = View(np.zeros((9, 9, 3), np.uint8), None, (9, 9))
    server.script(refuses_dark=400)
    with pytest.raises(ImageError, match=r"refuses a view \(HTTP 400: decoder prompt is longer"):
        ours.rate([*views[:3], dark, *views[3:]], [WORDS])
    assert len(server.requests()) == 6 + 1 + 1  # the probe shows that the server is well
    found = [ours.rate([view], [WORDS])[0] for view in views]
    assert len(server.requests()) == 6 + 1 + 1
    server.script()
    assert found == ours.rate(views, [WORDS])


@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_the_statuses_that_may_be_the_fault_of_a_view(server: ChatServer, status: int) -> None:
    ours = rater(server)
    server.script(refuses_dark=status)
    dark = View(np.zeros((9, 9, 3), np.uint8), None, (9, 9))
    with pytest.raises(ImageError, match=f"HTTP {status}"):
        ours.rate([dark], [WORDS])


def test_a_server_holds_no_weights_here() -> None:
    name = "openai:http://127.0.0.1:9/v1#m"
    assert is_server(name) and not has_weights(name)
    assert not is_server("hf:openai") and has_weights("hf:openai")


def test_offline_allows_servers_of_this_machine_only() -> None:
    offline = ModelOptions(offline=True)
    assert build_rater("openai:http://localhost:9/v1", offline)
    with pytest.raises(UserError, match="not on this machine, and --offline forbids to ask it"):
        build_rater("openai:https://api.example.com/v1#m", offline)


def test_a_key_without_encryption_is_warned_of(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ZEROIQA_API_KEY", "secret")
    rater(server).check(WORDS)
    assert "unencrypted" not in caplog.text
    with pytest.raises(UserError, match="cannot be reached"):
        build_rater("openai:http://endpoint.invalid/v1").check(WORDS)
    assert "travels unencrypted" in caplog.text and "secret" not in caplog.text


def test_what_a_standard_becomes_is_described(server: ChatServer) -> None:
    described = rater(server).describe(WORDS)
    assert described["server"] == server.url
    assert described["model"] == "someone/model-7b"
    assert described["prompt"].startswith("system: You are") and "7: Perfect" in described["prompt"]


def test_a_rater_works_where_an_event_loop_runs(server: ChatServer) -> None:
    import asyncio

    ours, (view,) = rater(server), make_views(1)

    async def in_a_notebook() -> Rating | None:
        return rate_one(ours, view)

    assert asyncio.run(in_a_notebook()) == rate_one(ours, view)


def test_ctrl_c_ends_requests_in_flight(server: ChatServer) -> None:
    ours = rater(server)
    ours.check(WORDS)
    server.script(seconds=30)
    threads = threading.active_count()
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
    begun = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ours.rate(make_views(40), [WORDS])
    assert time.monotonic() - begun < 5
    timer.join()
    assert threading.active_count() == threads


def test_the_package_is_named_where_it_is_missing(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(UserError, match=r"pip install 'zeroiqa\[endpoint\]'"):
        rater(server).check(WORDS)


def test_importing_the_registry_imports_no_client(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from zeroiqa.raters import build_rater; build_rater('openai:http://localhost/v1');"
        "sys.exit('openai' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0
