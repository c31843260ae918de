"""Which fast paths a model may use: each is held against `generate` on two views when the model is loaded."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple, TypeAlias

import torch

from zeroiqa.chat.caching import CacheError
from zeroiqa.chat.forward import LEAST_PREFIX, Forward
from zeroiqa.chat.inputs import PromptInputs
from zeroiqa.chat.paths import Paths, PrefixUse, TrunkUse
from zeroiqa.errors import UserError, one_line
from zeroiqa.weights.devices import is_device_gone, is_out_of_memory

Run: TypeAlias = Callable[[Forward, Sequence[PromptInputs], Paths], torch.Tensor]
"""A batch by some paths -> float32 logits (views, vocabulary)."""

_LOG = logging.getLogger(__name__)
_ABSOLUTE, _RELATIVE = 1e-4, 1e-5  # of log-probabilities in float32; relative to the largest logit
_LEVEL_SHIFT, _MASS_SHIFT = 0.1, 0.05  # below float32: of the mean level, of the mass on the levels
_DISAGREES = "disagrees with the reference"


class Probes(NamedTuple):
    """Views to try the paths on, under prompts that are alike up to the image."""

    first: PromptInputs
    second: PromptInputs
    """Of another size than the first, under a longer prompt: rows of one length hide what padding does."""
    like_first: PromptInputs
    """Another picture of the first one's size."""
    first_again: PromptInputs
    """The first view under the second's prompt."""
    second_again: PromptInputs
    """The second view under the first's prompt."""


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
    no_batch: str = ""
    """Why the family's way of joining views to batches was not found."""
    why: dict[str, str] = field(default_factory=dict)
    """Name of a path -> why it is not, or not fully, in use; filled by `run`."""

    def run(self, probes: Probes) -> Paths:
        """The fastest paths that agree with `generate`.

        A path that was worth trying and disagrees, fails or cannot even be tried is left out with a warning.

        Raises:
            UserError: `generate` itself gives no numbers, or memory does not suffice for one view.
        """
        items = (probes.first, probes.second)
        expected = {id(item): self.reference(item) for item in probes[:3]}
        against = Against(self, expected)
        self.forward.learn_options(probes.first)
        if not self.forward.last_only:
            self.why["last position"] = "the model computes the logits of every position"
        paths = self._choose_batch(items, against)
        if not paths.forward:
            return paths
        paths = self._choose_features(probes, paths, against)
        paths = self._choose_prefix(probes, paths, against)
        return self._choose_trunk(probes, paths, against)

    def holds_for(self, item: PromptInputs, paths: Paths) -> bool:
        """Whether the model can rate this view at all, and the paths agree with `generate` on it."""
        try:
            expected = {id(item): self.forward.reference(item)}
        except Exception as error:
            if is_out_of_memory(error) or is_device_gone(error):
                raise
            _LOG.info("%s: generate fails with %s: %s", self.model, type(error).__name__, error)
            return False
        return not paths.forward or not Against(self, expected)((item,), paths)

    def _choose_batch(self, items: Sequence[PromptInputs], against: Against) -> Paths:
        objections: dict[bool, list[str]] = {True: [], False: []}
        batches = (True, False) if self.forward.collation is not None else (False,)
        positions = (True, False) if self.forward.takes_positions else (False,)
        for batch, given in product(batches, positions):
            paths = Paths(forward=True, batch=batch, positions=given)
            objection = against(items, paths)
            if not objection:
                if errors := [each for each in objections[batch] if each != _DISAGREES]:
                    _LOG.warning(
                        "%s: a pass that is given positions %s; padding may round.", self.model, errors[0]
                    )
                if not batch:
                    cause = _joined(objections[True]) or f"cannot be tried ({self.no_batch})"
                    self._warn("batch", "several views in one batch", cause)
                return paths
            objections[batch].append(objection)
        self._warn("forward", "one forward pass instead of generate", _joined(objections[False]))
        self.why.update(
            dict.fromkeys(("batch", "vision features", "prefix", "shared view"), "needs the forward pass")
        )
        return Paths()

    def _choose_features(self, probes: Probes, paths: Paths, against: Against) -> Paths:
        if not self.forward.takes_features:
            self.why["vision features"] = "the vision encoder cannot be run apart from the model"
            return paths
        tried = replace(paths, features=True)
        objection = against((probes.first, probes.second), tried)
        if not objection:
            return tried
        if objection == _DISAGREES and self._ignores_features(probes, tried):
            objection = "cannot be tried (the model ignores the features that it is given)"
        self._warn("vision features", "vision features computed once", objection)
        return paths

    def _ignores_features(self, probes: Probes, paths: Paths) -> bool:
        """Whether those of another picture make no difference."""
        own, other = (
            self.forward.logits([probes.first], paths, self.forward.features([item]))
            for item in (probes.first, probes.like_first)
        )
        return bool(torch.equal(own, other))

    def _choose_prefix(self, probes: Probes, paths: Paths, against: Against) -> Paths:
        if not self.forward.uses_prefix([probes.first], replace(paths, prefix="any")):
            self.why["prefix"] = f"fewer than {LEAST_PREFIX} tokens come before the image"
            return paths
        path = "the prompt's beginning computed once"
        try:
            most, arguments = self.forward.plan_prefix(probes.first, paths)
        except Exception as error:
            if is_device_gone(error):
                raise
            self._warn("prefix", path, _said(error))
            return paths
        uses: tuple[PrefixUse, ...] = ("any", "equal") if most == "any" else (most,)
        objections: list[str] = []
        for argument in arguments:
            failed: list[str] = []
            for use in uses:
                found = self._try_prefix(probes, replace(paths, cache=argument, prefix=use), against)
                if isinstance(found, Paths):
                    if failed:
                        self._warn("prefix", f"{path} for views of different lengths", _joined(failed))
                    elif use == "equal":
                        self.why["prefix"] = "views of different lengths would see padding behind it"
                    return found
                failed += found
            objections = objections or failed  # those of the likeliest name tell most
            if _DISAGREES in failed:  # the model does take its cache by this name
                break
        self._warn("prefix", path, _joined(objections))
        return paths

    def _try_prefix(self, probes: Probes, paths: Paths, against: Against) -> Paths | list[str]:
        """The path in the layout of a row's inputs that holds, or what speaks against each."""
        other = probes.second if paths.prefix == "any" else probes.like_first
        objections = []
        for full_rows in (True, False):
            tried = replace(paths, full_rows=full_rows)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # of a name that is going
                objection = against((probes.first, other), tried) or against((probes.second,), tried)
            if not objection:
                return tried
            objections.append(objection)
        return objections

    def _choose_trunk(self, probes: Probes, paths: Paths, against: Against) -> Paths:
        rows = [[probes.first, probes.first_again], [probes.second_again, probes.second]]
        if len(self.forward.forks(rows)) != 1:
            self.why["shared view"] = "the prompts of a view do not part behind its image"
            return paths
        arguments: tuple[str, ...] = (paths.cache,)
        layouts: tuple[bool, ...] = (paths.full_rows,)
        if paths.prefix == "off":
            try:
                arguments, layouts = self.forward.cache_names(probes.first), (True, False)
            except Exception as error:
                if is_device_gone(error):
                    raise
                self.why["shared view"] = _said(error)
                return paths
        uses: tuple[TrunkUse, ...] = ("text", "picture")
        objections = []
        for argument, full_rows, use in product(arguments, layouts, uses):
            tried = replace(paths, trunk=use, cache=argument, full_rows=full_rows)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # of a name that is going
                objection = against.fork(rows, tried)
            if not objection:
                return tried
            objections.append(objection)
        cause = _joined(objections)
        if self.why.get("prefix") in objections:  # said once
            self.why["shared view"] = cause
        else:
            self._warn("shared view", "what several prompts have in common computed once", cause)
        return paths

    def _warn(self, name: str, path: str, cause: str) -> None:
        """Say once that a path is not in use, and why."""
        self.why[name] = cause
        _LOG.warning("%s: %s %s and is not used; rating is slower.", self.model, path, cause)

    def reference(self, item: PromptInputs) -> torch.Tensor:
        """What `generate` computes for one view.

        Raises:
            UserError: it fails, gives no numbers, or memory does not suffice.
        """
        try:
            logits = self.forward.reference(item)
        except Exception as error:
            if is_device_gone(error):
                raise
            if not is_out_of_memory(error):
                raise UserError(
                    f"{self.model} answers nothing ({one_line(error, kind=True)}); choose another model."
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
class Against:
    """What speaks against a path: "" where it computes what `generate` computed."""

    check: PathCheck
    expected: dict[int, torch.Tensor]
    """By the identity of the inputs."""
    run: Run | None = None
    """How a batch is computed; None for `run_paths`."""

    def __call__(self, items: Sequence[PromptInputs], paths: Paths) -> str:
        """Compare one batch."""
        groups = [list(items)] if paths.batch else [[item] for item in items]
        run = self.run or run_paths
        return self._speaks(items, paths, lambda: [run(self.check.forward, group, paths) for group in groups])

    def fork(self, rows: Sequence[Sequence[PromptInputs]], paths: Paths) -> str:
        """What speaks against sharing a pass between the prompts of each view."""
        groups = [list(rows)] if paths.batch else [[row] for row in rows]
        by_prompt = [item for group in groups for items in zip(*group, strict=True) for item in items]
        for item in by_prompt:
            self.expected.setdefault(id(item), self.check.reference(item))
        return self._speaks(
            by_prompt,
            paths,
            lambda: [logits for group in groups for logits in _run_fork(self.check.forward, group, paths)],
        )

    def _speaks(
        self, items: Sequence[PromptInputs], paths: Paths, run: Callable[[], list[torch.Tensor]]
    ) -> str:
        try:
            found = torch.cat(run())
        except Exception as error:
            if is_device_gone(error):
                raise
            _LOG.info("%s: %s fails with %s: %s", self.check.model, paths, type(error).__name__, error)
            return _said(error)
        wanted = torch.cat([self.expected[id(item)] for item in items])
        same = _same_logits if self.check.exact else self._same_ratings
        return "" if same(found, wanted) else _DISAGREES

    def _same_ratings(self, found: torch.Tensor, wanted: torch.Tensor) -> bool:
        ids = list(self.check.level_ids)
        mine, theirs = found.softmax(-1)[:, ids], wanted.softmax(-1)[:, ids]
        levels = torch.arange(1, len(ids) + 1, device=found.device, dtype=torch.float32)
        mean: Callable[[torch.Tensor], torch.Tensor] = lambda p: (p / p.sum(-1, keepdim=True)) @ levels  # noqa: E731
        shift, mass = (mean(mine) - mean(theirs)).abs().max(), (mine.sum(-1) - theirs.sum(-1)).abs().max()
        return bool(shift <= _LEVEL_SHIFT) and bool(mass <= _MASS_SHIFT)


def _said(error: Exception) -> str:
    """What speaks against a path that ends in an error."""
    if isinstance(error, CacheError):
        return f"cannot be tried ({error})"
    return f"fails with {one_line(error, kind=True)}"


def _joined(objections: Iterable[str]) -> str:
    return ", or ".join(dict.fromkeys(objections))


def run_paths(forward: Forward, items: Sequence[PromptInputs], paths: Paths) -> torch.Tensor:
    """Logits of one batch by the given paths, the vision encoder apart where they say so."""
    return forward.logits(items, paths, forward.features(items) if paths.features else None)


def _run_fork(
    forward: Forward, rows: Sequence[Sequence[PromptInputs]], paths: Paths
) -> Iterator[torch.Tensor]:
    (fork,) = forward.forks(rows)
    features = forward.features([row[0] for row in rows]) if paths.features else None
    return forward.logits_of_fork(rows, fork, paths, features)


def _same_logits(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    finite = wanted.isfinite()
    difference = (found.log_softmax(-1) - wanted.log_softmax(-1))[finite].abs().max()
    return bool(difference <= _ABSOLUTE + _RELATIVE * wanted[finite].abs().max())
