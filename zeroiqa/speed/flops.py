"""Floating-point operations of one forward pass of a multimodal LLM, read from its config; peaks of devices.

One multiply-add is 2 FLOP. Counted are the matrix products: linear layers, patch embedding, and the two
products of attention. Norms, activations, softmax, rotary embeddings and position tables are left out (below
1 % in models of normal width). Attention of the language model counts the pairs that the causal mask lets
through, which is what fused kernels compute; kernels that fill the square do up to twice that and gain
nothing, so their share of the peak is lower. Padding is not counted for the same reason.

    linear layer      2 tokens inputs outputs
    attention         4 pairs heads head_dim         (Q K^T and P V)
    causal pairs      new prefix + new (new + 1) / 2
    hyper pairs       rows of a picture x new tokens from where it is seen, over all pictures (mPLUG-Owl3)

A geometry needs no weights: a model of any size can be counted from its config alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from zeroiqa.errors import UserError


@dataclass(frozen=True)
class Vision:
    """A vision transformer."""

    patch: int
    """Side of a patch in pixels."""
    patch_values: int
    """Numbers in one patch: channels x frames x side x side."""
    width: int
    layers: int
    mlp: int
    """Width inside the MLP."""
    gated: bool
    """The MLP has three matrices (gate, up, down) instead of two."""
    extra_tokens: int
    """Tokens that are no patch (a class token)."""
    window: int
    """Side, in patches, of the windows that attention is confined to; 0: the whole picture."""
    full_layers: int
    """How many of the layers attend to the whole picture all the same."""


@dataclass(frozen=True)
class Projector:
    """What turns patches into tokens of the language model."""

    patches_per_token: int
    linears: tuple[tuple[int, int], ...]
    """Inputs and outputs of the linear layers that every visual token passes."""


@dataclass(frozen=True)
class Text:
    """A decoder with grouped-query attention."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    gated: bool
    vocabulary: int
    window: int
    """Tokens that a layer with sliding attention looks back at."""
    sliding_layers: int
    """How many of the layers do so."""


@dataclass(frozen=True)
class Hyper:
    """Layers of the decoder that attend to the pictures beside the text."""

    layers: int
    rows: int
    """Of every picture that they see."""
    gated: bool
    """Every head passes a matrix of its size, and pictures are seen from the token after their first on."""


@dataclass(frozen=True)
class Geometry:
    """The sizes that decide what a forward pass costs."""

    family: str
    """The config's model type."""
    vision: Vision
    projector: Projector
    text: Text
    hyper: Hyper | None = None
    """None where pictures are tokens of the text."""


@dataclass(frozen=True)
class TokenCounts:
    """Token counts of one forward pass, padding excluded."""

    grids: tuple[tuple[int, int], ...] = ()
    """Rows and columns of patches of every picture (a tile is a picture) that the vision encoder sees."""
    lengths: tuple[int, ...] = ()
    """New tokens of every row, visual ones included."""
    prefix: int = 0
    """Tokens before them in every row whose keys and values are reused."""
    starts: tuple[tuple[int, ...], ...] = ()
    """Of every row, at which of its tokens, those of the prefix included, the pictures begin that hyper
    layers see; empty for none."""
    positions: int | None = None
    """How many positions pass the output layer over the vocabulary; None: the last of every row."""


@dataclass(frozen=True)
class Flops:
    """FLOP by part of the model."""

    vision: int
    projector: int
    text: int
    head: int

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return self.vision + self.projector + self.text + self.head


def count_flops(geometry: Geometry, counts: TokenCounts) -> Flops:
    """FLOP of one forward pass."""
    patches = sum(rows * columns for rows, columns in counts.grids)
    tokens = patches // geometry.projector.patches_per_token
    positions = len(counts.lengths) if counts.positions is None else counts.positions
    text, hyper = geometry.text, 0
    if geometry.hyper is not None:
        for length, starts in zip(counts.lengths, counts.starts, strict=False):
            hyper += hyper_flops(geometry.hyper, text, length, counts.prefix, starts)
    return Flops(
        vision=sum(vision_flops(geometry.vision, *grid) for grid in counts.grids),
        projector=sum(linear(tokens, *sizes) for sizes in geometry.projector.linears),
        text=sum(text_flops(text, length, counts.prefix) for length in counts.lengths) + hyper,
        head=linear(positions, text.width, text.vocabulary),
    )


def linear(tokens: int, inputs: int, outputs: int) -> int:
    """FLOP of a linear layer."""
    return 2 * tokens * inputs * outputs


def vision_flops(vision: Vision, rows: int, columns: int) -> int:
    """FLOP of the vision encoder for one picture of that many patches."""
    tokens = rows * columns + vision.extra_tokens
    per_token = linear(1, vision.width, 4 * vision.width + (3 if vision.gated else 2) * vision.mlp)
    pairs = vision.full_layers * tokens**2
    if vision.full_layers < vision.layers:
        pairs += (vision.layers - vision.full_layers) * _window_pairs(rows, columns, vision.window)
    return (
        linear(rows * columns, vision.patch_values, vision.width)
        + vision.layers * tokens * per_token
        + 4 * pairs * vision.width
    )


def text_flops(text: Text, new: int, prefix: int = 0) -> int:
    """FLOP of the decoder's layers for one row of new tokens after a reused prefix."""
    attention = text.heads * text.head_dim
    per_token = linear(1, text.width, 2 * attention + 2 * text.kv_heads * text.head_dim)
    per_token += linear(1, text.width, (3 if text.gated else 2) * text.mlp)
    pairs = (text.layers - text.sliding_layers) * causal_pairs(new, prefix)
    if text.sliding_layers:
        pairs += text.sliding_layers * causal_pairs(new, prefix, text.window)
    return text.layers * new * per_token + 4 * pairs * attention


def hyper_flops(hyper: Hyper, text: Text, new: int, prefix: int, starts: Sequence[int]) -> int:
    """FLOP that pictures add to the decoder's layers, for one row of new tokens after a reused prefix.

    The keys and values of the pictures are made in every pass anew.
    """
    if not starts:
        return 0
    seen = sum(max(0, prefix + new - max(start + int(hyper.gated), prefix)) for start in starts)
    keys = linear(len(starts) * hyper.rows, text.width, 2 * text.kv_heads * text.head_dim)
    gates = linear(new * text.heads, text.head_dim, text.head_dim) if hyper.gated else 0
    return hyper.layers * (keys + 4 * seen * hyper.rows * text.heads * text.head_dim + gates)


def causal_pairs(new: int, prefix: int = 0, window: int | None = None) -> int:
    """Pairs of a new token and a token it looks at: itself, those before it, within the window."""
    if window is None or prefix + new <= window:
        return new * prefix + new * (new + 1) // 2
    growing = max(0, window - prefix)  # tokens at whose position the window is not full yet
    return growing * prefix + growing * (growing + 1) // 2 + (new - growing) * window


def _window_pairs(rows: int, columns: int, window: int) -> int:
    """Pairs within windows; those at the lower and right border are smaller."""
    heights = [min(window, rows - start) for start in range(0, rows, window)]
    widths = [min(window, columns - start) for start in range(0, columns, window)]
    return sum((height * width) ** 2 for height in heights for width in widths)


# ---------------------------------------------------------------- reading a config

_ABSENT = (
    ("linear attention", "linear_num_key_heads"),
    ("a mixture of experts", "num_experts"),
    ("a mixture of experts", "num_local_experts"),
    ("a mixture of experts", "n_routed_experts"),
    ("compressed keys and values", "kv_lora_rank"),
    ("cross-attention to the image", "cross_attention_layers"),
)
"""What the formulas leave out, and the field of a text config that gives it away."""
_GATED_VISION = ("silu", "swish")
"""Activations of vision encoders whose MLP is gated (Qwen2.5-VL, GLM-4V)."""
_GATED_VISION_TYPES = ("pixtral",)
_PLAIN_TEXT_TYPES = ("opt", "phi", "gpt2", "gpt_neox", "falcon", "bloom", "mpt", "starcoder2")
"""Language models whose MLP is not gated."""
_CLASS_TOKEN_TYPES = ("internvl_vision", "clip_vision_model", "intern_vit")


def read_geometry(config: Any) -> Geometry:
    """The sizes in the config of a vision-language model (vision encoder, projector, decoder).

    The projector is read by what the config names: a merger of Qwen's kind (`spatial_merge_size`), one linear
    layer after pixel shuffling or pooling (`scale_factor`, `mm_tokens_per_image`), else two linear layers.
    It costs one or two percent of the whole.

    Args:
        config: A transformers config with a text and a vision part.

    Raises:
        UserError: a size is missing, or the architecture is one that the formulas do not cover.
    """
    family = str(getattr(config, "model_type", type(config).__name__))
    vision, text = getattr(config, "vision_config", None), getattr(config, "text_config", None)
    looks_back = bool(getattr(config, "hyper_layers", None))  # mPLUG-Owl3; its text's sizes stand at the top
    text = config if looks_back else text
    if vision is None or text is None or getattr(config, "qformer_config", None) is not None:
        raise _unreadable(family, "it is not made of a vision encoder, a projector and a decoder")
    for what, field in _ABSENT:
        if getattr(text, field, None):
            raise _unreadable(family, f"its language model has {what}")
    if getattr(vision, "insert_layer_id", None) is not None:
        raise _unreadable(family, "its vision encoder merges patches between layers")
    encoder = _read_vision(vision, family)
    decoder = _read_text(text, family)
    if looks_back:
        return _with_hyper_layers(config, encoder, decoder, family)
    return Geometry(family, encoder, _read_projector(config, encoder, decoder, family), decoder)


def _with_hyper_layers(config: Any, vision: Vision, text: Text, family: str) -> Geometry:
    """Of the vision encoder, the last layer is not run."""
    rows = (_size(config.vision_config, family, "image_size") // vision.patch) ** 2
    hyper = Hyper(layers=len(config.hyper_layers), rows=rows, gated=config.is_gated)
    first, second = (vision.width, text.width), (text.width, text.width)
    projector = Projector(1, (first,) if hyper.gated else (first, second))
    encoder = replace(vision, layers=vision.layers - 1, full_layers=vision.full_layers - 1)
    return Geometry(family, encoder, projector, text, hyper)


def _read_vision(config: Any, family: str) -> Vision:
    width = _size(config, family, "embed_dim", "hidden_size")
    patch, frames = _size(config, family, "patch_size"), _optional(config, "temporal_patch_size") or 1
    channels = _optional(config, "num_channels", "in_channels", "in_chans") or 3
    layers = _size(config, family, "num_hidden_layers", "depth")
    kind = str(getattr(config, "model_type", ""))
    window, full = 0, layers
    if (pixels := _optional(config, "window_size")) and hasattr(config, "fullatt_block_indexes"):
        window, full = pixels // patch, len(config.fullatt_block_indexes)
    return Vision(
        patch=patch,
        patch_values=channels * frames * patch * patch,
        width=width,
        layers=layers,
        mlp=_optional(config, "intermediate_size") or width * _size(config, family, "mlp_ratio"),
        gated=getattr(config, "hidden_act", "") in _GATED_VISION or kind in _GATED_VISION_TYPES,
        extra_tokens=int(kind in _CLASS_TOKEN_TYPES),
        window=window,
        full_layers=full,
    )


def _read_text(config: Any, family: str) -> Text:
    width = _size(config, family, "hidden_size")
    layers = _size(config, family, "num_hidden_layers")
    heads = _size(config, family, "num_attention_heads")
    kinds = getattr(config, "layer_types", None) or ()
    unknown = sorted(set(kinds) - {"full_attention", "sliding_attention"})
    if unknown:
        raise _unreadable(family, f"its language model has layers of the kind {unknown[0]}")
    return Text(
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=_optional(config, "num_key_value_heads") or heads,
        head_dim=_optional(config, "head_dim") or width // heads,
        mlp=_size(config, family, "intermediate_size"),
        gated=getattr(config, "model_type", "") not in _PLAIN_TEXT_TYPES,
        vocabulary=_size(config, family, "vocab_size"),
        window=_optional(config, "sliding_window") or 0,
        sliding_layers=list(kinds).count("sliding_attention") if _optional(config, "sliding_window") else 0,
    )


def _read_projector(config: Any, vision: Vision, text: Text, family: str) -> Projector:
    if merge := _optional(config.vision_config, "spatial_merge_size"):
        merged = vision.width * merge**2
        deep = len(getattr(config.vision_config, "deepstack_visual_indexes", None) or ())
        return Projector(merge**2, ((merged, merged), (merged, text.width)) * (1 + deep))
    if shuffle := _optional(config, "scale_factor"):
        return Projector(shuffle**2, ((vision.width * shuffle**2, text.width),))
    if tokens := _optional(config, "mm_tokens_per_image"):
        side = _size(config.vision_config, family, "image_size") // vision.patch
        return Projector(side**2 // tokens, ((vision.width, text.width),))
    ratio = getattr(config, "downsample_ratio", None) or 1
    joined = round(1 / ratio) ** 2
    return Projector(joined, ((vision.width * joined, text.width), (text.width, text.width)))


def _size(config: Any, family: str, *names: str) -> int:
    """The first of the fields that is there."""
    size = _optional(config, *names)
    if size is None:
        raise _unreadable(family, f"{type(config).__name__} has no {' or '.join(names)}")
    return size


def _optional(config: Any, *names: str) -> int | None:
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, Sequence) and value and not isinstance(value, str):
            value = value[0]
        if isinstance(value, int) and value > 0:
            return value
    return None


def _unreadable(family: str, reason: str) -> UserError:
    return UserError(f"The operations of {family} cannot be counted: {reason}; only times can be given.")


# ---------------------------------------------------------------- peaks of devices

PEAKS = (
    (r"B200", 2250.0),
    (r"H100 PCIe", 756.5),
    (r"H100 NVL", 835.5),
    (r"G?H[12]00", 989.4),  # SXM; H200 and Grace Hopper have the same chip
    (r"A[18]00", 312.0),
    (r"A30", 165.0),
    (r"A40", 149.7),
    (r"A10", 125.0),
    (r"RTX A6000", 154.8),
    (r"RTX 6000 Ada", 364.2),
    (r"L40S", 362.0),
    (r"L40", 181.0),
    (r"L4", 121.0),
    (r"RTX 5090", 209.5),  # GeForce: with float32 accumulation, as PyTorch multiplies
    (r"RTX 4090", 165.2),
    (r"RTX 3090", 71.0),
    (r"MI300X", 1307.4),
)
"""Part of a device's name (a regular expression) and its dense bf16 peak in TFLOP/s, the special before the
general. From the makers' data sheets and architecture white papers; where those give a number with structured
sparsity, half of it."""


def peak_tflops(device_name: str) -> float | None:
    """The dense bf16 peak of a device in TFLOP/s; None where it is not known.

    A slice of a GPU (MIG) has no known peak, nor has a CPU.
    """
    if re.search(r"\bMIG\b|Laptop", device_name):
        return None
    for pattern, peak in PEAKS:
        if re.search(rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])", device_name):
            return peak
    return None
