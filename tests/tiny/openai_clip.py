"""A tiny CLIP with a ResNet of random weights, under OpenAI's tensor names, and what it computes.

It is made of torch's modules; the package computes the same from the tensors alone.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

WIDTH, TEXT_WIDTH, FEATURES, TOKENS, VOCABULARY = 4, 128, 24, 9, 49408
"""Channels of the first stage and of the text side (two heads each), of the features; lengths."""


class Block(nn.Module):
    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, 4 * inner, 1, bias=False), nn.BatchNorm2d(4 * inner)
        self.pool = nn.AvgPool2d(stride)
        self.downsample = None
        if channels != 4 * inner:
            convolution = nn.Conv2d(channels, 4 * inner, 1, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(4 * inner))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn3(self.conv3(self.pool(self.bn2(self.conv2(y)).relu())))
        return (y + (x if self.downsample is None else self.downsample(self.pool(x)))).relu()


class Pool(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.empty(7 * 7 + 1, channels))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))
        self.c_proj = nn.Linear(channels, FEATURES)

    def forward(self, x: torch.Tensor, positions: bool) -> torch.Tensor:
        x = x.flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(0, keepdim=True), x])
        if positions:
            x = x + self.positional_embedding[:, None]
        three = (self.q_proj, self.k_proj, self.v_proj)
        found, _ = functional.multi_head_attention_forward(
            x, x, x, x.shape[-1], x.shape[-1] // 64, None, torch.cat([each.bias for each in three]),
            None, None, False, 0.0, self.c_proj.weight, self.c_proj.bias, training=False, need_weights=False,
            use_separate_proj_weight=True, q_proj_weight=self.q_proj.weight,
            k_proj_weight=self.k_proj.weight, v_proj_weight=self.v_proj.weight,
        )  # fmt: skip
        return found[0]


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        half = WIDTH // 2
        self.conv1, self.bn1 = nn.Conv2d(3, half, 3, 2, 1, bias=False), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, 1, 1, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(half, WIDTH, 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTH)
        self.layer1 = nn.Sequential(Block(WIDTH, WIDTH, 1), Block(4 * WIDTH, WIDTH, 1))
        self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(Block(2 * inner, inner, 2)) for inner in (2 * WIDTH, 4 * WIDTH, 8 * WIDTH)
        )
        self.attnpool = Pool(32 * WIDTH)

    def forward(self, x: torch.Tensor, positions: bool = False) -> torch.Tensor:
        for convolution, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = norm(convolution(x)).relu()
        x = self.layer4(self.layer3(self.layer2(self.layer1(functional.avg_pool2d(x, 2)))))
        return self.attnpool(x, positions)


class TextBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(TEXT_WIDTH), nn.LayerNorm(TEXT_WIDTH)
        self.attn = nn.MultiheadAttention(TEXT_WIDTH, TEXT_WIDTH // 64)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(TEXT_WIDTH, 4 * TEXT_WIDTH), "c_proj": nn.Linear(4 * TEXT_WIDTH, TEXT_WIDTH)}
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=mask, need_weights=False)[0]
        y = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](y * torch.sigmoid(1.702 * y))


class Clip(nn.Module):
    """Called with normalised pictures it gives their features."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = ResNet()
        self.token_embedding = nn.Embedding(VOCABULARY, TEXT_WIDTH)
        self.positional_embedding = nn.Parameter(torch.empty(TOKENS, TEXT_WIDTH))
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList([TextBlock(), TextBlock()])})
        self.ln_final = nn.LayerNorm(TEXT_WIDTH)
        self.text_projection = nn.Parameter(torch.empty(TEXT_WIDTH, FEATURES))
        self.logit_scale = nn.Parameter(torch.tensor(20.0).log())

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.visual(pictures)

    def text(self, ids: list[int]) -> torch.Tensor:
        """The feature of a text, padded with zeros to the greatest length, read at its end token."""
        padded = torch.tensor([*ids, *[0] * (TOKENS - len(ids))])
        mask = torch.full((TOKENS, TOKENS), -torch.inf).triu(1)
        x = self.token_embedding(padded) + self.positional_embedding
        for block in self.transformer["resblocks"]:
            x = block(x, mask)
        return self.ln_final(x)[padded.argmax()] @ self.text_projection


def model(seed: int = 0) -> Clip:
    """In evaluation mode; weights rounded to half precision, in which OpenAI's are stored."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        found = Clip()
        for name, tensor in [*found.named_parameters(), *found.named_buffers()]:
            if tensor.ndim > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5 if "visual" in name else 0.1)
            elif tensor.ndim == 1:  # of norms, and biases
                is_one = name.endswith(
                    ("running_var", "bn1.weight", "bn2.weight", "bn3.weight", "ln_1.weight")
                )
                tensor.normal_(1.0 if is_one else 0.0, 0.1).abs_()
        found.visual.attnpool.positional_embedding.normal_()
        for tensor in found.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())
    return found.eval().requires_grad_(False)


def build(file: Path, clip: Clip) -> Path:
    """Write the checkpoint (13 MB, half precision), returned."""
    tensors = clip.state_dict()
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(halves, file)
    return file
