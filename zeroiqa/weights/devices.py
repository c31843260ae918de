"""Where models run and in which type; whether they fit, and how to tell what a device's error means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from zeroiqa.errors import UserError
from zeroiqa.guards.limits import is_out_of_memory as is_out_of_memory
from zeroiqa.guards.limits import memory

if TYPE_CHECKING:
    import torch

Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16", "auto-float16"]

_ON_GPUS = {"auto": "bfloat16", "auto-float16": "float16"}
_GONE = (
    "CUDA error",
    "device-side assert",
    "CUBLAS",
    "CUDNN",
    "cuDNN error",
    "HIP error",
    "MPS backend",
)


def find_device(name: str) -> torch.device:
    """The device by its name; "auto" is the first GPU, else the CPU.

    Raises:
        UserError: there is no such device here; the message says what there is, and why.
    """
    import torch

    found = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    if name == "auto":
        return torch.device([*found, "cpu"][0])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in (*found, "cpu"):
        there = f"{', '.join([*found, 'cpu'])}{_why_not(name)}"
        raise UserError(
            f"There is no device {name} here; found {there}; choose one of these, or leave --device out."
        )
    return torch.device(wanted)


def _why_not(name: str) -> str:
    """Why torch sees no GPU, in brackets; empty where it sees some, or where nothing is known."""
    import torch

    if name == "mps":
        built = "is built for it" if torch.backends.mps.is_built() else "is built without it"
        return f" (mps is the GPU of Apple's computers; torch {torch.__version__} {built})"
    if torch.cuda.device_count():
        return ""
    if torch.version.cuda is None and torch.version.hip is None:
        return (
            f" (torch {torch.__version__} is built without CUDA; pytorch.org/get-started has builds with it)"
        )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    why = "look at nvidia-smi" if hidden is None else f"CUDA_VISIBLE_DEVICES is {hidden!r}"
    return f" (torch {torch.__version__} is built with CUDA {torch.version.cuda} and sees no GPU; {why})"


def find_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type by its name; on the CPU "auto" and "auto-float16" are float32.

    On a GPU "auto" is bfloat16, and "auto-float16" is float16.

    Raises:
        UserError: the type is unknown, or the device cannot compute in it.
    """
    import torch

    if name not in get_args(Dtype):
        raise UserError(f"There is no type of weights {name!r}; choose one of {', '.join(get_args(Dtype))}.")
    cuda = device.type == "cuda"
    if name.startswith("auto"):
        name = "float32" if device.type == "cpu" else _ON_GPUS[name]
    if name == "bfloat16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(
            f"The device {device} does not compute in bfloat16; choose float16 or float32 (--dtype)."
        )
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def check_memory(name: str, size: int, device: torch.device) -> None:
    """Refuse weights that the main memory cannot hold: there the process would be killed without a word.

    Args:
        name: Whose weights, for the message.
        size: Theirs, in bytes.
        device: Where they are to be. GPUs say themselves when they are full.

    Raises:
        UserError: less memory is free.
    """
    if device.type != "cpu":
        return
    limit, free = memory()
    if size > free:
        raise UserError(
            f"The weights of {name} need {size / 2**30:.1f} GiB of memory on {device}, found "
            f"{free / 2**30:.1f} GiB free of {limit / 2**30:.1f} GiB; choose a smaller model, a smaller "
            "type (--dtype bfloat16, --load-in-8bit) or another device (--device)."
        )


def is_device_gone(error: BaseException) -> bool:
    """Whether a GPU failed; nothing more can be computed on it by this process."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _GONE)
