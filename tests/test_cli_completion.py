"""Shell completion by the protocol that shells speak, and in bash itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zeroiqa.cli.completion import SHELLS

ROOT = Path(__file__).parent.parent


def run(here: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, "-m", "zeroiqa", *arguments],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def asked(here: Path, line: str) -> list[str]:
    """What bash is told for a line, of which the last word is begun."""
    words = line.split(" ")
    done = run(
        here, _ZEROIQA_COMPLETE="bash_complete", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1)
    )
    assert done.returncode == 0
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("zeroiqa sco", ["score"]),
        ("zeroiqa head sc", ["score"]),
        ("zeroiqa score --pres", ["--preset"]),
        ("zeroiqa score --preset emb", ["embedded"]),
        ("zeroiqa score --rater ns", ["nss"]),
        ("zeroiqa score --rater QWEN2-", ["qwen2-vl-2b", "qwen2-vl-7b"]),
        ("zeroiqa score --standard quality-word-", [f"quality-word-{k}" for k in (3, 5, 7, 9)]),
        ("zeroiqa segment --segmenter gr", ["graph", "grid"]),
        ("zeroiqa score --baseline piq", ["piqe"]),
        ("zeroiqa score --granularity no-", ["no-complement"]),
        ("zeroiqa score --aspect q", ["quality"]),
        ("zeroiqa evaluate run --dataset koniq", ["koniq10k"]),
        ("zeroiqa evaluate run --aspect au", ["authenticity"]),
        ("zeroiqa score --device c", ["cpu", "cuda"]),
        ("zeroiqa score --crop b", ["bbox"]),
        ("zeroiqa datasets tid", ["tid2013"]),
        ("zeroiqa standards quality-float", ["quality-float"]),
        ("zeroiqa baselines piq", ["piqe"]),
        ("zeroiqa models pull smolvlm-5", ["smolvlm-500m"]),
        ("zeroiqa head score lmm4lmm:p", ["lmm4lmm:perception"]),
        ("zeroiqa completion f", ["fish"]),
    ],
)
def test_values_are_completed(tmp_path: Path, line: str, values: list[str]) -> None:
    assert asked(tmp_path, line) == [f"plain,{value}" for value in values]


@pytest.mark.parametrize(
    "line",
    [
        "score pho",
        "score -o ru",
        "report ru",
        "evaluate ru",
        "score --preset ./mine.t",
        "evaluate run --mos m",
    ],
)
def test_paths_are_completed_as_files(tmp_path: Path, line: str) -> None:
    assert asked(tmp_path, f"zeroiqa {line}") == [f"file,{line.split(' ')[-1]}"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"COMP_WORDS": "zeroiqa sc"},
        {"COMP_WORDS": "zeroiqa 'sc", "COMP_CWORD": "x"},
        {"COMP_WORDS": "", "COMP_CWORD": "9"},
        {"COMP_WORDS": "zeroiqa nothing --what", "COMP_CWORD": "3"},
    ],
)
@pytest.mark.parametrize("instruction", ["bash_complete", "zsh_complete", "fish_complete", "odd", "a_b", ""])
def test_an_odd_environment_is_silent(tmp_path: Path, instruction: str, variables: dict[str, str]) -> None:
    done = run(tmp_path, _ZEROIQA_COMPLETE=instruction, **variables)
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_the_one_of_the_protocol(tmp_path: Path, shell: str) -> None:
    printed = run(tmp_path, "completion", shell)
    assert printed.returncode == 0
    assert f"_ZEROIQA_COMPLETE={shell}_complete" in printed.stdout
    assert run(tmp_path, _ZEROIQA_COMPLETE=f"{shell}_source").stdout == printed.stdout


def test_no_heavy_package_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom zeroiqa.cli import main\ntry:\n    main([])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'transformers', 'pandas', 'datasets', 'ray'} & set(sys.modules)"
    )
    words = {"COMP_WORDS": "zeroiqa score --rater q", "COMP_CWORD": "3", "_ZEROIQA_COMPLETE": "bash_complete"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **words}
    subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    program = tmp_path / "bin" / "zeroiqa"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m zeroiqa "$@"\n')
    program.chmod(0o755)
    code = """
        eval "$(zeroiqa completion bash)"
        COMP_WORDS=(zeroiqa score --preset emb); COMP_CWORD=3
        _zeroiqa_completion zeroiqa; echo "${COMPREPLY[@]}"
        complete -p zeroiqa
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "embedded"
    assert second.endswith("-F _zeroiqa_completion zeroiqa")
