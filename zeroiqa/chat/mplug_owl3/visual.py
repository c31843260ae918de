"""Which token sees which picture, from where the pictures stand in the rows of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

Starts: TypeAlias = Tensor | Sequence[Tensor]
"""Where images begin: (batch, tokens), 1 at the first token of each placeholder and 0 elsewhere, or for
every sample the indices of those tokens in its row. Padding and cached tokens are part of the row."""


class BatchText(NamedTuple):
    """The text of a batch, cached tokens included."""

    mask: Tensor
    """(batch, tokens): 0 for padding."""
    positions: Tensor
    """(batch, tokens)."""
    cached: int
    """How many tokens came before those that are computed now."""


@dataclass(frozen=True)
class Visual:
    """The pictures of a batch, and who sees them. All samples' pictures are stacked, sample after sample."""

    embeds: Tensor
    """(pictures, rows, width): the projected output of the vision encoder."""
    cos: Tensor
    """(pictures, head_dim), float32: rotation to the position of each picture."""
    sin: Tensor
    slots: Tensor
    """(batch, most): which pictures each sample has; where it has fewer, one that it does not see."""
    pictures_seen: Tensor
    """(batch, new tokens, most), boolean: whether a token sees the picture in a slot."""
    tokens_seen: Tensor
    """(batch, new tokens, all tokens), boolean: causal, without padding."""
    readers: set[int] = field(default_factory=set)
    """The layers that have looked: pictures that are not handed on to them would go missing in silence."""

    @property
    def rows_seen(self) -> Tensor:
        """(batch, new tokens, most * rows): `pictures_seen` for every row of the pictures."""
        return self.pictures_seen.repeat_interleave(self.embeds.shape[1], dim=-1)


def read_rows(mask: Tensor, given: Tensor | None, cached: int) -> BatchText:
    """The rows with a position for every token, counted without padding where none is given.

    Args:
        mask: (batch, cached and new tokens).
        given: Positions of the new tokens, (batch or 1, new tokens). Those of cached tokens are counted back
            from the last of them: pictures may begin there.
        cached: Number of cached tokens.
    """
    positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
    if given is not None:
        given = given.expand(len(mask), -1)
        shift = given[:, -1:] - positions[:, -1:]
        positions = torch.cat([positions[:, :cached] + shift, given], dim=1)
    return BatchText(mask, positions, cached)


def see(
    embeds: Tensor,
    starts: Starts | None,
    rows: BatchText,
    late: int,
    rope: Callable[..., tuple[Tensor, Tensor]],
) -> Visual:
    """Put pictures at their places.

    Args:
        embeds: (pictures, rows, width).
        starts: Where they begin.
        rows: The text.
        late: How many tokens after its beginning a picture stands and can be seen: 1 in 240728, 0 in 241101.
        rope: The rotary embedding: a tensor of the type wanted, positions (1, pictures) -> cosine and sine.

    Raises:
        ValueError: pictures and places are not equally many.
    """
    samples, columns = _locate(starts, rows.mask.device)
    if len(columns) != len(embeds):
        raise ValueError(
            f"There are {len(embeds)} pictures for {len(columns)} places in the text; image_starts must name "
            "one place for each picture."
        )
    batch, length = rows.mask.shape
    reached = columns.clamp(max=length - 1)  # of a row that is fed in parts, some come later; they are unseen
    cos, sin = rope(embeds.new_zeros(0, dtype=torch.float32), rows.positions[samples, reached][None] + late)

    own = torch.bincount(samples, minlength=batch)
    places = torch.arange(len(samples), device=samples.device)
    slot = places - (own.cumsum(0) - own)[samples]
    slots = samples.new_zeros((batch, int(own.max())))
    slots[samples, slot] = places

    tokens = torch.arange(length, device=samples.device)
    new = tokens[rows.cached :]
    seen = torch.zeros((*slots.shape, len(new)), dtype=torch.bool, device=samples.device)
    seen[samples, slot] = new >= columns[:, None] + late
    causal = (tokens <= new[:, None]) & rows.mask.bool()[:, None]
    itself = tokens == new[:, None]  # padding, too: a softmax over nothing would be no number
    return Visual(embeds, cos[0], sin[0], slots, seen.transpose(1, 2), causal | itself)


def _locate(starts: Starts | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each picture its sample and the index of its first token in that sample's row."""
    if isinstance(starts, Tensor):
        samples, columns = starts.to(device).nonzero(as_tuple=True)
        return samples, columns
    each = [start.to(device, torch.long).flatten() for start in starts or ()]
    counts = torch.tensor([len(start) for start in each], dtype=torch.long, device=device)
    columns = torch.cat(each) if each else counts
    return torch.arange(len(each), device=device).repeat_interleave(counts), columns
