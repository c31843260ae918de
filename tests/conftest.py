"""Options, and what every test may rely on: no test reads or writes the user's own files."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import joblib
import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import WorkStealingScheduling

if "PYTEST_XDIST_WORKER" in os.environ:  # the processes are the parallelism; read when torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests import tiny as checkpoints
from tests.servers import s3_server
from tests.servers.buckets import Bucket
from tests.servers.process import ChatServer, chat_server

gc.disable()  # until all is imported: nothing of that becomes garbage

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each process that a test starts would compile all of it
sys.dont_write_bytecode = False

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("zeroiqa", deadline=None)  # no test depends on the speed of the machine
settings.load_profile("zeroiqa")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-gpu", action="store_true", help="run the tests that need a CUDA device")
    parser.addoption("--run-weights", action="store_true", help="run the tests that need model weights")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a tenth of the time goes by in waiting for other processes."""
    return int(joblib.cpu_count()) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WorkStealingScheduling:
    """Nobody is idle at the end: whoever has nothing left takes tests that others have not begun."""
    return WorkStealingScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # so that nobody waits for them
    for marker in ("gpu", "weights"):
        if config.getoption(f"--run-{marker}"):
            continue
        skip = pytest.mark.skip(reason=f"needs --run-{marker}")
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(skip)


def pytest_collection_finish() -> None:
    """What is there by now stays: a run collects garbage at its end, and need not look at it each time."""
    gc.freeze()
    gc.set_threshold(
        20_000, 20, 20
    )  # what is frozen does not count, so that all would be looked at too often
    gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # else libraries report their types as leaks when the interpreter ends


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that nobody has had; `mktemp` would look through thousands of them each time."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def isolated_user(
    request: pytest.FixtureRequest, homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home of its own for each test, and none of the user's settings; downloaded weights are shared."""
    for name in list(os.environ):
        if name.startswith("ZEROIQA_") and name != "ZEROIQA_DEV_DATA":
            monkeypatch.delenv(name)
    if request.node.get_closest_marker("weights"):
        return
    home = next(homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HF_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: tiny models are slower on several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Done(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Give a command in a folder, in this process: importing torch anew takes seconds."""
    from zeroiqa.cli import main

    def given(folder: Path, *arguments: object) -> Done:
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return given


@pytest.fixture
def dev_data() -> Path:
    """The folder of development data, which is not part of the project."""
    folder = os.environ.get("ZEROIQA_DEV_DATA")
    if not folder:
        pytest.skip("ZEROIQA_DEV_DATA does not name the folder of development data")
    if not Path(folder).is_dir():
        pytest.skip(f"ZEROIQA_DEV_DATA names {folder}, which is no folder")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """tiny("qwen2_5_vl") is the folder of a tiny checkpoint of that family, to be left unchanged."""
    built: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in built:
            built[family] = checkpoints.build(family, tmp_path_factory.mktemp("tiny") / family)
        return built[family]

    return folder


@pytest.fixture(scope="session")
def tiny_sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny SAM 2 checkpoint in the official layout, to be left unchanged."""
    from tests.tiny.sam2 import build_official

    return build_official(tmp_path_factory.mktemp("tiny") / "sam2")


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[dict[str, str]]:
    """The environment that leads to an S3 server on the loopback interface."""
    with s3_server() as environment:
        yield environment


@pytest.fixture
def bucket(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A new bucket of that server; this process and its children are led there."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return Bucket.create()


@pytest.fixture(scope="module")
def running_server() -> Iterator[ChatServer]:
    """A chat server in a process of its own."""
    with chat_server() as server:
        yield server


@pytest.fixture
def server(running_server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """A chat server that behaves, and an environment without keys, proxies and patience."""
    for name in ("OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ZEROIQA_ENDPOINT_RETRIES", "0")
    running_server.script()
    return running_server
