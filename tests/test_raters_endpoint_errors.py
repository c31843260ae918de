"""A server that fails, refuses or talks nonsense: one printable sentence, and never a traceback."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest

from tests.servers.process import ChatServer, chat_server
from zeroiqa.errors import ImageError, UserError
from zeroiqa.raters import build_rater
from zeroiqa.standards import load_standard
from zeroiqa.types import Rating, View

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

WORDS = load_standard("quality-word-7")
KEY = "sk-very-secret-0123456789"
VIEW = View(np.full((8, 8, 3), 7, np.uint8), None, (8, 8))


def rate(server: ChatServer, model: str = "") -> Rating | None:
    rater = build_rater(f"openai:{server.url}{model}")
    rater.check(WORDS)
    return rater.rate([VIEW], [WORDS])[0][0]


def sentence(server: ChatServer, model: str = "") -> str:
    """What is said instead of a rating; no error of a single image."""
    with pytest.raises(UserError) as caught:
        rate(server, model)
    said = str(caught.value)
    assert not isinstance(caught.value, ImageError)
    assert said.isprintable() and len(said) < 600
    assert said.startswith(f"The server {server.url} ")
    return said


def test_too_many_requests_are_asked_again_when_the_server_says(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "1")
    server.script(first=[[429, {"Retry-After": "1"}, {"error": {"message": "slow down"}}]])
    begun = time.monotonic()
    assert rate(server) is not None
    assert 1 <= time.monotonic() - begun < 10
    assert len(server.requests()) == 3


def test_a_server_that_recovers_is_waited_for(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "2")
    server.script(first=[[500, {}, "oops"], [503, {}, "loading"]])
    assert rate(server) is not None
    assert len(server.requests()) == 4


def test_too_many_requests_for_good(server: ChatServer) -> None:
    server.script(always=[429, {}, {"error": {"message": "You exceeded your quota."}}])
    said = sentence(server)
    assert "HTTP 429: You exceeded your quota)" in said and "ZEROIQA_ENDPOINT_CONCURRENCY below 16" in said


@pytest.mark.parametrize("after", [0, 1])
def test_a_server_that_always_fails_stops_the_run(server: ChatServer, after: int) -> None:
    server.script(after=after, always=[500, {}, "CUDA error: \x1b[31mdevice-side assert\x1b[0m"])
    assert "fails (HTTP 500: CUDA error: \\x1b[31mdevice-side" in sentence(server)


def test_a_server_that_hangs_is_given_up(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROIQA_ENDPOINT_TIMEOUT", "0.3")
    server.script(seconds=20)
    begun = time.monotonic()
    assert "gave no answer within 0.3 seconds" in sentence(server)
    assert time.monotonic() - begun < 5


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "0")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
        with pytest.raises(UserError, match=f"The server {url} cannot be reached .*start it"):
            build_rater(f"openai:{url}").check(WORDS)


@pytest.mark.parametrize("host", ["endpoint.invalid", "xn--", "a" * 300, "\u2603.invalid"])
def test_a_host_that_does_not_exist(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "0")
    with pytest.raises(UserError, match="cannot be reached|cannot be asked"):
        build_rater(f"openai:http://{host}/v1").check(WORDS)


@pytest.mark.parametrize("given", ["", "wrong"])
def test_the_key_that_is_wanted(server: ChatServer, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server.script(key=KEY)
    monkeypatch.setenv("ZEROIQA_API_KEY", given)
    said = sentence(server)
    assert "set ZEROIQA_API_KEY to a valid one" in said
    assert ("refuses the key" if given else "wants a key") in said
    assert "wrong" not in said  # the server repeats the key


def test_the_key_travels_in_the_header_of_every_request(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script(key=KEY, tokenizes=True)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert rate(server) is not None
    asked = [*server.requests(), *server.requests("/v1/models"), *server.requests("/tokenize")]
    assert len(asked) == 6
    assert {request["authorization"] for request in asked} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_a_server_that_repeats_the_key_is_not_quoted_with_it(
    server: ChatServer, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEROIQA_API_KEY", KEY)
    server.script(always=[status, {}, {"error": {"message": f"your {KEY} is no good"}}])
    assert "your [key] is no good" in sentence(server)
    server.script(always=[200, {}, f"{KEY} is no JSON"])
    assert KEY not in sentence(server)


def test_a_model_that_the_server_does_not_have(server: ChatServer) -> None:
    server.script(models=["one/a", "two/b"])
    said = sentence(server, "#three/c")
    assert "has no model three/c (HTTP 404" in said and said.endswith("it lists one/a, two/b.")
    server.script(models=[f"model-{number}" for number in range(40)])
    assert sentence(server, "#c").endswith("model-9 and 30 more.")


def test_another_model_than_the_one_asked_for(server: ChatServer) -> None:
    server.script(answers_as="cheap-model\x1b[2J")
    assert "was asked for someone/model-7b, but cheap-model\\x1b[2J answered" in sentence(server)
    server.script(answers_as="model-7b@main")
    assert rate(server) is not None


def test_a_model_that_is_taken_away_midway(server: ChatServer) -> None:
    rater = build_rater(f"openai:{server.url}")
    rater.check(WORDS)
    server.script(models=["another"])
    with pytest.raises(
        UserError, match=r"does not rate \(HTTP 404: The model `someone/model-7b` does not exist"
    ):
        rater.rate([VIEW], [WORDS])


def test_a_model_that_changes_midway(server: ChatServer) -> None:
    rater = build_rater(f"openai:{server.url}")
    rater.check(WORDS)
    server.script(answers_as="cheap-model")
    with pytest.raises(UserError, match="but cheap-model answered"):
        rater.rate([VIEW], [WORDS])


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, ""),
        ({}, "null"),
        ({}, "\x1b]0;title\x07 {"),
        ({"Content-Type": "text/html"}, "<html>Welcome to the router</html>"),
        ({"Content-Type": "text/plain; charset=nonsense"}, "\u00e9"),
        ({"Content-Encoding": "gzip"}, "no gzip"),
        ({}, {"choices": []}),
        ({}, {"error": {"message": "no credit", "code": 402}}),
        ({}, "[" * 50_000),
        ({}, {"choices": [{"message": {"content": "7"}, "logprobs": {"content": [{"token": 7}]}}]}),
    ],
)
def test_nonsense(server: ChatServer, headers: dict[str, str], body: object) -> None:
    server.script(always=[200, headers, body])
    sentence(server)
    server.script(after=1, always=[200, headers, body])  # once the server is known
    sentence(server)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>Bad request</html>",
        {"detail": [{"loc": ["body"], "msg": "field required"}]},
        {"message": "too bad"},
        {"error": "too bad"},
        {"error": {"message": None}},
        ["too bad"],
        "[" * 50_000,
        "x" * 5000,
        7,
    ],
)
@pytest.mark.parametrize("status", [400, 404, 418, 422, 302])
def test_refusals_of_every_shape(server: ChatServer, status: int, body: object) -> None:
    server.script(always=[status, {}, body])
    assert f"HTTP {status}" in sentence(server)


def test_an_address_without_its_path_is_said_to_lack_it(server: ChatServer) -> None:
    with pytest.raises(UserError, match="see whether the address should end in /v1"):
        build_rater(f"openai:{server.root}").check(WORDS)
    with pytest.raises(UserError, match="see whether the address should end in /v1"):
        build_rater(f"openai:{server.root}#m").check(WORDS)


@pytest.mark.parametrize("listing", ["", "[]", "7", '{"data": 7}', "[" * 50_000, '{"data": [7, {"id": 7}]}'])
def test_a_list_of_models_that_is_none(server: ChatServer, listing: str) -> None:
    server.script(listing=listing)
    assert "name" in sentence(server) and "after a #" in sentence(server)
    assert rate(server, "#someone/model-7b") is not None


def test_a_server_that_ends_midway_stops_the_run_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "1")
    with chat_server() as server:
        server.script(dies_after=4)
        rater = build_rater(f"openai:{server.url}")
        rater.check(WORDS)
        with pytest.raises(UserError, match="cannot be reached") as caught:
            rater.rate([VIEW] * 10, [WORDS])
    assert not isinstance(caught.value, ImageError)
