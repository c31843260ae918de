"""LMM4LMM (ICCV 2025): InternVL2.5, or any chat model, fine-tuned on ratings, read by a quality regression.

`Head` scores images. The published network alone takes tensors::

    from pathlib import Path

    from zeroiqa.heads.lmm4lmm import load_model

    model = load_model(Path("FOLDER"))  # config.json and *.safetensors in the published layout
    scores, level_logits = model(input_ids, pixel_values, attention_mask, image_flags, level_ids=level_ids)

Each name is imported when it is first asked for: torch is not loaded to list the heads.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from zeroiqa.registry import import_attribute

if TYPE_CHECKING:
    from zeroiqa.heads.lmm4lmm.checkpoint import load_model
    from zeroiqa.heads.lmm4lmm.head import Head
    from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm, Outputs
    from zeroiqa.heads.predictions import Prediction

__all__ = ["Head", "Lmm4Lmm", "Outputs", "Prediction", "load_model"]

_PLACES = {
    "Head": "zeroiqa.heads.lmm4lmm.head:Head",
    "Lmm4Lmm": "zeroiqa.heads.lmm4lmm.model:Lmm4Lmm",
    "Outputs": "zeroiqa.heads.lmm4lmm.model:Outputs",
    "Prediction": "zeroiqa.heads.predictions:Prediction",
    "load_model": "zeroiqa.heads.lmm4lmm.checkpoint:load_model",
}


def __getattr__(name: str) -> Any:
    if name == "Judged":
        warnings.warn("Judged is called Prediction now.", DeprecationWarning, stacklevel=2)
        name = "Prediction"
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_attribute(_PLACES[name])
