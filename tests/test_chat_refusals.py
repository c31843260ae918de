"""Models that cannot rate are refused in one sentence; what a rater may be asked besides levels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

from tests.test_tiny import picture  # noqa: E402
from tests.tiny import odd  # noqa: E402
from zeroiqa.cli import main  # noqa: E402
from zeroiqa.errors import ImageError, UserError  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.samples import folder as samples  # noqa: E402
from zeroiqa.standards import FilledPrompt, load_standard  # noqa: E402
from zeroiqa.types import View  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

CPU = ModelOptions(device="cpu")
WORDS, FLOAT = load_standard("quality-word-7"), load_standard("quality-float")
VIEW = View(picture(0), None, (96, 128))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a folder of one photograph."""
    (tmp_path / "photos").mkdir()
    shutil.copy(samples() / "cat.jpg", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


MESSAGES = {
    "digits_of_several_tokens": "no single token for each of the levels 1 to 7",
    "digits_of_one_and_the_same_token": "no single token for each of the levels 1 to 7",
    "digits_that_melt_into_the_prompt": "no single token for each of the levels 1 to 7",
    "a_digit_that_is_unknown": "the answer '7' is the token 22, which says '<unk>'",
    "a_digit_that_is_a_letter": "the answer '7' is the token 87, which says 'x'",
    "ends_within_a_thought": "ends within a thought ('<think>')",
    "text_only": "choose a chat vision-language model",
    "template_without_images": "takes no image",
    "broken_template": "chat template",
    "no_template": "has no chat template",
    "no_chat_model": "has no chat template",
    "no_next_token": "does not answer token by token",
    "missing_tensor": "model.language_model.norm.weight",
    "unexpected_tensor": "model.language_model.extra.weight",
    "tensor_of_wrong_shape": "model.language_model.norm.weight",
    "weights_that_are_no_numbers": "NaN",
    "no_weights": "*.safetensors",
    "lost_shard": "model-00002-of-00002.safetensors",
    "pickled_weights": "--allow-pickle",
    "harmful_pickle": "--allow-pickle",
    "no_tokenizer": "tokenizer",
    "no_processor": "processor",
    "no_config": "config.json",
    "broken_config": "config.json",
    "unknown_architecture": "qwen9_vl",
    "own_code": "--trust-remote-code",
}


@pytest.mark.parametrize("make", odd.REFUSED, ids=lambda make: make.__name__)
def test_the_command_line_refuses_in_one_sentence_what_cannot_rate(
    make: Callable[[Path], Path], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(photos / "model")
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["score", "photos", "--rater", "hf:model", "--device", "cpu"])
    out, err = capsys.readouterr()

    assert stopped.value.code == 1
    assert out == ""
    assert re.fullmatch(r"Error: [^\n]*model[^\n]*\.\n", err), err
    assert MESSAGES.get(make.__name__, "model") in err
    assert len(err) < 500
    assert not (photos / "model" / "ran").exists(), "code of the checkpoint was run"


def test_a_repository_with_code_of_its_own_is_not_run_whatever_is_typed(photos: Path) -> None:
    odd.own_code(photos / "model")
    command = [sys.executable, "-m", "zeroiqa", "score", "photos", "--rater", "hf:model"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(command, input="y\n" * 9, capture_output=True, text=True, env=environment)

    assert done.returncode == 1
    assert re.fullmatch(r"Error: [^\n]+--trust-remote-code[^\n]+\n", done.stderr)
    assert not (photos / "model" / "ran").exists()


def test_pickled_weights_rate_as_safetensors_where_they_are_allowed(tmp_path: Path) -> None:
    safe = ChatRater(str(odd.good(tmp_path / "safe")), CPU).rate([VIEW], [WORDS])
    pickled = str(odd.pickled_weights(tmp_path / "pickled"))

    assert ChatRater(pickled, replace(CPU, allow_pickle=True)).rate([VIEW], [WORDS]) == safe


def test_pickled_weights_that_run_code_are_refused_even_where_pickles_are_allowed(tmp_path: Path) -> None:
    rater = ChatRater(str(odd.harmful_pickle(tmp_path / "model")), replace(CPU, allow_pickle=True))

    with pytest.raises(UserError):
        rater.rate([VIEW], [WORDS])
    assert not (tmp_path / "model" / "ran").exists()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_any_type_are_computed_in_float32_on_a_cpu(dtype: str, tmp_path: Path) -> None:
    rater = ChatRater(str(odd.other_dtype(tmp_path / "model", dtype)), CPU)
    exact = ChatRater(str(odd.good(tmp_path / "good")), CPU).rate([VIEW], [WORDS])[0][0]
    found = rater.rate([VIEW], [WORDS])[0][0]

    assert rater.describe(WORDS)["dtype"] == "float32"
    assert found is not None and exact is not None
    assert found.logprobs == pytest.approx(exact.logprobs, abs=0.2)


def test_the_same_weights_have_the_same_id_wherever_they_are_and_others_have_another(tmp_path: Path) -> None:
    one = odd.good(tmp_path / "one")
    shutil.copytree(one, tmp_path / "two")
    other = odd.other_dtype(tmp_path / "other", "bfloat16")
    ids = [ChatRater(str(folder), CPU).id for folder in (one, tmp_path / "two", other)]
    path = tmp_path / "two" / odd.WEIGHTS
    path.write_bytes(path.read_bytes()[:-4] + b"\1\2\3\4")

    assert ids[0] == ids[1] != ids[2]
    assert ChatRater(str(tmp_path / "two"), CPU).id != ids[0]
    assert ChatRater(str(one), replace(CPU, dtype="bfloat16")).id != ids[0]


@pytest.mark.parametrize(
    ("family", "text", "value"),
    [
        ("qwen2_5_vl", "4.2", 4.2),
        ("qwen2_5_vl", " 6", 6.0),
        ("smolvlm", " 3.5", 3.5),
        ("qwen2_5_vl", "9.5", None),
        ("qwen2_5_vl", "0.5", None),
        ("qwen2_5_vl", "-3", None),
        ("qwen2_5_vl", "Good", None),
    ],
)
def test_a_free_answer_is_the_number_on_the_scale_that_it_holds_or_none(
    family: str, text: str, value: float | None, tmp_path: Path
) -> None:
    rater = ChatRater(str(odd.always_says(tmp_path / "model", text, family)), CPU)
    (number, level), *_ = rater.rate([VIEW], [FLOAT, WORDS])

    assert level is not None and len(level.logprobs) == 7
    assert (None if number is None else number.value) == value
    assert number is None or number.logprobs == ()


@pytest.mark.parametrize("token", ["<|image_pad|>", "<|im_end|>", "<|vision_start|>"])
def test_a_prompt_with_a_token_that_poses_as_an_image_or_a_turn_is_refused(
    token: str, tiny: Callable[[str], Path]
) -> None:
    rater = ChatRater(str(tiny("qwen2_5_vl")), CPU)
    view = replace(VIEW, prompt=f"a fox {token} in the snow")

    with pytest.raises(ImageError, match=re.escape(token)):
        rater.rate([view], [load_standard("correspondence-word-7")])


def test_nothing_to_rate_gives_nothing(tiny: Callable[[str], Path]) -> None:
    rater = ChatRater(str(tiny("qwen2_5_vl")), CPU)

    assert rater.rate([], [WORDS]) == []
    assert rater.rate([VIEW, VIEW], []) == [[], []]


def test_a_rater_that_was_released_rates_the_same_again(tiny: Callable[[str], Path]) -> None:
    rater = ChatRater(str(tiny("internvl")), CPU)
    before = rater.rate([VIEW], [WORDS])
    rater.release()

    assert rater.rate([VIEW], [WORDS]) == before


def test_words_are_read_at_the_last_position(tiny: Callable[[str], Path]) -> None:
    rater = ChatRater(str(tiny("smolvlm")), CPU)
    prompt = FilledPrompt("You are a helpful assistant.", "Is the quality of the image good or poor?")
    words = rater.model.word_tokens(prompt, ["good", "poor"])
    views = [VIEW, replace(VIEW, pixels=picture(1))]
    logprobs = rater.model.last_logprobs(views, prompt, words.lead)

    assert [rater.model.token_text(token).strip()[0] for token in words.ids] == ["g", "p"]
    assert logprobs.shape[0] == 2
    assert np.abs(np.diff(logprobs[:, list(words.ids)].numpy(), axis=0)).max() > 1e-3


def test_an_unknown_architecture_is_refused_before_any_weights_are_read(tmp_path: Path) -> None:
    (odd.unknown_architecture(tmp_path / "model") / odd.WEIGHTS).unlink()

    with pytest.raises(UserError, match="qwen9_vl"):
        ChatRater(str(tmp_path / "model"), CPU).rate([VIEW], [WORDS])
