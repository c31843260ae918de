"""A method is resolved once in a command: builds, questions to a hub and probes of a server are counted."""

from __future__ import annotations

import pickle
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner, Result

from tests.hub import Hub, serve
from tests.servers.process import ChatServer
from zeroiqa import pipeline, samples
from zeroiqa.cli import cli
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs import run_id
from zeroiqa.runs.naming import Naming
from zeroiqa.runs.resolved import Resolved, resolve
from zeroiqa.settings import Settings, load_settings
from zeroiqa.types import View

REPO = "someone/model"
VIEWS = [View(np.full((32, 32, 3), 128, np.uint8), None, (32, 32))]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two photos below the current one."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("cat.jpg", "coffee.jpg"):
        PIL.Image.open(samples.folder() / name).resize((90, 60)).save(f"photos/{name}")
    return tmp_path


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Name -> how often a rater or segmenter of that name was built in this process."""
    counts: Counter[str] = Counter()

    def counted(build):
        def built(name, *arguments, **options):
            counts[name] += 1
            return build(name, *arguments, **options)

        return built

    monkeypatch.setattr(pipeline, "build_rater", counted(pipeline.build_rater))
    monkeypatch.setattr(pipeline, "segmenter_of", counted(pipeline.segmenter_of))
    return counts


def score(*arguments: str) -> Result:
    done = CliRunner().invoke(cli, ["score", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


FRESH = ("photos", "-o", "run")
COMMANDS: dict[str, tuple[tuple[str, ...], bool]] = {
    "fresh": (FRESH, False),
    "default folder": (("photos",), False),
    "resumed": (FRESH, True),
    "errors tried again": ((*FRESH, "--retry-errors"), True),
    "dry run": (("photos", "--dry-run"), False),
    "dry run of a run": ((*FRESH, "--dry-run"), True),
    "two workers": ((*FRESH, "--workers", "2"), False),
    "the run alone": (("-o", "run"), True),
}
"""Arguments, and whether a run is there in which the last shard is left to do."""


def begin(*choices: str) -> None:
    score(*FRESH, *choices)
    for part in Path("run").rglob("part-00001.parquet"):
        part.unlink()


@pytest.mark.parametrize(("arguments", "begun"), COMMANDS.values(), ids=COMMANDS)
def test_each_rater_and_the_segmenter_are_built_once_and_a_server_is_probed_once(
    builds: Counter[str], server: ChatServer, arguments: tuple[str, ...], begun: bool
) -> None:
    asked = f"openai:{server.url}"
    choices = ("--rater", "nss", "--rater", asked, "--segmenter", "grid:2x1", "--regions")
    if begun:
        begin(*choices)
        builds.clear()
        server.script()
    score(*arguments, *(choices if "photos" in arguments else ()))
    assert builds == {"nss": 1, asked: 1, "grid:2x1": 1}
    assert len(server.requests("/v1/models")) == 1


@pytest.fixture(scope="module")
def repositories(tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a hub with one repository."""
    root = tmp_path_factory.mktemp("hub")
    shutil.copytree(tiny("qwen2_5_vl"), root / REPO)
    return root


@pytest.fixture
def hub(repositories: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, to which the library leads in this process and in its children."""
    with serve(repositories) as running:
        lead_to(running.endpoint, here / "cache", monkeypatch)
        yield running


def lead_to(endpoint: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, endpoint)
    for name, value in {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


MODEL = ("--rater", f"hf:{REPO}", "--crop", "whole", "--device", "cpu")


def which_commit(hub: Hub) -> list[str]:
    """The questions which commit is behind a name."""
    return [
        path for path in hub.questions if path in (f"/api/models/{REPO}", f"/api/models/{REPO}/revision/main")
    ]


def test_the_hub_is_asked_once_about_a_repository(hub: Hub) -> None:
    score(*FRESH, *MODEL)
    assert len(which_commit(hub)) == 1
    for part in Path("run").rglob("part-00001.parquet"):
        part.unlink()
    for arguments in ((*FRESH, *MODEL, "--dry-run"), (*FRESH, *MODEL), ("-o", "run", "--retry-errors")):
        hub.questions.clear()
        score(*arguments)  # all is here, and of the commit that the hub names
        assert hub.questions in (which_commit(hub)[:1], []), arguments


def test_a_worker_asks_the_hub_nothing(hub: Hub) -> None:
    """It has a copy of what the run was resolved to, in which the commit is pinned."""
    resolved = resolve(chosen(raters=[f"hf:{REPO}"], crop="whole", device="cpu"))
    known = resolved.identity["raters"]
    pinned = resolved.builder.method(resolved.settings)
    pinned.raters[f"hf:{REPO}"].rate(VIEWS, pinned.standards)
    hub.questions.clear()
    copy = pickle.loads(pickle.dumps(resolved.builder)).method(resolved.settings)
    assert {name: rater.id for name, rater in copy.raters.items()} == known
    copy.raters[f"hf:{REPO}"].rate(VIEWS, copy.standards)
    assert hub.questions == []


def test_a_hub_that_cannot_be_reached_is_knocked_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a firewall that drops packets, each question takes its ten seconds."""
    score(*FRESH, *MODEL)
    before = Path("run/scores.csv").read_bytes()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr("zeroiqa.weights.hub._PATIENCE", 0.2)
        lead_to(f"http://127.0.0.1:{silent.getsockname()[1]}", Path("cache"), monkeypatch)
        score("photos", "-o", "again", *MODEL)
        silent.settimeout(1)
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert Path("again/scores.csv").read_bytes() == before


def chosen(**choices: object) -> Settings:
    own = {"segmenter": "grid", "raters": ["nss", "fake"], "lam": 1.0}
    return load_settings("embedded", {**own, **choices})


def test_what_is_resolved_is_built_once_and_stays(builds: Counter[str]) -> None:
    resolved = resolve(chosen())
    assert resolve(resolved) is resolved and resolved.identity == resolve(chosen()).identity
    assert resolved.method.raters["nss"] is resolved.method.raters["nss"]
    assert resolved.method.segmenter is resolved.method.segmenter
    assert builds == {"nss": 2, "fake": 2, "grid": 2}


def test_a_run_keeps_its_id() -> None:
    """Ids of version 94000d4: what it began is found, opened and gone on with."""
    choices = {"segmenter": "grid:2x1", "raters": ("fake:2",), "regions": True}
    settings = load_settings("embedded", choices)
    images = [ImageRef("a.png", 1), ImageRef("b/c.png", 2)]
    assert run_id(settings, images) == "3dd66fa85031dbe6c30817237ee52d48d3c2934b5cf7df6448463f77abb4831b"
    named = run_id(resolve(settings), images, Naming(("photos",)))
    assert named == "02cf90851a52a721f9adde6172487e2016ec45a4cd6b0664442d46f6076d8b0b"


def test_what_is_built_otherwise_is_another_one() -> None:
    builder = resolve(chosen()).builder
    assert len({id(builder.method(chosen(min_area=area)).segmenter) for area in (0.1, 0.2, 0.1)}) == 2
    assert builder.method(chosen(crop="whole")).segmenter is None
    assert len({id(builder.method(chosen(dtype=dtype)).raters["nss"]) for dtype in ("auto", "float32")}) == 2


def test_a_copy_for_another_process_knows_the_replies_and_nothing_that_is_built(server: ChatServer) -> None:
    resolved = resolve(chosen(raters=[f"openai:{server.url}"], crop="whole"))
    known = resolved.identity["raters"]
    copy: Resolved = pickle.loads(pickle.dumps(Resolved(resolved.settings, resolved.builder)))
    assert copy.method.raters != resolved.method.raters
    assert copy.identity["raters"] == known and len(server.requests("/v1/models")) == 1


@pytest.mark.parametrize("command", ["status", "rescore", "verify", "merge"])
def test_commands_on_a_run_build_nothing(builds: Counter[str], command: str) -> None:
    score(*FRESH, "--rater", "fake", "--segmenter", "grid")
    builds.clear()
    done = CliRunner().invoke(cli, [command, "run"], catch_exceptions=False)
    assert done.exit_code == 0 and not builds


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("segment", "photos", "-o", "regions", "--segmenter", "grid"), {"grid": 1}),
        (("verify", "photos", "--segmenter", "grid"), {"nss": 1, "grid": 1}),
    ],
    ids=["segment", "verify"],
)
def test_other_commands_build_once_too(
    builds: Counter[str], arguments: tuple[str, ...], expected: dict[str, int]
) -> None:
    done = CliRunner().invoke(cli, [*arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert builds == expected
