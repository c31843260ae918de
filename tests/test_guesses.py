"""What a name means that nothing of the asked kind has."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import zeroiqa
from tests.command import zeroiqa as command
from zeroiqa.errors import UnknownNameError, UserError
from zeroiqa.guesses import KINDS, advise
from zeroiqa.samples import folder
from zeroiqa.weights.cards import model_cards

QWEN = "Qwen/Qwen2.5-VL-7B-Instruct"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--rater niqe", "There is no rater 'niqe': niqe is a baseline; use --baseline niqe."),
        ("--rater NIQE", "niqe is a baseline; use --baseline niqe."),
        ("--rater niqe:pris.npz", "niqe is a baseline; use --baseline niqe:pris.npz."),
        ("--rater llm-iqa", "llm-iqa is a preset; use --preset llm-iqa."),
        ("--rater sam2.1-tiny", "sam2.1-tiny is a segmenter; use --segmenter sam2.1-tiny."),
        ("--rater lmm4lmm", "lmm4lmm is a head; use --rater head:lmm4lmm:DIMENSION:FOLDER."),
        ("--rater nique", "did you mean the baseline niqe? Use --baseline NAME."),
        (f"--rater {QWEN}", f"a repository of the Hugging Face hub is written --rater hf:{QWEN}."),
        ("--rater http://host:80/v1", "a server is written --rater openai:http://host:80/v1#MODEL."),
        ("--preset nss", "nss is a rater; use --rater nss."),
        ("--preset niqe", "niqe is a baseline; use --baseline niqe."),
        ("--preset qwen2.5-vl-7b", "qwen2.5-vl-7b is a model; use --rater qwen2.5-vl-7b."),
        ("--preset embeded", "There is no preset 'embeded'; did you mean embedded?"),
        ("--baseline nss", "There is no baseline 'nss': nss is a rater; use --rater nss."),
        ("--baseline piqee", "There is no baseline 'piqee'; did you mean piqe"),
        ("--segmenter piqe", "piqe is a baseline; use --baseline piqe."),
        ("--segmenter sam2.1", "did you mean 'sam2.1-tiny', 'sam2.1-small', "),
        ("--standard quality-word", "did you mean quality-word-3, quality-word-5, quality-word-7 or "),
        ("--standard fast", "fast is a preset; use --preset fast."),
        ("--granularity grid", "grid is a segmenter; use --segmenter grid."),
        ("--rater head:lmm4lm:qa:x", "There is no head 'lmm4lm:qa:x'; did you mean lmm4lmm?"),
        ("--crop bx", "'bx' is not one of 'bbox', 'mask', 'whole'. Did you mean bbox?"),
        ("--format jsn", "Did you mean json?"),
        ("--aspect qualty", "Did you mean quality?"),
        ("--prset fast", "Did you mean"),
        ("--prset fast", "--preset"),
    ],
)  # fmt: skip
def test_a_name_of_another_kind_is_told_before_images_are_looked_for(
    tmp_path: Path, options: str, sentence: str
) -> None:
    done = command(tmp_path, "score", "nowhere", *options.split())
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_rater_named_by_a_part_is_asked_for_by_all_models_that_begin_so(tmp_path: Path) -> None:
    done = command(tmp_path, "score", "nowhere", "--rater", "smolvlm")
    (asked,) = [part for part in done.stderr.split(";") if "did you mean" in part]
    assert all(f"'{name}'" in asked for name in model_cards() if name.startswith("smolvlm"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("scor photos", "scor is no command; did you mean score?"),
        ("head scre x", "scre is no command; did you mean score?"),
        ("standards piqe", "piqe is a baseline; use --baseline piqe."),
        ("baselines fast", "fast is a preset; use --preset fast."),
        ("datasets konig", "did you mean koniq10k?"),
        ("compare --published --dataset koniq", "did you mean koniq10k?"),
        ("bench --rater piqe", "piqe is a baseline; use --baseline piqe."),
        ("head score lmm4lmm:percetion x", "Did you mean lmm4lmm:perception?"),
        ("report run", "run does not exist, so it is no run; give the folder of a run. Did you mean runs?"),
        ("score photo", "Did you mean photos?"),
        ("score photos/cofee.jpg", "Did you mean photos/coffee.jpg?"),
        ("score photos --preset mine.tml", "There is no preset 'mine.tml'"),
        ("score photos --preset min.toml", "Did you mean mine.toml?"),
    ],
)
def test_other_commands_and_paths_do_so_too(tmp_path: Path, line: str, sentence: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "coffee.jpg").touch()
    (tmp_path / "mine.toml").touch()
    done = command(tmp_path, *line.split())
    assert done.returncode in (1, 2)
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"raters": ["niqe"]}, "niqe is a baseline; use --baseline niqe."),
        ({"preset": "piqe"}, "piqe is a baseline; use --baseline piqe."),
        ({"segmenter": "gird"}, "did you mean 'grid'?"),
        ({"lamda": 1}, r"There is no setting lamda .*; did you mean lambda \(in Python lam\)\?"),
        ({"crops": "mask"}, "There is no setting crops .*; did you mean crop?"),
        ({"crop": "bx"}, "did you mean bbox?"),
        ({"standards": ["quality-word"]}, "did you mean quality-word-3"),
    ],
)
def test_python_says_the_same(tmp_path: Path, choices: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        zeroiqa.load_method(**choices)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=sentence):
        zeroiqa.run(folder(), tmp_path / "run", **choices)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_model_is_written_with_hf(tmp_path: Path) -> None:
    assert advise("rater", str(tmp_path)) == f"a folder with a model is written --rater hf:{tmp_path}."


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_name_is_found_from_every_other_kind(kind) -> None:
    several = ("dog-iqa",)  # names of more kinds than one
    for name in [*kind.names()][:2]:
        for other in KINDS:
            if name in other.names() or other.written == kind.written or name in several:
                continue
            advice = advise(other.name, name)
            assert advice is None or name in advice


def test_the_error_passes_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UnknownNameError("There is none.", "rater", "x")))
    assert (str(error), error.kind, error.name) == ("There is none.", "rater", "x")


def test_no_guess_imports_torch() -> None:
    code = (
        "import sys; from zeroiqa.guesses import advise\n"
        "assert 'baseline' in advise('rater', 'niqe')\n"
        "assert not {'torch', 'transformers', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
