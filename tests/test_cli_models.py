"""`zeroiqa models`: the list, and downloads from a hub on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.command import zeroiqa
from tests.hub import COMMIT, Hub, serve
from zeroiqa import samples
from zeroiqa.cli import cli
from zeroiqa.weights.cards import model_cards

NEEDED = ("config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors")
SMALL = "HuggingFaceTB/SmolVLM-500M-Instruct"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "hub" / SMALL
    folder.mkdir(parents=True)
    for name in (*NEEDED, "modeling.py", "x.bin"):
        (folder / name).write_text(name)
    with serve(tmp_path / "hub") as hub:
        yield hub


def process(
    cwd: Path, *arguments: str, endpoint: str = "http://127.0.0.1:9"
) -> subprocess.CompletedProcess[str]:
    """The library of the hub reads the environment once, as it is imported."""
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "HF_ENDPOINT": endpoint}
    command = [sys.executable, "-m", "zeroiqa", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_list_has_a_line_for_each_model(tmp_path: Path) -> None:
    done = zeroiqa(tmp_path, "models")
    header, *lines = done.stdout.splitlines()
    assert header.split() == [
        "name",
        "repository",
        "licence",
        "commercial",
        "parameters",
        "bfloat16",
        "presets",
        "fine-tuned",
        "on",
    ]
    assert [line.split()[0] for line in lines] == list(model_cards())
    (small,) = (line for line in lines if line.startswith("smolvlm-500m "))
    assert small.split() == ["smolvlm-500m", SMALL, "Apache-2.0", "yes", "0.51", "B", "0.9", "GiB", "small"]
    (researchers,) = (line for line in lines if line.startswith("qwen2.5-vl-3b "))
    assert "Qwen Research" in researchers and " no " in researchers
    trained = {line.split()[0] for line in lines if line.endswith("KonIQ, SPAQ, KADID, AGIQA-20K, AVA, LSVQ")}
    assert trained == {"q-realign-mini", "q-realign-lite", "q-realign-pro"}


def test_list_as_json_says_the_same_and_more(tmp_path: Path) -> None:
    records = json.loads(zeroiqa(tmp_path, "models", "--format", "json").stdout)
    by_name = {record["name"]: record for record in records}
    assert list(by_name) == list(model_cards())
    assert by_name["gemma3-4b"]["gated"] is True
    assert by_name["qwen2.5-vl-7b"]["presets"] == ["ensemble", "fast"]
    assert by_name["smolvlm-500m"]["memory_bf16_gib"] == 0.95
    assert by_name["smolvlm-500m"]["trained_on"] == [] and "KonIQ" in by_name["q-realign-pro"]["trained_on"]


def test_pull_brings_a_model_and_says_how_to_rate_with_it(hub: Hub, tmp_path: Path) -> None:
    done = process(tmp_path, "models", "pull", "smolvlm-500m", "--to", "weights", endpoint=hub.endpoint)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{SMALL} is complete in weights: 0.00 GiB.\nRate with --rater hf:weights\n"
    assert {path.name for path in (tmp_path / "weights").iterdir()} == {*NEEDED, ".cache"}
    again = process(tmp_path, "models", "pull", "smolvlm-500m", "--to", "weights", "--offline")
    assert again.returncode == 0 and again.stdout == done.stdout


def test_pull_brings_a_head_which_then_scores(hub: Hub, tmp_path: Path) -> None:
    """A released checkpoint has no file of a processor, and its LoRA once more as a pickle."""
    pytest.importorskip("torch")
    from tests.tiny.lmm4lmm import write_lmm4lmm

    write_lmm4lmm(tmp_path / "hub" / "IntMeGroup" / "LMM4LMM-Perception")
    command = ("models", "pull", "hf:IntMeGroup/LMM4LMM-Perception", "--to", "head")
    done = process(tmp_path, *command, endpoint=hub.endpoint)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Score with: zeroiqa head score NAME PATHS --weights head\n")
    photo = str(Path(samples.__file__).parent / "cat.jpg")
    scored = zeroiqa(tmp_path, "head", "score", "lmm4lmm:perception", photo, "--weights", "head")
    assert scored.returncode == 0 and "cat.jpg" in scored.stdout, scored.stderr


def test_pull_without_a_folder_makes_the_name_itself_work(hub: Hub, tmp_path: Path) -> None:
    done = process(tmp_path, "models", "pull", "smolvlm-500m", endpoint=hub.endpoint)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Rate with --rater smolvlm-500m\n")
    assert process(tmp_path, "models", "pull", "smolvlm-500m", "--offline").returncode == 0


def test_code_is_brought_by_a_flag_with_a_warning_that_names_the_repository(hub: Hub, tmp_path: Path) -> None:
    arguments = ("models", "pull", f"hf:{SMALL}", "--to", "weights", "--trust-remote-code", "--allow-pickle")
    done = process(tmp_path, *arguments, endpoint=hub.endpoint)
    assert f"Warning: this brings Python code of {SMALL}" in done.stderr
    assert (tmp_path / "weights" / "modeling.py").is_file() and (tmp_path / "weights" / "x.bin").is_file()


@pytest.mark.parametrize("offline", [[], ["--offline"]])
def test_without_network_one_sentence_says_what_is_missing_and_how_to_bring_it(
    tmp_path: Path, offline: list[str]
) -> None:
    done = process(tmp_path, "models", "pull", "smolvlm-500m", "--to", "weights", *offline)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{SMALL} is not complete in weights: missing {', '.join(NEEDED)}, and " in done.stderr
    assert "run `zeroiqa models pull" in done.stderr and "`--rater hf:DIR`" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["pull", "smolvlm500"], "no model 'smolvlm500'; did you mean smolvlm-500m"),
        (["pull", "hf:."], ". is a folder already"),
        (["pull", "hf:"], "hf: lacks a model"),
        (["pull", "hf:one word"], "neither a folder nor a repository"),
    ],
)
def test_wrong_name_is_refused_in_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    done = zeroiqa(tmp_path, "models", *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_check_shows_how_a_model_rates(tiny: Callable[[str], Path]) -> None:
    first = CliRunner().invoke(cli, ["models", "check", f"hf:{tiny('smolvlm')}", "--offline"])
    assert first.exit_code == 0, first.output
    facts, prompt, _ = first.stdout.split("-" * 72 + "\n")
    assert "family        smolvlm\n" in facts
    assert re.search(r"level tokens  1 is '1' \(\d+\), 2 is '2' \(\d+\), .*7 is '7' \(\d+\)\n", facts)
    assert re.search(r"fast paths    forward (yes|no), batch (yes|no), .*prefix \w+, .*last", facts)
    assert "known answer  recorded in " in facts
    assert prompt.startswith("<|im_start|>System: You are a helpful assistant")
    assert "<image>" in prompt and prompt.endswith("Assistant: \n")


def test_check_shows_how_much_of_an_answer_is_a_level_and_what_else_it_would_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.tiny import odd

    command = ["models", "check", "--offline", "--standard", "quality-word-7", "--standard", "q-bench"]
    odd.always_says(tmp_path / "digit", "5")
    shown = CliRunner().invoke(cli, [*command, f"hf:{tmp_path / 'digit'}"]).stdout
    assert shown.count("standard      ") == 2 and shown.count("prompt as sent") == 2
    assert re.findall(r"^picture (\d)     mass 1; likeliest '5' 1, ('[^\n]+' [\d.e-]+, ){3}'", shown, re.M)
    assert len(re.findall(r"^picture \d     mass [\d.e-]+; likeliest ", shown, re.M)) == 6
    assert not caplog.records

    odd.always_says(tmp_path / "word", "*")
    shown = CliRunner().invoke(cli, [*command, f"hf:{tmp_path / 'word'}"]).stdout
    first, second, third = re.findall(r"picture \d     mass ([\d.e-]+); likeliest '\*' 1, ", shown)[:3]
    assert max(float(first), float(second), float(third)) < 1e-6
    assert re.search(
        rf"{tmp_path / 'word'} rarely answers by a level: [\d.e-]+ of its answer .*likeliest are '\*' 1, ",
        caplog.text,
    )


def test_check_compares_with_the_answer_of_the_first_load(tiny: Callable[[str], Path]) -> None:
    arguments = ["models", "check", f"hf:{tiny('smolvlm')}", "--standard", "quality-float"]
    assert "known answer  recorded in " in CliRunner().invoke(cli, arguments).stdout
    again = CliRunner().invoke(cli, arguments).stdout
    assert "known answer  same: largest difference 0.0e+00" in again
    assert "level tokens  none: this standard has no levels" in again
    assert "output a score between 1 and 7 as a decimal number" in again


def test_check_of_a_preset_shows_its_models_under_its_standards(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    from zeroiqa.standards import load_standard

    preset = tmp_path / "mine.toml"
    shipped = (resources.files("zeroiqa.presets") / "fast.toml").read_text(encoding="utf-8")
    raters, standards = f'raters = ["hf:{tiny("smolvlm")}"]', 'standards = ["dog-iqa-word-7", "q-bench"]'
    changed = re.sub(r"^raters = .*", raters, shipped, flags=re.M)
    preset.write_text(re.sub(r"^standards = .*", standards, changed, flags=re.M), encoding="utf-8")
    arguments = ["models", "check", "--preset", str(preset), "--offline"]
    shown = CliRunner().invoke(cli, arguments).stdout
    assert re.findall(r"^standard +(\S+)", shown, re.M) == ["dog-iqa-word-7", "q-bench"]
    assert re.findall(r"^known answer  (\w+)", shown, re.M) == ["recorded"] * 3
    whole, crop = (load_standard("dog-iqa-word-7").fill(crop=crop).before_image for crop in (False, True))
    _, first, between, second, *_ = shown.split("-" * 72 + "\n")
    assert f"{whole}<image>" in first and f"{crop}<image>" in second
    assert between == "prompt for crops of regions as sent, between the lines:\n"
    again = CliRunner().invoke(cli, arguments).stdout
    assert re.findall(r"^known answer  (\w+)", again, re.M) == ["same"] * 3


def test_check_of_nothing_asks_for_a_name() -> None:
    done = CliRunner().invoke(cli, ["models", "check"])
    assert "name a model, or a preset by --preset" in str(done.exception)


def test_code_of_a_model_may_run_with_a_flag_only_and_a_warning_names_the_model(
    tiny: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["models", "check", f"hf:{tiny('smolvlm')}"]
    CliRunner().invoke(cli, arguments)
    assert "may be run" not in caplog.text
    CliRunner().invoke(cli, [*arguments, "--trust-remote-code"])
    assert caplog.text.count("may be run") == 1
    assert f"code that comes with {tiny('smolvlm')} may be run" in caplog.text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nss", "nss is no model"),
        ("smolvlm500", "did you mean smolvlm-500m"),
        ("hf:nowhere", "There is no folder nowhere"),
    ],
)
def test_check_of_what_is_no_model_is_refused(tmp_path: Path, name: str, sentence: str) -> None:
    done = zeroiqa(tmp_path, "models", "check", name)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("offline", [[], ["--offline"]])
@pytest.mark.parametrize("command", [["models", "check"], ["score", ".", "--segmenter", "grid", "--rater"]])
def test_model_that_is_not_here_names_its_files_and_how_to_bring_them(
    tmp_path: Path, command: list[str], offline: list[str]
) -> None:
    shutil.copy(samples.folder() / "cat.jpg", tmp_path)
    done = process(tmp_path, *command, "smolvlm-500m", *offline)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{SMALL} is not complete in the cache of the hub: missing {', '.join(NEEDED)}" in done.stderr
    assert "run `zeroiqa models pull" in done.stderr and "`--rater hf:DIR`" in done.stderr


@pytest.mark.slow
def test_model_is_downloaded_at_first_use_and_then_needs_no_network(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    shutil.copytree(tiny("idefics3"), tmp_path / "hub" / SMALL)
    shutil.copy(samples.folder() / "cat.jpg", tmp_path)
    command = ("score", "cat.jpg", "--preset", "small", "--format", "csv")
    with serve(tmp_path / "hub") as hub:
        first = process(tmp_path, *command, "-o", "first", endpoint=hub.endpoint)
        assert first.returncode == 0, first.stderr
        assert "model.safetensors" in hub.downloaded
    second = process(tmp_path, *command, "-o", "second")
    assert second.stdout == first.stdout
    assert ",ok," in first.stdout
    assert COMMIT[:16] in (tmp_path / "first" / "run.json").read_text()
