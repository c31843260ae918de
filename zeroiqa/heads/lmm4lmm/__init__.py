"""LMM4LMM (ICCV 2025): InternVL2.5, or any chat model, fine-tuned on ratings, read by a quality regression.

`Head` scores images. The published network alone takes tensors::

    from pathlib import Path

    from zeroiqa.heads.lmm4lmm import load_model

    model = load_model(Path("FOLDER"))  # config.json and *.safetensors in the published layout
    scores, level_logits = model(input_ids, pixel_values, attention_mask, image_flags, level_ids=level_ids)
"""

from zeroiqa.heads.lmm4lmm.checkpoint import load_model
from zeroiqa.heads.lmm4lmm.head import Head
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm, Outputs
from zeroiqa.heads.predictions import Judged

__all__ = ["Head", "Judged", "Lmm4Lmm", "Outputs", "load_model"]
