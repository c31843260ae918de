"""Adapters in peft's format: what peft writes is read without it, and what is written peft reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from zeroiqa.errors import UserError
from zeroiqa.heads.backbone.lora import (
    Adapter,
    LowRank,
    inject_lora,
    learnt_adapter,
    read_adapter,
    write_adapter,
)

INPUTS = torch.randn(4, 12, generator=torch.Generator().manual_seed(1))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(12, 20), nn.Linear(20, 12)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows + self.down(torch.relu(self.up(rows)))


class Net(nn.Module):
    """Two blocks and what stands between them."""

    def __init__(self) -> None:
        super().__init__()
        self.vision, self.language = Block(), Block()
        self.between = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 12))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.language(self.between(self.vision(rows)))


def net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


@torch.no_grad()
def outputs(model: nn.Module) -> torch.Tensor:
    return model.eval()(INPUTS)


@torch.no_grad()
def learn(model: nn.Module, seed: int = 2) -> nn.Module:
    """Stands for a training: what requires a gradient gets other numbers."""
    made = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.requires_grad:
            weight += torch.randn(weight.shape, generator=made) * 0.3
    return model


def with_lora(model: Net) -> Net:
    inject_lora(model, ["up", "vision.down"], dropout=0.1, seed=3)
    return model


def with_projector(model: Net) -> Net:
    model.requires_grad_(False)
    model.between.requires_grad_(True)
    return model


@pytest.mark.parametrize(
    "prepare",
    [
        with_lora,
        with_projector,
        lambda model: with_lora(model) and model.between.requires_grad_(True) and model,
    ],
    ids=["lora", "projector", "both"],
)
def test_what_is_written_is_read_by_peft_and_here(tmp_path: Path, prepare) -> None:
    learnt = learn(prepare(net()))
    write_adapter(tmp_path, learnt_adapter(learnt), "base")

    ours = net()
    read_adapter(tmp_path).merge(ours)

    assert (outputs(learnt) - outputs(net())).abs().max() > 0.1
    torch.testing.assert_close(outputs(ours), outputs(learnt), atol=1e-5, rtol=0)
    peft = PeftModel.from_pretrained(net(), tmp_path)
    torch.testing.assert_close(outputs(peft), outputs(learnt), atol=1e-5, rtol=0)


def test_two_trainings_become_one_adapter(tmp_path: Path) -> None:
    """LoRA on the same layers of both ranks, on other layers of its own, and other scales."""
    first = learnt_adapter(learn(with_lora(net())))
    halved = {
        name: LowRank(found.a, found.b * 2, found.scale / 2)
        for name, found in learnt_adapter(learn(with_lora(net()), seed=5)).layers.items()
        if name != "vision.down"
    }
    both = first.then(Adapter(halved, {}))
    one_by_one = net()
    for adapter in (first, Adapter(halved, {})):
        adapter.merge(one_by_one)

    write_adapter(tmp_path, both, "base")

    assert {found.a.shape[0] for found in both.layers.values()} == {8, 16}
    for model in (net(), PeftModel.from_pretrained(net(), tmp_path)):
        if isinstance(model, Net):
            read_adapter(tmp_path).merge(model)
        torch.testing.assert_close(outputs(model), outputs(one_by_one), atol=1e-5, rtol=1e-5)


def test_what_peft_writes_is_read_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks and alphas by patterns, which are regular expressions, and modules that are saved whole."""
    settings = LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=["up", "down"],
        rank_pattern={"vision.up": 2},
        alpha_pattern={r"l.*\.down": 20},
        modules_to_save=["between"],
        init_lora_weights=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(6)
        made = learn(get_peft_model(net(), settings))
    made.save_pretrained(tmp_path)
    wanted = outputs(made)
    monkeypatch.setitem(sys.modules, "peft", None)

    ours = net()
    read_adapter(tmp_path).merge(ours)

    torch.testing.assert_close(outputs(ours), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"use_dora": True}, r"of a kind that is not read here \(use_dora\)"),
        ({"bias": "all"}, "of a kind that is not read here .*bias all"),
        ({"peft_type": "IA3"}, "of a kind that is not read here .*IA3"),
        ({"lora_alpha": None}, "incomplete or damaged"),
    ],
)
def test_adapters_that_would_be_read_wrongly_are_refused(tmp_path: Path, change, words: str) -> None:
    write_adapter(tmp_path, learnt_adapter(with_lora(net())), "base")
    config = json.loads((tmp_path / "adapter_config.json").read_text("utf-8"))
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, **change}), "utf-8")

    with pytest.raises(UserError, match=words):
        read_adapter(tmp_path)


def test_an_adapter_of_another_model_has_no_place_in_this_one(tmp_path: Path) -> None:
    adapter = learnt_adapter(with_lora(net()))
    with pytest.raises(LookupError, match=r"up\.weight"):
        adapter.merge(nn.Sequential(nn.Linear(12, 20)))
    wrong = Adapter({"vision.up": LowRank(torch.zeros(8, 11), torch.zeros(20, 8), 2.0)}, {})
    with pytest.raises(ValueError, match=r"has the shape \(20, 11\) instead of \(20, 12\)"):
        wrong.merge(net())
