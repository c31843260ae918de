"""Released checkpoints of LMM4LMM: joint matrices, LoRA, pickled weights, positions beyond those trained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.tiny.lmm4lmm import lmm4lmm_config, write_lmm4lmm
from zeroiqa.errors import UserError
from zeroiqa.heads.lmm4lmm.checkpoint import load_model, split_wqkv
from zeroiqa.heads.regression import QualityRegression


def shards(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            found[path.name] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return found


def drop(folder: Path, part: str) -> None:
    """Take tensors out of all shards."""
    for name, tensors in shards(folder).items():
        save_file({key: t for key, t in tensors.items() if part not in key}, folder / name)


def test_split_matrices_join_to_the_one_they_were(tmp_path: Path) -> None:
    config = load_model(write_lmm4lmm(tmp_path)).config
    width = config.language.hidden // config.language.heads
    joint = torch.arange(config.language.hidden + 2 * 2 * width).float()[:, None].expand(-1, 64)
    query, key, value = split_wqkv(joint, config)
    groups = [part.unflatten(0, (config.language.kv_heads, -1)) for part in (query, key, value)]
    assert torch.equal(torch.cat(groups, 1).flatten(0, 1), joint)
    assert key[:, 0].tolist() == [*range(4 * width, 5 * width), *range(10 * width, 11 * width)]


def test_lora_may_be_in_the_overlay_alone_but_not_nowhere(tmp_path: Path) -> None:
    whole = load_model(write_lmm4lmm(tmp_path / "whole")).state_dict()
    folder = write_lmm4lmm(tmp_path / "overlay")
    drop(folder, "lora_")
    for name, tensor in load_model(folder).state_dict().items():
        assert torch.equal(tensor, whole[name]), name
    (folder / "lora_weights.pth").unlink()
    with pytest.raises(UserError, match="LoRA matrices of .* are missing or do not fit"):
        load_model(folder)


def test_lora_of_another_rank_than_its_partner_is_refused(tmp_path: Path) -> None:
    folder = write_lmm4lmm(tmp_path, overlay=False)
    for name, tensors in shards(folder).items():
        cut = {
            key: t[:4].clone() if key.endswith("w2.lora_A.default.weight") else t
            for key, t in tensors.items()
        }
        save_file(cut, folder / name)
    with pytest.raises(UserError, match=r"LoRA matrices of .*w2 in .* do not fit its weights"):
        load_model(folder)


def test_a_checkpoint_without_lora_loads(tmp_path: Path) -> None:
    plain = load_model(write_lmm4lmm(tmp_path / "plain", rank=0))
    assert all(not parameter.is_meta for parameter in plain.parameters())
    assert (plain.config.lora_vision, plain.config.lora_language) == (0, 0)


def test_pickled_shards_need_permission(tmp_path: Path) -> None:
    folder = write_lmm4lmm(tmp_path)
    expected = load_model(folder).state_dict()
    tensors = {name: t for part in shards(folder).values() for name, t in part.items()}
    for path in (*folder.glob("*.safetensors"), folder / "model.safetensors.index.json"):
        path.unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="no weights as safetensors; allow pickled weights"):
        load_model(folder)
    found = load_model(folder, allow_pickle=True).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_positions_are_scaled_beyond_the_trained_ones_only(tmp_path: Path) -> None:
    """Dynamic NTK: base' = base ((f n / m) - (f - 1)) ** (d / (d - 2)) for n > m tokens."""
    folder = write_lmm4lmm(tmp_path)
    record = json.loads((folder / "config.json").read_text())
    record["llm_config"]["max_position_embeddings"] = 16
    (folder / "config.json").write_text(json.dumps(record))
    rotary = load_model(folder).language_model.model.rotary_emb
    for tokens in (16, 40, 10):
        base = 1e6 * (2 * max(tokens, 16) / 16 - 1) ** (8 / 6)
        angles = torch.arange(tokens)[:, None] / base ** (torch.arange(0, 8, 2) / 8)
        cos, _ = rotary(torch.zeros(1), torch.arange(tokens)[None])
        torch.testing.assert_close(cos[0, :, :4], angles.cos(), atol=1e-4, rtol=0)


def test_a_regression_of_zeros_says_its_last_bias_or_0() -> None:
    head = QualityRegression(64)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    last = list(head.children())[-1]
    for bias, score in ((3.0, 3.0), (-2.0, 0.0)):
        torch.nn.init.constant_(last.bias, bias)  # type: ignore[arg-type]
        assert head(torch.randn(2, 64)).tolist() == [score, score]
    assert sum(p.numel() for p in QualityRegression(4096).parameters()) == 4_475_233


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        (
            "vision_config",
            {"hidden_act": "quick_gelu"},
            "has hidden_act 'quick_gelu'; gelu in the vision tower",
        ),
        ("vision_config", {"num_attention_heads": 5}, "the heads of the vision tower do not fit"),
        ("llm_config", {"num_key_value_heads": 3}, "the heads of keys and values do not fit"),
        (
            "llm_config",
            {"rope_scaling": {"type": "yarn", "factor": 2}},
            "the scaling of positions do not fit",
        ),
        ("llm_config", {"hidden_size": "large"}, "is damaged .*; download it again"),
    ],
)
def test_a_configuration_that_is_not_lmm4lmms_is_one_sentence(
    tmp_path: Path, part: str, changes: dict[str, object], said: str
) -> None:
    folder = write_lmm4lmm(tmp_path)
    record = json.loads((folder / "config.json").read_text())
    record[part] |= changes
    (folder / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=said):
        load_model(folder)


MEASURED = """
import sys
from pathlib import Path

import torch

from zeroiqa.heads.lmm4lmm.checkpoint import load_model


def most() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10


torch.set_num_threads(1)
load_model(Path(sys.argv[1]))  # what is imported and set up once
before = most()
model = load_model(Path(sys.argv[2]))
print(most() - before, sum(weight.nbytes for weight in model.parameters()))
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="it says how much memory there was at most"
)
def test_loading_takes_the_model_one_file_and_two_matrices(tmp_path: Path) -> None:
    """Every large matrix has LoRA and another type than the model: what is made of it must not stay."""
    tiny = write_lmm4lmm(tmp_path / "tiny")
    sizes = {"hidden_size": 768, "intermediate_size": 2688, "num_hidden_layers": 6}
    vision = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6}
    config = lmm4lmm_config(2000, vision=vision, **sizes)
    folder = write_lmm4lmm(tmp_path / "large", config=config, dtype=torch.bfloat16)
    file = max(path.stat().st_size for path in folder.glob("*.safetensors"))
    largest = 4 * sizes["hidden_size"] * sizes["intermediate_size"]
    command = [sys.executable, "-c", MEASURED, str(tiny), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    grown, model = map(int, done.stdout.split())
    kept = 32 << 20  # by the allocator and the interpreter, which differs from process to process
    assert 200 << 20 < model < grown < model + file + 2 * largest + kept
