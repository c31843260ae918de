"""How many tokens a device has room for, and what is said where it has none, or is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from zeroiqa.chat.loading import Loaded
from zeroiqa.errors import UserError
from zeroiqa.weights.devices import is_device_gone, is_out_of_memory

_CPU_TOKENS = 1024  # measured: larger batches only add padding there
_MOST_TOKENS = 16384  # a GPU is busy from far fewer on
_FREE_SHARE = 0.6  # of the free memory that a batch may take


def token_budget(loaded: Loaded) -> int:
    """Padded tokens of a batch: what the free memory of a GPU holds by a coarse estimate, little on a CPU.

    An estimate that is too high costs one failed batch, after which the budget is halved.
    """
    if loaded.device.type != "cuda":
        return _CPU_TOKENS
    config = loaded.model.config
    text, vision = config.get_text_config(), getattr(config, "vision_config", None)

    def size(part: Any, name: str, otherwise: int) -> int:
        value = getattr(part, name, None)
        return value if isinstance(value, int) else otherwise

    hidden = size(text, "hidden_size", 4096)
    values = 12 * hidden + 4 * size(text, "intermediate_size", 4 * hidden)
    values += 2 * hidden * size(text, "num_hidden_layers", 32)  # keys and values, at most
    width = size(vision, "hidden_size", 1280)
    values += 4 * (12 * width + 4 * size(vision, "intermediate_size", 4 * width))  # some 4 patches per token
    free, _ = torch.cuda.mem_get_info(loaded.device)
    tokens = int(_FREE_SHARE * free / (values * loaded.dtype.itemsize))
    return min(max(tokens, 1), _MOST_TOKENS)


@contextmanager
def device_errors(loaded: Loaded) -> Iterator[None]:
    """Turn the loss of a GPU into a sentence; the run stops, keeps what is done and can be resumed."""
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if is_out_of_memory(error):
            raise UserError(
                f"There is not enough memory on {loaded.device} for one view with {loaded.name}; choose a "
                "smaller model, 8-bit weights (--load-in-8bit) or another device (--device)."
            ) from error
        if is_device_gone(error):
            raise UserError(
                f"The device {loaded.device} failed while {loaded.name} was rating ({text[:120]}); what is "
                "finished is kept: repeat the command to go on."
            ) from error
        raise
