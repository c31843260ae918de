"""How the weights of raters and segmenters are loaded and run; those that have none ignore this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from zeroiqa.weights.devices import Dtype
from zeroiqa.weights.replies import Replies

Attention: TypeAlias = Literal["auto", "eager", "sdpa", "flash_attention_2"]


@dataclass(frozen=True)
class ModelOptions:
    """Choices that hold for every model of a run. The defaults are safe and work on any machine."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; auto takes a GPU where there is one."""
    dtype: Dtype = "auto"
    """Type of the weights; auto is bfloat16 on a GPU, auto-float16 float16, both float32 on the CPU."""
    attn: Attention = "auto"
    """Implementation of attention; auto leaves it to transformers."""
    load_in_8bit: bool = False
    """Quantise the linear layers with bitsandbytes: half the memory of bfloat16, and other scores."""
    trust_remote_code: bool = False
    """Run Python code that comes with the weights."""
    allow_pickle: bool = False
    """Read weights that are not in safetensors files (by weights_only)."""
    offline: bool = False
    """Never reach for the network: what is not on the disk is an error that names the files."""
    replies: Replies | None = field(default=None, compare=False, repr=False)
    """What hubs and servers have replied, so that nothing is asked twice; None: whoever asks, asks anew."""
