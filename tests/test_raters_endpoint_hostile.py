"""Servers that mean harm: each costs bounded bytes and seconds, and ends in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.servers.hostile import ATTACKS, BODY, GOOD, hostile_server, whole
from zeroiqa.errors import UserError
from zeroiqa.raters import build_rater
from zeroiqa.standards import load_standard
from zeroiqa.types import Rating, View

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

WORDS = load_standard("quality-word-7")
VIEW = View(np.full((8, 8, 3), 7, np.uint8), None, (8, 8))
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "0")
    monkeypatch.setenv("ZEROIQA_ENDPOINT_TIMEOUT", "10")


def rate(url: str) -> Rating | None:
    rater = build_rater(f"openai:{url}#m")
    rater.check(WORDS)
    return rater.rate([VIEW], [WORDS])[0][0]


def sentence(url: str) -> str:
    with pytest.raises(UserError) as caught:
        rate(url)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 700
    return said


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_in_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    play, said = ATTACKS[name]
    if "no answer within" in said:
        monkeypatch.setenv("ZEROIQA_ENDPOINT_TIMEOUT", "0.4")
    with hostile_server(play) as server, pytest.raises(UserError, match=said) as caught:
        rate(server.url)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 700


def test_the_list_of_models_has_bounds_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds, said in (
        ("a body of 8 MiB", "10", "lists its models by more than 1 MiB.* name one after a #"),
        ("a byte at a time in the body", "0.4", r"no answer within 0\.4 seconds"),
    ):
        monkeypatch.setenv("ZEROIQA_ENDPOINT_TIMEOUT", seconds)
        with hostile_server(ATTACKS[name][0]) as server, pytest.raises(UserError, match=said):
            build_rater(f"openai:{server.url}").check(WORDS)


def test_what_is_packed_without_being_asked_is_read_where_it_is_small() -> None:
    import gzip

    with hostile_server(whole(gzip.compress(BODY), "Content-Encoding: gzip")) as server:
        assert rate(server.url) is not None
        assert all(b"accept-encoding: identity" in request.lower() for request in server.requests)


@pytest.mark.parametrize("status", ["300 A", "301 B", "302 C", "303 D", "304 E", "307 F", "308 G", "399 H"])
def test_no_redirect_is_followed(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROIQA_API_KEY", KEY)
    with hostile_server(whole(BODY)) as elsewhere:
        place = elsewhere.url.replace("://", "://user:password@")
        answer = whole(b"", f"Location: {place}/there?token=secret", status=status)
        with hostile_server(answer) as server:
            said = sentence(server.url)
    assert elsewhere.requests == []
    assert f"redirects to {elsewhere.url}/there (HTTP {status[:3]}), which is not followed" in said
    assert "password" not in said and "token" not in said


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("", "without saying where to"),
        ("/v2/models", r"to http://127\.0\.0\.1:\d+/v2/models"),
        ("//other/x", "to http://other/x"),
        ("http://[::1/x", r"to http://\[::1/x"),
        (f"http://other/{KEY[:15]}", r"to http://other/\[key\]"),
        ("file:///etc/passwd", "to file:///etc/passwd"),
    ],
)
def test_the_target_of_a_redirect_is_named(location: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROIQA_API_KEY", KEY)
    answer = whole(b"", f"Location: {location}", status="307 Moved")
    with hostile_server(answer) as server, pytest.raises(UserError, match=f"redirects {said} .HTTP 307"):
        rate(server.url)


def mutants(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The good answer with something else at each of its places, and without it."""
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    for other in (None, True, -1, 10**400, -(10**400), 1e308, "\ud800", "", [], [[]], {}, {"token": 1}, deep):
        yield path, other
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from mutants(each, (*path, key))


def changed(path: tuple[str | int, ...], other: Any) -> Any:
    if not path:
        return other
    whole = json.loads(BODY)
    place = whole
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = other
    return whole


def test_an_answer_that_is_wrong_at_any_place_is_a_rating_or_a_sentence() -> None:
    from zeroiqa.raters.endpoint.answers import GarbledError, read_answer, read_digit, read_levels

    tried = refused = 0
    for path, other in mutants(GOOD):
        tried += 1
        try:
            answer = read_answer(json.dumps(changed(path, other)))
            for rating in (read_levels(answer, 7), read_digit(answer, 7)):
                assert rating is None or 0 <= rating.mass <= 1
        except GarbledError as error:
            refused += 1
            assert str(error)
    assert tried > 150 and refused > 50


def test_an_error_that_is_wrong_at_any_place_is_explained() -> None:
    from zeroiqa.raters.endpoint.failures import explanation

    error: Any = {"error": {"message": {"a": ["b"]}, "type": "x"}, "message": "y", "detail": ["z"]}
    for path, other in mutants(error):
        wrong = json.loads(json.dumps(error))
        place = wrong
        for key in path[:-1]:
            place = place[key]
        if path:
            place[path[-1]] = other
        assert isinstance(explanation(json.dumps(wrong if path else other)), str)
    assert explanation("[" * 900 + "]" * 900)
