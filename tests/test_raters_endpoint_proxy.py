"""The way to a server: proxies that are named or passed by, and TLS where it is and is not expected."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import numpy as np
import pytest

from tests.servers.hostile import ATTACKS, BODY, Play, hostile_server, whole
from tests.servers.tls import self_signed
from zeroiqa.errors import UserError
from zeroiqa.raters import build_rater
from zeroiqa.raters.endpoint.proxy import find_proxy, is_here
from zeroiqa.standards import load_standard
from zeroiqa.types import Rating, View

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

WORDS = load_standard("quality-word-7")
VIEW = View(np.full((8, 8, 3), 7, np.uint8), None, (8, 8))
ELSEWHERE = "http://endpoint.invalid/v1"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        for form in (f"{name}_proxy", f"{name}_proxy".upper()):
            monkeypatch.delenv(form, raising=False)
    for name in ("OPENAI_API_KEY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "0")


def rate(url: str) -> Rating | None:
    rater = build_rater(f"openai:{url}#m")
    return rater.rate([VIEW], [WORDS])[0][0]


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("me.localhost.", True),
        ("127.0.0.1", True),
        ("127.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("localhost.example.com", False),
        ("128.0.0.1", False),
        ("::2", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_here(host) is here
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    url = f"http://[{host}]:8000/v1" if ":" in host else f"http://{host}:8000/v1"
    assert (find_proxy(url) is None) is here


@pytest.mark.parametrize(
    ("listed", "proxied"),
    [
        ("", True),
        ("*", False),
        ("example.com", False),
        (".example.com", False),
        ("*.example.com", False),
        ("api.example.com:443", False),
        ("api.example.com:444", True),
        ("ample.com", True),
        ("other.com, API.example.com", False),
        ("10.0.0.0/8", True),
    ],
)
def test_no_proxy_lists_exceptions(listed: str, proxied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", listed)
    found = find_proxy("https://api.example.com:443/v1")
    assert (str(found) == "http://proxy:3128") if proxied else found is None
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    assert find_proxy("https://10.9.9.9/v1") is None


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense://x"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_server_on_this_machine_is_asked_without_a_proxy(
    name: str, proxy: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy)
    with hostile_server(whole(BODY)) as server:
        assert rate(server.url.replace("127.0.0.1", host)) is not None


def test_another_server_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile_server(whole(BODY)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.root.replace("://", "://me:hunter2hunter2@"))
        assert rate(ELSEWHERE) is not None
        assert all(b" http://endpoint.invalid/" in request for request in proxy.requests)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (whole(b"me:hunter2hunter2", status="407 No"), "wants another user or password .HTTP 407"),
        (whole(b"hunter2hunter2", status="502 Bad"), r"HTTP 502: \[key\]; asked through the proxy"),
        (ATTACKS["no HTTP"][0], "cannot be reached through the proxy .* speaks no HTTP, or breaks off"),
    ],
)
def test_a_proxy_that_fails_is_named_without_its_password(
    answer: Play, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile_server(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.root.replace("://", "://me:hunter2hunter2@"))
        with pytest.raises(UserError, match=said) as caught:
            rate(ELSEWHERE)
    assert f"through the proxy {proxy.root}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:hunter2hunter2@127.0.0.1:9",
        "ftp://me:hunter2hunter2@host:1",
        "http://me:hunter2hunter2@[::1",
    ],
)
def test_a_proxy_that_is_not_there_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(UserError, match="through the proxy") as caught:
        rate(ELSEWHERE)
    assert proxy.replace("me:hunter2hunter2@", "") in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_address_with_http_of_a_server_with_tls_is_said(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    context, _ = self_signed(tmp_path)
    with hostile_server(whole(BODY), context) as server:
        plain = server.url.replace("https", "http")
        with pytest.raises(UserError, match=f"{plain} speaks TLS, and .*; write {server.url}."):
            rate(plain)
        until = time.monotonic() + 10
        while not server.requests and time.monotonic() < until:  # it notes them in threads of its own
            time.sleep(0.01)
        assert server.requests == [b""]  # a handshake, and nothing in it


@pytest.mark.parametrize(
    "words", ["Client sent an HTTP request to an HTTPS server.", "plain HTTP to HTTPS port"]
)
def test_a_server_that_only_talks_of_tls_is_not_taken_for_one(words: str) -> None:
    answer = whole(words.encode(), status="400 Bad")
    with hostile_server(answer) as server, pytest.raises(UserError, match="does not rate .HTTP 400"):
        rate(server.url)


def test_an_address_with_https_of_a_server_without_tls_is_said() -> None:
    with hostile_server(whole(BODY)) as server:
        secure = server.url.replace("http", "https")
        with pytest.raises(UserError, match=f"{secure} speaks no TLS, and .*; write {server.url}."):
            rate(secure)


def test_a_certificate_that_is_not_trusted_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    context, public = self_signed(tmp_path)
    with hostile_server(whole(BODY), context) as server:
        with pytest.raises(UserError, match=r"certificate that is not trusted \(self-signed certificate\)"):
            rate(server.url)
        assert b"".join(server.requests) == b""
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        assert rate(server.url) is not None
        with pytest.raises(UserError, match="certificate that is not trusted .*localhost"):
            rate(server.url.replace("127.0.0.1", "localhost"))


def test_a_port_that_takes_connections_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROIQA_ENDPOINT_TIMEOUT", "0.3")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        for scheme in ("http", "https"):
            with pytest.raises(UserError, match=r"gave no answer within 0\.3 seconds"):
                rate(f"{scheme}://127.0.0.1:{mute.getsockname()[1]}/v1")
