"""Batches for training: which examples, in which order, as tensors; made while the one before is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import torch

from zeroiqa.chat.inputs import NotJoinableError, PromptInputs, Tensors

IGNORED = -100
"""Label of a token that is not learnt."""
Join: TypeAlias = Callable[[Sequence[PromptInputs]], Tensors]
"""Makes one batch of the inputs of several images, padded on either side; raises NotJoinableError."""


class EncodedExample(NamedTuple):
    """One example as numbers, for a batch; places count from the end, so that padding moves none."""

    inputs: PromptInputs
    """The image and the whole conversation."""
    answer: int
    """Tokens of the answer and of what ends it: these are the last ones."""
    read: int
    """Which token is read, 1 being the last: that before the level word, or before the answer."""
    target: float
    """The rating; NaN if there is none."""


class Part(NamedTuple):
    """Examples that go through the network together."""

    inputs: Tensors
    """Of the network."""
    positions: torch.Tensor
    """Where each row is read, shape (rows,)."""
    labels: torch.Tensor
    """The tokens of the answers and of what ends them, elsewhere `IGNORED`, shape (rows, tokens)."""

    def to(self, device: torch.device) -> Part:
        """The same on a device."""
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        return Part(inputs, self.positions.to(device), self.labels.to(device))


class TrainingBatch(NamedTuple):
    """Examples of one step."""

    parts: tuple[Part, ...]
    """One, or one for each example where their inputs have no common batch."""
    targets: torch.Tensor
    """The ratings in the order of the parts, float32."""

    def to(self, device: torch.device) -> TrainingBatch:
        """The same on a device."""
        return TrainingBatch(tuple(part.to(device) for part in self.parts), self.targets.to(device))


def collate(examples: Sequence[EncodedExample], join: Join) -> TrainingBatch:
    """Put examples into one batch. Each keeps its own position: padding moves none."""
    try:
        parts = [_part(examples, join)]
    except NotJoinableError:
        parts = [_part([example], join) for example in examples]
    return TrainingBatch(
        tuple(parts), torch.tensor([example.target for example in examples], dtype=torch.float32)
    )


def last_tokens(attention_mask: torch.Tensor) -> torch.Tensor:
    """Where each row's last token is, padding on either side left out, shape (rows,).

    Args:
        attention_mask: Shape (rows, tokens): 1 for a token, 0 for padding.
    """
    return attention_mask.shape[1] - 1 - attention_mask.long().flip(1).argmax(1)


def _part(examples: Sequence[EncodedExample], join: Join) -> Part:
    inputs = join([example.inputs for example in examples])
    ids = inputs["input_ids"].cpu()
    ends = last_tokens(inputs["attention_mask"]).cpu() + 1
    labels = torch.full_like(ids, IGNORED)
    for row, (example, end) in enumerate(zip(examples, ends.tolist(), strict=True)):
        labels[row, end - example.answer : end] = ids[row, end - example.answer : end]
    return Part(inputs, ends - torch.tensor([example.read for example in examples]), labels)


class StepPlan(NamedTuple):
    """Which examples each step learns from; the same for every process and after every resumption."""

    examples: int
    batch_size: int
    epochs: int
    seed: int

    @property
    def steps_an_epoch(self) -> int:
        """Steps until every example was learnt from; the last is filled up with the first examples."""
        return -(-self.examples // self.batch_size)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.steps_an_epoch * self.epochs

    def batches(self, first: int) -> Iterator[list[int]]:
        """The numbers of the examples of every step from `first` on."""
        for epoch in range(first // self.steps_an_epoch, self.epochs):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(self.examples, generator=generator).tolist()
            wanted = self.steps_an_epoch * self.batch_size
            order = (order * -(-wanted // self.examples))[:wanted]
            done = first - epoch * self.steps_an_epoch if epoch == first // self.steps_an_epoch else 0
            for step in range(done, self.steps_an_epoch):
                yield order[step * self.batch_size : (step + 1) * self.batch_size]


def prefetched(
    batches: Iterator[list[int]], encode: Callable[[int], EncodedExample], join: Join, threads: int = 4
) -> Iterator[TrainingBatch]:
    """Batches in order, each encoded by threads while the one before it is used."""
    with ThreadPoolExecutor(threads) as pool:
        pending: Iterator[EncodedExample] | None = None
        for batch in batches:
            following = pool.map(encode, batch)
            if pending is not None:
                yield collate([*pending], join)
            pending = following
        if pending is not None:
            yield collate([*pending], join)
