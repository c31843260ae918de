"""What `zeroiqa head score` says of each mistake: one sentence, and nothing is scored."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.tiny.lmm4lmm import write_heads_and_photos

SHARD = "model-00002-of-00003.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = write_heads_and_photos(tmp_path_factory.mktemp("mistakes"))
    (base / "three.txt").write_text("a cat\ntwo dogs\nnothing\n")
    (base / "two.txt").write_text("a cat\ntwo dogs\n\n")
    (base / "latin.txt").write_bytes(b"caf\xe9\n" * 3)
    return base


@pytest.fixture
def said(folder, give):
    """Give the command in the folder; its exit code, and the one sentence that it ends with."""

    def ended(*arguments):
        done = give(folder, "head", "score", *arguments, "--device", "cpu")
        assert not done.stdout and done.stderr.count("Error: ") == 1
        return done.returncode, done.stderr[done.stderr.index("Error: ") :]

    return ended


WITH_PROMPTS = ("lmm4lmm:correspondence", "photos", "--weights", "scores")
WITH_QUESTIONS = ("lmm4lmm:qa", "photos", "--weights", "answers")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("lmm4lmm:qa", "photos", "--weights", "scores", "--questions", "three.txt"), "holds a regression"),
        (("lmm4lmm:perception", "photos", "--weights", "answers"), "answers has no regression"),
        (
            ("lmm4lmm:correspondence", "photos", "--weights", "answers", "--prompts", "three.txt"),
            "answers has no regression",
        ),
        (WITH_PROMPTS, "needs prompts, found none for 3 images; give --prompts FILE"),
        (WITH_QUESTIONS, "needs questions, found none for 3 images; give --questions FILE"),
        ((*WITH_PROMPTS, "--prompts", "two.txt"), "two.txt has 2 lines for 3 images"),
        ((*WITH_QUESTIONS, "--questions", "two.txt"), "two.txt has 2 lines for 3 images"),
        ((*WITH_PROMPTS, "--prompts", "missing.txt"), "missing.txt cannot be read"),
        ((*WITH_PROMPTS, "--prompts", "latin.txt"), "save it as UTF-8"),
        (("lmm4lmm:perception", "photos", "--weights", "nowhere"), "There is no folder nowhere"),
        (("lmm4lmm:perception", "photos", "--weights", "photos"), "photos holds no config.json"),
    ],
)
def test_the_wrong_weights_or_texts(folder, said, tmp_path, arguments, sentence):
    code, found = said(*arguments, "-o", tmp_path / "run")
    assert code == 1 and sentence in found and found.count("\n") == 1
    assert not list(tmp_path.rglob("ratings/*/part-*"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("lmm4lmm:perception", "photos"), "--weights is needed"),
        (
            ("lmm4lmm:perception", "photos", "--weights", "scores", "--prompts", "three.txt"),
            "lmm4lmm:perception takes no --prompts",
        ),
        (
            ("lmm4lmm:perception", "photos", "--weights", "scores", "--sidecar-prompts"),
            "lmm4lmm:perception takes no --sidecar-prompts",
        ),
        ((*WITH_QUESTIONS, "--prompts", "three.txt"), "lmm4lmm:qa takes no --prompts"),
        (("lmm4lmm:beauty", "photos", "--weights", "scores"), "is not one of 'lmm4lmm:perception'"),
        (("lmm4lmm:perception", "--weights", "scores"), "but --weights was given"),
        (("lmm4lmm:perception", "--add"), "--add, --exact and --dry-run need PATHS"),
    ],
)
def test_the_wrong_usage(folder, give, said, tmp_path, arguments, sentence):
    if sentence.startswith("--add"):
        planned = ("lmm4lmm:perception", "photos", "--weights", "scores", "-o", tmp_path / "run")
        give(folder, "head", "score", *planned, "--plan-only")
    code, found = said(*arguments, "-o", tmp_path / "run")
    assert code == 2 and sentence in found


def cut(name, size):
    def spoil(weights):
        content = (weights / name).read_bytes()
        (weights / name).write_bytes(content[: int(size * len(content))])

    return spoil


def without(name):
    return lambda weights: (weights / name).unlink()


def with_split_level_words(weights):
    path = weights / "tokenizer.json"
    record = json.loads(path.read_text())
    record["model"]["merges"] = [each for each in record["model"]["merges"] if each[1] != "ad"]
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (without(SHARD), f"lacks 1 of 3 files of weights (first: {SHARD}); finish the download"),
        (cut(SHARD, 0.9), f"{SHARD} is damaged"),
        (cut(SHARD, 0.001), f"{SHARD} cannot be loaded, for its header is damaged"),
        (cut(SHARD, 0), f"{SHARD} cannot be loaded, for its header is damaged (it has 0 bytes)"),
        (cut("lora_weights.pth", 0.5), "lora_weights.pth is damaged"),
        (cut("model.safetensors.index.json", 0.5), "model.safetensors.index.json is damaged"),
        (without("config.json"), "holds no config.json"),
        (cut("config.json", 0.5), "config.json cannot be read (Unterminated string"),
        (without("tokenizer.json"), "holds no tokenizer"),
        (cut("tokenizer.json", 0.5), "The tokenizer of"),
        (with_split_level_words, "is not a single token to the tokenizer"),
    ],
    ids=[
        "shard missing", "shard cut", "shard cut in its header", "shard empty", "LoRA cut", "index cut",
        "config missing", "config cut", "tokenizer missing", "tokenizer cut", "level words split",
    ],
)  # fmt: skip
def test_a_folder_that_is_half_downloaded_or_another_model_s(folder, said, tmp_path, spoil, sentence):
    shutil.copytree(folder / "scores", tmp_path / "weights")
    spoil(tmp_path / "weights")
    code, found = said(
        "lmm4lmm:perception", "photos", "--weights", tmp_path / "weights", "-o", tmp_path / "run"
    )
    assert code == 1 and sentence in found and found.count("\n") == 1
    assert not list(tmp_path.rglob("ratings/*/part-*"))
