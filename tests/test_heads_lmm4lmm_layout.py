"""A checkpoint in the released layout, and the same network written out from the specification."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from zeroiqa.errors import UserError
from zeroiqa.heads.lmm4lmm.checkpoint import load_model
from zeroiqa.heads.lmm4lmm.config import read_config
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm, unshuffled

H, HEADS, MLP, LAYERS, PATCH, SIDE = 16, 4, 24, 2, 14, 56
D, QUERY, KEY, FFN, BLOCKS, VOCABULARY = 24, 6, 2, 40, 2, 60
RANK = 8
CONFIG = {
    "model_type": "internvl_chat", "downsample_ratio": 0.5, "ps_version": "v2", "select_layer": -1,
    "use_backbone_lora": 8, "use_llm_lora": 8,
    "vision_config": {
        "hidden_size": H, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": MLP,
        "patch_size": PATCH, "image_size": SIDE, "qkv_bias": True, "layer_norm_eps": 1e-6,
    },
    "llm_config": {
        "hidden_size": D, "num_hidden_layers": BLOCKS, "num_attention_heads": QUERY,
        "num_key_value_heads": KEY, "intermediate_size": FFN, "vocab_size": VOCABULARY,
        "max_position_embeddings": 32768, "rope_theta": 1e6, "rms_norm_eps": 1e-5,
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
    },
}  # fmt: skip
IMAGE = VOCABULARY - 7
TOKENS = (SIDE // PATCH // 2) ** 2
V, L = "vision_model.base_model.model", "language_model.base_model.model"


def released(regression=True):
    """Random weights under the released names."""
    random = torch.Generator().manual_seed(0)

    def r(*shape, scale=0.2):
        return torch.randn(shape, generator=random) * scale

    weights = {
        f"{V}.embeddings.class_embedding": r(1, 1, H),
        f"{V}.embeddings.position_embedding": r(1, (SIDE // PATCH) ** 2 + 1, H),
        f"{V}.embeddings.patch_embedding.weight": r(H, 3, PATCH, PATCH, scale=0.05),
        f"{V}.embeddings.patch_embedding.bias": r(H),
        f"{L}.model.tok_embeddings.weight": r(VOCABULARY, D),
        f"{L}.model.norm.weight": 1 + r(D),
        f"{L}.output.weight": r(VOCABULARY, D),
        "mlp1.0.weight": 1 + r(4 * H), "mlp1.0.bias": r(4 * H),
        "mlp1.1.weight": r(D, 4 * H), "mlp1.1.bias": r(D),
        "mlp1.3.weight": r(D, D), "mlp1.3.bias": r(D),
    }  # fmt: skip

    def linear(name, outputs, inputs, bias):
        weights[f"{name}.base_layer.weight"] = r(outputs, inputs)
        if bias:
            weights[f"{name}.base_layer.bias"] = r(outputs)
        weights[f"{name}.lora_A.default.weight"] = r(RANK, inputs)
        weights[f"{name}.lora_B.default.weight"] = r(outputs, RANK)

    for number in range(LAYERS):
        layer = f"{V}.encoder.layers.{number}"
        linear(f"{layer}.attn.qkv", 3 * H, H, True)
        linear(f"{layer}.attn.proj", H, H, True)
        linear(f"{layer}.mlp.fc1", MLP, H, True)
        linear(f"{layer}.mlp.fc2", H, MLP, True)
        for norm in ("norm1", "norm2"):
            weights |= {f"{layer}.{norm}.weight": 1 + r(H), f"{layer}.{norm}.bias": r(H)}
        weights |= {f"{layer}.ls1": r(H), f"{layer}.ls2": r(H)}
    for number in range(BLOCKS):
        layer = f"{L}.model.layers.{number}"
        linear(f"{layer}.attention.wqkv", (QUERY + 2 * KEY) * D // QUERY, D, False)
        linear(f"{layer}.attention.wo", D, D, False)
        linear(f"{layer}.feed_forward.w1", FFN, D, False)
        linear(f"{layer}.feed_forward.w3", FFN, D, False)
        linear(f"{layer}.feed_forward.w2", D, FFN, False)
        weights |= {
            f"{layer}.attention_norm.weight": 1 + r(D),
            f"{layer}.ffn_norm.weight": 1 + r(D),
        }
    if regression:
        widths = (D, 1024, 256, 64, 16, 1)
        for number in range(5):
            weights[f"mlpscore.fc{number + 1}.weight"] = r(widths[number + 1], widths[number]).abs()
            weights[f"mlpscore.fc{number + 1}.bias"] = r(widths[number + 1]).abs()
        weights |= {"mlpscore.ln1.weight": torch.ones(1024), "mlpscore.ln1.bias": torch.zeros(1024)}
    return weights


def write(folder, weights, config=CONFIG):
    """Two shards and their index."""
    folder.mkdir(exist_ok=True)
    names, shards = sorted(weights), {}
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: weights[name].contiguous() for name in part}, folder / file)
        shards |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def reference(w, ids, pixels):
    """Scores at the fourth position from the end and all logits, of one row, in plain functions."""

    def lin(name, x):
        y = x @ w[f"{name}.base_layer.weight"].T + 2 * (
            x @ w[f"{name}.lora_A.default.weight"].T @ w[f"{name}.lora_B.default.weight"].T
        )
        return y + w.get(f"{name}.base_layer.bias", 0)

    def norm(name, x, eps):
        return functional.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)

    def rms(name, x):
        return w[f"{name}.weight"] * x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()

    x = functional.conv2d(
        pixels, w[f"{V}.embeddings.patch_embedding.weight"], w[f"{V}.embeddings.patch_embedding.bias"], PATCH
    )
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([w[f"{V}.embeddings.class_embedding"].expand(len(x), 1, H), x], 1)
    x = x + w[f"{V}.embeddings.position_embedding"]
    for number in range(LAYERS):
        p = f"{V}.encoder.layers.{number}"
        q, k, v = lin(f"{p}.attn.qkv", norm(f"{p}.norm1", x, 1e-6)).chunk(3, -1)
        q, k, v = (t.view(len(x), -1, HEADS, H // HEADS).transpose(1, 2) for t in (q, k, v))
        a = (q @ k.transpose(-1, -2) / math.sqrt(H // HEADS)).softmax(-1) @ v
        x = x + w[f"{p}.ls1"] * lin(f"{p}.attn.proj", a.transpose(1, 2).flatten(2))
        m = lin(f"{p}.mlp.fc1", norm(f"{p}.norm2", x, 1e-6))
        x = x + w[f"{p}.ls2"] * lin(f"{p}.mlp.fc2", functional.gelu(m))
    side = SIDE // PATCH
    grid = x[:, 1:].view(len(x), side, side, H)
    blocks = [grid[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    seen = norm("mlp1.0", torch.cat(blocks, -1).flatten(1, 2), 1e-5)
    seen = functional.gelu(seen @ w["mlp1.1.weight"].T + w["mlp1.1.bias"])
    seen = seen @ w["mlp1.3.weight"].T + w["mlp1.3.bias"]
    h = w[f"{L}.model.tok_embeddings.weight"][ids].clone()
    h[ids == IMAGE] = seen.flatten(0, 1)
    width, n = D // QUERY, len(ids)
    angles = torch.arange(n)[:, None] / 1e6 ** (torch.arange(0, width, 2) / width)
    cos, sin = (torch.cat([f(angles)] * 2, -1) for f in (torch.cos, torch.sin))

    def rotate(t):
        one, two = t.chunk(2, -1)
        return t * cos + torch.cat([-two, one], -1) * sin

    future = torch.full((n, n), -torch.inf).triu(1)
    for number in range(BLOCKS):
        p = f"{L}.model.layers.{number}"
        rows = lin(f"{p}.attention.wqkv", rms(f"{p}.attention_norm", h)).view(n, KEY, QUERY // KEY + 2, width)
        out = []
        for group in range(KEY):
            k, v = rotate(rows[:, group, -2]), rows[:, group, -1]
            for head in range(QUERY // KEY):
                q = rotate(rows[:, group, head])
                out.append((q @ k.T / math.sqrt(width) + future).softmax(-1) @ v)
        h = h + lin(f"{p}.attention.wo", torch.cat(out, -1))
        m = rms(f"{p}.ffn_norm", h)
        gated = functional.silu(lin(f"{p}.feed_forward.w1", m)) * lin(f"{p}.feed_forward.w3", m)
        h = h + lin(f"{p}.feed_forward.w2", gated)
    h = rms(f"{L}.model.norm", h)
    score = h[-4]
    for number in range(1, 6):
        score = torch.relu(w[f"mlpscore.fc{number}.weight"] @ score + w[f"mlpscore.fc{number}.bias"])
    return score, h @ w[f"{L}.output.weight"].T


def rows(lengths, tiles=2):
    """Rows of tokens with pictures of some tiles, padded on the right with 0."""
    random = torch.Generator().manual_seed(1)
    ids = torch.zeros(len(lengths), max(lengths) + tiles * TOKENS, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        text = torch.randint(1, VOCABULARY - 9, (length,), generator=random)
        whole = torch.cat([text[:2], torch.full((tiles * TOKENS,), IMAGE), text[2:]])
        ids[row, : len(whole)] = whole
        mask[row, : len(whole)] = 1
    pixels = torch.randn(len(lengths) * tiles, 3, SIDE, SIDE, generator=random)
    return ids, pixels, mask, torch.ones(len(pixels), dtype=torch.int64)


@pytest.fixture(scope="module")
def weights():
    return released()


@pytest.fixture(scope="module")
def model(weights, tmp_path_factory):
    return load_model(write(tmp_path_factory.mktemp("released") / "whole", weights))


@torch.no_grad()
def test_the_loaded_network_is_that_of_the_specification(model, weights):
    ids, pixels, mask, flags = rows((9, 14))
    levels = torch.tensor([3, 5, 8, 9, 20])
    found = model(ids, pixels, mask, flags, level_ids=levels)
    for row in range(2):
        n = int(mask[row].sum())
        score, logits = reference(weights, ids[row, :n], pixels[2 * row : 2 * row + 2])
        assert score > 0
        torch.testing.assert_close(found.scores[row : row + 1], score, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.level_logits[row], logits[-4, levels], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_padding_and_neighbours_change_no_score(model):
    ids, pixels, mask, flags = rows((7, 15, 11))
    together = model(ids, pixels, mask, flags).scores
    for row in range(3):
        n, own = int(mask[row].sum()), slice(2 * row, 2 * row + 2)
        alone = model(ids[row : row + 1, :n], pixels[own], mask[row : row + 1, :n], flags[own]).scores
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)
    left = torch.stack([torch.roll(each, int((m == 0).sum())) for each, m in zip(ids, mask, strict=True)])
    shifted = torch.stack([torch.roll(m, int((m == 0).sum())) for m in mask])
    torch.testing.assert_close(model(left, pixels, shifted, flags).scores, together, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_prompt_cut_at_the_read_token_gives_the_score_of_the_whole_conversation(model):
    ids, pixels, mask, flags = rows((12,))
    whole = model(ids, pixels, mask, flags).scores
    cut = model(ids[:, :-3], pixels, mask[:, :-3], flags, positions=torch.tensor([ids.shape[1] - 4])).scores
    torch.testing.assert_close(cut, whole, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_tiles_with_flag_0_are_left_out(model):
    ids, pixels, mask, flags = rows((9,))
    more = torch.cat([pixels, torch.randn(1, 3, SIDE, SIDE)])
    flagged = model(ids, more, mask, torch.tensor([1, 1, 0])).scores
    assert torch.equal(flagged, model(ids, pixels, mask, flags).scores)
    with pytest.raises(ValueError, match="8 image tokens for 12 features"):
        model(ids, more, mask, torch.ones(3))


def test_sizes_are_the_published_ones():
    published = read_config({"vision_config": {}, "llm_config": {}}, "config.json")
    with torch.device("meta"):
        model = Lmm4Lmm(published)
    parts = (model.vision_model, model.language_model, model.mlp1, model.regression)
    counts = [sum(each.numel() for each in part.parameters()) for part in parts]
    assert counts == [304_012_288, 7_737_782_272, 33_570_816, 4_475_233]  # spec, section 10
    assert (published.image_token, published.tokens_per_tile) == (92546, 256)


def test_unshuffling_puts_a_block_into_one_token_row_by_row():
    grid = torch.arange(32 * 32).view(1, 32, 32, 1)
    assert unshuffled(grid).shape == (1, 16, 16, 4)
    assert unshuffled(grid)[0, 1, 2].tolist() == [2 * 32 + 4, 2 * 32 + 5, 3 * 32 + 4, 3 * 32 + 5]


def test_the_overlay_of_lora_counts_where_it_differs(tmp_path, weights, model):
    folder = write(tmp_path / "overlaid", weights)
    name = f"{L}.model.layers.0.attention.wo.lora_B.default.weight"
    torch.save({name: weights[name] * 3}, folder / "lora_weights.pth")
    changed = load_model(folder, allow_pickle=True).language_model.model.layers[0].self_attn.o_proj.weight
    base = weights[f"{L}.model.layers.0.attention.wo.base_layer.weight"]
    expected = base + 6 * weights[name] @ weights[name.replace("_B", "_A")]
    torch.testing.assert_close(changed, expected)


def without(name):
    return lambda weights: weights.pop(name)


@pytest.mark.parametrize(
    ("change", "regression", "said"),
    [
        (without("mlp1.3.bias"), True, r"lacks 1 tensors \(first: mlp1\.3\.bias\); finish the download"),
        (without("mlpscore.fc3.bias"), True, r"has no regression \(mlpscore\)"),
        (lambda weights: weights.update({"odd": torch.zeros(1)}), True, "holds odd, which LMM4LMM has not"),
        (lambda weights: weights.update({"mlp1.3.bias": torch.zeros(5)}), True, r"has the shape \(5,\)"),
        (without(f"{L}.model.layers.1.attention.wo.lora_A.default.weight"), True, "do not fit its weights"),
        (without(f"{L}.model.layers.1.attention.wo.base_layer.weight"), True, "LoRA matrices of"),
        (lambda weights: None, False, r"answers no questions; take the weights for questions"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_sentence(tmp_path, weights, change, regression, said):
    changed = dict(weights)
    change(changed)
    with pytest.raises(UserError, match=said):
        load_model(write(tmp_path / "odd", changed), regression=regression)


def test_weights_for_questions_have_no_regression(tmp_path):
    folder = write(tmp_path / "qa", released(regression=False))
    assert load_model(folder, regression=False).regression is None
    with pytest.raises(UserError, match="weights that answer questions"):
        load_model(folder)


def test_half_a_download_is_named(tmp_path, weights):
    folder = write(tmp_path / "half", weights)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"lacks 1 of 2 files of weights \(first: model-00002"):
        load_model(folder)
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match="is damaged"):
        load_model(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is no LMM4LMM checkpoint"):
        load_model(folder)
