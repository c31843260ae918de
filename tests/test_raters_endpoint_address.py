"""Addresses of servers, the key and the limits: what is taken, and what is never written down."""

from __future__ import annotations

import pytest

from zeroiqa.errors import UserError
from zeroiqa.raters.endpoint.address import Limits, find_key, find_limits, parse_address


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.mark.parametrize(
    ("argument", "url", "model"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1", None),
        ("http://localhost:8000/v1/#", "http://localhost:8000/v1", None),
        ("https://api.host.com/v1#Qwen/Qwen2.5-VL-7B", "https://api.host.com/v1", "Qwen/Qwen2.5-VL-7B"),
        ("http://[::1]:8000#/models/a b#c", "http://[::1]:8000", "/models/a b#c"),
    ],
)
def test_an_address_and_a_model(argument: str, url: str, model: str | None) -> None:
    address = parse_address(argument)
    assert (address.url, address.model) == (url, model)


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "localhost:8000",
        "ftp://host/v1",
        "http://",
        "http:///v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://host:0/v1",
        "http://ho st/v1",
        "http://host/v1\x1b[2J",
        "http://[::1/v1",
        "http://host/v1#mo\x07del",
    ],
)
def test_what_is_no_address_is_refused_in_a_printable_sentence(argument: str) -> None:
    with pytest.raises(UserError, match="openai:http://HOST:PORT/v1#MODEL") as caught:
        parse_address(argument)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "argument",
    [
        "http://user:secret@host/v1",
        "http://secret@host/v1#m",
        "https://host/v1?key=secret",
        "//user:secret@host",
        "user:secret@host",
    ],
)
def test_what_may_be_a_key_is_refused_and_not_repeated(argument: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_address(argument)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("me.localhost", True),
        ("192.168.0.2", False),
        ("0.0.0.0", False),
        ("localhost.evil.com", False),
        ("host", False),
    ],
)
def test_which_servers_are_on_this_machine(host: str, local: bool) -> None:
    assert parse_address(f"http://{host}:8000/v1").is_local is local


def test_our_own_key_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_key() == ""
    monkeypatch.setenv("OPENAI_API_KEY", "theirs\n")
    assert find_key() == "theirs"
    monkeypatch.setenv("ZEROIQA_API_KEY", "ours")
    assert find_key() == "ours"


@pytest.mark.parametrize("key", ["se cret", "s\u00e9cret", "sec\nret", "sec\x1bret"])
def test_a_key_that_no_header_carries_is_refused_and_not_repeated(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEROIQA_API_KEY", key)
    with pytest.raises(UserError, match="ZEROIQA_API_KEY") as caught:
        find_key()
    assert "cret" not in str(caught.value) and str(caught.value).isprintable()


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_limits() == Limits(16, 120.0, 5)
    monkeypatch.setenv("ZEROIQA_ENDPOINT_CONCURRENCY", "64")
    monkeypatch.setenv("ZEROIQA_ENDPOINT_TIMEOUT", "2.5")
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "0")
    assert find_limits() == Limits(64, 2.5, 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CONCURRENCY", "0"),
        ("CONCURRENCY", "1.5"),
        ("TIMEOUT", "-1"),
        ("TIMEOUT", "nan"),
        ("RETRIES", "many"),
    ],
)
def test_a_limit_that_is_none_is_named(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ZEROIQA_ENDPOINT_{name}", text)
    with pytest.raises(UserError, match=f"ZEROIQA_ENDPOINT_{name} is '{text}'; it must be"):
        find_limits()
