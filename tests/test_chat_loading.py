"""Models are loaded completely and safely, or refused in one sentence."""

from __future__ import annotations

import json
import logging
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from tests.tiny import odd  # noqa: E402
from zeroiqa.chat import loading  # noqa: E402
from zeroiqa.chat.loading import load  # noqa: E402
from zeroiqa.errors import UserError  # noqa: E402
from zeroiqa.raters.chat import ChatRater  # noqa: E402
from zeroiqa.speed.benchmark import make_views  # noqa: E402
from zeroiqa.standards import load_standard  # noqa: E402
from zeroiqa.weights.checkpoint import find_checkpoint  # noqa: E402
from zeroiqa.weights.options import ModelOptions  # noqa: E402

CPU = ModelOptions(device="cpu")
Tiny = Callable[[str], Path]


def test_a_model_is_loaded_for_evaluation_in_the_type_and_with_the_attention_asked_for(tiny: Tiny) -> None:
    loaded = load(str(tiny("qwen2_5_vl")), replace(CPU, dtype="bfloat16", attn="eager"))

    assert loaded.family == "qwen2_5_vl"
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.bfloat16} == {loaded.dtype}
    assert loaded.model.config._attn_implementation == "eager"
    assert loaded.processor.tokenizer.padding_side == "left"


def test_tied_weights_are_not_missing(tiny: Tiny) -> None:
    """The head of many models is their embedding, and not a second time in the file."""
    from safetensors.torch import load_file

    assert "lm_head.weight" not in load_file(tiny("gemma3") / odd.WEIGHTS)
    load(str(tiny("gemma3")), CPU)


def test_many_missing_tensors_are_listed_by_the_first_ones_and_counted(tmp_path: Path) -> None:
    def empty(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if "layers" in name]:
            del tensors[name]

    folder = odd._edit_weights(odd.good(tmp_path / "model"), empty)
    with pytest.raises(
        UserError, match=r"tensors missing: (\S+, ){4}\S+ and \d+ more\); fetch the model again."
    ):
        load(str(folder), CPU)


def test_foreign_code_is_announced_with_the_name_of_the_repository(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = odd.own_code(tmp_path / "model")
    with pytest.raises(UserError), caplog.at_level(logging.WARNING):
        load(str(folder), replace(CPU, trust_remote_code=True))

    assert any(str(folder) in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm"])
def test_8_bits_give_almost_the_ratings_of_32(tiny: Tiny, family: str) -> None:
    """Rounding to 8 bits moves the probabilities of these models by some hundredths, not to other answers."""
    pytest.importorskip("bitsandbytes")
    views, standard = make_views(3, side=64), load_standard("quality-word-7")
    full, quantised = (
        ChatRater(str(tiny(family)), replace(CPU, load_in_8bit=bits)) for bits in (False, True)
    )
    ratings = [
        torch.tensor([row[0].logprobs for row in rater.rate(views, [standard])]).exp()
        for rater in (full, quantised)
    ]

    layers = {type(layer).__name__ for layer in quantised.loaded.model.modules()}
    assert "Linear8bitLt" in layers
    assert quantised.id == f"{full.id} 8bit"
    assert 0 < (ratings[0] - ratings[1]).abs().max() < 0.1


def test_8_bits_without_their_packages_are_refused(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda package: None)
    with pytest.raises(
        UserError, match=r"8-bit weights need what is missing.*pip install bitsandbytes accelerate"
    ):
        load(str(tiny("qwen2_5_vl")), replace(CPU, load_in_8bit=True))


def test_weights_that_cannot_fit_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """The size is that of the tensors in the type to be used, by the headers of all files."""
    folder = odd.good(tmp_path / "model")
    small = find_checkpoint(str(folder)).count_weights()
    tensors = safetensors.load_file(folder / odd.WEIGHTS)
    assert small == sum(tensor.numel() for tensor in tensors.values())

    more = {"dtype": "BF16", "shape": [2**20, 2**25], "data_offsets": [0, 2**46]}
    header = json.dumps({"more": more}).encode()
    (folder / "more.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert find_checkpoint(str(folder)).count_weights() == small + 2**45
    with pytest.raises(UserError, match=r"need 131072\.0 GiB of memory on cpu, found"):
        load(str(folder), CPU)
    with pytest.raises(UserError, match=r"need 65536\.0 GiB"):
        load(str(folder), replace(CPU, dtype="bfloat16"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="flash attention may be installed beside a GPU")
def test_an_attention_whose_package_is_missing_is_named(tiny: Tiny) -> None:
    with pytest.raises(UserError, match=r"needs a package that is missing \(.*FlashAttention2.*\)"):
        load(str(tiny("qwen2_5_vl")), replace(CPU, attn="flash_attention_2"))


@pytest.mark.parametrize("name", ["no/such/folder", "./model", "qwen"])
def test_a_name_that_is_neither_a_folder_nor_a_repository_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"There is no folder {name}; give a folder with config.json"):
        find_checkpoint(name)


def test_a_repository_that_was_never_fetched_cannot_be_loaded_offline() -> None:
    with pytest.raises(UserError, match="owner/never-fetched"):
        find_checkpoint("owner/never-fetched", offline=True)


def test_a_fingerprint_changes_with_weights_and_descriptions_and_not_with_the_place(tmp_path: Path) -> None:
    one, two = (odd.good(tmp_path / name) for name in ("one", "two"))

    def fingerprint(folder: Path) -> str:
        return find_checkpoint(str(folder)).fingerprint()

    before = fingerprint(one)
    assert before == fingerprint(two)

    config = json.loads((one / "config.json").read_text(encoding="utf-8"))
    (one / "config.json").write_text(json.dumps({**config, "vision_start_token_id": 1}), encoding="utf-8")
    assert fingerprint(one) != before

    odd._edit_weights(two, lambda tensors: tensors["lm_head.weight"].mul_(2))
    assert fingerprint(two) != before


def test_building_a_rater_and_asking_whether_it_fits_loads_no_torch(tiny: Tiny) -> None:
    code = f"""
import sys
from zeroiqa.raters import build_rater
from zeroiqa.standards import load_standard
rater = build_rater("hf:{tiny("qwen2_5_vl")}")
rater.check(load_standard("quality-word-7"))
print({{"torch", "transformers"}} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    assert done.stdout.strip() == "set()", done.stderr
