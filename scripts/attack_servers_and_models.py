"""Servers and models that mean harm: what was tried, what was survived, and what it cost.

    PYTHONPATH=. python scripts/attack_servers_and_models.py results/attacks/servers_and_models.csv

The servers are real ones on the loopback interface, the models tiny checkpoints of real architectures,
spoilt. An attack is survived where it ends in a sentence or in a rating, within 60 seconds and one gigabyte.
Each is tried in a process of its own; "largest MB" is what that process took beyond what it had at its start
(PyTorch and transformers are loaded by then), or what one that it started took. Needs the packages of the
tests.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from scripts.attack_tables import write
from tests import test_chat_rendering, test_segmenters_sam2_official_yaml, test_weights_model_files, tiny
from tests.servers.hostile import ATTACKS, BODY, Play, hostile_server, whole
from tests.test_raters_endpoint_hostile import GOOD, changed, mutants
from tests.test_raters_endpoint_secrets import KEY, NO_SECRET, WAYS, runs
from tests.tiny.sam2 import build_official
from zeroiqa.chat.loading import load
from zeroiqa.errors import UserError
from zeroiqa.raters import build_rater
from zeroiqa.segmenters.sam2.official_weights import build_model
from zeroiqa.standards import load_standard
from zeroiqa.types import View
from zeroiqa.weights.options import ModelOptions

Attack = Callable[[Path], object]
"""Done in an empty folder; raises UserError, returns, or is not survived."""
SECONDS, MEGABYTES = 60.0, 1000.0
CPU = ModelOptions(device="cpu")
WORDS = load_standard("quality-word-7")
VIEW = View(np.full((8, 8, 3), 7, np.uint8), None, (8, 8))


class Trial(NamedTuple):
    """What came of one attack."""

    seconds: float
    megabytes: float
    ended: str
    """"well", "traceback" or "killed"."""

    @property
    def is_survived(self) -> bool:
        """Whether it ended well, in time and within memory."""
        return self.ended == "well" and self.seconds < SECONDS and self.megabytes < MEGABYTES


def ask(url: str) -> None:
    build_rater(f"openai:{url}").rate([VIEW], [WORDS])


def serve(play: Play, suffix: str, folder: Path) -> None:
    with hostile_server(play) as server:
        ask(f"{server.url}{suffix}")


def repeat_key(body: bytes, status: str, folder: Path) -> None:
    """Fails where a part of the key is shown."""
    os.environ["ZEROIQA_API_KEY"] = KEY
    try:
        serve(whole(body, status=status), "#m", folder)
    except UserError as error:
        assert not runs(str(error)) & (runs(KEY) | runs(body.decode())) - NO_SECRET, (
            "a part of the key is shown"
        )
        raise


def redirect(status: int, folder: Path) -> None:
    """Fails where the redirect is followed."""
    with hostile_server(whole(BODY)) as elsewhere:
        try:
            serve(whole(b"", f"Location: {elsewhere.url}/x", status=f"{status} Moved"), "#m", folder)
        finally:
            assert not elsewhere.requests, "the redirect is followed"


def server_attacks() -> Iterator[tuple[str, Attack]]:
    for name, (play, _) in ATTACKS.items():
        for suffix in ("", "#m"):
            yield f"server: {name}", partial(serve, play, suffix)
    for status in range(300, 309):
        yield "server: a redirect", partial(redirect, status)
    for path, other in islice(mutants(GOOD), 0, None, 4):
        body = json.dumps(changed(path, other)).encode()
        yield "server: a wrong value at a place of an answer", partial(serve, whole(body), "#m")
    for spelled in WAYS.values():
        for status in ("400 Bad", "401 No", "500 Fails", "200 OK"):
            yield "server: the key repeated", partial(repeat_key, spelled(KEY).encode(), status)


def spoilt(base: Path, spoil: Callable[[Path], object], folder: Path) -> None:
    model = Path(shutil.copytree(base, folder / "model"))
    spoil(model)
    load(str(model), CPU)


def write_header(content: object, folder: Path) -> None:
    header = (content if isinstance(content, str) else json.dumps(content)).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))


def write_text(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)


def enlarge(name: str, folder: Path) -> None:
    test_weights_model_files.sparse(folder / name, 4 << 30)


def point_elsewhere(place: str, folder: Path) -> None:
    (folder / "link.safetensors").symlink_to("/etc/passwd")
    test_weights_model_files.shard(folder, place)


def set_number(name: str, value: object, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(test_weights_model_files.deeply(config, name, value)))


def model_attacks(base: Path) -> Iterator[tuple[str, Attack]]:
    def on(spoil: Callable[..., object], *arguments: object) -> Attack:
        return partial(spoilt, base, partial(spoil, *arguments))

    for source, _ in test_chat_rendering.ATTACKS.values():
        yield "model: a chat template without end", on(write_text, "chat_template.jinja", source)
    files = ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")
    for name in (*files, "model.safetensors.index.json"):
        yield "model: a file of 4 GB", on(enlarge, name)
        yield "model: deep JSON", on(write_text, name, "[" * 1_000_000)
    for content, _ in test_weights_model_files.HEADERS.values():
        yield "model: a header of weights that is wrong", on(write_header, content)
    for name in ("num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings"):
        for value in (10**9, 10**12, 10**30):
            yield "model: a configuration of absurd size", on(set_number, name, value)
    for place in ("/etc/passwd", "../x", "a/../../x", "C:\\x", "\\\\host\\x", "link.safetensors"):
        yield "model: an index that leads elsewhere", on(point_elsewhere, place)


def yaml_attacks() -> Iterator[tuple[str, Attack]]:
    def build(text: str, folder: Path) -> None:
        (folder / "config.yaml").write_text(text)
        build_model(folder / "config.yaml")

    for text in test_segmenters_sam2_official_yaml.CASES:
        yield "model: a configuration in YAML without bounds", partial(build, text)


def tried(attack: Attack) -> Trial:
    """Do it in a child."""
    report, answer = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(report)
        os.write(answer, json.dumps(_outcome(attack)).encode())
        os._exit(0)
    os.close(answer)
    largest, ours = 0, psutil.Process().cmdline()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() - begun > 2 * SECONDS:
            os.kill(child, 9)
        with suppress(psutil.Error):
            for helper in psutil.Process(child).children():
                if helper.cmdline() != ours:  # else it is still a copy of its parent
                    largest = max(largest, helper.memory_info().rss)
        time.sleep(0.01)
    said = os.read(report, 1 << 16)
    os.close(report)
    ended, megabytes = json.loads(said) if said else ("killed", 0.0)
    return Trial(time.monotonic() - begun, max(megabytes, largest / 1e6), ended)


def _outcome(attack: Attack) -> tuple[str, float]:
    before = psutil.Process().memory_info().rss
    ended = "well"
    with tempfile.TemporaryDirectory() as folder:
        try:
            attack(Path(folder))
        except UserError as error:
            if not str(error).isprintable():
                ended = "traceback"
        except BaseException:
            traceback.print_exc()
            ended = "traceback"
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return ended, max(most, 0) / 1e6


def main(target: Path) -> None:
    os.environ |= {"ZEROIQA_ENDPOINT_RETRIES": "0", "ZEROIQA_ENDPOINT_TIMEOUT": "2", "OPENAI_API_KEY": ""}
    found: dict[str, list[Trial]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        base = tiny.build("qwen2_5_vl", Path(scratch) / "qwen")
        build_official(Path(scratch) / "sam2")  # imports what a configuration is built by
        load(str(base), CPU)
        for attacks in (server_attacks(), model_attacks(base), yaml_attacks()):
            for name, attack in attacks:
                found.setdefault(name, []).append(tried(attack))
    table = [
        {
            "attack": name,
            "tried": len(trials),
            "survived": sum(trial.is_survived for trial in trials),
            "slowest s": f"{max(trial.seconds for trial in trials):.1f}",
            "largest MB": f"{max(trial.megabytes for trial in trials):.0f}",
            "tracebacks": sum(trial.ended == "traceback" for trial in trials),
        }
        for name, trials in found.items()
    ]
    facts = {
        "script": "scripts/attack_servers_and_models.py",
        "survived": f"one sentence or a rating, within {SECONDS:g} s and {MEGABYTES:g} MB",
    }
    write(target, table, facts)
    print(target.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/attacks/servers_and_models.csv"))
