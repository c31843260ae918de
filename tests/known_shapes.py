"""Known shapes through the decoder of the sam2 package: the point that is asked for decides the masks.

Random weights give masks of noise. So two methods of the package are replaced: the prompt encoder writes the
point into its embedding, the mask decoder reads it there and returns logits of shapes around it. It keeps no
state: prompts may come in any order or batch. The shapes are discs, rectangles, a frame with a hole, two
blobs that belong together, a thin bar, a mask of everything and an empty one, with sharp and with soft edges;
the estimated IoUs (0.66 to 1) have no ties, and the shapes move a little with the point, so that neighbours
are near-duplicates of each other. `fixtures/official/sam2_masks.json` holds what the package makes of them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

if TYPE_CHECKING:
    from zeroiqa.types import Pixels


_DIGIT = 128


def install(patch: pytest.MonkeyPatch) -> None:
    """Replace the two methods."""
    from sam2.modeling.sam.mask_decoder import MaskDecoder
    from sam2.modeling.sam.prompt_encoder import PromptEncoder

    embed = PromptEncoder._embed_points

    def embed_points(self: Any, points: Tensor, labels: Tensor, pad: bool) -> Tensor:
        return _write(embed(self, points, labels, pad).clone(), points, self.input_image_size[1])

    def predict_masks(
        self: Any, image_embeddings: Tensor, sparse_prompt_embeddings: Tensor, **_: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count, (height, width) = len(sparse_prompt_embeddings), image_embeddings.shape[-2:]
        masks, estimates = _shapes(*_read(sparse_prompt_embeddings), 4 * height, 4 * width)
        tokens = torch.zeros(count, 4, self.transformer_dim)
        return masks, estimates, tokens, torch.full((count, 1), 10.0)

    patch.setattr(PromptEncoder, "_embed_points", embed_points)
    patch.setattr(MaskDecoder, "predict_masks", predict_masks)


def photo(width: int, height: int) -> Pixels:
    """A picture that no mask depends on."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([(x + 2 * y) % 256, (x * y // 97) % 256, (x // 50 + y // 40) % 2 * 180], -1).astype(
        np.uint8
    )


def _write(embedding: Tensor, points: Tensor, side: int) -> Tensor:
    """Put the first point (x, y in pixels of the model's input) into channels 0 to 5 of the first token."""
    for axis in (0, 1):
        rest = (points[:, 0, axis].double() / side * _DIGIT**3).round().clamp(0, _DIGIT**3 - 1)
        for digit in range(3):
            embedding[:, 0, 3 * axis + digit] = (rest // _DIGIT ** (2 - digit) % _DIGIT).to(embedding.dtype)
    return embedding


def _read(embedding: Tensor) -> tuple[Tensor, Tensor]:
    """x and y in [0, 1], each of shape (points, 1, 1)."""
    digits = embedding[:, 0, :6].float()
    x, y = (
        ((digits[:, 3 * axis] * _DIGIT + digits[:, 3 * axis + 1]) * _DIGIT + digits[:, 3 * axis + 2])
        / _DIGIT**3
        for axis in (0, 1)
    )
    return x[:, None, None], y[:, None, None]


def _disc(x: Tensor, y: Tensor, cx: Tensor, cy: Tensor, r: float) -> Tensor:
    return r - ((x - cx) ** 2 + (y - cy) ** 2).sqrt()


def _rectangle(x: Tensor, y: Tensor, cx: Tensor, cy: Tensor, rx: float, ry: float) -> Tensor:
    """Turned by 20 degrees: along the rows of pixels its stability would hang on where the samples fall."""
    a, b = 0.94 * (x - cx) + 0.342 * (y - cy), 0.94 * (y - cy) - 0.342 * (x - cx)
    return torch.minimum(rx - a.abs(), ry - b.abs())


def _cell(u: Tensor, v: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Centre of the point's cell in an n x n grid, and the cell's number.

    The centre moves by a fixed step towards the point's corner of the cell: box IoUs of near-duplicates are
    then about 0.6 or 0.75 to 0.78, on either side of the usual thresholds and at none of them.
    """
    i, j = (u * n).floor(), (v * n).floor()
    cx, cy, step = (i + 0.5) / n, (j + 0.5) / n, 0.145 * 0.42 / n
    return cx + step * (u - cx).sign(), cy + step * (v - cy).sign(), i + n * j


def _shapes(u: Tensor, v: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Logits (points, 4, height, width) and estimates (points, 4): the single mask, small, middle, large."""
    masks, estimates = [], []
    for scale, n in enumerate((7, 3, 2)):
        cx, cy, cell = _cell(u, v, n)
        keys = torch.cat([cx, cy, cell], 1)[..., 0].tolist()
        masks.append(torch.stack([_mask(scale, n, *key, height, width) for key in keys]))
        away = ((u - cx) ** 2 + (v - cy) ** 2).sqrt() * n
        estimate = 0.985 - 0.03 * scale - 0.3 * away - 0.08 * (cell % 3 == 1) + 0.0041 * u + 0.00737 * v
        estimates.append(estimate[:, 0, 0])
    single = masks[1] - 0.5, estimates[1] - 0.02
    return torch.stack([single[0], *masks], 1), torch.stack([single[1], *estimates], 1)


@cache
def _mask(scale: int, n: int, x0: float, y0: float, cell: float, height: int, width: int) -> Tensor:
    """One shape: there are some 250 for all points together."""
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij"
    )
    cx, cy, r, kind = torch.tensor(x0), torch.tensor(y0), 0.42 / n, (cell * 5 + scale) % 7
    if scale == 2 and cell == 3:
        inside = torch.full_like(x, 1.0)
    elif scale == 0 and kind == 6:
        inside = torch.full_like(x, -1.0)
    elif scale == 1 and kind == 5:
        inside = _rectangle(x, y, cx, cy, 2.5 / width, r)
    elif kind == 4:
        inside = torch.maximum(_disc(x, y, cx - r / 2, cy, r / 2.2), _disc(x, y, cx + r / 2, cy, r / 2.2))
    elif kind == 3:
        inside = torch.minimum(_rectangle(x, y, cx, cy, r, r), -_rectangle(x, y, cx, cy, 0.5 * r, 0.5 * r))
    else:
        inside = _disc(x, y, cx, cy, r) if kind < 3 else _rectangle(x, y, cx, cy, r, 0.7 * r)
    edge = 0.2 if cell % 4 == 2 and scale < 2 else 40.0  # logits per pixel: soft or sharp
    return (inside * width * edge).clamp(-30, 30)
