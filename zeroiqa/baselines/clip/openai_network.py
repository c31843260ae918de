"""OpenAI's CLIP with a ResNet, written as functions of its tensors (Radford et al., ICML 2021, section 2.4).

Sizes are told from the tensors: width, number of blocks and heads (of 64 channels each).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from torch.nn import functional

Tensors: TypeAlias = Mapping[str, torch.Tensor]

_HEAD = 64  # channels of a head, in every one of OpenAI's models
_STAGES = (1, 2, 3, 4)
_TEXT = "transformer.resblocks"


def image_features(tensors: Tensors, pixels: torch.Tensor) -> torch.Tensor:
    """Features of pictures, not normalised; the attention pool adds no positional embedding.

    CLIP itself adds one, for pictures of the size that it was trained on.

    Args:
        tensors: Of the model, float32.
        pixels: Normalised, shape (N, 3, height, width); both sides multiples of 32.

    Returns:
        Shape (N, features).
    """
    x = pixels
    for number, stride in ((1, 2), (2, 1), (3, 1)):
        x = _convolved(tensors, "visual", number, x, stride=stride, padding=1).relu()
    x = functional.avg_pool2d(x, 2)
    for stage in _STAGES:
        for block in range(_count(tensors, f"visual.layer{stage}")):
            stride = 2 if stage > 1 and block == 0 else 1
            x = _bottleneck(tensors, f"visual.layer{stage}.{block}", x, stride)
    return _pooled(tensors, x)


def text_features(tensors: Tensors, ids: Sequence[int]) -> torch.Tensor:
    """The feature of a text, not normalised: that of its last token, which alone sees all of them.

    Args:
        tensors: Of the model, float32.
        ids: Of the tokens, those of start and end included.

    Returns:
        Shape (features,).
    """
    embedding = tensors["token_embedding.weight"]
    x = embedding[torch.tensor(ids, device=embedding.device)] + tensors["positional_embedding"][: len(ids)]
    for block in range(_count(tensors, _TEXT)):
        name = f"{_TEXT}.{block}"
        x = x + _self_attention(tensors, name, _normed(tensors, f"{name}.ln_1", x))
        hidden = _linear(tensors, f"{name}.mlp.c_fc", _normed(tensors, f"{name}.ln_2", x))
        x = x + _linear(tensors, f"{name}.mlp.c_proj", hidden * torch.sigmoid(1.702 * hidden))
    return _normed(tensors, "ln_final", x[-1]) @ tensors["text_projection"]


def shapes(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that the two functions read, for the sizes of a model.

    Raises:
        KeyError: a tensor that tells a size is missing.
    """
    width = tensors["visual.layer1.0.conv1.weight"].shape[0]
    features = tensors["visual.attnpool.c_proj.weight"].shape[0]
    vocabulary, text = tensors["token_embedding.weight"].shape
    positions = tensors["positional_embedding"].shape[0]
    pool = {
        f"visual.attnpool.{part}_proj.{kind}": (rows, 32 * width) if kind == "weight" else (rows,)
        for part, rows in (("q", 32 * width), ("k", 32 * width), ("v", 32 * width), ("c", features))
        for kind in ("weight", "bias")
    }
    texts = {
        "token_embedding.weight": (vocabulary, text),
        "positional_embedding": (positions, text),
        "ln_final.weight": (text,),
        "ln_final.bias": (text,),
        "text_projection": (text, features),
        "logit_scale": (),
    }
    for block in range(_count(tensors, _TEXT)):
        texts |= dict(_shapes_of_text_block(f"{_TEXT}.{block}", text))
    return dict(_shapes_of_picture(tensors, width)) | pool | texts


def _shapes_of_picture(tensors: Tensors, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    stem = (3, width // 2, width // 2, width)
    for number, (before, after) in enumerate(pairwise(stem), 1):
        yield from _shapes_of_convolution("visual.", f"conv{number}", f"bn{number}", (after, before, 3, 3))
    channels = width
    for stage in _STAGES:
        inner = width << (stage - 1)
        for block in range(_count(tensors, f"visual.layer{stage}")):
            name = f"visual.layer{stage}.{block}."
            layers = ((inner, channels, 1, 1), (inner, inner, 3, 3), (4 * inner, inner, 1, 1))
            for number, shape in enumerate(layers, 1):
                yield from _shapes_of_convolution(name, f"conv{number}", f"bn{number}", shape)
            if block == 0:
                shape = (4 * inner, channels, 1, 1)
                yield from _shapes_of_convolution(name, "downsample.0", "downsample.1", shape)
            channels = 4 * inner


def _shapes_of_convolution(
    name: str, convolution: str, norm: str, shape: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}{convolution}.weight", shape
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}{norm}.{part}", shape[:1]


def _shapes_of_text_block(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for norm in ("ln_1", "ln_2"):
        yield f"{name}.{norm}.weight", (width,)
        yield f"{name}.{norm}.bias", (width,)
    for layer, rows, columns in (
        ("attn.in_proj_", 3 * width, width),
        ("attn.out_proj.", width, width),
        ("mlp.c_fc.", 4 * width, width),
        ("mlp.c_proj.", width, 4 * width),
    ):
        yield f"{name}.{layer}weight", (rows, columns)
        yield f"{name}.{layer}bias", (rows,)


def _count(tensors: Tensors, part: str) -> int:
    """How many blocks there are of a part: a stage of the ResNet, or the text side."""
    first = "ln_1.weight" if part == _TEXT else "conv1.weight"
    return next(number for number in itertools.count() if f"{part}.{number}.{first}" not in tensors)


def _convolved(
    tensors: Tensors, name: str, number: int, x: torch.Tensor, *, stride: int = 1, padding: int = 0
) -> torch.Tensor:
    """A convolution and its batch norm."""
    x = functional.conv2d(x, tensors[f"{name}.conv{number}.weight"], stride=stride, padding=padding)
    return _batch_normed(tensors, f"{name}.bn{number}", x)


def _batch_normed(tensors: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    mean, variance, weight, bias = (
        tensors[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return functional.batch_norm(x, mean, variance, weight, bias, eps=1e-5)


def _bottleneck(tensors: Tensors, name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
    """A residual block; where it halves the picture, a mean of 2 x 2 does so, on both branches."""
    y = _convolved(tensors, name, 1, x).relu()
    y = _convolved(tensors, name, 2, y, padding=1).relu()
    if stride > 1:
        x, y = functional.avg_pool2d(x, stride), functional.avg_pool2d(y, stride)
    y = _convolved(tensors, name, 3, y)
    if (weight := tensors.get(f"{name}.downsample.0.weight")) is not None:
        x = _batch_normed(tensors, f"{name}.downsample.1", functional.conv2d(x, weight))
    return (x + y).relu()


def _pooled(tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
    """Attention of the mean token to itself and to all others."""
    name = "visual.attnpool"
    tokens = x.flatten(2).transpose(1, 2)  # (N, height * width, channels)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1)
    query = _heads(_linear(tensors, f"{name}.q_proj", tokens[:, :1]))
    key, value = (_heads(_linear(tensors, f"{name}.{part}_proj", tokens)) for part in "kv")
    found = functional.scaled_dot_product_attention(query, key, value)
    return _linear(tensors, f"{name}.c_proj", found.flatten(1))  # heads follow each other, as the channels do


def _self_attention(tensors: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    """Of a text, each token to those before it and itself, shape (tokens, channels)."""
    mixed = functional.linear(x, tensors[f"{name}.attn.in_proj_weight"], tensors[f"{name}.attn.in_proj_bias"])
    query, key, value = (_heads(part[None]) for part in mixed.chunk(3, dim=-1))
    found = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return _linear(tensors, f"{name}.attn.out_proj", found[0].transpose(0, 1).flatten(1))


def _heads(x: torch.Tensor) -> torch.Tensor:
    """Channels split into heads: (N, tokens, channels) to (N, heads, tokens, 64)."""
    return x.reshape(*x.shape[:2], -1, _HEAD).transpose(1, 2)


def _linear(tensors: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def _normed(tensors: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"])
