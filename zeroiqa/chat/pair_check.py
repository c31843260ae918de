"""Whether a model takes two pictures in one prompt, and which fast paths hold for them: found by trying.

As for one picture (`zeroiqa.chat.path_check`), each path is held against `generate`. Beside that, the
pictures of a prompt may be encoded one by one, and so one that several prompts show once for all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroiqa.chat.forward import Forward
from zeroiqa.chat.inputs import NotJoinableError, PromptInputs, Shown
from zeroiqa.chat.path_check import Against
from zeroiqa.chat.paths import Paths
from zeroiqa.chat.placing import no_two_images
from zeroiqa.chat.showing import (
    Encoder,
    PairPaths,
    PreparedPictures,
    Showing,
    learn_join,
    prepare_pictures,
)
from zeroiqa.errors import ImageError, one_line
from zeroiqa.weights.devices import is_device_gone, is_out_of_memory

if TYPE_CHECKING:
    from zeroiqa.chat.engine import ChatEngine
    from zeroiqa.standards import FilledPrompt

_LOG = logging.getLogger(__name__)
_SIZES = ((224, 320), (224, 320), (224, 320), (448, 336), (448, 336))  # height, width
_ROWS = ((0, 1), (0, 2), (2, 1), (3, 4))
"""Pictures of each trial: the first, the same with another second or first picture, one of another size."""
_WEAKER: tuple[dict[str, Any], ...] = (
    {},
    {"features": False},
    {"prefix": "off"},
    {"features": False, "prefix": "off"},
    {"features": False, "prefix": "off", "batch": False},
)
"""What is left out of the paths of one picture, in the order of trying."""
_NAMES = {"features": "vision features", "prefix": "prefix", "batch": "batch", "forward": "forward"}


def check_pairs(
    engine: ChatEngine, prompt: FilledPrompt, word_ids: Sequence[int], *, first_tiles: bool
) -> PairPaths:
    """The fastest paths that agree with `generate` on prompts of two pictures.

    Args:
        engine: The model, its paths for one picture known.
        prompt: That shows two pictures.
        word_ids: The tokens that are read, for the comparison in types below float32.
        first_tiles: Whether only the first two tiles of the second picture are shown.

    Raises:
        UserError: the model takes one picture only, or does not look at both.
    """
    name, base = engine.loaded.name, replace(engine.paths, trunk="off")
    trial = _Trial(engine, prompt, first_tiles)
    try:
        items = [row.items[0] for row in trial.rows(PairPaths(Paths()))]
    except ImageError as error:
        cause = one_line(error.__cause__ or error, kind=True)
        raise no_two_images(name, f"its processor fails with {cause}") from error
    wanted = [engine.check.reference(item) for item in items]
    for which, other in (("second", wanted[1]), ("first", wanted[2])):
        if torch.equal(wanted[0], other):
            raise no_two_images(name, f"it does not look at the {which} of them")
    objection, found = "", PairPaths(Paths())
    for weaker in _WEAKER if base.forward else ():
        way, cause = trial.way(replace(base, **weaker), items[0])
        cause = cause or trial.objection(way, wanted, word_ids)
        if not cause:
            found = way
            break
        objection = objection or cause
    off = [said for path, said in _NAMES.items() if getattr(base, path) != getattr(found.paths, path)]
    for said in off:
        _LOG.warning(
            "%s, two images in one prompt: the fast path %s %s and is not used; rating is slower.",
            name,
            said,
            objection,
        )
    return replace(found, why={**engine.why, **dict.fromkeys(off, objection)})


@dataclass(frozen=True)
class _Trial:
    """Prompts of two pictures that the paths are tried on."""

    engine: ChatEngine
    prompt: FilledPrompt
    first_tiles: bool

    def rows(self, way: PairPaths) -> list[PreparedPictures]:
        """The inputs of `_ROWS`, one prompt each; the last prompt is longer."""
        random = np.random.default_rng(0)
        pictures = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in _SIZES]
        text = self.engine.template.text(self.prompt)
        longer = self.engine.template.text(self.prompt._replace(user=f"{self.prompt.user} Be brief."))
        rows = []
        for (one, other), own in zip(_ROWS, (text, text, text, longer), strict=True):
            pair = [Shown(pictures[one]), Shown(pictures[other], self.first_tiles)]
            showing = Showing(lambda _, pair=pair: pair, [(0, 1)], [way])  # type: ignore[misc]
            rows.append(prepare_pictures(self.engine.preprocessor, pictures[one], [own], showing))
        return rows

    def way(self, paths: Paths, pair: PromptInputs) -> tuple[PairPaths, str]:
        """The paths with what they need, and what speaks against trying them."""
        if not paths.features:
            return PairPaths(paths), ""
        forward = self.engine.forward
        text = self.engine.template.text(self.prompt._replace(images=1))
        try:
            alone = self.rows(PairPaths(paths, alone=text))[0].alone
            parts = [forward.features([alone[place]]) for place in (0, 1)]
            return PairPaths(paths, learn_join(parts, forward.features([pair])), text), ""
        except Exception as error:
            if is_device_gone(error) or is_out_of_memory(error):
                raise
            said = str(error) if isinstance(error, NotJoinableError) else one_line(error, kind=True)
            return PairPaths(paths), f"cannot be tried ({said})"

    def objection(self, way: PairPaths, wanted: Sequence[torch.Tensor], word_ids: Sequence[int]) -> str:
        """What speaks against a way: "" where the trials are as wanted.

        Two batches, if there are batches: of rows of one length, which may share a prefix though others may
        not, and of rows of two lengths.
        """
        rows = self.rows(way)
        by_item = {id(row.items[0]): row for row in rows}

        def run(forward: Forward, items: Sequence[PromptInputs], _: Paths) -> torch.Tensor:
            return Encoder(forward, [by_item[id(item)] for item in items]).logits(0, (0, 1), way)

        items = [row.items[0] for row in rows]
        expected = {id(item): logits for item, logits in zip(items, wanted, strict=True)}
        check = replace(self.engine.check, level_ids=word_ids)
        against = Against(check, expected, run)
        return against(items[:2], way.paths) or against(items[2:], way.paths)
