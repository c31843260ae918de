"""Batches for training: which examples, in which order, as tensors; made while the one before is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch

from zeroiqa.heads.lmm4lmm.conversation import Asked

IGNORED = -100
"""Label of a token that is not learnt."""


class Prepared(NamedTuple):
    """One example, ready to be put into a batch."""

    asked: Asked
    pixels: torch.Tensor
    """Shape (tiles, 3, side, side)."""
    target: float
    """The rating; NaN if there is none."""


class Batch(NamedTuple):
    """Examples of one step; all but the pixels and the flags have one row per example."""

    input_ids: torch.Tensor
    """Shape (examples, tokens), padded on the right."""
    attention_mask: torch.Tensor
    """1 for a token, 0 for padding."""
    pixel_values: torch.Tensor
    """Shape (tiles of all examples, 3, side, side)."""
    image_flags: torch.Tensor
    """1 for each tile."""
    positions: torch.Tensor
    """Where each row is read."""
    labels: torch.Tensor
    """The tokens of the answers and of what ends them, elsewhere `IGNORED`."""
    targets: torch.Tensor
    """The ratings, float32."""

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


def collate(examples: Sequence[Prepared]) -> Batch:
    """Put examples into one batch. Each keeps its own position: padding moves none."""
    length = max(len(example.asked.ids) for example in examples)
    ids = torch.zeros(len(examples), length, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, (asked, _, _) in enumerate(examples):
        count = len(asked.ids)
        ids[row, :count] = torch.tensor(asked.ids)
        mask[row, :count] = 1
        labels[row, asked.answer : count] = ids[row, asked.answer : count]
    pixels = torch.cat([example.pixels for example in examples])
    return Batch(
        ids,
        mask,
        pixels,
        torch.ones(len(pixels), dtype=torch.int64),
        torch.tensor([example.asked.read for example in examples]),
        labels,
        torch.tensor([example.target for example in examples], dtype=torch.float32),
    )


class Plan(NamedTuple):
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
    batches: Iterator[list[int]], prepare: Callable[[int], Prepared], threads: int = 4
) -> Iterator[Batch]:
    """Batches in order, each prepared by threads while the one before it is used."""
    with ThreadPoolExecutor(threads) as pool:
        pending: Iterator[Prepared] | None = None
        for batch in batches:
            following = pool.map(prepare, batch)
            if pending is not None:
                yield collate([*pending])
            pending = following
        if pending is not None:
            yield collate([*pending])
