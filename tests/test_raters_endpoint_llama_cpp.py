"""What llama.cpp's server replies is read: as it was recorded, and from a server where one is here."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

import zeroiqa
from tests.servers.process import ChatServer
from tests.servers.rating import make_views, rate_one, rater
from zeroiqa.raters.endpoint.answers import read_answer, read_levels
from zeroiqa.samples import folder

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

RECORDED = json.loads((Path(__file__).parent / "fixtures" / "llama_cpp.json").read_text(encoding="utf-8"))
GGUF, MMPROJ = (os.environ.get(name) for name in ("ZEROIQA_GGUF", "ZEROIQA_MMPROJ"))
MODEL = RECORDED["models"]["data"][0]["id"]


@pytest.mark.parametrize("number", [0, 1])
def test_a_recorded_reply_is_read_as_it_says(number: int) -> None:
    reply = RECORDED["replies"][number]
    listed = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    by_token = {each["token"]: each["logprob"] for each in listed}
    rating = read_levels(read_answer(json.dumps(reply)), 7)
    assert rating is not None
    assert rating.answer == "3"
    assert rating.mass == pytest.approx(math.exp(by_token["3"]) + math.exp(by_token["1"]), abs=1e-6)
    assert rating.logprobs[0] - rating.logprobs[2] == pytest.approx(by_token["1"] - by_token["3"], abs=1e-9)


def test_a_server_that_replies_so_rates(server: ChatServer) -> None:
    server.script(listing=json.dumps(RECORDED["models"]), always=[200, {}, RECORDED["replies"][0]])
    rating = rate_one(rater(server, model=MODEL), make_views(1)[0])
    assert rating is not None and rating.answer == "3"


@pytest.mark.skipif(
    not (shutil.which("llama-server") and GGUF and MMPROJ),
    reason="no llama-server here, or ZEROIQA_GGUF and ZEROIQA_MMPROJ name no model",
)
def test_a_real_server_rates_photos() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    files = ["-m", str(GGUF), "--mmproj", str(MMPROJ)]
    with subprocess.Popen(
        ["llama-server", *files, "--port", port, "--jinja"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            for _ in range(100):
                try:
                    with urlopen(f"http://127.0.0.1:{port}/health") as answer:
                        if answer.status == 200:
                            break
                except OSError:
                    time.sleep(0.2)
            method = zeroiqa.load_method(f"openai:http://127.0.0.1:{port}/v1")
            results = zeroiqa.score_images([folder() / "cat.jpg", folder() / "coffee.jpg"], method=method)
        finally:
            process.terminate()
    assert [each.status for each in results] == ["ok", "ok"]
    assert all(1 <= (each.score or 0) <= 7 for each in results)
