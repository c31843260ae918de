"""Runs with servers as raters, by the command line: resumed, without the key, and with a real server."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import numpy as np
import pytest
from PIL import Image

from tests.command import Done, zeroiqa
from tests.servers.process import ChatServer, chat_server
from zeroiqa import runs
from zeroiqa.images.find import find_images
from zeroiqa.runs.executors.choice import worker_count
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.passes import rater_groups
from zeroiqa.settings import load_settings
from zeroiqa.types import Rating

pytest.importorskip("openai", reason="the package openai is missing: pip install 'zeroiqa[endpoint]'")

KEY = "sk-very-secret-0123456789"
VIEWS = 7  # of an image: itself, and six cells of the grid


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as server:
        yield server


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven small pictures, one of them wholly black."""
    folder = tmp_path / "photos"
    folder.mkdir()
    drawn = np.random.default_rng(0)
    for number in range(7):
        pixels = drawn.integers(0, 256, (24, 32, 3), dtype=np.uint8) * (number != 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "0")


def score(photos: Path, url: str, *more: str, **variables: str) -> Done:
    regions = ("--segmenter", "grid", "--regions")
    arguments = ("score", "photos", "-o", "run", *regions, "--rater", f"openai:{url}", *more)
    return zeroiqa(photos.parent, *arguments, **variables)


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "scores.csv").open(newline="") as file:
        return {Path(row["path"]).name: row for row in csv.DictReader(file)}


def test_a_run_is_scored_by_a_server_and_holds_no_key(server: ChatServer, photos: Path) -> None:
    server.script(key=KEY)
    done = score(photos, server.url, "--readout", "expected", ZEROIQA_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    found = rows(photos.parent / "run")
    assert len(found) == 7 and {row["status"] for row in found.values()} == {"ok"}
    assert len({row["score"] for row in found.values()}) == 7
    assert KEY not in done.stdout + done.stderr
    files = [path for path in (photos.parent / "run").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes() or KEY in path.name]
    record = (photos.parent / "run" / "run.json").read_text()
    assert f"endpoint 1 {server.url} someone/model-7b distributions within the top 20" in record


def test_a_key_that_is_refused_is_repeated_nowhere(server: ChatServer, photos: Path) -> None:
    server.script(key="another")
    done = score(photos, server.url, ZEROIQA_API_KEY=KEY)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"Error: The server {server.url} refuses the key (HTTP 401"
    )
    assert KEY not in done.stdout + done.stderr
    assert not (photos.parent / "run").exists()


def test_an_image_that_the_server_refuses_is_the_only_error(server: ChatServer, photos: Path) -> None:
    server.script(refuses_dark=413)
    done = score(photos, server.url)
    assert done.returncode == 0, done.stderr
    found = rows(photos.parent / "run")
    assert {name for name, row in found.items() if row["status"] == "error"} == {"3.png"}
    assert "refuses a view (HTTP 413: decoder prompt is longer than the context)" in found["3.png"]["error"]


def test_a_run_whose_server_dies_goes_on_with_the_next_one(photos: Path) -> None:
    with chat_server() as server:
        assert score(photos, server.url).returncode == 0
        whole = rows(photos.parent / "run")
        shutil.rmtree(photos.parent / "run")
        server.script(dies_after=4 + 3 * VIEWS)  # probes included
        done = score(photos, server.url, ZEROIQA_ENDPOINT_CONCURRENCY="1")
        assert done.returncode == 1
        assert done.stderr.count("Error: ") == 1 and "Traceback" not in done.stderr
        assert f"The server {server.url} cannot be reached" in done.stderr.splitlines()[-1]
        finished = list((photos.parent / "run" / "ratings").rglob("part-*.parquet"))
    with chat_server(server.port) as server:
        done = score(photos, server.url)
        assert done.returncode == 0, done.stderr
        asked = len(server.requests())
    assert rows(photos.parent / "run") == whole
    assert finished and asked < 7 * VIEWS


def test_a_finished_run_asks_no_more_than_who_is_there(server: ChatServer, photos: Path) -> None:
    assert score(photos, server.url).returncode == 0
    server.script()
    assert score(photos, server.url).returncode == 0
    assert len(server.requests()) <= 2


def test_a_server_that_only_answers_is_refused_before_a_run_is_begun(
    server: ChatServer, photos: Path
) -> None:
    server.script(logprobs="missing")
    done = score(photos, server.url, "--readout", "expected")
    assert done.returncode == 1 and "read that by --readout digit" in done.stderr
    assert not (photos.parent / "run").exists()
    server.script(logprobs="missing", tokens=[["5", -0.5]])
    assert score(photos, server.url, "--readout", "digit").returncode == 0
    assert {float(row["score"]) for row in rows(photos.parent / "run").values()} == {5}
    again = zeroiqa(photos.parent, "rescore", "run", "--readout", "expected")
    assert again.returncode == 1 and "the answered digits alone" in again.stderr
    assert zeroiqa(photos.parent, "rescore", "run", "--weighting", "mean").returncode == 0


def test_verify_finds_a_server_that_answers_the_same_again(server: ChatServer, photos: Path) -> None:
    arguments = ("--segmenter", "grid", "--rater", f"openai:{server.url}")
    done = zeroiqa(photos.parent, "verify", "photos/0.png", "photos/1.png", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("identical") == 3


def test_models_check_asks_the_server(server: ChatServer, photos: Path) -> None:
    done = zeroiqa(photos.parent, "models", "check", f"openai:{server.url}")
    assert done.returncode == 0, done.stderr
    assert "model   someone/model-7b\nreads   distributions within the top 20\n" in done.stdout
    assert "user: (the view as PNG)\nPlease evaluate" in done.stdout
    done = zeroiqa(photos.parent, "models", "check", "openai:nowhere")
    assert done.returncode == 1 and "openai:http://HOST:PORT/v1#MODEL" in done.stderr


def test_servers_are_rated_by_beside_each_other_and_by_one_process() -> None:
    names = ("openai:http://a/v1", "nss", "openai:http://b/v1", "hf:1", "hf:2")
    assert rater_groups(names) == [names[:4], names[4:]]
    settings = load_settings("embedded", {"raters": ["openai:http://a/v1"]})
    assert worker_count("auto", 10**6, settings) == 1
    assert worker_count("3", 10**6, settings) == 3


needs_serve = pytest.mark.skipif(
    not all(map(find_spec, ("fastapi", "uvicorn", "pydantic"))),
    reason="transformers serve needs more packages: pip install 'transformers[serving]'",
)


@pytest.fixture
def digits(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A tiny checkpoint that likes to answer with digits."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    folder = tmp_path / "tiny-digits"
    shutil.copytree(tiny("qwen2_5_vl"), folder)
    weights = load_file(folder / "model.safetensors")
    ids = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(list("1234567"))
    weights["lm_head.weight"][ids] *= 20
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@contextmanager
def transformers_serve(folder: Path, log: Path) -> Iterator[str]:
    """`transformers serve` of a checkpoint, on the CPU and without network."""
    with chat_server() as reserved:  # a port that is free once this server has gone
        port = reserved.port
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        process = subprocess.Popen([*command, *options], env=environment, stdout=file, stderr=file)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def wait_for(url: str, log: Path) -> None:
    opener, end = build_opener(ProxyHandler({})), time.monotonic() + 120
    while time.monotonic() < end:
        try:
            opener.open(url, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"transformers serve did not start: {log.read_text()[-2000:]}")


@needs_serve
def test_transformers_serve_answers_the_digits_that_the_same_weights_give_here(
    digits: Path, photos: Path, tmp_path: Path
) -> None:
    with transformers_serve(digits, tmp_path / "log") as root:
        local = begin_locally(tmp_path / "local", photos, digits)  # while the server starts
        wait_for(f"{root}/health", tmp_path / "log")
        url = f"{root}/v1#{digits}"
        refused = score(photos, url, "--readout", "expected")
        done = score(photos, url, "--readout", "digit")
    assert refused.returncode == 1 and "gives no log-probabilities" in refused.stderr
    assert done.returncode == 0, done.stderr
    here, there = ratings(local), ratings(runs.load_run(tmp_path / "run"))
    assert len(there) == 7 * VIEWS
    answered = {view: rating.value for view, rating in there.items() if rating is not None}
    assert len(answered) > 4 * VIEWS and len(set(answered.values())) > 1
    assert answered == {view: level(here[view]) for view in answered}


def begin_locally(folder: Path, photos: Path, checkpoint: Path) -> runs.Run:
    choices = {"segmenter": "grid", "raters": [f"hf:{checkpoint}"], "device": "cpu", "regions": True}
    settings = load_settings("embedded", choices)
    run = runs.open_run(folder, settings, find_images([str(photos)]), preset="embedded")
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    return run


def ratings(run: runs.Run) -> dict[tuple[str, int], Rating | None]:
    """The only rater's, by name of the image and number of the view."""
    return {
        (Path(path).name, number): rating
        for shard in range(run.n_shards)
        for path, rated in runs.read_rated(run, shard)
        for by_standard in rated.ratings.values()
        for of_views in by_standard.values()
        for number, rating in enumerate(of_views)
    }


def level(rating: Rating | None) -> float:
    assert rating is not None
    return float(1 + rating.logprobs.index(max(rating.logprobs)))
