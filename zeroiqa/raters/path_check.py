"""Which fast paths a model may use: each is held against `generate` on two views when the model is loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from zeroiqa.devices import is_device_gone, is_out_of_memory
from zeroiqa.errors import UserError
from zeroiqa.raters.chat_inputs import Prepared, in_a_line
from zeroiqa.raters.forward import Forward, Paths, PrefixUse

_LOG = logging.getLogger(__name__)
_ABSOLUTE, _RELATIVE = 1e-4, 1e-5  # of log-probabilities in float32; relative to the largest logit
_LEVEL_SHIFT, _MASS_SHIFT = 0.1, 0.05  # below float32: of the mean level, of the mass on the levels


class Probes(NamedTuple):
    """Views to try the paths on, under one prompt."""

    first: Prepared
    second: Prepared
    """Of another size than the first."""
    like_first: Prepared
    """Another picture of the first one's size."""


@dataclass(frozen=True)
class PathCheck:
    """Holds paths against the reference."""

    forward: Forward
    level_ids: Sequence[int]
    """Token ids of the levels, for the comparison in types below float32."""
    exact: bool
    """Whether the model computes in float32 throughout: then all logits must agree, else the ratings."""
    model: str
    """Named in warnings."""

    def run(self, probes: Probes) -> Paths:
        """The fastest paths that agree with `generate`.

        A path that was worth trying and disagrees is left out with a warning.

        Raises:
            UserError: `generate` itself gives no numbers, or memory does not suffice for one view.
        """
        items = (probes.first, probes.second)
        expected = {id(item): self._reference(item) for item in probes}
        agrees = _Agreement(self, expected)
        paths = self._choose_batch(items, agrees)
        if not paths.forward:
            return paths
        if self.forward.takes_features:
            tried = replace(paths, features=True)
            paths = tried if agrees(items, tried) else self._without(paths, "vision features computed once")
        return self._choose_prefix(probes, paths, agrees)

    def holds_for(self, item: Prepared, paths: Paths) -> bool:
        """Whether the model can rate this view at all, and the paths agree with `generate` on it."""
        try:
            expected = {id(item): self.forward.reference(item)}
        except Exception as error:
            if is_out_of_memory(error) or is_device_gone(error):
                raise
            _LOG.info("%s: generate fails with %s: %s", self.model, type(error).__name__, error)
            return False
        return not paths.forward or _Agreement(self, expected)((item,), paths)

    def _choose_batch(self, items: Sequence[Prepared], agrees: _Agreement) -> Paths:
        positions = (True, False) if self.forward.takes_positions else (False,)
        candidates = [
            Paths(forward=True, batch=batch, positions=given)
            for batch in ((True, False) if self.forward.collation is not None else (False,))
            for given in positions
        ]
        chosen = next((paths for paths in candidates if agrees(items, paths)), None)
        if chosen is None:
            return self._without(Paths(), "one forward pass instead of generate")
        return chosen if chosen.batch else self._without(chosen, "several views in one batch")

    def _choose_prefix(self, probes: Probes, paths: Paths, agrees: _Agreement) -> Paths:
        most = self.forward.prefix_use
        uses: tuple[PrefixUse, ...] = ("any", "equal") if most == "any" else (most,)
        if most == "off" or not self.forward.uses_prefix([probes.first], replace(paths, prefix="any")):
            return paths
        for use in uses:
            other = probes.second if use == "any" else probes.like_first
            for full_rows in (True, False):
                tried = replace(paths, prefix=use, full_rows=full_rows)
                if agrees((probes.first, other), tried) and agrees((probes.second,), tried):
                    return tried
        return self._without(paths, "the prompt's beginning computed once")

    def _without(self, paths: Paths, path: str) -> Paths:
        _LOG.warning(
            "%s: %s disagrees with the reference and is not used; rating is slower.", self.model, path
        )
        return paths

    def _reference(self, item: Prepared) -> torch.Tensor:
        try:
            logits = self.forward.reference(item)
        except Exception as error:
            if is_device_gone(error):
                raise
            if not is_out_of_memory(error):
                raise UserError(
                    f"{self.model} answers nothing ({in_a_line(error)}); choose another model."
                ) from error
            raise UserError(
                f"There is not enough memory for even one view of {item.length} tokens with {self.model}; "
                "choose a smaller model, 8-bit weights (--load-in-8bit) or another device (--device)."
            ) from error
        if bool(torch.isnan(logits).any()):
            dtype = str(self.forward.dtype).removeprefix("torch.")
            raise UserError(
                f"{self.model} computes no numbers (NaN) in {dtype}; "
                "choose another type of weights (--dtype), or fetch the model again."
            )
        return logits


@dataclass(frozen=True)
class _Agreement:
    """Whether what a path computes is what `generate` computed."""

    check: PathCheck
    expected: dict[int, torch.Tensor]

    def __call__(self, items: Sequence[Prepared], paths: Paths) -> bool:
        groups = [list(items)] if paths.batch else [[item] for item in items]
        try:
            found = torch.cat([run_paths(self.check.forward, group, paths) for group in groups])
        except Exception as error:  # a path that cannot be walked at all disagrees as well
            if is_device_gone(error):
                raise
            _LOG.info("%s: %s fails with %s: %s", self.check.model, paths, type(error).__name__, error)
            return False
        wanted = torch.cat([self.expected[id(item)] for item in items])
        same = _same_logits if self.check.exact else self._same_ratings
        return same(found, wanted)

    def _same_ratings(self, found: torch.Tensor, wanted: torch.Tensor) -> bool:
        ids = list(self.check.level_ids)
        mine, theirs = found.softmax(-1)[:, ids], wanted.softmax(-1)[:, ids]
        levels = torch.arange(1, len(ids) + 1, device=found.device, dtype=torch.float32)
        mean: Callable[[torch.Tensor], torch.Tensor] = lambda p: (p / p.sum(-1, keepdim=True)) @ levels  # noqa: E731
        shift, mass = (mean(mine) - mean(theirs)).abs().max(), (mine.sum(-1) - theirs.sum(-1)).abs().max()
        return bool(shift <= _LEVEL_SHIFT) and bool(mass <= _MASS_SHIFT)


def run_paths(forward: Forward, items: Sequence[Prepared], paths: Paths) -> torch.Tensor:
    """Logits of one batch by the given paths, the vision encoder apart where they say so."""
    return forward.logits(items, paths, forward.features(items) if paths.features else None)


def _same_logits(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    finite = wanted.isfinite()
    difference = (found.log_softmax(-1) - wanted.log_softmax(-1))[finite].abs().max()
    return bool(difference <= _ABSOLUTE + _RELATIVE * wanted[finite].abs().max())
