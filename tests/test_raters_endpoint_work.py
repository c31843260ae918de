"""A server at work: requests side by side, the choice of its model, views it refuses, keys, interruptions."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.servers.process import ChatServer
from tests.servers.rating import WORDS, make_views, rate_one, rater
from zeroiqa.errors import ImageError, UserError
from zeroiqa.raters import build_rater, find_rater
from zeroiqa.types import Rating, View
from zeroiqa.weights.options import ModelOptions

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")


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
    assert find_rater(name).is_server and not find_rater(name).needs_weights
    assert not find_rater("hf:openai").is_server and find_rater("hf:openai").needs_weights


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
