"""Whether a model takes two pictures in one prompt, and which fast paths hold for them: found by trying.

As for one picture (`zeroiqa.chat.path_check`), each path is held against `generate`. Beside that, two pictures
of one prompt may be encoded apart, and a picture that several prompts show once for all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zeroiqa.chat.forward import Forward, Paths
from zeroiqa.chat.inputs import NotJoinableError, PromptInputs, Shown
from zeroiqa.chat.path_check import Against
from zeroiqa.chat.rendering import UnboundedTemplateError
from zeroiqa.chat.showing import (
    Encoder,
    Join,
    PairPaths,
    PreparedPictures,
    Showing,
    learn_join,
    prepare_pictures,
)
from zeroiqa.errors import ImageError, UserError, one_line
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
_NAMES = {"features": "vision features", "prefix": "prefix", "batch": "batch"}


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
    name = engine.loaded.name
    _check_template(engine, prompt)
    text = engine.template.text(prompt)
    texts = [text, text, text, engine.template.text(prompt._replace(user=f"{prompt.user} Be brief."))]
    trial = _Trial(engine, texts, engine.template.text(prompt._replace(images=1)), first_tiles)
    try:
        rows = trial.prepare(PairPaths(Paths()))
    except ImageError as error:
        cause = one_line(error.__cause__ or error, kind=True)
        raise UserError(_refusal(name, f"its processor fails with {cause}")) from error
    items = [row.items[0] for row in rows]
    wanted = [engine.check.reference(item) for item in items]
    for which, other in (("second", wanted[1]), ("first", wanted[2])):
        if torch.equal(wanted[0], other):
            raise UserError(_refusal(name, f"it does not look at the {which} of them"))
    return trial.fastest(rows, wanted, word_ids)


def _check_template(engine: ChatEngine, prompt: FilledPrompt) -> None:
    """See that the template writes a placeholder for each of two images."""
    name = engine.loaded.name
    try:
        one, two = (engine.template.text(prompt._replace(images=images)) for images in (1, 2))
    except UnboundedTemplateError:
        raise
    except Exception as error:
        cause = one_line(error, kind=not isinstance(error, ImageError))
        raise UserError(_refusal(name, f"its chat template fails with {cause}")) from error
    if one == two:
        raise UserError(_refusal(name, "its chat template writes one of them"))
    token = getattr(engine.loaded.processor, "image_token", None)
    if isinstance(token, str) and token and two.count(token) != 2 * one.count(token):
        found = f"its chat template writes {two.count(token)} placeholders for two"
        raise UserError(_refusal(name, f"{found}, and {one.count(token)} for one"))


def _refusal(model: str, cause: str) -> str:
    return (
        f"{model} takes no two images in one prompt ({cause.rstrip('.')}); choose another model, or a standard "
        "that shows one image."
    )


class _Trial:
    """The pictures and texts that paths are tried on."""

    def __init__(self, engine: ChatEngine, texts: Sequence[str], alone: str, first_tiles: bool) -> None:
        random = np.random.default_rng(0)
        self._pictures = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in _SIZES]
        self._engine, self._texts, self._alone = engine, texts, alone
        self._first_tiles = first_tiles

    def prepare(self, way: PairPaths) -> list[PreparedPictures]:
        """The trials' inputs, one prompt each."""
        rows = []
        for (one, other), text in zip(_ROWS, self._texts, strict=True):
            pair = [Shown(self._pictures[one]), Shown(self._pictures[other], self._first_tiles)]
            showing = Showing(lambda _, pair=pair: pair, [(0, 1)], [way])  # type: ignore[misc]
            rows.append(prepare_pictures(self._engine.preprocessor, pair[0].pixels, [text], showing))
        return rows

    def fastest(
        self, rows: Sequence[PreparedPictures], wanted: Sequence[torch.Tensor], word_ids: Sequence[int]
    ) -> PairPaths:
        """The first of ever slower paths to which nothing objects; those of one picture at best."""
        engine, base = self._engine, self._engine.paths
        found: PairPaths | None = None
        objections: dict[str, str] = {}
        for weaker in _WEAKER if base.forward else ():
            paths = replace(base, **weaker)
            way, cause = self._way(paths, rows[0].items[0])
            cause = cause or self._objection(way, wanted, word_ids)
            if not cause:
                found = way
                break
            objections.setdefault(" and ".join(map(_NAMES.__getitem__, weaker)), cause)
        if found is None:
            found = PairPaths(Paths())
            objections = {"forward": " or ".join(dict.fromkeys(objections.values()))} if base.forward else {}
        return self._told(found, base, objections)

    def _way(self, paths: Paths, pair: PromptInputs) -> tuple[PairPaths, str]:
        if not paths.features:
            return PairPaths(paths), ""
        forward = self._engine.forward
        try:
            alone = [row.alone for row in self.prepare(PairPaths(paths, None, self._alone))][0]
            parts = [forward.features([alone[place]]) for place in (0, 1)]
            join: Join = learn_join(parts, forward.features([pair]))
        except Exception as error:
            if is_device_gone(error) or is_out_of_memory(error):
                raise
            said = str(error) if isinstance(error, NotJoinableError) else one_line(error, kind=True)
            return PairPaths(paths), f"cannot be tried ({said})"
        return PairPaths(paths, join, self._alone), ""

    def _objection(self, way: PairPaths, wanted: Sequence[torch.Tensor], word_ids: Sequence[int]) -> str:
        """What speaks against a way: all of its trials in one batch, where batches are on."""
        rows = self.prepare(way)
        by_item = {id(row.items[0]): row for row in rows}

        def run(forward: Forward, items: Sequence[PromptInputs], _: Paths) -> torch.Tensor:
            return Encoder(forward, [by_item[id(item)] for item in items]).logits(0, (0, 1), way)

        items = [row.items[0] for row in rows]
        expected = {id(item): logits for item, logits in zip(items, wanted, strict=True)}
        check = replace(self._engine.check, level_ids=word_ids)
        return Against(check, expected, run)(items, way.paths)

    def _told(self, found: PairPaths, base: Paths, objections: dict[str, str]) -> PairPaths:
        """The paths with the reasons for what is off, each logged once."""
        name = self._engine.loaded.name
        why = dict(self._engine.why)
        cause = next(iter(objections.values()), "")
        if base.forward and not found.paths.forward:
            why["forward"] = cause
            _LOG.warning(
                "%s: one forward pass of two images %s; generate is used, which is slower.", name, cause
            )
            return replace(found, why=why)
        for path, said in _NAMES.items():
            if getattr(base, path) != getattr(found.paths, path):
                why[said] = cause
                _LOG.warning(
                    "%s, two images in one prompt: %s %s and is not used; rating is slower.",
                    name,
                    said,
                    cause,
                )
        return replace(found, why=why)
