"""What each stage learns: which weights, from which loss, and what the best weights are chosen by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from zeroiqa.errors import UserError
from zeroiqa.heads.regression import QualityRegression
from zeroiqa.heads.training.batches import IGNORED, Batch
from zeroiqa.heads.training.options import Stage, TrainingOptions
from zeroiqa.heads.training.trainable import Network, Trainee
from zeroiqa.metrics.measures import srcc

_DRAWS = 64
_WEIGHT_LIMIT = 0.1


class Objective(nn.Module):
    """The loss of a stage as a module, so that several processes can share its gradient."""

    def __init__(self, model: Network, stage: Stage, words: Sequence[Sequence[int]]) -> None:
        """Wrap a model.

        Args:
            model: The model.
            stage: What is learnt.
            words: Tokens of the possible answers: one of each level, from bad on, or those of no and of yes.
        """
        super().__init__()
        self.model = model
        self.stage = stage
        self.words = [list(ids) for ids in words]

    def forward(self, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch, float32, shape ().

        Stage 2: the distance |score - rating|, from the hidden state at each example's own position.
        Otherwise the cross-entropy of the answer's tokens and of the one that ends it; no other logits are
        computed.
        """
        if self.stage == "2":
            return functional.l1_loss(self._scores(self.features(batch)), batch.targets)
        learnt = [part.labels[:, 1:] != IGNORED for part in batch.parts]
        hidden = [self.model.hidden_states(**part.inputs)[:, :-1] for part in batch.parts]
        logits = self.model.output(
            torch.cat([states[mask] for states, mask in zip(hidden, learnt, strict=True)])
        )
        labels = torch.cat([part.labels[:, 1:][mask] for part, mask in zip(batch.parts, learnt, strict=True)])
        return functional.cross_entropy(logits.float(), labels)

    @torch.no_grad()
    def predict(self, batch: Batch) -> torch.Tensor:
        """One float32 number per example: its score, its expected level (1..5), or the probability of yes."""
        features = self.features(batch)
        if self.stage == "2":
            return self._scores(features)
        logits = self.model.output(features).float()
        answers = torch.stack([logits[:, ids].logsumexp(-1) for ids in self.words], -1).softmax(-1)
        first = 1 if self.stage == "1" else 0
        return answers @ torch.arange(
            first, first + len(self.words), dtype=torch.float32, device=answers.device
        )

    def features(self, batch: Batch) -> torch.Tensor:
        """The hidden state at each example's own position, shape (examples, width)."""
        read = []
        for part in batch.parts:
            hidden = self.model.hidden_states(**part.inputs)
            read.append(hidden[torch.arange(len(hidden), device=hidden.device), part.positions])
        return torch.cat(read)

    def _scores(self, features: torch.Tensor) -> torch.Tensor:
        assert self.model.regression is not None
        with torch.autocast(features.device.type, enabled=False):
            scores: torch.Tensor = self.model.regression(features.float())
        return scores.flatten()


def prepare_model(trainee: Trainee, stage: Stage, options: TrainingOptions) -> None:
    """Freeze what the stage does not learn, add LoRA where it does. What is learnt becomes float32."""
    model = trainee.model
    model.requires_grad_(False)
    if stage == "1":
        for projector in trainee.projectors():
            projector.requires_grad_(True)
    else:
        trainee.add_lora(dropout=options.lora_dropout, seed=options.seed)
    if model.regression is not None:
        model.regression.requires_grad_(True)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    if options.checkpointing:
        trainee.enable_checkpointing()


@torch.no_grad()
def draw_regression(objective: Objective, batch: Batch, seed: int) -> None:
    """Give the model a new regression, drawn as published: weights from U(-0.1, 0.1), biases 0.

    Behind its last ReLU every second draw is 0 for all images and could never learn; the first draw that
    gives a score above 0 to each example of a batch is taken.

    Raises:
        UserError: none of many draws does.
    """
    features = objective.features(batch).float()
    regression = QualityRegression(features.shape[-1]).to(features.device)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_DRAWS):
        for weight in regression.parameters():
            limit = _WEIGHT_LIMIT if weight.ndim > 1 else 0.0
            weight.copy_((torch.rand(weight.shape, generator=generator) * 2 - 1) * limit)
        with torch.autocast(features.device.type, enabled=False):  # it would keep the first draw's weights
            scores = regression(features)
        if bool((scores > 0).all()):
            objective.model.regression = regression
            return
    raise UserError(
        f"None of {_DRAWS} new regressions gives the first images a score above 0; choose another seed."
    )


def value_of(stage: Stage, predicted: Sequence[float], targets: Sequence[float]) -> float | None:
    """What the best weights are chosen by: SRCC (None if all predictions are equal), or accuracy (qa)."""
    if stage != "qa":
        return srcc(predicted, targets)
    right = [(one > 0.5) == (target > 0.5) for one, target in zip(predicted, targets, strict=True)]
    return sum(right) / len(right)
