"""The stages of models that answer in words or with a score: which weights learn, from which loss.

Stage "1" learns level words by what stands between the vision tower and the language model, "2" learns scores
and "qa" answers, both by LoRA on the towers; scores are those of a regression, which is learnt with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from zeroiqa.errors import UserError
from zeroiqa.heads.questions import CORRESPONDENCE_IS, AnswerVocabulary
from zeroiqa.heads.regression import QualityRegression
from zeroiqa.heads.training.batches import IGNORED, TrainingBatch
from zeroiqa.heads.training.options import TrainingOptions
from zeroiqa.heads.training.trainable import Objective
from zeroiqa.metrics.measures import srcc

_DRAWS = 64
_WEIGHT_LIMIT = 0.1


class Network(Protocol):
    """A vision-language model, a torch module."""

    regression: QualityRegression | None
    """From hidden states to scores; None where there are none."""

    @property
    def output(self) -> nn.Module:
        """From a hidden state to the logits of the vocabulary."""

    @property
    def hidden_states(self) -> Callable[..., torch.Tensor]:
        """From the inputs of a batch to the last hidden states, shape (rows, tokens, width)."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All weights."""

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Learn all weights, or none."""


class TwoTowers(Protocol):
    """A vision tower and a language model to be trained."""

    @property
    def model(self) -> Network:
        """Both of them."""

    def projectors(self) -> Sequence[nn.Module]:
        """What stands between them.

        Raises:
            UserError: it is not known where that is.
        """

    def add_lora(self, *, dropout: float, seed: int) -> None:
        """Put LoRA on both towers, which changes no output yet."""

    def enable_checkpointing(self) -> None:
        """Compute each block again for the gradient instead of keeping its inside.

        Raises:
            UserError: the family cannot do that.
        """


class WordObjective(Objective):
    """The loss of a stage.

    Args:
        model: The network, a torch module.
        stage: What is learnt.
        words: Tokens of the possible answers: of each level, from bad on, or of no and of yes.
    """

    def __init__(self, model: Network, stage: str, words: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        self.words = [list(ids) for ids in words]

    def forward(self, batch: TrainingBatch) -> torch.Tensor:
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
    def predict(self, batch: TrainingBatch) -> torch.Tensor:
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

    def value(self, predicted: Sequence[float], targets: Sequence[float]) -> float | None:
        """SRCC (None if all predictions are equal), or the accuracy of answers (qa)."""
        if self.stage != "qa":
            return srcc(predicted, targets)
        right = [(one > 0.5) == (target > 0.5) for one, target in zip(predicted, targets, strict=True)]
        return sum(right) / len(right)

    @property
    def needs_draw(self) -> bool:
        """Whether the stage needs a regression that the model has not."""
        return self.stage == "2" and self.model.regression is None

    @torch.no_grad()
    def draw(self, batch: TrainingBatch, seed: int) -> None:
        """Give the model a new regression, drawn as published: weights from U(-0.1, 0.1), biases 0.

        Behind its last ReLU every second draw is 0 for all images and could never learn; the first draw that
        gives a score above 0 to each example of a batch is taken.

        Raises:
            UserError: none of many draws does.
        """
        features = self.features(batch).float()
        regression = QualityRegression(features.shape[-1]).to(features.device)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(_DRAWS):
            for weight in regression.parameters():
                limit = _WEIGHT_LIMIT if weight.ndim > 1 else 0.0
                weight.copy_((torch.rand(weight.shape, generator=generator) * 2 - 1) * limit)
            with torch.autocast(features.device.type, enabled=False):  # it would keep the first weights
                scores = regression(features)
            if bool((scores > 0).all()):
                self.model.regression = regression
                return
        raise UserError(
            f"None of {_DRAWS} new regressions gives the first images a score above 0; choose another seed."
        )

    def features(self, batch: TrainingBatch) -> torch.Tensor:
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


def learnt_ids(vocabulary: AnswerVocabulary, stage: str) -> list[list[int]]:
    """Tokens of the answers, see `WordObjective`.

    Raises:
        UserError: the tokenizer has no single token for each level, or does not tell yes and no apart.
    """
    if stage == "qa":
        yes, no = vocabulary.answer_ids()
        return [no, yes]
    vocabulary.level_ids(CORRESPONDENCE_IS)  # refuses words that are more than one token there
    return [[token] for token in vocabulary.level_ids()]


def default_epochs(stage: str) -> int:
    """How often every example is learnt from, as in the LMM4LMM paper."""
    return 1 if stage == "1" else 5


def prepare_towers(towers: TwoTowers, stage: str, options: TrainingOptions) -> None:
    """Freeze what the stage does not learn, add LoRA where it does. What is learnt becomes float32."""
    model = towers.model
    model.requires_grad_(False)
    if stage == "1":
        for projector in towers.projectors():
            projector.requires_grad_(True)
    else:
        towers.add_lora(dropout=options.lora_dropout, seed=options.seed)
    if model.regression is not None:
        model.regression.requires_grad_(True)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    if options.checkpointing:
        towers.enable_checkpointing()
