"""The quality regression of LMM4LMM: from the hidden state at the read token to one score."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

_WIDTHS = (1024, 256, 64, 16, 1)


class QualityRegression(nn.Module):
    """Five linear layers with a ReLU behind each, the last included, so that a score is never below 0.

    The published checkpoints hold a LayerNorm `ln1` beside them that their code does not call.

    Args:
        hidden: Width of the hidden states.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        for number, (inputs, outputs) in enumerate(pairwise((hidden, *_WIDTHS)), start=1):
            self.add_module(f"fc{number}", nn.Linear(inputs, outputs))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scores, shape (...), of hidden states, shape (..., hidden); on the scale of the ratings."""
        for layer in self.children():
            features = torch.relu(layer(features))
        return features.squeeze(-1)
