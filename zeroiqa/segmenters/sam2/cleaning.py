"""Fills small holes of masks and removes small islands, on the decoder's logits: min_mask_region_area.

In SAM 2 that parameter cleans no mask at the photo's size: the method that would (postprocess_small_regions)
is never called. It becomes max_hole_area and max_sprinkle_area of the package's predictor, by which logits
are changed before they are brought to the photo's size (SAM2Transforms.postprocess_masks of sam2 1.1, and of
Meta's repository at 7e1596c). There a CUDA extension finds the components; without it nothing happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from zeroiqa.images.opencv import cv2

if TYPE_CHECKING:
    from zeroiqa.types import Mask

_THRESHOLD = 0.0
"""The predictor's, which stays this whatever mask_threshold the mask generator is given."""
_FAR = 10.0
"""How far beyond the threshold logits are put."""


def cleaned(logits: torch.Tensor, most: int) -> torch.Tensor:
    """Masks without holes and islands of at most `most` pixels, those at the border included.

    Components hang together by sides and corners. Islands are those of the logits given: a small ring around
    a hole that is filled goes, and the filling stays.

    Args:
        logits: Float32, shape (N, height, width), on any device; not changed.
        most: In pixels of the logits, > 0.

    Returns:
        Of the same shape and device; filled holes are +10 and removed islands -10.
    """
    above = (logits > _THRESHOLD).cpu().numpy()
    below = (logits <= _THRESHOLD).cpu().numpy()
    holes, islands = (
        torch.from_numpy(np.array([_small(part, most) for part in parts], bool).reshape(logits.shape))
        for parts in (below, above)
    )
    filled = torch.where(holes.to(logits.device), _THRESHOLD + _FAR, logits)
    return torch.where(islands.to(logits.device), _THRESHOLD - _FAR, filled)


def _small(part: Mask, most: int) -> Mask:
    """The components of at most `most` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(part.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] <= most
    small[0] = False  # what is in no component
    chosen: Mask = small[labels]
    return chosen
